"""A batch of a Classic job: what batchInfo says of it, and what became of each of its records.

SOURCE: in https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/
asynch_api_reference_batchinfo.htm (fields), asynch_api_batches_interpret_status.htm (states),
asynch_api_code_curl_walkthrough_pk_chunking.htm (NotProcessed); tests/fixtures/c_batches_56 and 57
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from pipelines.demo_org.ids import salesforce_id
from pipelines.demo_org.record_errors import RecordError
from pipelines.demo_org.records import Job, timestamp
from pipelines.demo_org.rows import NUMBER

RECORD_MS = 2  # of processing for each record: our choice
_COUNTED = ("Queued", "InProgress", "Completed", "Failed")


class Outcome(NamedTuple):
    """What became of a record."""

    id: str | None
    success: bool
    created: bool
    errors: tuple[RecordError, ...] = ()


@dataclass
class Batch:
    """A batch, whose records' outcomes are made when they are asked for, or were found when it was run."""

    id: str
    job_id: str
    number: int
    state: str
    at: datetime
    records: int = 0
    failures: tuple[tuple[tuple[RecordError, ...], int], ...] = ()  # errors of a record, and of how many
    message: str | None = None
    creates: bool = False
    result_ids: int = 1
    fields: dict[str, Any] = field(default_factory=dict)
    stamp: datetime | None = None
    request: bytes = b""  # as uploaded
    run: Sequence[Outcome] | None = None

    @property
    def failed(self) -> int:
        """How many of its records failed."""
        if self.run is not None:
            return sum(not outcome.success for outcome in self.run)
        return sum(count for _, count in self.failures)

    def info(self) -> Job:
        """Return batchInfo; stateMessage only if there is one, as in the documented examples."""
        worked = self.records * RECORD_MS
        info: Job = {
            "id": self.id,
            "jobId": self.job_id,
            "state": self.state,
            "stateMessage": self.message,
            "createdDate": timestamp(self.at),
            "systemModstamp": timestamp(self.stamp or self.at),
            "numberRecordsProcessed": self.records,
            "numberRecordsFailed": self.failed,
            "totalProcessingTime": worked,
            "apiActiveProcessingTime": worked,
            "apexProcessingTime": 0,
        }
        if self.message is None:
            del info["stateMessage"]
        return {name: value for name, value in (info | self.fields).items() if value is not ...}

    def outcomes(self) -> Iterator[Outcome]:
        """Give the outcome of each record in the order of the upload; failures are spread evenly over the batch."""
        return (
            iter(self.run) if self.run is not None else _spread(self.number, self.records, self.failures, self.creates)
        )

    def results(self) -> list[str]:
        """Return the ids of a query's results."""
        return [salesforce_id("752", self.number * 1_000 + place) for place in range(self.result_ids)]


def _spread(
    number: int, records: int, failures: tuple[tuple[tuple[RecordError, ...], int], ...], created: bool
) -> Iterator[Outcome]:
    failed = sum(count for _, count in failures)
    bad = (errors for errors, count in failures for _ in range(count))
    done = 0
    for place in range(1, records + 1):
        if place * failed // records > done:
            done += 1
            errors = tuple(each._replace(message=each.message.replace(NUMBER, str(done))) for each in next(bad))
            yield Outcome(None, False, False, errors)
        else:
            yield Outcome(salesforce_id("001", number * 10_000 + place), True, created)


def counts_of(batches: Sequence[Batch]) -> Job:
    """Return the counts of a job by its batches. One that was not processed is in the total alone: our choice."""
    states = [batch.state for batch in batches]
    counts = {f"numberBatches{state}": states.count(state) for state in _COUNTED}
    infos = [batch.info() for batch in batches]
    records = {
        name: sum(int(info.get(name) or 0) for info in infos)
        for name in ("numberRecordsProcessed", "numberRecordsFailed")
    }
    return {**counts, "numberBatchesTotal": len(batches), **records}
