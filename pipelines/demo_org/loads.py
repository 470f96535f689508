"""What became of the records of loads: rows of Bulk API 2.0 jobs, batches of Classic jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipelines.demo_org.batches import Batch, counts_of
from pipelines.demo_org.ids import eighteen, salesforce_id
from pipelines.demo_org.jobs import Jobs
from pipelines.demo_org.record_errors import RecordError, record_error
from pipelines.demo_org.records import Job
from pipelines.demo_org.rows import Row, Rows

FAILED, SUCCEEDED, UNPROCESSED = "failed", "succeeded", "unprocessed"
FIRST_BATCH = 9 * 62**4  # where batch numbers begin

Failures = Mapping[str, int] | Sequence[str | Sequence[str]]


@dataclass
class ResultSwitches:
    """How results of loads are answered, where public sources differ or settle nothing."""

    # A file without rows: "header", as in tests/fixtures/i_failed_49; "nothing": 200 and an empty body; "204", as
    # reported in https://github.com/OpenFn/adaptors/issues/886
    empty: Literal["header", "nothing", "204"] = "header"
    error_first: bool = False  # sf__Error before sf__Id, as in tests/fixtures/i_failed_53
    # Not settled publicly. A number: so many rows at once, the rest by Sforce-Locator and ?locator=, which clients
    # follow and the documentation of these results does not mention
    part_rows: int | None = None
    own_only: bool = False  # Not settled publicly. True: only its creator may read the results of a job
    compress: bool = True  # False: not even for who accepts gzip; answers "may" come uncompressed
    pause: float = 0.0  # seconds between two rows


class Loads(Jobs):
    """Jobs, and the results of those that load records."""

    def __init__(self, now: datetime | None, **of_jobs: Any) -> None:
        super().__init__(now, **of_jobs)
        self.results = ResultSwitches()
        self.batches: dict[str, list[Batch]] = {}  # by job
        self.uploads: dict[str, bytes] = {}  # by job, as clients sent them
        self.refused: set[str] = set()  # jobs whose results are refused to everybody
        self._rows: dict[str, dict[str, Rows]] = {}
        self._columns: dict[str, list[str]] = {}
        self._batch_count = 0

    # --- Bulk API 2.0 ---

    def fail_records(self, job_id: str, records: Iterable[Sequence[Any]], *, times: int | None = 1) -> None:
        """Add failed records to a load: (error, row) or (error, row, id), the row as {column: value}.

        The error is sf__Error as it stands in the file. `times`: all of them so many times in turn, None without
        end; they are made as they are read, and "{n}" in any of their texts becomes the number of the row. What
        the job's details do not say of numberRecordsProcessed and numberRecordsFailed is counted from its rows.
        Raises KeyError: no such job.
        """
        self.add_rows(
            job_id, times=times, pattern=True, failed=[Row(row, error, *sf_id) for error, row, *sf_id in records]
        )

    def succeed_records(self, job_id: str, records: Iterable[Sequence[Any]], *, times: int | None = 1) -> None:
        """Add records that a load has saved: (row, id) or (row, id, created). Raises KeyError: no such job."""
        rows = [Row(row, "", sf_id, *created) for row, sf_id, *created in records]
        self.add_rows(job_id, times=times, pattern=True, succeeded=rows)

    def leave_unprocessed(self, job_id: str, records: Iterable[Mapping[str, str]], *, times: int | None = 1) -> None:
        """Add records that a load never came to: their rows. Raises KeyError: no such job."""
        self.add_rows(job_id, times=times, pattern=True, unprocessed=[Row(row) for row in records])

    def refuse_results(self, job_id: str) -> None:
        """Refuse the results of a load, and of the batches of a Classic one, to everybody. Raises KeyError: no such
        job."""
        with self.lock:
            self.job(job_id)
            self.refused.add(eighteen(job_id))

    def rows(self, key: str, kind: str) -> Rows:
        """Return the rows of a load's "failed", "succeeded" or "unprocessed" records."""
        return self._rows.get(key, {}).get(kind) or Rows()

    def upload_columns(self, key: str) -> list[str]:
        """Return the columns that were uploaded: those of all rows. Without any, Id and Name: our choice."""
        of_rows = [name for rows in self._rows.get(key, {}).values() for name in rows.columns]
        return self._columns.get(key) or list(dict.fromkeys(of_rows)) or ["Id", "Name"]

    def add_rows(self, job_id: str, *, times: int | None = 1, pattern: bool = False, **rows: Sequence[Row]) -> None:
        """Add failed, succeeded or unprocessed rows to a load. Raises KeyError: no such job."""
        with self.lock:
            self.job(job_id)
            for kind, some in rows.items():
                self._rows.setdefault(eighteen(job_id), {}).setdefault(kind, Rows()).add(some, times, pattern=pattern)

    def note_columns(self, key: str, columns: list[str]) -> None:
        """Note the header of an upload, which the results repeat."""
        self._columns[key] = columns

    # --- Classic ---

    def add_batch(
        self,
        job_id: str,
        *,
        state: str = "Completed",
        records: int = 0,
        failures: Failures = (),
        message: str | None = None,
        result_ids: int = 1,
        **fields: Any,
    ) -> str:
        """Add a batch to a Classic job and give its id.

        Of its `records`, those of `failures` failed: {error: how many}, or a list with one error each, or several.
        An error is "CODE:message:field, field --", also where JSON and XML take it apart. `message`: its
        stateMessage. `result_ids`: of a query, how many results there are. Fields override those of batchInfo;
        `...` leaves one out. The counts of the job follow from its batches. Raises KeyError: no such job.
        """
        with self.lock:
            job = self.job(job_id)
            self._batch_count += 1
            batch_id = salesforce_id("751", FIRST_BATCH + self._batch_count)
            batch = Batch(
                id=batch_id,
                job_id=eighteen(job_id),
                number=self._batch_count,
                state=state,
                at=self.now,
                records=records,
                failures=_failures(failures),
                message=message,
                creates=job.get("operation") == "insert",
                result_ids=result_ids,
                fields=fields,
            )
            self._keep_batch(batch)
            return batch_id

    def move_batch(
        self, batch_id: str, state: str, *, records: int = 0, failures: Failures = (), message: str | None = None
    ) -> None:
        """Move a batch to a state, with what has become of its records. Raises KeyError: no such batch."""
        with self.lock:
            batch = self.batch(batch_id)
            batch.state, batch.records, batch.failures = state, records, _failures(failures)
            batch.message, batch.stamp = message, self.now

    def batch(self, batch_id: str) -> Batch:
        """Return a batch, by 15 or 18 characters. Raises KeyError: no such batch."""
        for batches in self.batches.values():
            for batch in batches:
                if batch.id == eighteen(batch_id):
                    return batch
        raise KeyError(f"no batch {batch_id}")

    def _keep_batch(self, batch: Batch) -> None:
        batches = self.batches.setdefault(batch.job_id, [])
        batches.append(batch)
        if len(batches) > 1:  # the first was counted with the job
            self.usage.count_batch(self.now)

    # --- both ---

    def details_of(self, key: str) -> Job:
        """Return what only the answer for a single job tells, with the counts that follow from rows and batches."""
        counts: Job = {}
        if key in self._rows:
            failed, saved = len(self.rows(key, FAILED)), len(self.rows(key, SUCCEEDED))
            counts = {"numberRecordsFailed": failed, "numberRecordsProcessed": failed + saved}
        if key in self.batches:
            return {**self.details[key], **counts_of(self.batches[key])}
        return {**counts, **self.details[key]}

    def _remove(self, job_id: str) -> None:
        super()._remove(job_id)
        for kept in (self.batches, self.uploads, self._rows, self._columns):
            kept.pop(job_id, None)
        self.refused.discard(job_id)


def _failures(given: Failures) -> tuple[tuple[tuple[RecordError, ...], int], ...]:
    if isinstance(given, Mapping):
        return tuple(((record_error(text),), count) for text, count in given.items())
    each = [(texts,) if isinstance(texts, str) else texts for texts in given]
    return tuple((tuple(map(record_error, texts)), 1) for texts in each)
