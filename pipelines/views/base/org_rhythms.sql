-- One row per recorded org: how often it is listed, how far it is behind the other orgs of the same file, and whether it has gone silent.
--
--  org_id              VARCHAR                   the org
--  as_of               TIMESTAMP WITH TIME ZONE  its newest complete listing; see recorded_orgs
--  newest_as_of        TIMESTAMP WITH TIME ZONE  that of the org listed last, apart from those removed from the settings; null if all were
--  hours_behind        DOUBLE                    from as_of to newest_as_of; null if it was removed from the settings
--  usual_gap_hours     DOUBLE                    median time between two complete listings of one feed, in the four weeks up to as_of; null if there are none
--  silent_after_hours  DOUBLE                    24, or one and a half times usual_gap_hours if that is longer
--  is_silent           BOOLEAN                   whether it is further behind than that, while others were recorded; false if it was removed from the settings
--
-- unique: org_id
--
-- If the recorder is off, all orgs stop together, and none of them is behind: then newest_as_of is old.
-- One and a half times: an org that missed one load is late, one that missed two is silent.
with newest as (
    select max(case when left_settings_at is null then as_of end) as newest_as_of from salesforce.recorded_orgs
),
orgs as (
    select
        o.org_id,
        o.as_of,
        n.newest_as_of,
        o.left_settings_at,
        case
            when o.left_settings_at is null then date_diff('second', o.as_of, n.newest_as_of) / cast(3600 as double)
        end as hours_behind
    from salesforce.recorded_orgs as o
    cross join newest as n
),
gaps as (
    select
        p.org_id,
        p.seconds,
        row_number() over (partition by p.org_id order by p.seconds) as nth,
        count(*) over (partition by p.org_id) as gaps
    from (
        select
            c.org_id,
            c.listed_at,
            date_diff(
                'second', lag(c.listed_at) over (partition by c.org_id, c.feed order by c.listed_at), c.listed_at
            ) as seconds
        from salesforce.complete_listings as c
    ) as p
    inner join orgs as o on o.org_id = p.org_id and p.listed_at > o.as_of - interval '672' hour
    where p.seconds is not null
),
usual as (
    select
        org_id,
        avg(case when 2 * nth between gaps and gaps + 2 then cast(seconds as double) end) as seconds
    from gaps
    group by 1
),
judged as (
    select
        o.org_id,
        o.as_of,
        o.newest_as_of,
        o.hours_behind,
        u.seconds / cast(3600 as double) as usual_gap_hours,
        -- half the gap more, in hours: seconds / 3600 * 3 / 2
        case when u.seconds > 57600 then u.seconds / cast(2400 as double) else cast(24 as double) end as silent_after_hours
    from orgs as o
    left join usual as u on u.org_id = o.org_id
)
select
    org_id,
    as_of,
    newest_as_of,
    hours_behind,
    usual_gap_hours,
    silent_after_hours,
    coalesce(hours_behind > silent_after_hours, false) as is_silent
from judged
