-- One row per hole between two spans of a feed's coverage: jobs of that feed created in it may have appeared and vanished unrecorded.
--
--  org_id     VARCHAR                   the org
--  hole_from  TIMESTAMP WITH TIME ZONE  the last listing before it
--  hole_to    TIMESTAMP WITH TIME ZONE  seven days before the first listing after it
--  hours      DOUBLE                    its length
--  jobs       BIGINT                    jobs created in it that are recorded nevertheless: unfinished ones are listed for longer, and filtered listings show some
--  feed       VARCHAR                   the listing whose jobs it is about: query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads)
--
-- unique: org_id, feed, hole_from
with spans as (
    select
        org_id,
        feed,
        covered_to as hole_from,
        lead(covered_from) over (partition by org_id, feed order by covered_from) as hole_to
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
        where j.org_id = s.org_id and j.feed = s.feed and j.created_date > s.hole_from and j.created_date < s.hole_to
    ), 0) as jobs,
    s.feed
from spans as s
where s.hole_from < s.hole_to
