"""What a soak compares a warehouse of several orgs with: of each, what its listings showed (soak_truth.py), what single
jobs answered, and why their records failed; and a lake with that warehouse."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
from busy_org import ERRORS, WHOLE, BusyOrg
from soak_truth import FeedTruth, Row, fetch, unequal

from pipelines.demo_org.loads import UNPROCESSED
from pipelines.demo_org.records import full_job
from pipelines.forwarding.lake_views import statements
from pipelines.job_tables import JOB_BATCHES, JOB_DETAILS, RECORD_ERRORS
from pipelines.recording.feeds import FEEDS
from pipelines.tables import DATASET, TABLES

# As `record_errors` has them: error_code, fields, message. A message that is not Salesforce's own may have values.
REASONS = dict(
    zip(
        (*ERRORS, WHOLE),
        (
            ("REQUIRED_FIELD_MISSING", "LastName", "Required fields are missing: [LastName]"),
            ("UNABLE_TO_LOCK_ROW", None, "unable to obtain exclusive access to this record"),
            ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "AccountId,Name", None),
            ("InvalidBatch", None, "Field name not found : …"),
        ),
        strict=True,
    )
)
ANSWERED = re.compile(r"/services/data/v[\d.]+/jobs/(?:query|ingest)/(\w+)")
ENDED_EARLY = ("Failed", "Aborted")


class OrgTruth:
    """The model of one org."""

    def __init__(self, org: BusyOrg, gone: sqlite3.Connection) -> None:
        self.org = org
        self.feeds = {feed: FeedTruth(org, feed, gone) for feed in FEEDS}
        self.details: dict[str, Row] = {}  # by job, as the others
        self.results: dict[str, Row] = {}  # of loads that were read: the outcome, and records left unprocessed
        self.reasons: dict[str, list[Row]] = {}
        self.batches: dict[str, list[Row]] = {}

    def note(self) -> None:
        """Takes in the listings that a load has just completed, and what the load asked of single jobs after them.

        A Classic job is left to the listing of queries, unless only the other one shows it, in a version that is new.
        """
        query, ingest = self.feeds["query"], self.feeds["ingest"]
        shown = {feed: self.org.readings[feed].shown for feed in self.feeds}
        left = {
            job_id
            for job_id, record in shown["ingest"].items()
            if record["jobType"] == "Classic" and (job_id in shown["query"] or query.has(job_id, record))
        }
        query.note(self.org.readings["query"], shown["ingest"], set(), ingest)
        ingest.note(self.org.readings["ingest"], shown["query"], left, query)
        for request in self.org.requests:
            asked = ANSWERED.fullmatch(request.path)
            if asked and request.status == 200:
                self._note_details(asked[1])
            elif asked:  # deleted since its page was shown: an earlier answer is kept
                self.details.setdefault(asked[1], ("refused", *[None] * 6))
        self.org.requests.clear()

    def _note_details(self, job_id: str) -> None:
        names = ("state", "numberRecordsProcessed", "numberRecordsFailed", "numberBatchesTotal", "totalProcessingTime")
        job, details = self.org.job(job_id), self.org.details_of(job_id)
        answer = full_job(job, details, 68.0) | details  # the Classic API shows what the newer one hides
        if job["jobType"] == "Classic":
            answer = dict.fromkeys(names[1:4], 0) | answer
        self.details[job_id] = ("answered", *(answer.get(name) for name in (*names, "errorMessage")))
        if job["operation"] != "query" and job_id not in self.results:  # a load is read once
            self._note_results(job, answer)

    def _note_results(self, job: dict[str, Any], answer: dict[str, Any]) -> None:
        """What a load's results say, if there is anything to read."""
        classic, key = job["jobType"] == "Classic", job["id"]
        batches = self.org.batches.get(key, [])
        failed_batches = sum(batch.state == "Failed" for batch in batches)
        failed, early = answer["numberRecordsFailed"], job["state"] in ENDED_EARLY
        if not (failed or failed_batches or (early and (batches or not classic)) or job["state"] == "Failed"):
            return
        unprocessed = len(self.org.rows(key, UNPROCESSED)) if early and not classic else None
        self.results[key] = ("read", unprocessed)
        read = (failed, failed, True)
        of_records = self.org.failures.get(key, {}).items()
        rows = [(key, "record", *REASONS[error], records, 0, None, *read) for error, records in of_records]
        if failed_batches:
            rows.append((key, "batch", *REASONS[WHOLE], None, None, failed_batches, *read))
        if job["state"] == "Failed" and not rows:
            rows.append((key, "job", *REASONS[WHOLE], None, None, None, *read))
        self.reasons[key] = rows
        infos = [batch.info() for batch in batches]
        numbers = ("numberRecordsProcessed", "numberRecordsFailed")
        self.batches[key] = [(info["id"], key, info["state"], *(info[name] for name in numbers)) for info in infos]

    def differences(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        for truth in self.feeds.values():
            yield from truth.differences(connection)
        mine = f"where org_id = '{self.org.org_id}'"
        asked = [(key, *self.details[key], *self.results.get(key, (None, None))) for key in sorted(self.details)]
        details = """id, outcome, state, number_records_processed, number_records_failed, number_batches_total,
            total_processing_time, error_message, results_outcome, records_unprocessed"""
        reasons = """id, level, error_code, fields, message, records, further_records, batches, rows_read, rows_failed,
            complete"""
        batches = "id, job_id, state, number_records_processed, number_records_failed"
        for table, columns, expected in (
            (JOB_DETAILS, details, asked),
            (RECORD_ERRORS, reasons, [row for rows in self.reasons.values() for row in rows]),
            (JOB_BATCHES, batches, [row for rows in self.batches.values() for row in rows]),
        ):
            found = fetch(connection, f"select {columns} from {table.name} {mine}")
            yield from unequal(f"{table.name} {mine}", sorted(expected, key=str), sorted(found, key=str))


def differences(truths: Sequence[OrgTruth], warehouse: Path) -> list[str]:
    """What a warehouse has otherwise than these models, in words; none: it is equal, row by row."""
    with duckdb.connect(warehouse, read_only=True) as connection:
        connection.execute(f"set TimeZone = 'UTC'; set search_path = '{DATASET}'")
        found = list(_of_others(connection, {truth.org.org_id for truth in truths}))
        return found + [one for truth in truths for one in truth.differences(connection)]


def _of_others(connection: duckdb.DuckDBPyConnection, org_ids: set[str]) -> Iterator[str]:
    """Rows that no org can have."""
    for table in TABLES:
        of_orgs = fetch(connection, f"select distinct org_id from {table.name}")
        if not {org_id for (org_id,) in of_orgs} <= org_ids:
            yield f"{table.name} has rows of other orgs: {of_orgs}"
    for table in ("rejected_records", "coverage_holes", "reduced_views"):
        yield from unequal(table, [], fetch(connection, f"select * from {table}"))
    yield from unequal(
        "orgs", [(org_id,) for org_id in sorted(org_ids)], fetch(connection, "select org_id from orgs order by 1")
    )


def lake_differences(lake: Path, warehouse: Path) -> list[str]:
    """What a lake has otherwise than the published copy that was just forwarded to it."""
    script = statements((lake / DATASET / "views" / "duckdb.sql").read_text())
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for statement in script:
            if "read_parquet" in statement or "create or replace view" not in statement:  # tables alone: that is faster
                connection.execute(statement)
        connection.execute(f"attach '{warehouse}' as published (read_only)")
        found = []
        for table in TABLES:
            here = f"published.{DATASET}.{table.name}"
            there = f"(select {', '.join(connection.sql(f'from {here}').columns)} from {DATASET}.{table.name})"
            for some, others in ((f"from {here}", f"from {there}"), (f"from {there}", f"from {here}")):
                ((rows,),) = fetch(connection, f"select count(*) from ({some} except all {others})")
                if rows:
                    found.append(f"lake, {table.name}: {rows:,} rows that the other side lacks, {some}")
    return found
