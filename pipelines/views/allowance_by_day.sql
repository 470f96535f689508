-- One row per UTC day and org: the day's busiest 24 hours of V2 query jobs, against the org's allowance.
--
--  day            DATE                      UTC day in which these 24 hours end
--  org_id         VARCHAR                   the org
--  peak_hour      TIMESTAMP                 hour of allowance_by_hour in which they end, UTC
--  used           BIGINT                    V2 query jobs in them: as recorded or, if that is more, as counted by the org
--  counted        BIGINT                    by the org's own counter, including deleted jobs; null if that hour has no snapshot
--  allowance      BIGINT                    how many the org allows; null if its limits are not known
--  share_percent  DOUBLE                    used in percent of the allowance; null if that is 0 or not known
--  peak_at        TIMESTAMP WITH TIME ZONE  end of these 24 hours
--  fullness       BIGINT                    as in allowance_by_hour: the peak of several days is the row with the greatest fullness
--
-- unique: day, org_id
--
-- Don't add up days: the 24 hours of two days overlap.
select
    day,
    org_id,
    hour as peak_hour,
    used,
    counted,
    allowance,
    share_percent,
    peak_at,
    fullness
from (
    select
        cast(hour as date) as day,
        org_id,
        hour,
        used,
        counted,
        allowance,
        share_percent,
        peak_at,
        fullness,
        row_number() over (partition by org_id, cast(hour as date) order by fullness desc) as nth
    from salesforce.allowance_by_hour
) as r
where nth = 1
