-- One row per hole between two spans of coverage: jobs created in it may have appeared and vanished unrecorded.
--
--  org_id     VARCHAR                   the org
--  hole_from  TIMESTAMP WITH TIME ZONE  the last listing before it
--  hole_to    TIMESTAMP WITH TIME ZONE  seven days before the first listing after it
--  hours      DOUBLE                    its length
--  jobs       BIGINT                    jobs created in it that are recorded all the same: unfinished ones are listed for longer, and filtered listings show some
--
-- unique: org_id, hole_from
with spans as (
    select
        org_id,
        covered_to as hole_from,
        lead(covered_from) over (partition by org_id order by covered_from) as hole_to
    from salesforce.coverage
)
select
    s.org_id,
    s.hole_from,
    s.hole_to,
    date_diff('second', s.hole_from, s.hole_to) / cast(3600 as double) as hours,
    coalesce((
        select count(*)
        from salesforce.listed_jobs as j
        where j.org_id = s.org_id and j.created_date > s.hole_from and j.created_date < s.hole_to
    ), 0) as jobs
from spans as s
where s.hole_from < s.hole_to
