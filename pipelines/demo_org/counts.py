"""How many records and batches the Classic jobs of the demo org's life have.

Every figure comes from dice of its own: those that roll the life itself must not be touched in between. SOURCE:
https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/asynch_api_reference_jobinfo.htm
(what is counted, and that a job is done when all its batches are completed or failed)"""

from __future__ import annotations

from random import Random

from pipelines.demo_org.plans import BatchPlan, Reasons

BATCH = 5_000  # records; half of the 10,000 that one may have

Counts = dict[str, int]


def finished(dice: Random, *, lost: bool) -> Counts:
    """Return the counts of a load whose batches are all completed: one in ten failed in part, one in fifty whole.

    A batch is completed whatever became of its records. A load with every record failed and no failed batch was
    reported in public in February 2026. `lost`: this load is one of those, whatever the dice say.
    """
    records = int(10 ** dice.uniform(1.4, 4.7))
    fate, share = dice.random(), dice.uniform(0, 0.2)
    failed = 1 + int(records * share) if fate < 0.12 else 0
    batches = -(-records // BATCH)
    return _counts(records, records if lost or fate < 0.02 else failed, total=batches, completed=batches)


def unfinished(dice: Random) -> tuple[Counts, Counts]:
    """Return the counts of a load with batches still to come as it is closed, and when the last one has failed.

    The records of a batch that fails as a whole are neither processed nor failed: our choice, after jobs that
    failed with 0 of both (tests/fixtures/i_one_08).
    """
    total = dice.randint(3, 12)
    completed = dice.randint(1, total - 2)
    closed = _counts(completed * BATCH, 0, total=total, completed=completed, running=1)
    return closed, _counts((total - 1) * BATCH, 0, total=total, completed=total - 1, failed=1)


def extracted(dice: Random, *, chunks: int = 0) -> Counts:
    """Return the counts of a Classic query: one batch, as in tests/fixtures/c_one_17, or chunks by primary key.

    With chunks, the original batch is not processed, and in the total alone: our choice.
    """
    records = dice.randint(500_000, 700_000)
    return _counts(records, 0, total=1 + chunks, completed=chunks or 1, unprocessed=int(chunks > 0))


def batches_of(counts: Counts, failed: Reasons = (), *, message: str | None = None) -> tuple[BatchPlan, ...]:
    """Return the batches of a load with these counts, of BATCH records each, the last one the rest.

    Those that are completed come first, then one that failed, with this message, or runs, and then the queued ones.
    """
    states = [
        state
        for state in ("Completed", "Failed", "InProgress", "Queued")
        for _ in range(counts[f"numberBatches{state}"])
    ]
    left, reasons, planned = counts["numberRecordsProcessed"], list(failed), []
    for state in states:
        records = min(left, BATCH) if state == "Completed" else 0
        left -= records
        own, reasons = _first(reasons, records)
        planned.append(BatchPlan(state, records, own, message if state == "Failed" else None))
    return tuple(planned)


def chunks_of(counts: Counts) -> tuple[BatchPlan, ...]:
    """Return the batches of a Classic query: the original one and its chunks, or only one."""
    chunks = counts["numberBatchesCompleted"]
    share, rest = divmod(counts["numberRecordsProcessed"], chunks)
    completed = [BatchPlan("Completed", share + (place < rest)) for place in range(chunks)]
    return (*([BatchPlan("NotProcessed")] if chunks > 1 else []), *completed)


def _first(reasons: list[tuple[str, int]], most: int) -> tuple[Reasons, list[tuple[str, int]]]:
    """Take so many failed records from the front; the rest comes back too."""
    taken, rest = [], []
    for reason, count in reasons:
        now = min(count, most)
        most -= now
        taken.append((reason, now))
        rest.append((reason, count - now))
    return tuple(each for each in taken if each[1]), [each for each in rest if each[1]]


def _counts(
    records: int,
    records_failed: int,
    *,
    total: int,
    completed: int,
    running: int = 0,
    failed: int = 0,
    unprocessed: int = 0,
) -> Counts:
    return {
        "numberRecordsProcessed": records,
        "numberRecordsFailed": records_failed,
        "numberBatchesQueued": total - running - completed - failed - unprocessed,
        "numberBatchesInProgress": running,
        "numberBatchesCompleted": completed,
        "numberBatchesFailed": failed,
        "numberBatchesTotal": total,
    }
