"""Questions that Salesforce's documentation leaves open, answered from the first pages, one job, and up to four more
calls."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qs, urlsplit

from pipelines.diagnosis.examination import Diagnosis
from pipelines.errors import RecorderError, sanitize
from pipelines.recording.feeds import FEEDS, INGEST, QUERY
from pipelines.recording.job_answer import job_path
from pipelines.salesforce.api_errors import SalesforceError
from pipelines.salesforce.ids import same_id
from pipelines.salesforce.job_pages import Record, first_page
from pipelines.salesforce.org import Org
from pipelines.salesforce.streaming import Allowance, LimitReached

DOCUMENTED: Final = frozenset().union(*(feed.jobs.fields for feed in FEEDS.values()))
UNKNOWN: Final = "unknown so far"
SMALL_ANSWER: Final = 2**16  # bytes
PATIENCE: Final = 20.0  # seconds


def open_questions(found: Diagnosis, org: Org) -> Iterator[tuple[str, str]]:
    """Each question with its answer."""
    page, creators = found.page, {str(record.get("createdById")) for record in found.page}
    yield (
        "Do the listings show other users' jobs?",
        f"yes, jobs of {len(creators)} users on the first pages" if len(creators) > 1 else UNKNOWN,
    )
    more = sorted(set().union(*page) - DOCUMENTED) if page else []
    yield (
        "Do they have counts or error texts in addition to the documented fields?",
        UNKNOWN if not page else f"yes: {sanitize(', '.join(more))}" if more else "no, on these pages",
    )
    extra = sorted(set(found.job or ()) - DOCUMENTED)
    yield "Which fields do a single job's details add?", sanitize(", ".join(extra)) if extra else UNKNOWN
    v2 = [r for r in page if r.get("jobType") == "V2Query" and r.get("state") == "JobComplete"]
    still = sum(r.get("systemModstamp") == r.get("createdDate") for r in v2)
    yield (
        "Does systemModstamp always change when a V2 query finishes?",
        UNKNOWN
        if not v2
        else f"no: not for {still} of {len(v2)}"
        if still
        else f"it did for all {len(v2)} on these pages",
    )
    created = [str(r.get("createdDate")) for r in next(iter(found.pages.values()))]
    order = (
        "oldest first" if created == sorted(created) else "newest first" if created == sorted(created)[::-1] else "none"
    )
    yield "In which order are jobs listed?", f"by createdDate: {order}, on this page" if len(created) > 2 else UNKNOWN
    classic = {str(r.get("state")) for r in page if r.get("jobType") == "Classic"}
    yield (
        "Does a Classic job ever become JobComplete in the listing?",
        "yes" if "JobComplete" in classic else UNKNOWN,
    )
    yield "How long is a locator valid?", UNKNOWN
    yield "What does /jobs/query?jobType=V2Ingest list?", _loads_as_queries(org)
    yield "Does a locator remember the filters of its first page?", _locator_remembers(found, org)
    yield "May this user read why records of other users' loads failed?", _others_results(found, org)


def _loads_as_queries(org: Org) -> str:
    """If it lists all V2 loads, one listing would be enough. All its pages are not read."""
    try:
        types = Counter(str(record.get("jobType")) for record in _records(org, {"jobType": "V2Ingest"}))
    except RecorderError as failure:
        return f"it is refused: {failure.message}"
    jobs = ", ".join(f"{count:,} of type {sanitize(name, 40)}" for name, count in types.most_common())
    return f"{jobs}, on its first page" if jobs else "nothing"


def _locator_remembers(found: Diagnosis, org: Org) -> str:
    """Needs more than a page of jobs of one type, and of others: the locator is sent without its filter."""
    types = Counter(str(record.get("jobType")) for record in found.pages.get(QUERY, ()))
    if QUERY not in found.pages or found.filters[QUERY] or len(types) < 2:
        return UNKNOWN
    ((wanted, _), *_) = types.most_common(1)
    try:
        body = first_page(org, QUERY.path, {"jobType": wanted})
        url = body.get("nextRecordsUrl") if isinstance(body, dict) else None
        locator = parse_qs(urlsplit(str(url or "")).query).get("queryLocator")
        others = {str(r.get("jobType")) for r in _records(org, {"queryLocator": locator[0]})} if locator else set()
    except RecorderError:
        return UNKNOWN
    return UNKNOWN if not others else "yes" if others == {wanted} else "no"


def _others_results(found: Diagnosis, org: Org) -> str:
    """Asks for the failed results of a finished load that another user created, and reads none of them."""
    user = org.session.user_id
    of_others = (
        job
        for job in found.pages.get(INGEST, ())
        if job.get("jobType") == "V2Ingest" and job.get("state") == "JobComplete" and job.get("id")
        if user and not same_id(str(job.get("createdById")), user)
    )
    job = next(of_others, None)
    if job is None:
        return UNKNOWN
    path = f"{job_path(str(job['id']), 'V2Ingest', INGEST)}/failedResults"
    try:
        with org.stream(path, Allowance(SMALL_ANSWER, time.monotonic() + PATIENCE)):
            return f"yes, of {sanitize(job['id'], 40)}"
    except (SalesforceError, LimitReached, RecorderError) as error:
        said = error.message if isinstance(error, RecorderError) else str(error) or "no answer in time"
        return f"not of {sanitize(job['id'], 40)}: {said}"


def _records(org: Org, parameters: dict[str, str]) -> list[Record]:
    body = first_page(org, QUERY.path, parameters)
    records = body.get("records") if isinstance(body, dict) else None
    return [record for record in records or () if isinstance(record, dict)]
