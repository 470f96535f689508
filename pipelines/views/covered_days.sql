-- One row per UTC day, org and feed: how much of it the record of that feed's jobs covers.
--
--  day              DATE     UTC day
--  org_id           VARCHAR  the org
--  covered_percent  DOUBLE   share of the day that lies in coverage, 0 to 100
--  feed             VARCHAR  query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads)
--
-- unique: day, org_id, feed
--
-- The same time range as covered_hours: the first day and that of the newest listing are hardly ever fully covered.
select
    cast(hour as date) as day,
    org_id,
    -- in whole seconds, so that the sum does not depend on the order of the hours
    round(36 * sum(covered_percent)) / cast(864 as double) as covered_percent,
    feed
from salesforce.covered_hours
group by 1, 2, 4
