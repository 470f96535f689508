"""The imitated API: requests in, responses out. Routes that need a session count as API calls.

This is the REST API; `classic.py` handles the Classic API.

SOURCE: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/ (REST API) and
https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/ (the job listings)
"""

from __future__ import annotations

import re

from pipelines.demo_org.answers import Answer, Asked, answer, going_on, not_found, plain, refusal
from pipelines.demo_org.classic import CLASSIC, classic
from pipelines.demo_org.faults import Fault
from pipelines.demo_org.ids import eighteen
from pipelines.demo_org.limits import limits, spent, usage_header
from pipelines.demo_org.listings import Filters, Listing, rotated
from pipelines.demo_org.org import DemoOrg, Request
from pipelines.demo_org.records import full_job, is_load
from pipelines.demo_org.results import FILES, results
from pipelines.demo_org.sign_in import SESSION_PATHS, about_session, identity_url, token
from pipelines.demo_org.soql import batch_size, more, query
from pipelines.demo_org.uploads import change, create, upload

NEWEST = 68  # Winter '27
OLDEST = 31  # 21.0 to 30.0 are retired. SOURCE: api_rest_eol.htm
SEASONS = ("Winter", "Spring", "Summer")  # 68 is Winter '27, three releases a year
FILTERS = ("concurrencyMode", "isPkChunkingEnabled", "jobType")
SINCE = {"query": 47, "ingest": 41}  # the versions that brought the listings
JOB_TYPES = {
    "query": ("Classic", "V2Query", "V2Ingest"),  # all three are documented for the query listing
    "ingest": ("BigObjectIngest", "Classic", "V2Ingest"),
}
_DATA = re.compile(r"/services/data/v(\d{1,3}\.\d)(?:/(.*))?")
_JOBS = re.compile(r"jobs/(query|ingest)(?:/([^/]+))?")
_FILES = re.compile(rf"jobs/(ingest)/([^/]+)/(batches|{'|'.join(FILES)})")
_KNOWN = re.compile(r"|limits|query(All)?(/[^/]+)?")  # "" is the list of all


def handle(org: DemoOrg, asked: Asked) -> Answer:
    """Answer a request to the imitated API, log it, and apply an injected fault."""
    with org.lock:
        org.tick()
        fault = org.faults.take(asked.path)
    given = _answer(org, asked, fault)
    if fault is not None:
        given.cut, given.stall = fault.cut, fault.stall
    org.log(Request(asked.method, asked.path, dict(asked.query), given.status, asked.bearer is not None))
    return given


def _answer(org: DemoOrg, asked: Asked, fault: Fault | None) -> Answer:
    path = asked.path.rstrip("/")
    if fault is not None and fault.status is not None:
        if _DATA.fullmatch(path) or path.startswith(CLASSIC):
            org.usage.count_calls(org.now)
        return going_on(fault) if fault.parts != 0 else plain(fault.status, fault.body, fault.headers)
    if path == "/services/oauth2/token":
        return token(org, asked) if asked.method == "POST" else _not_allowed(asked, "POST")
    if path.startswith(SESSION_PATHS):
        return about_session(org, asked, path)
    if path == "/services/data":  # needs no session. SOURCE: resources_versions.htm
        return answer(200, [_version(number) for number in range(OLDEST, NEWEST + 1)])
    if path.startswith(CLASSIC):
        return classic(org, asked, path)
    data = _DATA.fullmatch(path)
    return _data(org, asked, data[1], data[2] or "") if data else not_found()


def _version(number: int) -> dict[str, str]:
    year, season = divmod(number - NEWEST, len(SEASONS))  # counted from Winter '27
    label = f"{SEASONS[season]} '{27 + year}"
    return {"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"}


def _data(org: DemoOrg, asked: Asked, version: str, resource: str) -> Answer:
    """Answer a request for data, if the session is valid and API calls are left."""
    with org.lock:
        if org.user_of(asked.bearer or "") is None:
            return refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")  # tests/fixtures/e_34
        if org.disabled is not None:
            return refusal(403, org.disabled, f"{org.disabled}: the API is not enabled for this org or user")
        allowed = not spent(org)
        if allowed:
            org.usage.count_calls(org.now, app=org.connected_app)
        header = usage_header(org)
    if allowed:
        given = _resource(org, asked, version, resource)
    else:  # tests/fixtures/e_35_daily_limit.json
        given = refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    given.headers["Sforce-Limit-Info"] = header
    return given


def _resource(org: DemoOrg, asked: Asked, version: str, resource: str) -> Answer:
    number = float(version)
    if number < OLDEST:
        # Status and code as in https://github.com/restforce/restforce/issues/941; the text is ours
        return refusal(410, "GONE", f"API version {version} is retired")
    jobs = _JOBS.fullmatch(resource) or _FILES.fullmatch(resource)
    known = _KNOWN.fullmatch(resource) or (jobs is not None and number >= SINCE[jobs[1]])
    if number > NEWEST or number % 1 or not known:
        return not_found()
    if jobs is not None and (jobs[2] or asked.method == "POST"):
        return _of_job(org, asked, number, jobs)
    if asked.method != "GET":
        return _not_allowed(asked, "GET")
    if jobs is not None:
        return _page(org, asked, version, jobs[1])
    with org.lock:
        return _other_resource(org, asked, version, resource)


def _other_resource(org: DemoOrg, asked: Asked, version: str, resource: str) -> Answer:
    """Answer the list of resources, the limits, or a page of a query's results.

    SOURCE: resources_discoveryresource.htm, of which the list is a part.
    """
    if not resource:
        names = {name: f"/services/data/v{version}/{name}" for name in ("jobs", "limits", "query")}
        return answer(200, {**names, "identity": identity_url(org, org.user_of(asked.bearer or ""))})
    if resource == "limits":
        return answer(200, limits(org, float(version)))
    size = batch_size(asked.headers.get("sforce-query-options", ""))
    _, _, locator = resource.partition("/")
    return more(org, version, locator, size) if locator else query(org, version, asked.query.get("q", ""), size)


def _page(org: DemoOrg, asked: Asked, version: str, surface: str) -> Answer:
    """Answer one page of a listing.

    jobType=V2Ingest is a documented value for the query listing, but what it lists there is not: here, nothing. The
    error for an unknown value is our choice."""
    filters: Filters = tuple((name, asked.query[name]) for name in FILTERS if asked.query.get(name))
    job_type = dict(filters).get("jobType")
    if job_type is not None and job_type not in JOB_TYPES[surface]:
        return refusal(400, "INVALID_QUERY_PARAMETER", f"jobType: '{job_type}' is none of {JOB_TYPES[surface]}")
    query_locator = asked.query.get("queryLocator")
    if query_locator is None:
        listing, offset = None, 0
    else:
        with org.lock:
            found = org.listings.find(query_locator, org.now)
        if found is None:
            return refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        listing, offset = found
        if listing.surface != surface:  # a locator of the other listing: that one starts from the beginning
            listing, offset = None, 0
    if org.before_answer is not None:
        org.before_answer(org, surface, offset // org.page_size + 1)
    with org.lock:
        if listing is None:
            listing = org.listings.begin(surface, filters, org.now)
        elif not org.locator_needs_filters:
            filters = listing.filters
        keys = _keys(org, listing, filters)
        end = offset + org.page_size
        done = end >= len(keys)
        path = org.next_records_path if surface == "query" else surface
        following = f"/services/data/v{version}/jobs/{path}?queryLocator={listing.locator}-{end}"
        body = {
            "done": done or org.done_early,
            "records": org.records_of(surface, keys[offset:end]),
            "nextRecordsUrl": None if done else following,
        }
        given = answer(200, body)
        given.at = org.now  # another request may move the clock before this page is sent
        return given


def _keys(org: DemoOrg, listing: Listing, filters: Filters) -> list[str]:
    if org.paging == "live":
        return org.listed(listing.surface, filters)
    if filters not in listing.keys:
        keys = org.listed(listing.surface, filters)
        listing.keys[filters] = rotated(keys, listing.number) if org.order == "shuffled" else keys
    return listing.keys[filters]


def _of_job(org: DemoOrg, asked: Asked, version: float, found: re.Match[str]) -> Answer:
    """Answer a request for one job or one of its files, or to create one: loads only, queries cannot be made here."""
    surface, job_id = found[1], found[2]
    if found.re is _FILES:
        return upload(org, asked, job_id) if found[3] == "batches" else results(org, asked, job_id)
    if surface == "ingest" and asked.method in ("POST", "PATCH"):
        return change(org, asked, job_id) if job_id else create(org, asked, version)
    return _one_job(org, asked, version, surface, job_id) if job_id else _not_allowed(asked, "GET")


def _one_job(org: DemoOrg, asked: Asked, version: float, surface: str, job_id: str) -> Answer:
    """Answer or delete one job; a Classic job is found through both paths (tests/fixtures/q_one_04).

    SOURCE: query_get_one_job.htm, get_job_info.htm, query_delete_job.htm
    """
    with org.lock:
        key = eighteen(job_id)
        job = (org.jobs if surface == "query" else {**org.jobs, **org.ingest_jobs}).get(key)
        if job is None or (surface == "ingest" and key in org.jobs and job.get("jobType") != "Classic"):
            return not_found()
        if asked.method == "DELETE":
            if is_load(job.get("jobType")) and job.get("state") in ("Open", "InProgress"):
                # The states are documented (delete_job.htm), the answer for others is our choice
                return refusal(400, "INVALIDJOBSTATE", f"A job that is {job['state']} cannot be deleted")
            org.delete_job(key)
            return Answer(204)
        if asked.method != "GET":
            return _not_allowed(asked, "GET,PATCH,DELETE" if surface == "ingest" else "GET,DELETE")
        return answer(200, full_job(job, org.details_of(key), version))


def _not_allowed(asked: Asked, allowed: str) -> Answer:
    message = f"HTTP Method '{asked.method}' not allowed. Allowed are {allowed}"
    return refusal(405, "METHOD_NOT_ALLOWED", message)
