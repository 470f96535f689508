"""A synthetic history of any size, made by DuckDB alone: the warehouse that the views are measured on."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines.job_tables import FINISHED
from pipelines.tables import DATASET
from pipelines.warehouse.empty_database import STORAGE_VERSION
from pipelines.warehouse.schema import complete_tables
from pipelines.warehouse.state_spans import refresh_spans

END = datetime(2026, 11, 16, 6, tzinfo=UTC)
ORG_ID = "00DR00000001234MAA"
JOBS_A_DAY = 10_000
HOUR, DAY = 3_600, 86_400
LIMITS = "DailyApiRequests DailyBulkApiBatches DailyBulkV2QueryFileStorageMB DailyBulkV2QueryJobs DataStorageMB"
OBJECTS = "Account Contact Opportunity Case Lead Task Event User Order Product2"

# Times are whole seconds since 1970 until they are stored. `listing_after` is the next full hour at which there was a
# listing; in two holes there was none. A day has its peak at night: `paced` bends an even clock.
MACROS = """
create temp macro dice(n, what) as (hash(n, what) % 1000000) / 1e6;
create temp macro pick(things, x) as things[1 + cast(floor(x * len(things)) as int)];
create temp macro pick_word(words, x) as pick(string_split(words, ' '), x);
create temp macro as_time(seconds) as make_timestamptz(cast(seconds as bigint) * 1000000);
create temp macro paced(x) as x + 0.6 / (2 * pi()) * (sin(2 * pi() * (x - 0.375)) - sin(2 * pi() * -0.375));
create temp macro listing_after(t) as case
    when t >= {hole1} - 3600 and t < {hole1} + {hole} then {hole1} + {hole}
    when t >= {hole2} - 3600 and t < {hole2} + {hole} then {hole2} + {hole}
    else (t // 3600 + 1) * 3600 end;
create temp macro listing_before(t) as
    case when t in ({hole1} + {hole}, {hole2} + {hole}) then t - {hole} - 3600 else t - 3600 end;
create temp macro org() as '{org}';
create temp macro job_id(n) as format('750R0{{:010x}}IAA', n * 37 + hash(n) % 37);
create temp macro listing_id(t) as cast(cast(md5(cast(t as varchar)) as uuid) as varchar);
create temp macro user_id(n) as format('005R0{{:010x}}IAA', n + 1000);
"""

# One row per job. `stamp` and `middle` are system_modstamp of the last and the middle state, `seen` the listing that
# showed the last one. Three states each, also where an hourly listing would have missed two: more than a real history.
WORK = """
create temp table work as
with drawn as (
    select n, dice(n, 'type') < 0.85 as v2, dice(n, 'fate') as fate,
        least({end} - 10, {end} + cast({day} * paced((n - {jobs} + dice(n, 'slot')) / {a_day}) as bigint)) as created,
        least(cast(ceil(15 * pow(1 - dice(n, 'seconds'), -0.9)) as bigint), {day}) as seconds
    from range({jobs}) as numbers(n)
), judged as (
    select *, created < {end} - 8 * {day} and dice(n, 'lost') < 0.0001 as lost,
        lost or n % greatest({jobs} // 50, 1) = 7 or created + seconds >= {end}
            or (created > {end} - {day} and dice(n, 'slow') < 0.002) as unfinished,
        not unfinished and dice(n, 'unmoved') < 0.05 as unmoved,
        created + case when dice(n, 'twins') < 0.1 then seconds else 1 + seconds // 10 end as started
    from drawn
), timed as (
    select *, case when unfinished then created + 2 when unmoved then created else created + seconds end as stamp,
        listing_after(case when unfinished then stamp else created + seconds end) as seen,
        case when v2 then 'UploadComplete' else 'Open' end as first_state,
        case when unfinished and not v2 then 'Open' else 'InProgress' end as middle_state,
        case when unfinished then middle_state when fate < 0.01 then 'Failed' when fate < 0.015 then 'Aborted'
            when v2 then 'JobComplete' else 'Closed' end as state
    from judged
)
select n, v2, seconds, unfinished, created, stamp, seen, first_state, middle_state, state,
    case when unfinished then created + 1 when unmoved then created else started end as middle,
    listing_after(least(started, seen - 1)) as middle_seen,
    case when unfinished and not lost then null
        when not unfinished and dice(n, 'deleted') < 0.03 then listing_after(seen)
        else listing_after(greatest(seen, created + 7 * {day})) end as unlisted
from timed
"""

ROWS = {
    "query_jobs": """
select org() as org_id, job_id(n) as id, as_time(created) as created_date, as_time(stamp) as system_modstamp, state,
    case when not v2 then pick_word('query query query insert insert upsert delete hardDelete', dice(n, 'do'))
        when dice(n, 'all') < 0.03 then 'queryAll' else 'query' end as operation,
    pick_word('{objects}', pow(dice(n, 'object'), 2.5)) || pick(['', '_Line__c', '_Log__c'], dice(n, 'kind')) as object,
    user_id(cast(floor(40 * pow(dice(n, 'creator'), 2.5)) as int)) as created_by_id,
    case when v2 or dice(n, 'serial') < 0.9 then 'Parallel' else 'Serial' end as concurrency_mode,
    case when v2 then 'CSV' else pick_word('CSV CSV XML JSON', dice(n, 'content')) end as content_type,
    cast(45 + floor(24 * sqrt(dice(n, 'version'))) as double) as api_version,
    case when v2 then 'V2Query' else 'Classic' end as job_type, as_time(seen) as observed_at,
    case when v2 then 'LF' end as line_ending, case when v2 then 'COMMA' end as column_delimiter
from work
""",
    "query_job_states": """
select org() as org_id, job_id(n) as id,
    as_time(case k when 0 then created when 1 then middle else stamp end) as system_modstamp,
    case k when 0 then first_state when 1 then middle_state else state end as state,
    as_time(case k when 0 then listing_after(created) when 1 then middle_seen else seen end) as observed_at
from work, range(3) as steps(k)
""",
    "unlisted_jobs": """
select org() as org_id, job_id(n) as id, state, as_time(listing_before(unlisted)) as last_listed_at,
    as_time(unlisted) as unlisted_at, case when dice(n, 'again') < 0.0005 and unlisted < {end} then
        as_time(listing_after(unlisted)) end as listed_again_at
from work where unlisted <= {end}
""",
    "job_details": """
with asked as (
    select *, dice(n, 'outcome') as luck, luck < 0.95 as answered, answered and not v2 as classic,
        classic and dice(n, 'do') >= 3 / 8 as loads,
        cast(100 * pow(1 - dice(n, 'records'), -1.2) as bigint) as records, 1 + records // 10000 as batches,
        cast(seconds * 1000 * (0.3 + dice(n, 'work')) as bigint) as work_ms,
        case when dice(n, 'bad') < 0.9 then 0 when dice(n, 'bad') < 0.98 then dice(n, 'share') else 1 end as bad
    from work where not unfinished
)
select org() as org_id, job_id(n) as id, as_time(seen + 5 + hash(n) % 300) as asked_at,
    case when answered then 'answered' when luck < 0.99 then 'gone' else 'refused' end as outcome,
    case when answered then null when luck < 0.99 then '404 NOT_FOUND: The requested resource does not exist'
        else '403 INSUFFICIENT_ACCESS: insufficient access rights on the job' end as error,
    case when answered or luck < 0.99 then 1 else 3 end as attempts,
    case when answered then classic and state = 'Closed' and dice(n, 'batches') < 0.01 end as provisional,
    state as listed_state, as_time(stamp) as listed_modstamp, case when answered then state end as state,
    case when answered then case when v2 and state = 'Failed' then 0 else records end end as number_records_processed,
    case when classic then cast(floor(records * bad) as bigint) end as number_records_failed,
    if(classic, 0, null) as number_batches_queued, if(classic, 0, null) as number_batches_in_progress,
    if(classic, cast(state = 'Failed' as int), null) as number_batches_failed,
    batches - number_batches_failed as number_batches_completed, if(classic, batches, null) as number_batches_total,
    case when answered then cast(floor(pow(dice(n, 'retries'), 20) * 4) as bigint) end as retries,
    if(answered, work_ms, null) as total_processing_time, if(loads, work_ms // 4, null) as apex_processing_time,
    if(loads, work_ms * 2 // 3, null) as api_active_processing_time,
    case when answered and v2 then dice(n, 'chunks') < 0.9 end as is_pk_chunking_supported,
    case when answered and state = 'Failed' then pick(['InvalidBatch : Field name not found : X__c',
        'InvalidBatch : Field name not found : Old_Name__c', 'InvalidBatch : InvalidBatch : unexpected token: <EOF>',
        'INVALID_TYPE: sObject type Invoice__c is not supported.', 'ExceededQuota : ApiBatchItems Limit exceeded.',
        'QUERY_TIMEOUT: Your query request was running too long.'], dice(n, 'why')) end as error_message
from asked
""",
    "users": """
select org() as org_id, user_id(n) as id, case when n < 37 then format('User {{:02}}', n) end as name,
    case when n < 37 then format('user{{:02}}@example.com', n) end as username, n % 9 > 0 as is_active,
    case when n % 10 = 3 then 'AutomatedProcess' else 'Standard' end as user_type, as_time({end}) as asked_at
from range(40) as numbers(n)
""",
    "orgs": """
select org() as org_id, 'Example' as name, false as is_sandbox, 'Enterprise Edition' as organization_type,
    'DEU42' as instance_name, 'https://example.my.salesforce.com' as instance_url, as_time({end}) as asked_at
""",
    "listings": """
with hours as (
    select t, listing_before(t) as before, row_number() over (order by t) as nth
    from range({first}, {end} + 1, 3600) as numbers(t) where listing_after(t - 1) = t
), changed as (select observed_at as t, count(*) as jobs from salesforce.query_jobs group by 1
), unlisted as (select unlisted_at as t, count(*) as jobs from salesforce.unlisted_jobs group by 1)
select listing_id(hours.t) as listing_id, org() as org_id, as_time(hours.t) as started_at,
    as_time(hours.t + 10 + hash(hours.t) % 50) as finished_at, if(nth > 1, as_time(before - 300), null) as since,
    coalesce(c.jobs, 0) as jobs_changed, jobs_changed // 50 as jobs_changed_late, coalesce(u.jobs, 0) as jobs_unlisted,
    least(nth * 417 + jobs_changed, 70000) as jobs_listed, jobs_listed // 1000 + 1 as pages, pages as calls,
    40 as creators, 0 as rejected, jobs_changed as details_asked, 0 as details_left, jobs_changed + 2 as calls_after,
    '{{}}' as filters, '68.0' as api_version, 5000 + hash(nth) % 60000 as api_usage, 100000 as api_usage_max
from hours left join changed as c on c.t = as_time(hours.t) left join unlisted as u on u.t = as_time(hours.t)
order by hours.t
""",
    "org_limits": """
with named as (
    select unnest(string_split('{limits}', ' ') || [format('Limit{{:02}}', n) for n in range(20)]) as name,
        if(name = 'DailyApiRequests', ['', 'Ant Migration Tool', 'Dataloader Bulk', 'Nightly'], ['']) as apps
), shares as (
    select name, unnest(apps) as app, case name when 'DailyBulkV2QueryJobs' then 10000 when 'DailyApiRequests' then
        case when app = '' then 100000 else 10000 end else 1000 + hash(name) % 9000 end as max from named
)
select l.org_id, l.listing_id, s.name as limit_name, s.app, s.max,
    cast(s.max * (dice(l.listing_id, s.name) - 0.001) as bigint) as remaining, l.finished_at as asked_at
from salesforce.listings as l, shares as s
""",
}


def generate(file: Path, jobs: int) -> None:
    """Makes the warehouse, and checks how many rows it got."""
    end, hole = int(END.timestamp()), int(min(9, jobs / JOBS_A_DAY / 11) * 24) * HOUR
    first = (end - jobs * DAY // JOBS_A_DAY) // HOUR * HOUR + HOUR
    hole1, hole2 = (first + (end - first) * share // 10 // HOUR * HOUR for share in (3, 7))
    numbers = {"jobs": jobs, "a_day": f"{JOBS_A_DAY}.0", "day": DAY, "end": end, "first": first, "org": ORG_ID}
    numbers |= {"hole": hole, "hole1": hole1, "hole2": hole2, "limits": LIMITS, "objects": OBJECTS}
    with duckdb.connect(file, config={"storage_compatibility_version": STORAGE_VERSION, "memory_limit": "4GB"}) as db:
        db.execute(f"set TimeZone = 'UTC'; set enable_progress_bar = false; create schema {DATASET}")
        db.execute(MACROS.format(**numbers))
        db.execute(WORK.format(**numbers))
        complete_tables(db)
        for name, sql in ROWS.items():
            db.execute(f"insert into {DATASET}.{name} by name {sql.format(**numbers)}")
        db.execute("drop table work")
        refresh_spans(db)
        check(db, jobs, (end - first - 2 * hole) // HOUR + 1)


def check(db: duckdb.DuckDBPyConnection, jobs: int, listings: int) -> None:
    finished = f"query_jobs where state in {FINISHED}"
    assert count(db, "query_jobs") == jobs
    assert count(db, "query_job_states") == count(db, "state_spans") == 3 * jobs
    assert 0.99 * jobs - JOBS_A_DAY / 24 < count(db, finished) <= jobs
    assert count(db, "job_details") == count(db, finished)
    expired = count(db, f"{finished} and created_date < timestamptz '{END}' - interval 8 days")
    assert expired <= count(db, "unlisted_jobs") <= jobs
    assert count(db, "listings") == listings
    assert count(db, "org_limits") == 28 * listings
    assert (count(db, "users"), count(db, "orgs")) == (40, 1)


def count(db: duckdb.DuckDBPyConnection, rows: str) -> int:
    return int(db.execute(f"select count(*) from {DATASET}.{rows}").fetchall()[0][0])
