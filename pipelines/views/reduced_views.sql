-- One row per feed and period in which its listings showed only a fraction of the jobs that must still have existed: a permission was lost, or the org did not show all.
--
--  org_id           VARCHAR                   the org
--  reduced_from     TIMESTAMP WITH TIME ZONE  the first of these listings
--  reduced_to       TIMESTAMP WITH TIME ZONE  the last of them so far
--  listings         BIGINT                    complete listings in it
--  jobs_expected    BIGINT                    jobs known before that could not have expired by then: not finished, or less than seven days old
--  jobs_lost        BIGINT                    of these, no longer shown: 20 or more, and more than half
--  creators_before  BIGINT                    users whose jobs the previous listing showed; null if there is none
--  creators         BIGINT                    users whose jobs its first listing showed
--  is_ongoing       BOOLEAN                   whether the feed's newest complete listing is one of them
--  feed             VARCHAR                   which listing: query (/jobs/query) or ingest (/jobs/ingest)
--
-- unique: org_id, feed, reduced_from
--
-- The period ends with the listing that shows most of the lost jobs again, or other jobs of their users, or once these are
-- seven days old. Until then listings prove no coverage, and jobs no longer shown may be hidden rather than deleted.
with complete as (
    select
        c.org_id,
        c.feed,
        c.listing_id,
        c.listed_at,
        l.reduced_since,
        l.jobs_expected,
        l.jobs_lost,
        l.creators,
        l.jobs_unlisted is not null as is_compared
    from salesforce.complete_listings as c
    inner join salesforce.listings as l on l.listing_id = c.listing_id
),
periods as (
    select org_id, feed, reduced_since as reduced_from, min(listed_at) as noticed_at, max(listed_at) as reduced_to
    from complete
    where reduced_since is not null
    group by 1, 2, 3
),
noticed as (
    select
        org_id,
        feed,
        reduced_since,
        jobs_expected,
        jobs_lost,
        creators,
        row_number() over (
            partition by org_id, feed, reduced_since order by coalesce(jobs_lost, -1) desc, listed_at, listing_id
        ) as nth
    from complete
    where reduced_since is not null
),
before as (
    select
        s.org_id,
        s.feed,
        s.reduced_from,
        c.creators,
        row_number() over (
            partition by s.org_id, s.feed, s.reduced_from order by c.listed_at desc, c.listing_id
        ) as nth_last
    from periods as s
    inner join complete as c on c.org_id = s.org_id and c.feed = s.feed and c.listed_at < s.reduced_from
),
within as (
    select s.org_id, s.feed, s.reduced_from, count(*) as listings
    from periods as s
    inner join complete as c
        on c.org_id = s.org_id and c.feed = s.feed
        and c.listed_at >= s.reduced_from and c.listed_at <= s.reduced_to
    group by 1, 2, 3
),
newest as (
    select org_id, feed, max(case when is_compared then listed_at end) as listed_at from complete group by 1, 2
)
select
    s.org_id,
    s.reduced_from,
    s.reduced_to,
    w.listings,
    n.jobs_expected,
    n.jobs_lost,
    b.creators as creators_before,
    n.creators,
    s.reduced_to = m.listed_at as is_ongoing,
    s.feed
from periods as s
inner join noticed as n
    on n.org_id = s.org_id and n.feed = s.feed and n.reduced_since = s.reduced_from and n.nth = 1
inner join within as w on w.org_id = s.org_id and w.feed = s.feed and w.reduced_from = s.reduced_from
inner join newest as m on m.org_id = s.org_id and m.feed = s.feed
left join before as b
    on b.org_id = s.org_id and b.feed = s.feed and b.reduced_from = s.reduced_from and b.nth_last = 1
