"""Endless listings, and pages larger than any org's: the load ends, and leaves nothing behind that cannot be loaded."""

import itertools
import json
from typing import Any

import pytest
from hostile_records import STAMP
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.errors import InvalidResponse
from pipelines.recording import org_metadata
from pipelines.recording.records import MAX_COLUMNS, MAX_NAMES, NewFields, jobs_to_arrow
from pipelines.salesforce import job_pages

LISTING = r"/jobs/query$"
ORG = "00D000000000001EAA"


def page(number: int, *records: Any, done: bool = False) -> str:
    url = f"/services/data/v68.0/jobs/query?queryLocator=01g-{number}"
    return json.dumps({"done": done, "records": records, "nextRecordsUrl": None if done else url})


def job(number: int, **fields: object) -> dict[str, object]:
    return {"id": f"750{number:015}", "state": "Open", "createdDate": STAMP, "systemModstamp": STAMP} | fields


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "most", "pages", "said"),
    [
        ("MAX_EMPTY_PAGES", 20, map(page, itertools.count()), "no plausible end: 20 pages, the last 20 of them empty"),
        ("MAX_PAGES", 30, (page(n, job(n)) for n in itertools.count()), "no plausible end: 30 pages, the last 0 of them empty"),
        ("MAX_PAGES", 30, (page(n, job(0)) for n in itertools.count()), "no plausible end: 30 pages"),
        ("MAX_SECONDS", 0.2, (page(n, job(n)) for n in itertools.count()), " s so far"),
        ("MAX_BYTES", 50_000, (page(n, job(n, x="x" * 3_000)) for n in itertools.count()), "no plausible end: 16 pages"),
    ],
)  # fmt: skip
def test_an_endless_listing_is_stopped(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, limit: str, most: float, pages: Any, said: str
) -> None:
    """Empty pages, new jobs or the same jobs again and again: each page names another one."""
    monkeypatch.setattr(job_pages, limit, most)
    kept = org.add_job()
    for body in itertools.islice(pages, 2_000):
        org.fail_next(200, body, path=LISTING)
    found = recorder.failure()

    assert isinstance(found, InvalidResponse)
    assert said in found.message
    org.faults.clear()
    recorder.load()
    assert set(recorder.states()) == {kept}


@pytest.mark.slow
@pytest.mark.parametrize("lost", [None, 1, 22], ids=["at one go", "restarted soon", "restarted late"])
def test_if_a_job_is_shown_twice_far_apart_the_last_row_is_kept(
    org: DemoOrg, recorder: Recorder, lost: int | None
) -> None:
    """With one stamp and two states, 24 pages later, or after a lost locator: even though the first was stored, too."""
    first, last = job(0, state="InProgress"), job(0, state="JobComplete")
    for _ in range(2):
        if lost:
            for number in range(lost):
                org.fail_next(200, page(number, job(0, state="UploadComplete") if number == 0 else job(number)))
            org.fail_next(400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "lost"}], path=LISTING)
        for number in range(25):
            shown = first if number == 0 else last if number == 24 else job(number)
            org.fail_next(200, page(100 + number, shown, done=number == 24), path=LISTING)
        run = recorder.load()
        assert run.snapshot.shown.jobs == 25
        assert recorder.states()[str(first["id"])] == "JobComplete"
    seen = {"InProgress", "JobComplete"} | ({"UploadComplete"} if lost else set())
    assert set(recorder.history(str(first["id"]))) == seen


@pytest.mark.slow
def test_implausibly_large_records_are_refused_before_they_are_kept(org: DemoOrg, recorder: Recorder) -> None:
    """As a package they could never be loaded: the loader's DuckDB has 256 MB. Slightly smaller ones are loaded."""
    kept = org.add_job()
    huge = [job(n, big=str(n) * 15_000_000) for n in range(3)]
    for number, one in enumerate(huge):
        org.fail_next(200, page(number, one, done=number == 2), path=LISTING)
    assert "MB for 3 jobs" in recorder.failure().message

    org.fail_next(200, page(0, huge[0]), path=LISTING)
    org.fail_next(200, page(1, *(job(n, big="x" * 1_000_000) for n in range(5, 15)), done=True), path=LISTING)
    recorder.load()
    recorder.load()
    assert recorder.rows("select sum(length(big)) from query_jobs") == [(25_000_000,)]
    assert kept in recorder.states()


def test_an_overlong_locator_is_refused(org: DemoOrg, recorder: Recorder) -> None:
    """It would have to be sent."""
    org.fail_next(200, page(10**3_000), path=LISTING)

    assert "has no queryLocator" in recorder.failure().message


def test_countless_fields_cost_a_page_no_more_than_its_size() -> None:
    """A hundred thousand names in a thousand records; beyond ten thousand, names are not remembered."""
    new_fields = NewFields()
    flood = {f"field{n}": n for n in range(100_000)}
    table, rejected = jobs_to_arrow([job(0, **flood), *(job(n) for n in range(1, 1_000))], ORG, new_fields)

    assert (table.num_rows, rejected) == (1_000, [])
    assert json.loads(table["extra_fields"][0].as_py()) == flood
    assert len(new_fields.columns) == MAX_NAMES


def test_the_number_of_columns_is_limited() -> None:
    """Fifty a run, and three hundred in all: known ones are still filled."""
    known: frozenset[str] = frozenset()
    for run in range(20):
        new_fields = NewFields(known)
        fields = {f"field{run}n{n}": "x" for n in range(50)}
        table, _ = jobs_to_arrow([job(0, **fields), job(1, field0n0="y")], ORG, new_fields)
        more = json.loads(table["extra_fields"][0].as_py() or "{}")
        placed = {name for name, column in new_fields.columns.items() if column}
        assert fields.keys() - more.keys() == fields.keys() & placed
        assert table["field0n0"][1].as_py() == "y"
        known = frozenset(known | set(table.column_names))
    assert len(known) <= MAX_COLUMNS


@pytest.mark.slow
def test_countless_users_are_fetched_in_parts(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limited number per run; the others in the next ones."""
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    monkeypatch.setattr(org_metadata, "MAX_USERS", 3)
    for n in range(5):
        org.add_job(createdById=f"005{n:015}")
    counts = []
    for _ in range(3):
        recorder.load()
        counts.append(recorder.rows("select count(*) from users")[0][0])

    assert counts == [3, 5, 5]
