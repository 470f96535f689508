"""A record of one listing that the other one joins: files and kept listings of earlier versions, and what was known
before both had ended."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from processes import holding
from recorded_story import FILES, HERE, Story, credentials, unpack, working_in
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.recording.load import record
from pipelines.warehouse.as_of import opened_as_of
from pipelines.warehouse.sealed_json import unseal

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
BOTH = '["query", "ingest"]'


@pytest.fixture
def recorder(recorder_of: Callable[..., Recorder], org: DemoOrg, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = recorder_of(org)
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", BOTH)
    return made


def then(recorder: Recorder, at: str) -> dict[str, list[tuple[object, ...]]]:
    """Jobs, states, spans and coverage as of that time, by feed."""
    with opened_as_of(recorder.warehouse, at) as warehouse:
        return {
            what: sorted(tuple(row.values()) for row in warehouse.rows(sql))
            for what, sql in {
                "jobs": "select feed, id from (select 'query' as feed, id from query_jobs union all "
                "select 'ingest', id from ingest_jobs)",
                "spans": "select distinct feed, id from state_spans",
                "coverage": "select feed, listings from coverage",
            }.items()
        }


def test_between_the_ends_of_both_listings_only_one_is_known(recorder: Recorder, org: DemoOrg) -> None:
    """Both start in the same second; the other one's jobs are not known before its end, be it the first or not."""
    org.page_size = 1
    queries, loads = ([org.add_job(jobType=one) for _ in range(2)] for one in ("V2Query", "V2Ingest"))

    def wait(org: DemoOrg, feed: str, page: int) -> None:
        if (feed, page) == ("ingest", 2):
            while not ended():
                pass
            org.advance(60 * SECOND)

    def ended() -> bool:
        pages = sum(request.path.endswith("/query") for request in org.requests)
        return pages > 0 and pages % 2 == 0

    org.before_answer = wait
    recorder.load()
    between, after = f"{NOON + 30 * SECOND}", f"{NOON + 60 * SECOND}"
    mine = [("query", job) for job in queries]
    assert then(recorder, between) == {"jobs": mine, "spans": mine, "coverage": [("query", 1)]}
    all_of_it = sorted([*mine, *(("ingest", job) for job in loads)])
    assert then(recorder, after) == {"jobs": all_of_it, "spans": all_of_it, "coverage": [("ingest", 1), ("query", 1)]}


@pytest.mark.parametrize("archive", sorted(HERE.glob("*.tar.xz")), ids=lambda archive: archive.stem)
def test_a_recording_of_an_earlier_version_with_loads_among_the_queries(recorder: Recorder, archive: Path) -> None:
    """As where /jobs/query shows loads, too. They move with their states and absences, and are not observed anew."""
    story = Story()
    for chapter in (story.begin, story.move, story.expire, story.be_locked_out, story.go_on):
        chapter()
    org, (still, moved, gone) = story.org, (story.jobs[n] for n in (6, 13, 4))
    unpack(archive, recorder.home)
    with working_in(recorder.home), serving(org):
        with duckdb.connect(FILES.primary_file) as primary:
            primary.execute(
                "update salesforce.query_jobs set job_type = 'V2Ingest' where id in ($1, $2, $3)", [still, moved, gone]
            )
            states = f"select id, state, observed_at from salesforce.query_job_states where id in ('{still}', '{moved}', '{gone}')"
            before = set(primary.execute(states).fetchall())
        org.lists_loads = True
        for job in (still, moved):
            org.edit_job(job, jobType="V2Ingest")
            org.ingest_jobs[job] = org.jobs.pop(job)
        record(FILES, credentials(org))
        rows = partial(recorder.rows, file=recorder.home / FILES.warehouse)
        assert {job for (job,) in rows("select id from ingest_jobs")} == {still, moved}
        assert rows(f"select id from query_jobs where id in ('{still}', '{moved}')") == []
        after = set(rows(states.replace("query_job", "ingest_job"))) | set(rows(states))
        assert before <= after
        assert sorted(state for job, state, _ in after - before) == ["Failed"]
        assert rows(f"select feed from unlisted_jobs where id = '{gone}'") == [("query",)]
        assert rows(f"select id from unlisted_jobs where id in ('{still}', '{moved}')") == []
        assert rows("select id from all_jobs group by org_id, id having count(*) > 1") == []
        assert rows("select distinct feed from listings order by 1") == [("ingest",), ("query",)]
        org.advance(HOUR)
        org.delete_job(moved)
        assert record(FILES, credentials(org)).jobs_changed == 0
        assert rows(f"select feed from unlisted_jobs where id = '{moved}'") == [("ingest",)]


def test_listings_kept_before_there_was_a_second_one(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They name no feed: as files of an earlier version, they are of /jobs/query."""
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query"]')
    first = org.add_job()
    recorder.load()
    org.advance(HOUR)
    second = org.add_job()
    with holding(recorder.primary_file), pytest.raises(Exception, match="is kept"):
        recorder.load()
    forget_feeds(recorder)
    org.advance(HOUR)
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", BOTH)
    load = org.add_job(jobType="V2Ingest")
    org.delete_job(first)
    recorder.load()
    assert recorder.rows("select feed, count(*) from listings group by all order by all") == [
        ("ingest", 1), ("query", 3),
    ]  # fmt: skip
    assert recorder.rows("select id from query_jobs order by id") == [(first,), (second,)]
    assert recorder.rows("select id from ingest_jobs") == [(load,)]
    assert recorder.rows("select id, feed, last_listed_at from unlisted_jobs") == [(first, "query", NOON + HOUR)]


def forget_feeds(recorder: Recorder) -> None:
    """Makes kept listings those of a version that knew no feed."""
    for meta in (recorder.state_folder / "kept").glob("*/kept.json"):
        given = unseal(meta.read_text())
        for name in given["files"]:
            file = meta.with_name(name)
            rows = pq.read_table(file)
            pq.write_table(rows.drop_columns([c for c in rows.column_names if c == "feed"]), file)
            given["files"][name] = hashlib.sha256(file.read_bytes()).hexdigest()
        meta.write_text(json.dumps(given))
