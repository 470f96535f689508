"""`make demo`: a month of the built-in org on a simulated clock, recorded by the code that a real org gets."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from dlt.common.configuration.resolve import resolve_configuration
from rich.console import Console

from pipelines.credentials import SalesforceCredentials
from pipelines.demo_org.life import live
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.query_jobs import Run, record
from pipelines.settings import Settings, use_project
from pipelines.warehouse import read

UNTIL: Final = datetime(2026, 11, 16, 6, tzinfo=UTC)  # the demo org's now, so that every demo shows the same
LOAD_EVERY: Final = timedelta(hours=12)


def demo(days: int, home: Path) -> int:
    """Records `days` of the demo org into a warehouse in `home`, and shows what there is to see."""
    org = DemoOrg(now=UNTIL - timedelta(days=days))
    with _own_home(home) as settings, serving(org) as url:
        live(org, until=UNTIL)
        print(
            f"The demo org is at {url}: {days} days of its life, with a load every {LOAD_EVERY.seconds // 3600} hours."
        )
        runs: list[Run] = []
        with Console(stderr=True).status("Starting …") as status:  # shows on a terminal only
            while org.now < UNTIL:
                org.advance(LOAD_EVERY)
                runs.append(record(settings, _credentials(org)))
                status.update(f"{org.now:%d %B, %H:%M} - load {len(runs)}: {runs[-1].listing.jobs_changed:,} changed")
        print(f"\nThe last of {len(runs)} loads said:\n  {runs[-1]}\n")
        _tell(org, settings.warehouse)
    return 0


@contextmanager
def _own_home(home: Path) -> Iterator[Settings]:
    """Files and a dlt home of the demo's own, made anew; nothing of the user's is read or written."""
    settings = Settings(home / "query_jobs.duckdb", home / "warehouse.duckdb", lock_wait=30)
    home.mkdir(parents=True, exist_ok=True)
    for file in (settings.loader_file, settings.warehouse):
        file.unlink(missing_ok=True)
    shutil.rmtree(home / "dlt", ignore_errors=True)
    own = {
        "DLT_PROJECT_DIR": str(home),  # it has no .dlt/: a user's filters are not for the demo org
        "DLT_DATA_DIR": str(home / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "LOAD__TRUNCATE_STAGING_DATASET": "true",
        "LOAD__DELETE_COMPLETED_JOBS": "true",
    }
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("SOURCES__")]:
        del os.environ[name]
    os.environ |= own
    use_project()
    try:
        yield settings
    finally:
        os.environ.clear()
        os.environ |= before
        use_project()


def _credentials(org: DemoOrg) -> SalesforceCredentials:
    keys = {"instance_url": org.instance_url, "client_id": org.client_id, "client_secret": org.client_secret}
    return resolve_configuration(SalesforceCredentials(), explicit_value=keys)


def _tell(org: DemoOrg, warehouse: Path) -> None:
    """The point of it all: what the org still remembers, and what the warehouse knows."""
    remembered = list(org.jobs.values())
    failing = [job for job in remembered if _is_failing_extract(job)]
    known: dict[str, Any] = read(KNOWN, warehouse).to_pylist()[0]
    for what, the_org, the_warehouse in (
        ("", "the org remembers", "the warehouse knows"),
        ("jobs", f"{len(remembered):,}", f"{known['jobs']:,}"),
        ("oldest job created on", _oldest(remembered), known["oldest"]),
        ("changes of state", "none", f"{known['changes']:,}"),
        ("of these behind a cursor on systemModstamp", "none", f"{known['changes_behind_the_cursor']:,}"),
        ("failed jobs", f"{sum(job['state'] == 'Failed' for job in remembered):,}", f"{known['failed']:,}"),
        ("nights in a row that the Lead extract failed", len(failing), known["failed_nights"]),
        ("the first of them", _oldest(failing), known["failed_since"]),
    ):
        print(f"  {what:<44}{the_org!s:>20}{the_warehouse!s:>22}")
    unseen = org.created - known["jobs"]
    print(
        f"\nNobody can know afterwards: {unseen:,} of {org.created:,} jobs came and went between two loads, deleted\n"
        "by their owner as soon as they ended. The more often you load, the more of them are seen."
    )
    python, file = os.path.relpath(sys.executable), os.path.relpath(warehouse)
    query = "select * from salesforce.jobs_by_day order by day desc, jobs desc limit 12"
    print(
        f"""
Next, try:
  make notebook
  {python} -c "import duckdb; duckdb.connect('{file}', read_only=True).sql('{query}').show()"
and with your own org's keys in .dlt/secrets.toml:
  make doctor
  make load"""
    )


# The failing extract, as a person would ask for it once it has been noticed.
KNOWN: Final = """
with lead as (
    select created_date, state, row_number() over (order by created_date desc) as nights_ago
    from query_jobs
    where object = 'Lead' and operation = 'query' and job_type = 'V2Query'
        and extract(hour from created_date at time zone 'UTC') = 1
        and extract(minute from created_date at time zone 'UTC') = 10
),
streak as (
    select * from lead
    where nights_ago < coalesce((select min(nights_ago) from lead where state <> 'Failed'), 1000000)
)
select
    (select count(*) from query_jobs) as jobs,
    (select cast(min(created_date at time zone 'UTC') as date) from query_jobs) as oldest,
    (select sum(changes) from state_changes_by_day where from_state is not null) as changes,
    (select sum(jobs_changed_late) from listings) as changes_behind_the_cursor,
    (select count(*) from query_jobs where state = 'Failed') as failed,
    (select count(*) from streak) as failed_nights,
    (select cast(min(created_date at time zone 'UTC') as date) from streak) as failed_since
"""


def _is_failing_extract(job: dict[str, Any]) -> bool:
    lead = (job["object"], job["operation"], job["jobType"], job["state"]) == ("Lead", "query", "V2Query", "Failed")
    return lead and job["createdDate"][11:16] == "01:10"


def _oldest(jobs: list[dict[str, Any]]) -> str:
    return min((job["createdDate"][:10] for job in jobs), default="never")
