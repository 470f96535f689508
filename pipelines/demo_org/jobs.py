"""The jobs of the demo org: added, moved, edited, deleted, listed, and gone when they are too old."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pipelines.demo_org.clock import Clock
from pipelines.demo_org.ids import eighteen, salesforce_id
from pipelines.demo_org.listings import Filters, Order, in_order, matching
from pipelines.demo_org.records import (
    DETAIL_FIELDS,
    TERMINAL_STATES,
    Job,
    is_load,
    listed,
    moment_of,
    new_job,
    timestamp,
)
from pipelines.demo_org.usage import Usage

# "Jobs in a terminal state … that are older than seven days are deleted. Jobs in a non-terminal state that are older
# than seven days are periodically cleaned up." How long that takes is not said: 14 days is our choice. SOURCE:
# https://developer.salesforce.com/docs/atlas.en-us.salesforce_app_limits_cheatsheet.meta/salesforce_app_limits_cheatsheet/salesforce_app_limits_platform_bulkapi.htm
TERMINAL_KEPT = timedelta(days=7)
UNFINISHED_KEPT = timedelta(days=14)
PURGE_EVERY = timedelta(seconds=1)  # looking through all jobs on every request would slow the pages down
FIRST_JOB = 7 * 62**4 + 1_000_003  # where job numbers begin, so that ids look like those of an org in use


class Jobs(Clock):
    """The jobs and their clock.

    `jobs` are the jobs of the query listing by id, spelled as there; `ingest_jobs` those that only the ingest
    listing has; `details` what only the answer for a single job tells. Read them freely, change them through
    the methods.
    """

    def __init__(self, now: datetime | None, *, order: Order, seed: int, sees_all: bool, lists_loads: bool) -> None:
        super().__init__(now)
        self.order, self.seed, self.sees_all, self.lists_loads = order, seed, sees_all, lists_loads
        self.integration_user_id = ""
        self.jobs: dict[str, Job] = {}
        self.ingest_jobs: dict[str, Job] = {}
        self.details: dict[str, Job] = {}
        self.raw: list[Any] = []
        self._raw_surfaces: list[str] = []
        self.pk_chunking: set[str] = set()  # jobs that the filter isPkChunkingEnabled=true finds
        self.usage = Usage()
        self.created = 0  # jobs that the query listing has, or had, or never came to show
        self._count = 0
        self._purged = self.now
        self._created: dict[str, datetime] = {}
        # What was listed, by listing, filters and the switches of the time, until jobs come or go
        self._keys: dict[tuple[str, Filters, Order, bool, bool], list[str]] = {}

    def add_job(self, **fields: Any) -> str:
        """Add a job and give its id: a V2 query of Account in progress, created now, unless the fields differ.

        Names are Salesforce's; times may be datetimes; `...` leaves a field out. Fields that the listing does
        not have go to `details`; `isPkChunkingEnabled=True` makes that filter find the job.
        """
        with self.lock:
            job_id = fields.pop("id", None) or self._next_id()
            if fields.pop("isPkChunkingEnabled", False):
                self.pk_chunking.add(job_id)
            details = {name: fields.pop(name) for name in list(fields) if name in DETAIL_FIELDS}
            job = new_job(job_id, self.integration_user_id, timestamp(self.now), _spelled(fields))
            job_type = job.get("jobType")
            loads = is_load(job_type)
            (self.ingest_jobs if loads else self.jobs)[job_id] = job
            self.created += not loads
            self.details[job_id] = details
            self._note_created(job_id)
            created = self._created.get(job_id) or self.now
            if job_type == "V2Query":
                self.usage.count_query_job(created)
            else:
                self.usage.count_batch(created)
            self._keys.clear()
            return job_id

    def move_job(self, job_id: str, state: str, *, stamp: bool | datetime = True, **details: Any) -> None:
        """Move a job to a state; systemModstamp becomes now, stays (False), or becomes the datetime given.

        Details, such as errorMessage, may come along. Raises KeyError: no such job.
        """
        with self.lock:
            job = self.job(job_id)
            job["state"] = state
            if stamp is not False:
                job["systemModstamp"] = timestamp(self.now if stamp is True else stamp)
            self.details[eighteen(job_id)].update(details)

    def edit_job(self, job_id: str, **fields: Any) -> None:
        """Set fields of a job to whatever is given; `...` removes one. Raises KeyError: no such job."""
        with self.lock:
            job = self.job(job_id)
            for name, value in _spelled(fields).items():
                if name in DETAIL_FIELDS:
                    self.details[eighteen(job_id)][name] = value  # one that is ... stays out of the answer
                elif value is ...:
                    job.pop(name, None)
                else:
                    job[name] = value
            self._note_created(eighteen(job_id))
            self._keys.clear()

    def add_raw(self, record: Any, surface: str = "query") -> None:
        """Put any JSON value into every query (or ingest) listing as it is: a record without id, or none at all."""
        with self.lock:
            self.raw.append(record)
            self._raw_surfaces.append(surface)
            self._keys.clear()

    def delete_job(self, job_id: str) -> None:
        """Delete a job, as its owner may. Raises KeyError: no such job."""
        with self.lock:
            self.job(job_id)
            self._remove(eighteen(job_id))

    def job(self, job_id: str) -> Job:
        """Return a job's listing record, by 15 or 18 characters. Raises KeyError: no such job."""
        key = eighteen(job_id)
        found = self.jobs.get(key) or self.ingest_jobs.get(key)
        if found is None:
            raise KeyError(f"no job {job_id}")
        return found

    def listed(self, surface: str, filters: Filters = ()) -> list[str]:
        """Return the keys of what the "query" or "ingest" listing holds now, in its order; for `records_of`."""
        with self.lock:
            wanted = (surface, filters, self.order, self.sees_all, self.lists_loads)
            keys = self._keys.get(wanted)
            if keys is None:
                keys = self._keys[wanted] = in_order(_shown(self, surface, filters), self.order, self.seed)
            return keys

    def records_of(self, surface: str, keys: list[str]) -> list[Any]:
        """Return what the listing shows for these keys as things stand now; jobs gone since are left out."""
        jobs = self.jobs if surface == "query" and not self.lists_loads else {**self.ingest_jobs, **self.jobs}
        return [
            self.raw[int(key[4:])] if key.startswith("raw ") else listed(jobs[key])
            for key in keys
            if key in jobs or key.startswith("raw ")
        ]

    def tick(self) -> None:
        """Bring everything up to the org's time, and remove the jobs that have become too old as it moved."""
        with self.lock:
            super().tick()
            if self.now - self._purged >= PURGE_EVERY:
                self.purge()

    def purge(self) -> None:
        """Remove the jobs that are too old; one with an unreadable createdDate never is."""
        with self.lock:
            now = self._purged = self.now
            for job_id, created in list(self._created.items()):
                age = now - created
                if age > TERMINAL_KEPT and (age > UNFINISHED_KEPT or self.job(job_id).get("state") in TERMINAL_STATES):
                    self._remove(job_id)

    def _next_id(self) -> str:
        self._count += 1
        return salesforce_id("750", FIRST_JOB + self._count)

    def _note_created(self, job_id: str) -> None:
        created = moment_of(self.job(job_id).get("createdDate"))
        if created is None:
            self._created.pop(job_id, None)
        else:
            self._created[job_id] = created

    def _remove(self, job_id: str) -> None:
        for kept in (self.jobs, self.ingest_jobs, self.details, self._created):
            kept.pop(job_id, None)
        self.pk_chunking.discard(job_id)
        self._keys.clear()


def _spelled(fields: Mapping[str, Any]) -> Job:
    return {name: timestamp(value) if isinstance(value, datetime) else value for name, value in fields.items()}


def _shown(org: Jobs, surface: str, filters: Filters) -> list[str]:
    """The keys of what a listing holds, in no order."""
    belongs = matching(filters, org.pk_chunking)
    # Classic jobs are in both listings. SOURCE: get_all_jobs.htm, query_get_all_jobs.htm
    classic = {key: job for key, job in org.jobs.items() if job.get("jobType") == "Classic"}
    queries = {**org.ingest_jobs, **org.jobs} if org.lists_loads else org.jobs
    jobs = queries if surface == "query" else {**org.ingest_jobs, **classic}
    own = None if org.sees_all else org.integration_user_id
    shown = [key for key, job in jobs.items() if belongs(key, job) and (own is None or job.get("createdById") == own)]
    return shown + [
        f"raw {number}"
        for number, (record, where) in enumerate(zip(org.raw, org._raw_surfaces, strict=True))
        if where == surface and (not filters or (isinstance(record, dict) and belongs("", record)))
    ]
