"""`make doctor`: diagnoses the set-up with a handful of API calls and suggests fixes.

It also answers, for this org, questions that Salesforce's documentation leaves open; see `open_questions.py`.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import duckdb

from pipelines.config.dlt_context import active, resolved
from pipelines.config.settings import SourceConfiguration, read_credentials, read_settings
from pipelines.diagnosis.examination import Diagnosis
from pipelines.diagnosis.ignored_settings import ignored_settings
from pipelines.diagnosis.misspelt_settings import misspelt_settings
from pipelines.diagnosis.open_questions import open_questions
from pipelines.diagnosis.recorded_files import examine_files
from pipelines.diagnosis.renamed_settings import renamed_settings
from pipelines.errors import ConfigError, RecorderError, sanitize
from pipelines.forwarding.examination import examine as examine_destination
from pipelines.forwarding.settings import read_forward_settings
from pipelines.job_tables import FINISHED
from pipelines.recording.feeds import FEEDS, Feed
from pipelines.recording.history import NEWEST_LISTING
from pipelines.recording.job_answer import job_path
from pipelines.salesforce.api_errors import SalesforceError
from pipelines.salesforce.connection_errors import unreachable
from pipelines.salesforce.job_pages import Record, first_page
from pipelines.salesforce.json_answers import decoded
from pipelines.salesforce.org import Org
from pipelines.warehouse.reader import read

CLOCK_TOLERANCE: Final = timedelta(minutes=2)  # a JWT assertion is valid for three


def doctor(verbose: bool = False) -> int:
    """Checks settings, versions, clock, sign-in, listing and budget; returns 0, or the exit code of the first problem.

    `verbose` also lists settings of other programs that are not read, by name only.
    """
    found = Diagnosis()
    print("Settings")
    for file in active().settings.not_ours:
        found.note(f"{file} is ignored: users other than this one and root could have written it")
    for renamed in renamed_settings():
        found.note(renamed)
    if verbose:
        for ignored in ignored_settings():
            found.note(f"ignored: {ignored}")
    try:
        settings = read_settings()
        examine_files(found, settings)
        credentials = read_credentials(found.bad)
        found.good(f"sign-in by {credentials.method}")
        for problem in misspelt_settings():
            found.bad(problem)
        source = resolved(SourceConfiguration(), "sources.salesforce")
        found.feeds = [FEEDS[name] for name in settings.feeds]
        found.filters = {feed: feed.filters(source) for feed in found.feeds}
        found.warehouse = settings.warehouse
        org = Org(credentials, source.api_version, source.api_budget_percent, settings.clock_tolerance_hours)
    except RecorderError as failure:
        found.bad(failure)
        return _concluded(found)
    for title, examine in EXAMINATIONS.items():
        print(title)
        try:
            examine(found, org)
        except RecorderError as failure:
            found.bad(failure)
            break  # the following checks need this one
    if found.answers:
        print("What the documentation leaves open, answered for this org")
        for question, answer in found.answers:
            print(f"  {question}\n    {answer}")
    return _concluded(found)


def _concluded(found: Diagnosis) -> int:
    """Tries the destination of `forward`, if there is one, and prints the last line; returns the exit code."""
    try:
        if forwarding := read_forward_settings():
            print("Destination")
            found.good(examine_destination(read_settings(), forwarding))
    except RecorderError as failure:
        found.bad(failure)
    print("All is well." if not found.exit_code else "Fix the items marked BAD, then run make doctor again.")
    return found.exit_code


def _examine_host(found: Diagnosis, org: Org) -> None:
    """API versions and clock, which need no sign-in: GET {instance_url}/services/data."""
    host = org.credentials.instance_url or org.session.instance_url
    try:
        answer = org.http.get(f"{host}/services/data", allow_redirects=False, auth=lambda request: request)
        oldest, *_, newest = versions = [sanitize(version["version"], 20) for version in decoded(answer.content)]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
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
                f'Set api_version = "{newest}" under [sources.salesforce] in .dlt/config.toml.',
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
    found.good(f"signed in at {org.session.instance_url}, org {org.org_id}")
    if found.warehouse and found.warehouse.exists():
        with suppress(duckdb.Error, ConfigError):  # an unreadable file was reported above
            newest = read(NEWEST_LISTING, found.warehouse, {"org_id": org.org_id}).to_pylist()[0]
            org.check_clock(newest["ended_at"])


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
        found.good(f"jobs of {len(creators)} user{'s' if len(creators) > 1 else ''} are listed")
    for feed, page in found.pages.items():
        finished = next((record for record in page if record.get("state") in FINISHED and record.get("id")), None)
        if finished and found.job is None:
            try:
                job = org.request(job_path(str(finished["id"]), str(finished.get("jobType")), feed))
                found.job = job if isinstance(job, dict) else None
            except SalesforceError as error:
                found.note(f"the single job {sanitize(finished['id'], 40)} cannot be read: {error}")
    if found.pages:
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
    found.good(f"the first page of /{feed.path} has {len(page):,} job{'' if len(page) == 1 else 's'}{more}")
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
