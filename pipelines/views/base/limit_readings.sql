-- One row per limit, app and time at which it was read: how much of it was used. API calls are read from snapshots of the limits and from the answers to listings.
--
--  org_id        VARCHAR                   the org
--  limit_name    VARCHAR                   name of the limit, such as DailyApiRequests
--  app           VARCHAR                   the connected app or sub-limit that this share belongs to; empty for the whole org
--  read_at       TIMESTAMP WITH TIME ZONE  when, by the org's clock
--  listing_id    VARCHAR                   the listing of the same run
--  source        VARCHAR                   snapshot: from org_limits; listing: the API calls that the listing's last answer reported
--  max           BIGINT                    the limit
--  used          BIGINT                    how much was used
--  used_percent  DOUBLE                    the same in percent; null if the limit is 0
--
-- unique: org_id, limit_name, app, listing_id, source
select
    org_id,
    limit_name,
    app,
    asked_at as read_at,
    listing_id,
    'snapshot' as source,
    max,
    max - remaining as used,
    100 * cast(max - remaining as double) / nullif(max, 0) as used_percent
from salesforce.org_limits
where max is not null and remaining is not null
union all
select
    org_id,
    'DailyApiRequests' as limit_name,
    '' as app,
    finished_at as read_at,
    listing_id,
    'listing' as source,
    api_usage_max as max,
    api_usage as used,
    100 * cast(api_usage as double) / nullif(api_usage_max, 0) as used_percent
from salesforce.listings
where api_usage_max is not null and api_usage is not null
