"""`make demo`: a month of the built-in org on a simulated clock, recorded by the same code as a real org."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.dlt_context import use_given_settings, use_project
from pipelines.config.project import INSTALLED, command_for, shown_path
from pipelines.config.settings import Settings
from pipelines.demo.home import cleared
from pipelines.demo_org.life import live
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.recording.load import record_under_lock
from pipelines.recording.run import Run
from pipelines.warehouse.reader import read
from pipelines.warehouse.state_folder import StateFolder

DEMO_DAYS: Final = 28
UNTIL: Final = datetime(2026, 11, 16, 6, tzinfo=UTC)  # the demo org's "now", so that every demo shows the same
LOAD_EVERY: Final = timedelta(hours=12)
FIRST_LOAD: Final = timedelta(hours=11, minutes=36)  # not on the hour, when few jobs are about to be deleted
# Nine days without a load: two more than the org remembers.
OUTAGE: Final = (UNTIL - timedelta(days=26, hours=12), UNTIL - timedelta(days=18))
SHELL_SPECIAL: Final = frozenset('"$`\\!')  # special to a shell even between double quotes
DETAILS_PER_RUN: Final = 100  # of some 350 that finish between two loads; with all of them it would take over a minute


def demo(days: int, home: Path) -> int:
    """Records `days` of the demo org into a warehouse in `home`, and prints a summary."""
    org = DemoOrg(now=UNTIL - timedelta(days=days))
    with cleared(demo_settings(home), org.org_id), demo_home(home) as settings, serving(org) as url:
        live(org, until=UNTIL)
        every = f"a load every {LOAD_EVERY.seconds // 3600} hours"
        if org.now < OUTAGE[1]:
            print(f"The demo org is at {url}: {days} simulated days with {every},")
            print(f"except from {OUTAGE[0]:%d %B} to {OUTAGE[1]:%d %B}, when the recorder was switched off.")
        else:
            print(f"The demo org is at {url}: {days} simulated days with {every}.")
        runs: list[Run] = []
        with Console(stderr=True).status("Starting …") as status:  # shows on a terminal only
            while org.now < UNTIL:
                org.advance(min(LOAD_EVERY if runs else FIRST_LOAD, UNTIL - org.now))
                if OUTAGE[0] < org.now < OUTAGE[1]:
                    continue
                runs.append(record_under_lock(replace(settings, moment=org.now), credentials_for(org)))
                status.update(f"{org.now:%d %B, %H:%M} - load {len(runs)}: {runs[-1].snapshot.jobs_changed:,} changed")
        print(f"\nThe last of {len(runs)} loads printed:\n  {runs[-1]}\n")
        _summarize(org, settings.warehouse, days)
    return 0


def demo_settings(home: Path) -> Settings:
    """The settings of a demo in this directory."""
    return Settings(
        home / "query_jobs.duckdb",
        home / "warehouse.duckdb",
        details_per_run=DETAILS_PER_RUN,
        demo=True,
        clock_tolerance_hours=0,  # its clock is simulated
    )


@contextmanager
def demo_home(home: Path, secrets: dict[str, Any] | None = None) -> Iterator[Settings]:
    """The demo's settings, in force until the block ends. The user's own do not apply: their filters are meant for
    another org. `secrets` are what the demo has in secrets.toml."""
    settings = demo_settings(home)
    use_given_settings(home, data_dir=StateFolder(settings.primary_file).temporary, secrets=secrets)
    try:
        yield settings
    finally:
        use_project()


def credentials_for(org: DemoOrg) -> SalesforceCredentials:
    """Credentials for this demo org."""
    keys = {"instance_url": org.instance_url, "client_id": org.client_id, "client_secret": org.client_secret}
    return SalesforceCredentials.from_init_value(keys)


def _summarize(org: DemoOrg, warehouse: Path, days: int) -> None:
    """Prints what the org still remembers next to what the warehouse knows."""
    remembered = [*org.jobs.values(), *org.ingest_jobs.values()]
    failing = [job for job in remembered if _is_failing_extract(job)]
    known: dict[str, Any] = read(KNOWN, warehouse).to_pylist()[0]
    for what, the_org, the_warehouse in (
        ("", "the org remembers", "the warehouse knows"),
        ("jobs", f"{len(remembered):,}", f"{known['jobs']:,}"),
        ("of these, V2 loads", f"{len(org.ingest_jobs):,}", f"{known['loads']:,}"),
        ("oldest job created on", _oldest(remembered), known["oldest"]),
        ("state changes", "none", f"{known['changes']:,}"),
        ("of those, missed by a systemModstamp cursor", "none", f"{known['changes_behind_the_cursor']:,}"),
        ("failed jobs", f"{sum(job['state'] == 'Failed' for job in remembered):,}", f"{known['failed']:,}"),
        ("nights in a row that the Lead extract failed", len(failing), known["failed_nights"]),
        ("the first of them", _oldest(failing), known["failed_since"]),
        ("loads shown as done, but every record failed", "unknown", known["every_record_failed"]),
        ("records that failed in loads", "one file per job", f"{known['records_failed']:,}"),
        (f"of these, {known['most_failed_for']}", "unknown", f"{known['most_failed'] or 0:,}"),
        ("jobs deleted before the org would forget them", "none", known["deleted_early"]),
        (f"most query jobs in 24 hours, of {known['allowance']:,} allowed", "unknown", f"{known['peak']:,}"),
        ("of those, recorded", "unknown", f"{known['peak_recorded']:,}"),
        ("of these, most by one user", "unknown", f"{known['most']:,} by {known['most_by']}"),
    ):
        print(f"  {what:<47}{the_org!s:>18}{the_warehouse!s:>24}")
    unseen = org.created - (known["jobs"] - known["loads"])
    print(
        f"\nNot recorded: {unseen:,} of {org.created:,} queries and Classic jobs appeared and vanished between two loads."
    )
    if known["hours"]:
        print(f"The warehouse shows it: its coverage has gaps of {known['hours']:g} hours.")
    dates = (UNTIL.date() - (UNTIL - timedelta(days=days)).date()).days + 1  # it neither begins nor ends at midnight
    print(
        f"By the org's own counter, read on {known['days_counted']} of {dates} calendar days, about {known['unseen']:,} query jobs were missed on those days.\n"
        "Load more often to see more."
    )
    python, file = shlex.quote(shown_path(sys.executable)), shown_path(warehouse)
    of_demo = f"{'--warehouse ' if INSTALLED else 'WAREHOUSE='}{shlex.quote(file)}"  # without it, they read an org of one's own, or what is in demo/
    commands = [*map(command_for, ("report", "check")), *(() if INSTALLED else ("make notebook",))]
    looks = "\n".join(f"  {command} {of_demo}" for command in commands)
    query = "select failing_since, failures, object, created_by from salesforce.failure_streaks where is_ongoing"
    code = f"import duckdb; duckdb.connect({file!r}, read_only=True).sql('{query}').show()"
    print(
        f"""
Next, try:
{looks}
  {python} -c {shlex.quote(code) if SHELL_SPECIAL & set(code) else f'"{code}"'}
and with your own org:
  {command_for("init")}
  {command_for("load")}"""
    )


# The demo org's problems, defined as in the report.
KNOWN: Final = """
with streak as (
    select failures, failing_since from failure_streaks
    where is_ongoing and object = 'Lead' and operation = 'query' and job_type = 'V2Query'
    order by failures desc
    limit 1
),
reason as (
    select * from failure_reasons where level = 'record'
    and error_code = (
        select error_code from failure_reasons where level = 'record'
        group by 1 order by sum(records_failed) desc, 1 limit 1
    )
),
peak as (
    select * from allowance_by_day order by fullness desc limit 1
),
by_user as (
    select * from allowance_by_user where day = (select day from peak)
)
select
    (select count(*) from listed_jobs) as jobs,
    (select count(*) from ingest_jobs) as loads,
    (select cast(min(began_at at time zone 'UTC') as date) from all_jobs) as oldest,
    (select count(*) from state_spans where state_before <> state) as changes,
    (
        select count(*)
        from state_spans as s
        inner join (from query_job_states union all from ingest_job_states) as v
            on v.org_id = s.org_id and v.id = s.id and v.state = s.state and v.observed_at = s.observed_at
        inner join all_listings as a on a.org_id = s.org_id and a.feed = s.feed and a.listed_at = s.observed_at
        inner join listings as l on l.listing_id = a.listing_id
        where s.state_before <> s.state and v.system_modstamp < l.since
    ) as changes_behind_the_cursor,
    (select count(*) from listed_jobs where state = 'Failed') as failed,
    (select failures from streak) as failed_nights,
    (select cast(failing_since at time zone 'UTC' as date) from streak) as failed_since,
    (select count(*) from record_counts where looks_done) as every_record_failed,
    (select coalesce(sum(records), 0) from record_errors) as records_failed,
    (select sum(records_failed) from reason) as most_failed,
    (select max(error_code) from reason) as most_failed_for,
    (select count(*) from early_deletions) as deleted_early,
    (select used from peak) as peak,
    (select allowance from peak) as allowance,
    (select coalesce(max(all_jobs), 0) from by_user) as peak_recorded,
    (select max(query_jobs) from by_user) as most,
    (select max_by(created_by, query_jobs) from by_user) as most_by,
    (select coalesce(sum(hours), 0) from coverage_holes where feed = 'query') as hours,
    (select coalesce(sum(unseen), 0) from unseen_jobs where adds_up) as unseen,
    (select count(*) from unseen_jobs where adds_up) as days_counted
"""


def _is_failing_extract(job: dict[str, Any]) -> bool:
    lead = (job["object"], job["operation"], job["jobType"], job["state"]) == ("Lead", "query", "V2Query", "Failed")
    return lead and job["createdDate"][11:16] == "01:10"


def _oldest(jobs: list[dict[str, Any]]) -> str:
    return min((job["createdDate"][:10] for job in jobs), default="never")
