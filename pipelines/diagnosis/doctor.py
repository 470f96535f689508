"""`make doctor`: with a handful of calls, what is wrong with the set-up, in plain words, and what to do about it.

Also answers, for the org that it looks at, what Salesforce's documentation leaves open; see `_open_questions`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from pipelines.config.dlt_context import active, resolved
from pipelines.config.settings import Settings, SourceConfiguration, read_credentials, read_settings
from pipelines.diagnosis.ignored_settings import ignored_settings
from pipelines.diagnosis.misspelt_settings import misspelt_settings
from pipelines.errors import Failure, Misconfigured, quoted
from pipelines.interrupts import raise_if_interrupted
from pipelines.recording.changes import NEWEST_LISTING
from pipelines.recording.job_details import job_path
from pipelines.recording.kept_listings import waiting
from pipelines.recording.records import FIELDS
from pipelines.recording.source import filters
from pipelines.regular_files import holds_something
from pipelines.salesforce.api_errors import SalesforceError
from pipelines.salesforce.connection_errors import unreachable
from pipelines.salesforce.job_pages import Record, first_page
from pipelines.salesforce.json_answers import decoded
from pipelines.salesforce.org import Org
from pipelines.tables import FINISHED
from pipelines.warehouse.copies import copies, space_taken
from pipelines.warehouse.damage import damaged_part, is_damage
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.file_identity import read_identity, refuse_demo
from pipelines.warehouse.primary import LOCK_MESSAGE, no_locks_behind
from pipelines.warehouse.publish import check_begun, check_published, damaged
from pipelines.warehouse.reader import read
from pipelines.warehouse.state_folder import StateFolder

CLOCK_TOLERANCE: Final = timedelta(minutes=2)  # a JWT assertion lives for three
UNKNOWN: Final = "not known yet"


@dataclass
class Examination:
    """What has been found: lines for the person, the worst exit code for whoever scripts it."""

    exit_code: int = 0
    page: list[Record] = field(default_factory=list)  # the first page of the listing
    job: Record | None = None  # one finished job's own answer
    filters: dict[str, str] = field(default_factory=dict)  # of the listing
    warehouse: Path | None = None  # the published one

    def good(self, what: str) -> None:
        print(f"  ok    {what}")

    def note(self, what: str) -> None:
        print(f"  note  {what}")

    def bad(self, failure: Failure) -> None:
        self.exit_code = self.exit_code or failure.exit_code
        lines = str(failure).splitlines()
        print(f"  BAD   {lines[0]}", *lines[1:], sep="\n        ")


# As `check` has it: filtered listings prove nothing of the whole org, unless there are no others.
LAST: Final = """
select coalesce((select max(covered_to) from coverage), (select max(finished_at) from listings)) as last
"""


def doctor(verbose: bool = False) -> int:
    """Looks at settings, versions, clock, sign-in, listing and budget; returns 0, or what the first fault means.

    `verbose` lists also, by their names, the settings outside that are meant for something else and are not read.
    """
    found = Examination()
    print("Settings")
    for file in active().settings.not_ours:
        found.note(f"{file} is not read: users other than this one and root may have written it")
    if verbose:
        for ignored in ignored_settings():
            found.note(f"not read: {ignored}")
    try:
        settings = read_settings()
        _examine_files(found, settings)
        credentials = read_credentials(found.bad)
        found.good(f"sign-in by {credentials.way}")
        for problem in misspelt_settings():
            found.bad(problem)
        source = resolved(SourceConfiguration(), "sources.salesforce")
        found.filters = filters(source.job_type, source.is_pk_chunking_enabled, source.concurrency_mode)
        found.warehouse = settings.warehouse
        org = Org(credentials, source.api_version, source.api_budget_percent, settings.clock_tolerance_hours)
    except Failure as failure:
        found.bad(failure)
        return found.exit_code
    for title, examine in EXAMINATIONS.items():
        print(title)
        try:
            examine(found, org)
        except Failure as failure:
            found.bad(failure)
            break  # what comes after it needs it
    if found.page:
        print("What the documentation leaves open, for this org")
        for question, answer in _open_questions(found):
            print(f"  {question}\n    {answer}")
    print("All is well." if not found.exit_code else "Fix the items marked BAD, then run make doctor again.")
    return found.exit_code


def _examine_files(found: Examination, settings: Settings) -> None:
    for name, file in (("loader's file", settings.loader_file), ("published warehouse", settings.warehouse)):
        if not os.access(file.parent, os.W_OK):
            found.bad(Misconfigured(f"{name} {file}: the directory is not writable.", "See .dlt/config.toml."))
        else:
            found.good(f"{name}: {file}{'' if file.exists() else ' (will be made)'}")
    check_begun(settings.loader_file, settings.warehouse)
    _examine_loader_file(found, settings.loader_file, settings.warehouse)
    _examine_kept(found, StateFolder(settings.loader_file))
    _examine_copies(found, settings)
    _examine_history(found, settings.warehouse)


def _examine_loader_file(found: Examination, file: Path, warehouse: Path) -> None:
    try:
        if holds_something(file):
            with open_database(file, read_only=True) as loader:
                refuse_demo(read_identity(loader), file)
                check_published(loader, file, warehouse)
            if part := damaged_part(file):
                found.bad(damaged(file, warehouse, part))
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if is_damage(error) and (part := damaged_part(file)):
            found.bad(damaged(file, warehouse, part))
            return
        said = str(error).splitlines()[0][:300]
        if without := no_locks_behind(file) if LOCK_MESSAGE in said else None:
            found.bad(without)
        elif LOCK_MESSAGE in said:
            found.note(f"the loader's file is in use, by a load or by a program that should open the copy: {said}")
        else:
            found.bad(Misconfigured(f"the loader's file cannot be opened: {said}", "README, Back up and restore."))


def _examine_copies(found: Examination, settings: Settings) -> None:
    try:
        daily = copies(settings.warehouse)
        if daily:
            size = space_taken(settings.warehouse) / 1e6
            found.good(f"daily copies in {daily[0].parent}: {len(daily)}, of {size:,.0f} MB together")
    except OSError as error:
        found.note(f"the daily copies of {settings.warehouse} cannot be read: {error.strerror}")


def _examine_kept(found: Examination, state: StateFolder) -> None:
    for kept in waiting(state):
        whose = "" if kept.identity in (state.identity, "None") else " into another loader's file than the current one"
        found.note(f"a listing waits to be loaded{whose}: {kept.folder}")
    for folder in sorted(state.set_aside.glob("*/")):
        found.note(f"a kept listing could not be loaded, and was moved to {folder}")


def _examine_history(found: Examination, warehouse: Path) -> None:
    if not holds_something(warehouse):
        found.note("nothing is recorded yet")
        return
    try:
        (last,) = read(LAST, warehouse)["last"].to_pylist()
    except (duckdb.Error, Failure) as error:
        raise_if_interrupted(error)
        found.note(f"the published warehouse cannot be read: {str(error).splitlines()[0][:300]}")
        return
    age = max(datetime.now(UTC) - last, timedelta(0)) if last else timedelta(0)
    hours, minutes = age.seconds // 3600, age.seconds // 60 % 60
    old = f"{age.days} days and {hours} hours" if age.days else f"{hours} hours and {minutes} minutes"
    said = f"the last complete listing is {old} old"
    if age > timedelta(hours=24):
        found.note(f"{said}: the org forgets a finished job after seven days")
    else:
        found.good(said)


def _examine_host(found: Examination, org: Org) -> None:
    """Versions and clock need no sign-in: GET {instance_url}/services/data."""
    host = org.credentials.instance_url or org.session.instance_url
    try:
        answer = org.http.get(f"{host}/services/data", allow_redirects=False, auth=lambda request: request)
        oldest, *_, newest = versions = [quoted(version["version"], 20) for version in decoded(answer.content)]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise Misconfigured(
            f"{host} does not answer as Salesforce's API does.",
            "instance_url must be the org's My Domain: https://<name>.my.salesforce.com.",
        ) from None
    except OSError as error:  # all of requests' are
        raise unreachable(host, error) from None
    if org.api_version in versions:
        found.good(f"API version {org.api_version} is supported; the newest is {newest}")
    else:
        found.bad(
            Misconfigured(
                f"api_version {org.api_version} is not supported by the org ({oldest} to {newest} are).",
                f'Set api_version = "{newest}" under [sources.salesforce] in .dlt/config.toml.',
            )
        )
    org.check_clock()
    off = abs(datetime.now(UTC) - org.clock)
    if off > CLOCK_TOLERANCE:
        found.bad(
            Misconfigured(
                f"this machine's clock differs from the org's by {off.total_seconds():,.0f} seconds.",
                "Set it (timedatectl set-ntp true): signed assertions live for three minutes. "
                "Recorded times are the org's own.",
            )
        )
    else:
        found.good("this machine's clock and the org's agree")


def _examine_sign_in(found: Examination, org: Org) -> None:
    found.good(f"signed in at {org.session.instance_url}, org {org.org_id}")
    if found.warehouse and found.warehouse.exists():
        with suppress(duckdb.Error, Misconfigured):  # that it cannot be read is said already
            newest = read(NEWEST_LISTING, found.warehouse, {"org_id": org.org_id}).to_pylist()[0]
            org.check_clock(newest["ended_at"])


def _examine_listing(found: Examination, org: Org) -> None:
    """The first page of the listing, and one finished job's own answer."""
    body = first_page(org, found.filters)
    if not isinstance(body, dict) or not isinstance(body.get("records"), list):
        raise Failure("the listing is not what Salesforce documents.", "A proxy may answer instead of Salesforce.")
    found.page = [record for record in body["records"] if isinstance(record, dict)]
    more = "" if body.get("done") is True else ", and more follow"
    more += (
        f"; filtered by {', '.join(f'{name} = {value}' for name, value in found.filters.items())}"
        if found.filters
        else ""
    )
    found.good(f"the first page of the listing has {len(found.page):,} job{'' if len(found.page) == 1 else 's'}{more}")
    creators = {str(record.get("createdById")) for record in found.page}
    if creators == {org.session.user_id}:
        found.note("it shows our own user's jobs only. If others run jobs in this org, give the user")
        found.note("'Manage Data Integrations': whether the listing needs it is not documented")
    elif creators:
        found.good(f"it shows jobs of {len(creators)} user{'s' if len(creators) > 1 else ''}")
    finished = [record for record in found.page if record.get("state") in FINISHED and record.get("id")]
    if finished:
        try:
            job = org.ask(job_path(str(finished[0]["id"]), str(finished[0].get("jobType"))))
            found.job = job if isinstance(job, dict) else None
        except SalesforceError as error:
            found.note(f"the single job {quoted(finished[0]['id'], 40)} cannot be read: {error}")


def _examine_budget(found: Examination, org: Org) -> None:
    if not org.budget.usage:
        found.note("the org does not say how many API calls it has used")
        return
    used, allowed = org.budget.usage
    said = f"{used:,} of {allowed:,} API calls used in 24 hours"
    if org.budget.is_spent:
        found.bad(
            Failure(f"{said}: a load stops at {org.budget.percent:g} %.", "See who uses them, or list less often.")
        )
    else:
        found.good(said)


EXAMINATIONS: Final[dict[str, Callable[[Examination, Org], None]]] = {
    "Host": _examine_host,
    "Sign-in": _examine_sign_in,
    "Listing": _examine_listing,
    "API calls": _examine_budget,
}


def _open_questions(found: Examination) -> Iterator[tuple[str, str]]:
    """The questions, and what one page and one job can show of them."""
    page, creators = found.page, {str(record.get("createdById")) for record in found.page}
    yield (
        "Does the listing show other users' jobs?",
        f"yes, of {len(creators)} users on the first page" if len(creators) > 1 else UNKNOWN,
    )
    more = sorted(set().union(*page) - FIELDS.keys()) if page else []
    yield (
        "Does it carry counts or error texts beside the documented fields?",
        UNKNOWN if not page else f"these: {quoted(', '.join(more))}" if more else "no, on this page",
    )
    extra = sorted(set(found.job or ()) - FIELDS.keys())
    yield "What does a single job's answer add?", quoted(", ".join(extra)) if extra else UNKNOWN
    v2 = [r for r in page if r.get("jobType") == "V2Query" and r.get("state") == "JobComplete"]
    still = sum(r.get("systemModstamp") == r.get("createdDate") for r in v2)
    yield (
        "Does a finished V2 query's systemModstamp always move?",
        UNKNOWN
        if not v2
        else f"no: {still} of {len(v2)} stand still"
        if still
        else f"it did for all {len(v2)} on this page",
    )
    created = [str(r.get("createdDate")) for r in page]
    order = (
        "oldest first" if created == sorted(created) else "newest first" if created == sorted(created)[::-1] else "none"
    )
    yield "In which order are jobs listed?", f"by createdDate: {order}, on this page" if len(page) > 2 else UNKNOWN
    classic = {str(r.get("state")) for r in page if r.get("jobType") == "Classic"}
    yield (
        "Does a Classic job ever become JobComplete in the listing?",
        "yes" if "JobComplete" in classic else UNKNOWN,
    )
    yield "How long does a locator live?", UNKNOWN
    yield "What does jobType=V2Ingest list?", UNKNOWN
