-- One row per feed and span of time for which the record is provably complete: every job of the feed created in it was listed, or deleted before it could be.
--
--  org_id                VARCHAR                   the org
--  covered_from          TIMESTAMP WITH TIME ZONE  seven days before the span's first listing
--  covered_to            TIMESTAMP WITH TIME ZONE  the span's last listing
--  listings              BIGINT                    complete listings in it
--  longest_gap_hours     DOUBLE                    longest time between two of them: jobs created and deleted in between go unseen; null for a single one
--  average_gap_hours     DOUBLE                    average time between two of them; null for a single one
--  feed                  VARCHAR                   the listing whose jobs it is about: query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads)
--
-- unique: org_id, feed, covered_from
--
-- Assumed: an org keeps a finished job for seven days unless it is deleted; a listing shows every job that exists when
-- it starts; the recorder's user may see all users' jobs. Only proving_listings count here.
with marked as (
    select
        org_id,
        feed,
        listed_at,
        case when is_continuous then date_diff('second', listed_before, listed_at) end as gap_seconds,
        sum(case when is_continuous then 0 else 1 end) over (
            partition by org_id, feed order by listed_at, case when is_continuous then 1 else 0 end
            rows between unbounded preceding and current row
        ) as span
    from salesforce.proving_listings
)
select
    org_id,
    min(listed_at) - interval '168' hour as covered_from,
    max(listed_at) as covered_to,
    count(*) as listings,
    max(gap_seconds) / cast(3600 as double) as longest_gap_hours,
    avg(cast(gap_seconds as double)) / 3600 as average_gap_hours,
    feed
from marked
group by org_id, feed, span
