"""How many records and batches the Classic jobs of the demo org's life have.

Every figure comes from dice of its own: those that roll the life itself must not be touched in between. SOURCE:
https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/asynch_api_reference_jobinfo.htm
(what is counted, and that a job is done when all its batches are completed or failed)"""

from __future__ import annotations

from random import Random

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


def extracted(dice: Random) -> Counts:
    """Return the counts of a Classic query: one batch, as in tests/fixtures/c_one_17."""
    return _counts(dice.randint(500_000, 700_000), 0, total=1, completed=1)


def _counts(
    records: int, records_failed: int, *, total: int, completed: int, running: int = 0, failed: int = 0
) -> Counts:
    return {
        "numberRecordsProcessed": records,
        "numberRecordsFailed": records_failed,
        "numberBatchesQueued": total - running - completed - failed,
        "numberBatchesInProgress": running,
        "numberBatchesCompleted": completed,
        "numberBatchesFailed": failed,
        "numberBatchesTotal": total,
    }
