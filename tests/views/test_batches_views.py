"""batches_by_day: what Classic jobs took by the org's count, and V2 loads at least."""

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows, rows_elsewhere

OTHER = "00DDm0000002000MAA"
NAMES = {"005A": "Ada Lovelace"}


def sum_known(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Jobs of all types, with and without details; V2 queries, which take no batches, among them."""
    dice, jobs, details = Random(5), [], []
    for n in range(400):
        kind = dice.choice(("V2Query", "Classic", "Classic", "V2Ingest", "V2Ingest", "BigObjectIngest", None))
        job = {
            "id": f"750{n:012}AAA", "org_id": dice.choice((ORG, OTHER)), "job_type": kind,
            "created_date": dice.choice((NOW - dice.randrange(24) * HOUR / 2, NOW - DAY, None)), "system_modstamp": NOW,
            "created_by_id": dice.choice(("005A", "005B", None)),
        }  # fmt: skip
        jobs.append(job)
        if dice.random() < 0.7:
            details.append({
                "id": job["id"], "org_id": job["org_id"],
                "number_records_processed": dice.choice((None, 0, 1, 9_999, 10_000, 10_001, 1_234_567)),
                "number_batches_total": dice.choice((None, 0, 1, 7)) if kind == "Classic" else None,
            })  # fmt: skip
    of_query = [job for job in jobs if job["job_type"] in ("V2Query", "Classic")]
    file = plant(tmp_path / "w.duckdb", query_jobs=of_query, ingest_jobs=[job for job in jobs if job not in of_query],
                 job_details=details, users=[{"id": user, "name": name} for user, name in NAMES.items()])  # fmt: skip
    by_id = {row["id"]: row for row in details}
    return file, [job | by_id.get(job["id"], {}) for job in jobs]


def test_batches_are_those_of_the_org_or_the_fewest_possible(planted: tuple[Path, list[dict[str, Any]]]) -> None:
    """A load of 10,001 records took two or more. Unknown ones are left out, and jobs_counted shows that."""
    file, jobs = planted
    groups: dict[tuple[Any, ...], list[tuple[int | None, int | None]]] = {}
    for job in jobs:
        if job["job_type"] != "V2Query":
            key = (job["created_date"] and job["created_date"].date(), job["org_id"], job["created_by_id"])
            processed = job.get("number_records_processed")
            load = None if processed is None or job["job_type"] == "Classic" else -(-processed // 10_000)
            groups.setdefault(key, []).append((job.get("number_batches_total"), load))
    expected = []
    for (day, org, user), of in groups.items():
        name = NAMES.get(user, user) if org == ORG else user
        classic, loads = (sum_known([pair[n] for pair in of]) for n in (0, 1))
        known = sum(pair != (None, None) for pair in of)
        expected.append((day, org, user, name, sum_known([classic, loads]), classic, loads, len(of), known))

    found = Counter(rows(file, "select * from batches_by_day"))
    assert found == Counter(expected)
    assert found == Counter(rows_elsewhere(file, "batches_by_day"))


def test_without_details_nothing_is_known(tmp_path: Path) -> None:
    """Null, and not 0."""
    file = plant(tmp_path / "w.duckdb", ingest_jobs=[{}], query_jobs=[{}])

    assert rows(file, "select batches, load_batches, classic_batches, jobs, jobs_counted from batches_by_day") == [
        (None, None, None, 1, 0)
    ]
