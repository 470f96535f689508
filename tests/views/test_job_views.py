"""Single jobs: how they ended and why, which have not ended, what happened to them, and who deleted records."""

from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, kind, plant, rows, rows_elsewhere

OTHER = "00DDm0000002000MAA"
SECOND = timedelta(seconds=1)
CLASSIC = {"job_type": "Classic", "operation": "upsert", "state": "Closed"}
USERS = [{"id": "005A", "name": "Ada"}, {"org_id": OTHER, "id": "005A", "name": "Bob"}, {"id": "005B", "name": None}]
FINISHED = ("JobComplete", "Failed", "Aborted", "Closed")
OPERATIONS = ("query", "queryAll", "delete", "hardDelete", "insert", None)
LIVES = [("Open",), ("Paused",), ("UploadComplete", "InProgress"), ("InProgress", "InProgress", "InProgress")]

LIVES += [("UploadComplete", "InProgress", end) for end in FINISHED] + [
    ("Open", "Closed"),
    ("Closed", "Closed", "Failed"),
]

Row = dict[str, Any]


def counts(processed: int | None, failed: int | None, *batches: int, **more: Any) -> Row:
    """Details of a Classic job: its records, and its batches completed, failed, and in total."""
    names = "number_batches_completed", "number_batches_failed", "number_batches_total"
    found = {"number_records_processed": processed, "number_records_failed": failed, **more}
    return found | dict(zip(names, batches, strict=False))


# The job's state, its details, and its outcome.
CASES: dict[str, tuple[Row, Row | None, str | None]] = {
    "Failed with 0 of 0": ({**CLASSIC, "state": "Failed"}, counts(0, 0), "failed"),
    "V2 Failed, never asked": ({"state": "Failed"}, None, "failed"),
    "Failed after half of it was done": ({**CLASSIC, "state": "Failed"}, counts(200, 100), "failed"),
    "Aborted with failures": ({**CLASSIC, "state": "Aborted"}, counts(200, 100), "aborted"),
    "Closed, all 251 records failed": (CLASSIC, counts(251, 251, 2, 0, 2, provisional=False), "every record failed"),
    "Closed, every batch failed": (CLASSIC, counts(0, 0, 0, 2, 2, provisional=False), "every record failed"),
    "Closed, one record failed": (CLASSIC, counts(251, 1, 2, 0, 2, provisional=False), "partly failed"),
    "Closed, one batch failed": (CLASSIC, counts(251, 0, 1, 1, 2, provisional=False), "partly failed"),
    "Closed, failures without a total": (CLASSIC, counts(None, 5), "partly failed"),
    "Closed, nothing failed": (CLASSIC, counts(251, 0, 2, 0, 2, provisional=False), "done"),
    "Closed, never asked": (CLASSIC, None, "done: record failures unknown"),
    "Closed, the Classic API refused": (CLASSIC, {"retries": 0}, "done: record failures unknown"),
    "Closed, gone before it was asked": (CLASSIC, {"outcome": "gone"}, "done: record failures unknown"),
    "Closed, batches to come": (CLASSIC, counts(100, 0, 1, 0, 2, provisional=True), "unfinished"),
    "Closed, batches to come, failures": (CLASSIC, counts(100, 7, 1, 0, 2, provisional=True), "unfinished"),
    "JobComplete, never asked": ({}, None, "done"),
    "JobComplete": ({}, counts(10, None, provisional=False), "done"),
    "UploadComplete": ({"state": "UploadComplete"}, None, "unfinished"),
    "a state of tomorrow": ({"state": "Paused"}, None, None),
}
ERRORS = {  # the message, and what the view makes of it
    "InvalidBatch : InvalidBatch : Field name not found : Email": ("InvalidBatch", "Field name not found : Email"),
    "InvalidBatch : InvalidBatchSize : too big": ("InvalidBatch", "InvalidBatchSize : too big"),
    "InvalidBatch : InvalidBatch": ("InvalidBatch", "InvalidBatch"),
    "INVALID_FIELD: No such column 'Ort'": (None, "INVALID_FIELD: No such column 'Ort'"),
    "Retried more than fifteen times": (None, "Retried more than fifteen times"),
    "InvalidBatch : two\nlines : of it": ("InvalidBatch", "two\nlines : of it"),
    "": (None, ""),
}
ODD_ERRORS = {  # the same for messages that the view misreads
    "MALFORMED_QUERY: SELECT Id FROM Lead WHERE Name = 'a : b'": (None, "MALFORMED_QUERY: SELECT Id FROM Lead WHERE Name = 'a : b'"),
    "A_B : AxB : text": ("A_B", "AxB : text"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One job, named by its object, for each case and each error."""
    jobs, details = [], []
    cases = [(name, *case[:2]) for name, case in CASES.items()]
    cases += [(error, {"state": "Failed"}, {"error_message": error}) for error in (*ERRORS, *ODD_ERRORS)]
    for n, (name, job, answer) in enumerate(cases):
        jobs.append({"id": f"{n}", "object": name, **job})
        if answer is not None:
            details.append({"id": f"{n}", **answer})
    return plant(tmp_path_factory.mktemp("ends") / "w.duckdb", query_jobs=jobs, job_details=details)


@pytest.mark.parametrize("case", CASES)
def test_how_a_job_ended(ends: Path, case: str) -> None:
    """It takes both the state and the counts."""
    assert rows(ends, f"select outcome from jobs where object = '{case}'") == [(CASES[case][2],)]


@pytest.mark.parametrize("error", [*ERRORS, *ODD_ERRORS])  # fmt: skip
def test_an_error_code_is_shown_once(ends: Path, error: str) -> None:
    """Some errors begin with a code, some repeat it, some have none."""
    escaped = error.replace("'", "''")

    found = rows(ends, f"select error_code, error from jobs where object = '{escaped}'")
    assert found == [(ERRORS | ODD_ERRORS)[error]]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Row]]]:
    """Two orgs' jobs with their histories; some gone, some back, some without a date; and the planted rows."""
    dice = Random(7)
    planted: dict[str, list[Row]] = defaultdict(list)
    for key in [{"org_id": org, "id": f"750{n:012}AAA"} for org in (ORG, OTHER) for n in range(400)]:
        created = seen = modstamp = NOW - dice.randrange(1, 10 * 24) * HOUR + dice.randrange(60) * SECOND
        versions: dict[tuple, Row] = {}
        for state in dice.choice(LIVES):  # the stamp moves within a state, too, and may not move with a new one
            seen += dice.randrange(1, 90) * timedelta(minutes=1)
            modstamp = dice.choice((modstamp, seen - 7 * SECOND))
            versions.setdefault((modstamp, state), {"system_modstamp": modstamp, "state": state, "observed_at": seen})
        planted["query_job_states"] += [key | version for version in versions.values()]
        job = planted["query_job_states"][-1] | {
            "job_type": dice.choice(("Classic", "V2Query")),
            "operation": dice.choice(OPERATIONS),
        }
        job |= {"object": dice.choice(("Lead", None)), "created_by_id": dice.choice(("005A", "005B", "005C", None))}
        planted["query_jobs"].append(job | {"created_date": dice.choice((created,) * 9 + (None,))})
        if dice.random() < 0.5:
            away = key | {"state": job["state"], "unlisted_at": NOW - HOUR}
            planted["unlisted_jobs"].append(away | {"listed_again_at": dice.choice((None, NOW))})
        if job["state"] in FINISHED and dice.random() < 0.9:
            answer = counts(dice.choice((None, 9)), dice.choice((None, 0)), error_message=dice.choice((None, "No")))
            planted["job_details"].append(
                key | answer | {"outcome": dice.choice(("answered", "refused")), "error": "500"}
            )
    planted["listings"] += [{"started_at": NOW - HOUR}, {"started_at": NOW, "restarted_at": NOW + HOUR / 4}]
    planted["listings"] += [
        {"started_at": NOW + HOUR, "filters": '{"a":"b"}'},
        {"org_id": OTHER, "started_at": NOW + DAY},
    ]
    return plant(tmp_path_factory.mktemp("planted") / "w.duckdb", users=USERS, **planted), planted


def by_job(planted: list[Row]) -> dict[tuple, Row]:
    return {(row["org_id"], row["id"]): row for row in planted}


def name_of(job: Row) -> str | None:
    names = {(user.get("org_id", ORG), user["id"]): user["name"] for user in USERS}
    return names.get((job["org_id"], job["created_by_id"])) or job["created_by_id"]


def test_stuck_jobs_are_those_that_neither_ended_nor_went(planted: tuple[Path, dict[str, list[Row]]]) -> None:
    """As of the newest complete listing; an unknown state may mean anything, so it is shown."""
    file, tables = planted
    gone = by_job([away for away in tables["unlisted_jobs"] if not away["listed_again_at"]])
    since: dict[tuple, Any] = {}
    for version in sorted(tables["query_job_states"], key=lambda version: version["observed_at"]):
        since.setdefault((version["org_id"], version["id"], version["state"]), version["observed_at"])
    wanted = []
    for job in tables["query_jobs"]:
        key = job["org_id"], job["id"]
        vanished = key in gone and gone[key]["unlisted_at"] > job["observed_at"]
        if job["state"] not in FINISHED and not vanished:
            sort = kind(job["operation"])
            as_of = NOW + (HOUR / 4 if job["org_id"] == ORG else DAY)
            times = job["created_date"], since[*key, job["state"]]
            ages = (int((as_of - time).total_seconds()) / 3600 if time else None for time in times)
            shown = (*key, sort, *(job[name] for name in ("job_type", "operation", "object", "created_by_id")))
            wanted.append((*shown, name_of(job), job["state"], *times, as_of, *ages, "query"))

    assert Counter(rows(file, "select * from stuck_jobs")) == Counter(wanted)
    assert len(wanted) > 100


def test_the_timeline_has_everything_in_the_tables(planted: tuple[Path, dict[str, list[Row]]]) -> None:
    """If the stamp did not move since the previous version or the creation, the listing noticed the change."""
    file, tables = planted
    wanted, created = [], {key: job["created_date"] for key, job in by_job(tables["query_jobs"]).items()}
    for job in tables["query_jobs"]:
        made = [job["job_type"], job["operation"], "of", job["object"], "by", name_of(job)]
        wanted.append((job, job["created_date"], "created", "createdDate", " ".join(word for word in made if word)))
    before: dict[str, Any] = {}
    for version in sorted(tables["query_job_states"], key=lambda row: (row["org_id"], row["id"], row["observed_at"])):
        still = version["system_modstamp"] == before.get("system_modstamp")
        if before.get("id") != version["id"]:
            at = created[version["org_id"], version["id"]]
            still = version["state"] not in ("Open", "UploadComplete") and not (at and version["system_modstamp"] > at)
        at, source = (version["observed_at"], "listing") if still else (version["system_modstamp"], "systemModstamp")
        wanted.append(
            (version, at, version["state"], source, f"first observed at {version['observed_at']:%Y-%m-%d %H:%M} UTC")
        )
        before = version
    for answer in tables["job_details"]:
        processed, failed = answer["number_records_processed"], answer["number_records_failed"]
        said = [f"{processed} records processed" if processed else None, None if failed is None else f"{failed} failed"]
        detail = "; ".join(word for word in (*said, answer["error_message"], answer["error"]) if word)
        wanted.append((answer, NOW, f"details {answer['outcome']}", "answer", detail))
    for away in tables["unlisted_jobs"]:
        wanted.append((away, away["unlisted_at"], "no longer listed", "listing", None))
        if away["listed_again_at"]:
            wanted.append((away, away["listed_again_at"], "listed again", "listing", None))

    found = Counter(rows(file, "select * from job_timeline"))
    assert found == Counter((row["org_id"], row["id"], *event) for row, *event in wanted)


def test_sensitive_jobs_delete_or_read_what_was_deleted(planted: tuple[Path, dict[str, list[Row]]]) -> None:
    """By whom, and how they ended, as in `jobs`."""
    file, tables = planted
    ends = {(org, job): end for org, job, end in rows(file, "select org_id, id, outcome from jobs")}
    details = by_job(tables["job_details"])
    wanted = []
    for job in tables["query_jobs"]:
        if job["operation"] in ("delete", "hardDelete", "queryAll"):
            key = job["org_id"], job["id"]
            shown = *(job[name] for name in ("job_type", "operation", "object", "created_by_id")), name_of(job)
            answer = (details.get(key, {}).get(f"number_records_{what}") for what in ("processed", "failed"))
            wanted.append((*key, *shown, job["created_date"], ends[key], *answer))

    assert Counter(rows(file, "select * from sensitive_jobs")) == Counter(wanted)


@pytest.mark.parametrize("view", ["stuck_jobs", "job_timeline", "sensitive_jobs"])
def test_the_readers_time_zone_does_not_matter(planted: tuple[Path, dict[str, list[Row]]], view: str) -> None:
    """Even where times are part of a text."""
    file, _ = planted
    assert Counter(rows_elsewhere(file, view)) == Counter(rows(file, f"select * from {view}"))
