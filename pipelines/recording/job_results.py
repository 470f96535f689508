"""Reads why the records of finished loads failed, after the details, within the API budget and limits of its own.

A load is read once, and its rows never change. If its results break off, nothing of it is written but the attempt, and
a later run tries again; if they are refused, as another user's may be, that is kept, and they are not asked for again.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from pipelines.errors import InvalidResponse, NoResponse, RecorderError
from pipelines.job_tables import JOB_BATCHES, JOB_DETAILS, RECORD_ERRORS
from pipelines.plural import counted
from pipelines.recording.incomplete import warn_incomplete
from pipelines.recording.job_answer import OFF
from pipelines.recording.load_results import LoadResults, TooFewCalls, read_load
from pipelines.recording.result_rows import UnreadableResults
from pipelines.recording.results_backlog import ATTEMPTS, Job, loads_to_read
from pipelines.salesforce.api_errors import SalesforceError, explained
from pipelines.salesforce.org import Org
from pipelines.salesforce.streaming import Allowance

JOB_BYTES: Final = 2**29  # of one load's results, unpacked: an upload has 150 MB, its errors perhaps as much again
JOB_SECONDS: Final = 30.0
RUN_BYTES: Final = 2**30  # then no further load is begun, nor after
RUN_SECONDS: Final = 40.0
FAILURES_IN_A_ROW: Final = 5  # then the cause is not the load

Row = dict[str, Any]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResultsOutcome:
    """How far a run got with the loads whose records failed."""

    read: int  # loads that need not be read again
    left: int  # loads left to later runs
    notes: tuple[str, ...] = ()


class JobResults:
    """One run's share of the loads to read. `outcome` is None until `read` has returned."""

    def __init__(self, org: Org, primary: duckdb.DuckDBPyConnection, *, wanted: bool, keep_messages: bool) -> None:
        self.org, self.keep_messages = org, keep_messages
        self._primary, self._wanted = primary, wanted
        self.jobs: list[Job] = []
        self.consider(JOB_DETAILS.schema.empty_table())
        self.outcome: ResultsOutcome | None = None
        self._rows: dict[str, list[Row]] = {table.name: [] for table in (RECORD_ERRORS, JOB_BATCHES, JOB_DETAILS)}
        self._done = self._failures = 0  # failures in a row
        self._errors: list[str] = []
        self._classic_off = ""

    def consider(self, details: pa.Table) -> None:
        """Also considers loads with these details, which are not in the database yet."""
        self.jobs = loads_to_read(self._primary, details, self.org.org_id, self.org.clock) if self._wanted else []

    def read(self) -> dict[str, pa.Table]:
        """Reads the loads; returns the rows by table. Stops early if further calls would fail, too."""
        began, size, calls_before = time.monotonic(), 0, self.org.calls
        calls_left = self.org.budget.calls_left
        stopped = ""
        for job in self.jobs:
            if time.monotonic() - began >= RUN_SECONDS or size >= RUN_BYTES:
                break
            used = self.org.calls - calls_before
            calls = None if calls_left is None else calls_left // 2 - used
            if job["is_classic"] and self._classic_off:
                continue
            if calls is not None and calls < 1 + (job["has_failed_records"] and job["has_unprocessed"]):
                break
            allowance = Allowance(JOB_BYTES, time.monotonic() + JOB_SECONDS)
            stopped = self._read_one(job, allowance, calls)
            size += JOB_BYTES - allowance.size
            if stopped:
                break
        notes = self._notes(stopped)
        if self.jobs:
            self.outcome = ResultsOutcome(self._done, self.jobs[0]["waiting"] - self._done, notes)
        for note in notes:
            warn_incomplete(note, "record_errors = false")
        tables = (RECORD_ERRORS, JOB_BATCHES, JOB_DETAILS)
        return {table.name: pa.Table.from_pylist(self._rows[table.name], schema=table.schema) for table in tables}

    def _read_one(self, job: Job, allowance: Allowance, calls: int | None) -> str:
        """Reads one load and keeps its rows. Returns why no further load should be tried, or ""."""
        try:
            results = read_load(
                self.org, job, allowance, 10**6 if calls is None else calls, keep_messages=self.keep_messages
            )
        except TooFewCalls:
            return ""
        except SalesforceError as error:
            return self._refused(job, error)
        except (NoResponse, InvalidResponse, UnreadableResults) as error:
            text = error.message if isinstance(error, RecorderError) else f"unreadable: {error}"
            final = not isinstance(error, NoResponse) and (job["results_attempts"] or 0) + 1 >= ATTEMPTS
            self._attempted(job, "unreadable" if final else None, text)
            return self._failed(text)
        except RecorderError as error:  # the budget is spent, or the sign-in failed: no further request is possible
            return error.message
        self._failures = 0
        self._keep(job, results)
        return ""

    def _refused(self, job: Job, error: SalesforceError) -> str:
        if error.status == 401 or error.is_limit:
            return explained(error, self.org.api_version).message
        if job["is_classic"] and error.code in OFF:
            self._classic_off = str(error)
            return ""
        # Of a job that was listed a moment ago, 404 and 5xx may pass.
        final = error.status != 404 and error.status < 500
        self._attempted(job, "refused" if final else None, str(error))
        return self._failed(str(error), noted=not final)  # `check` reports what is refused, and no load mails it

    def _failed(self, error: str, *, noted: bool = True) -> str:
        if noted:
            self._errors.append(error)
        self._failures += 1
        if self._failures < FAILURES_IN_A_ROW:
            return ""
        return f"{self._failures} loads in a row could not be read, the last because of {error}"

    def _attempted(self, job: Job, outcome: str | None, error: str | None, unprocessed: int | None = None) -> None:
        self._done += outcome is not None
        row = {name: job[name] for name in JOB_DETAILS.schema.names}
        row |= {
            "results_outcome": outcome,
            "results_error": error,
            "results_attempts": (job["results_attempts"] or 0) + 1,
            "results_asked_at": self.org.clock,
            "records_unprocessed": unprocessed,
        }
        self._rows[JOB_DETAILS.name].append(row)

    def _keep(self, job: Job, results: LoadResults) -> None:
        tally, failed, now = results.tally, job["number_records_failed"], self.org.clock
        outcome = "read"
        if results.limited or (failed is not None and tally.rows < failed and job["has_failed_records"]):
            outcome = f"first {tally.rows}" + (f" of {failed}" if failed is not None else "")
        self._attempted(job, outcome, results.refused, results.unprocessed)
        common = {
            "org_id": self.org.org_id,
            "id": job["id"],
            "rows_read": tally.rows,
            "rows_failed": failed,
            "complete": None if failed is None else not results.limited and tally.rows == failed,
            "read_at": now,
        }
        for reason in tally.records | tally.further | tally.batches:
            whole = reason.level != "record"
            self._rows[RECORD_ERRORS.name].append(
                common
                | {
                    "reason": reason.key,
                    "level": reason.level,
                    "error_code": reason.code,
                    "fields": reason.fields,
                    "message": reason.message,
                    "records": None if whole else tally.records[reason],
                    "further_records": None if whole else tally.further[reason],
                    "batches": tally.batches[reason] if reason.level == "batch" else None,
                    "retryable": reason.retryable,
                }
            )
        self._rows[JOB_BATCHES.name] += [batch | {"read_at": now} for batch in results.batches]

    def _notes(self, stopped: str) -> tuple[str, ...]:
        notes = [stopped] if stopped else self._errors[-1:]
        if not stopped and len(self._errors) > 1:
            notes[0] += f" (and {counted(len(self._errors) - 1, 'more load')})"
        if self._classic_off:
            notes.append(f"Classic API: {self._classic_off}")
        return tuple(f"{RECORD_ERRORS.name}: {note}" for note in notes)
