"""`make doctor`: diagnoses the set-up with a handful of API calls and suggests fixes.

With --verbose it also answers, for this org, questions that Salesforce's documentation leaves open; see
`open_questions.py`.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import duckdb
import requests

from pipelines.alerts.channels import open_channels
from pipelines.alerts.settings import has_channels, read_alert_settings
from pipelines.config.dlt_context import active
from pipelines.config.orgs import ConfiguredOrg, read_orgs
from pipelines.config.project import command_for
from pipelines.config.settings import DEFAULT_PRIMARY, Settings, project_path, read_settings
from pipelines.diagnosis.earlier_runs import EarlierRuns
from pipelines.diagnosis.examination import Diagnosis
from pipelines.diagnosis.ignored_settings import ignored_settings
from pipelines.diagnosis.misspelt_settings import misspelt_settings
from pipelines.diagnosis.open_questions import open_questions
from pipelines.diagnosis.recorded_files import examine_files
from pipelines.diagnosis.renamed_settings import renamed_settings
from pipelines.diagnosis.usual_questions import usual_questions
from pipelines.errors import ConfigError, RecorderError, TemporaryError, sanitize
from pipelines.forwarding.examination import examine as examine_destination
from pipelines.forwarding.settings import read_forward_settings
from pipelines.job_tables import FINISHED
from pipelines.plural import counted
from pipelines.recording.feeds import FEEDS, Feed
from pipelines.recording.history import NEWEST_LISTING
from pipelines.recording.job_answer import job_path
from pipelines.salesforce.api_errors import SalesforceError
from pipelines.salesforce.connection_errors import unreachable
from pipelines.salesforce.foreign_answers import foreign_answer
from pipelines.salesforce.job_pages import Record, first_page
from pipelines.salesforce.json_answers import decoded
from pipelines.salesforce.org import Org
from pipelines.warehouse.reader import read

CLOCK_TOLERANCE: Final = timedelta(minutes=2)  # a JWT assertion is valid for three
ORGS_AT_ONCE: Final = 8
PATIENCE: Final = 90.0  # seconds for one org, if there are several: a host that does not answer takes minutes
READING: Final = threading.Lock()  # of the published copy


def doctor(verbose: bool = False) -> int:
    """Checks settings, versions, clock, sign-in, listing and budget; returns 0, or the exit code of the first problem.

    `verbose` also lists settings of other programs that are not read, by name only, and answers open questions.
    """
    found = Diagnosis(verbose=verbose)
    print("Settings")
    for file in active().settings.not_ours:
        found.note(f"{file} is ignored: users other than this one and root could have written it")
    for renamed in renamed_settings():
        found.note(renamed)
    if verbose:
        for ignored in ignored_settings():
            found.note(f"ignored: {ignored}")
    settings, orgs = Settings(project_path(DEFAULT_PRIMARY), project_path("warehouse.duckdb")), []
    with found.reporting():  # each by itself: one fault does not hide the others
        settings = read_settings()
        EarlierRuns(settings.primary_file).recall_hosts()
        examine_files(found, settings)
    with found.reporting():
        orgs = read_orgs(on_exposed=found.bad)
        if not orgs[0].name:
            found.good(f"sign-in by {orgs[0].usable_credentials.method}")
    with found.reporting():
        for problem in misspelt_settings():
            found.bad(problem)
    if orgs and orgs[0].name:
        found.good(f"{len(orgs):,} orgs: {', '.join(org.name for org in orgs)}")
        for of_one in _examined(orgs, settings, verbose):
            found.exit_code = found.exit_code or of_one.exit_code
    elif orgs:
        _examine(found, orgs[0], settings)
    return _concluded(found, settings)


def _examined(orgs: Sequence[ConfiguredOrg], settings: Settings, verbose: bool) -> Iterator[Diagnosis]:
    """Examines several orgs side by side, and prints what it finds in the order of the settings."""
    lines: dict[str, list[str]] = {org.name: [] for org in orgs}
    found = {org.name: Diagnosis(org=org.name, say=lines[org.name].append, verbose=verbose) for org in orgs}
    pool = ThreadPoolExecutor(ORGS_AT_ONCE, "doctor")
    answers = {org.name: pool.submit(_examine, found[org.name], org, settings) for org in orgs}
    owners: dict[str, str] = {}
    try:
        for name, answer in answers.items():
            print(f"Org {name}")
            try:
                answer.result(PATIENCE)
            except FutureTimeout:
                found[name] = Diagnosis(org=name, say=(said := list(lines[name])).append)
                lines[name] = said
                found[name].bad(TemporaryError(f"no end after {PATIENCE:.0f} seconds.", "Is the host right?"))
            org_id = found[name].org_id
            if org_id and owners.setdefault(org_id, name) != name:
                found[name].bad(ConfigError(f"[orgs.{owners[org_id]}] is the same org.", "Remove one of them."))
            print(*(f"  {line}".replace("\n", "\n  ") for line in lines[name]), sep="\n")
            yield found[name]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _examine(found: Diagnosis, configured: ConfiguredOrg, settings: Settings) -> None:
    """Examines one org."""
    source = configured.source
    try:
        found.feeds = [FEEDS[name] for name in configured.feeds]
        found.filters = {feed: feed.filters(source) for feed in found.feeds}
        found.warehouse = settings.warehouse
        credentials = configured.usable_credentials
        org = Org(credentials, source.api_version, source.api_budget_percent, settings.clock_tolerance_hours)
    except RecorderError as failure:
        found.bad(failure)
        return
    if found.org:
        found.good(f"sign-in by {credentials.method}")
    for title, examine in EXAMINATIONS.items():
        found.title(title)
        try:
            examine(found, org)
        except RecorderError as failure:
            if str(failure) in found.reported:  # which says it only once
                found.note("cannot be examined, for the same reason")
            found.bad(failure)
            if title == "Sign-in" or isinstance(failure, TemporaryError):  # the following checks need this one
                break
    if found.answers:
        found.title("What the documentation leaves open, answered for this org")
        for question, answer in found.answers:
            found.title(f"  {question}\n    {answer}")


def _concluded(found: Diagnosis, settings: Settings) -> int:
    """Tries the destination of `forward`, if there is one, reads the channels, and prints the last lines; returns the
    exit code."""
    with found.reporting():
        if forwarding := read_forward_settings():
            print("Destination")
            found.good(examine_destination(settings, forwarding))
    with found.reporting():
        if has_channels():
            print("Alerts")
            channels = open_channels(read_alert_settings().urls)
            found.good(f"{counted(len(channels), 'channel')} for check --notify; nothing was sent")
    if answers := list(usual_questions(found, settings)):
        print("In short", *(f"  {question} {answer}" for question, answer in answers), sep="\n")
    print(
        "All is well." if not found.exit_code else f"Fix the items marked BAD, then run {command_for('doctor')} again."
    )
    return found.exit_code


def _examine_host(found: Diagnosis, org: Org) -> None:
    """API versions and clock, which need no sign-in: GET {instance_url}/services/data."""
    host = org.credentials.instance_url or org.session.instance_url
    answer: requests.Response | None = None
    try:
        answer = org.http.get(f"{host}/services/data", allow_redirects=False, auth=lambda request: request)
        oldest, *_, newest = versions = [sanitize(version["version"], 20) for version in decoded(answer.content)]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        if isinstance(error, requests.RequestException):  # some are ValueErrors, too
            raise unreachable(host, error) from None
        if answer is not None and (foreign := foreign_answer(answer)):
            raise foreign from None
        raise ConfigError(
            f"{host} does not answer like Salesforce's API.",
            "Set instance_url to the org's My Domain: https://<name>.my.salesforce.com.",
        ) from None
    except OSError as error:  # all of requests' errors
        raise unreachable(host, error) from None
    if org.api_version in versions:
        latest = "latest" if org.api_version == newest else f"the latest is {newest}"
        found.good(f"API version {org.api_version} is supported ({latest})")
    else:
        found.bad(
            ConfigError(
                f"API version {org.api_version} is not supported by the org, which supports {oldest} to {newest}.",
                f'Set api_version = "{newest}" under [{org.credentials.settings_section}] in .dlt/config.toml.',
            )
        )
    org.check_clock()
    off = abs(datetime.now(UTC) - org.clock)
    if off > CLOCK_TOLERANCE:
        found.bad(
            ConfigError(
                f"this machine's clock differs from the org's by {off.total_seconds():,.0f} seconds.",
                "Set it (timedatectl set-ntp true): JWT assertions are valid for three minutes only. "
                "Recorded times are not affected: they are the org's.",
            )
        )
    else:
        found.good("this machine's clock and the org's agree")


def _examine_sign_in(found: Diagnosis, org: Org) -> None:
    found.org_id = org.org_id
    found.good(f"signed in at {org.session.instance_url}, org {org.org_id}{_own_name(org) if found.org else ''}")
    if found.warehouse and found.warehouse.exists():
        with READING, suppress(duckdb.Error, ConfigError):  # an unreadable file was reported above
            newest = read(NEWEST_LISTING, found.warehouse, {"org_id": org.org_id}).to_pylist()[0]
            org.check_clock(newest["ended_at"])


def _own_name(org: Org) -> str:
    try:
        name = org.get("query", {"q": "SELECT Name FROM Organization"})["records"][0]["Name"]
    except (RecorderError, LookupError, TypeError):
        return ""
    return f" ({sanitize(name, 80)})"


def _examine_listings(found: Diagnosis, org: Org) -> None:
    """The first page of each listing, and one finished job's own answer. One listing that cannot be read is no reason
    not to look at the other."""
    for feed in found.feeds:
        try:
            found.pages[feed] = _first_page(found, org, feed)
        except RecorderError as failure:
            found.bad(failure)
    creators = {str(record.get("createdById")) for record in found.page}
    if creators == {org.session.user_id}:
        found.note("only jobs of the signed-in user are listed. If others run jobs in this org, give this user the")
        found.note("permission 'Manage Data Integrations' (whether a listing requires it is not documented)")
    elif creators:
        found.good(f"jobs of {counted(len(creators), 'user')} are listed")
    for feed, page in found.pages.items():
        finished = next((record for record in page if record.get("state") in FINISHED and record.get("id")), None)
        if finished and found.job is None:
            try:
                job = org.request(job_path(str(finished["id"]), str(finished.get("jobType")), feed))
                found.job = job if isinstance(job, dict) else None
            except SalesforceError as error:
                found.note(f"the single job {sanitize(finished['id'], 40)} cannot be read: {error}")
    if found.pages and found.verbose:
        found.answers = list(open_questions(found, org))


def _first_page(found: Diagnosis, org: Org, feed: Feed) -> list[Record]:
    body = first_page(org, feed.path, found.filters[feed])
    if not isinstance(body, dict) or not isinstance(body.get("records"), list):
        raise RecorderError(
            f"/{feed.path} is not what Salesforce documents.", "Perhaps a proxy answers instead of Salesforce."
        )
    page = [record for record in body["records"] if isinstance(record, dict)]
    more = "" if body.get("done") is True else "; more pages follow"
    if found.filters[feed]:
        more += f"; filtered by {', '.join(f'{name} = {value}' for name, value in found.filters[feed].items())}"
    found.good(f"the first page of /{feed.path} has {counted(len(page), 'job')}{more}")
    return page


def _examine_budget(found: Diagnosis, org: Org) -> None:
    if not org.budget.usage:
        found.note("the org does not report how many API calls it has used")
        return
    used, allowed = org.budget.usage
    said = f"{used:,} of {allowed:,} API calls used in 24 hours"
    if org.budget.is_spent:
        found.bad(
            RecorderError(
                f"{said}: a load stops at {org.budget.percent:g} %.",
                "Find out what uses them, load less often, or raise api_budget_percent.",
            )
        )
    else:
        found.good(said)


EXAMINATIONS: Final[dict[str, Callable[[Diagnosis, Org], None]]] = {
    "Host": _examine_host,
    "Sign-in": _examine_sign_in,
    "Listings": _examine_listings,
    "API calls": _examine_budget,
}
