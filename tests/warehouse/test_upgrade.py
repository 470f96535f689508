"""What an earlier version recorded, and the listings that it left in dlt's home, go on under this one.

The recordings are real ones (make_upgrade_asset.py), each made with DuckDB 1.5 and with 2.0: under either of the two,
one half of them is written by the other. They are older than this code, so what it lacks is what a real upgrade lacks.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from planted import rows, spans_by_hand
from recorded_story import BEGIN, FILES, HERE, HOME, HOUR, Story, credentials, unpack, working_in

from pipelines.answers.check import Thresholds, check
from pipelines.answers.report import write_report
from pipelines.demo_org.server import serving
from pipelines.recording.load import record
from pipelines.recording.message_templates import message_template
from pipelines.recording.run import Run
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.renamed_columns import RENAMED
from pipelines.warehouse.schema import read_header, views

pytestmark = pytest.mark.slow_cases

ARCHIVES = sorted(HERE.glob("*.tar.xz"))
LOCKED_OUT, UPGRADED = BEGIN + 152 * HOUR, BEGIN + 153 * HOUR
Rows = dict[tuple[Any, ...], dict[str, Any]]


def ids(archive: Path) -> str:
    """Version, and DuckDB's version."""
    return archive.name.removesuffix(".tar.xz")


@dataclass(frozen=True)
class Upgrade:
    """A recording of an earlier version: all rows as it left them, after one load of this code, and after a second."""

    story: Story
    warehouse: Path
    run: Run
    before: dict[str, Rows]
    after: dict[str, Rows]
    second: tuple[Run, ...]
    later: dict[str, Rows]


@pytest.fixture(scope="module", params=ARCHIVES, ids=ids)
def upgrade(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Upgrade:
    """A recording, loaded further: first with the orgs where it ended and one hour later; an hour after that, one job
    is deleted."""
    home, story = tmp_path_factory.mktemp("upgrade"), Story()
    unpack(request.param, home)
    for chapter in (story.begin, story.move, story.expire, story.be_locked_out, story.go_on):
        chapter()
    with working_in(home), serving(story.org), serving(story.sandbox):
        before = stored(FILES.primary_file)
        run = record(FILES, credentials(story.org))
        after = stored(FILES.warehouse)
        story.end()
        second = tuple(record(FILES, credentials(org)) for org in (story.org, story.sandbox))
        return Upgrade(story, home / FILES.warehouse, run, before, after, second, stored(FILES.warehouse))


def stored(file: Path) -> dict[str, Rows]:
    """Table -> key -> row for each existing table, without dlt's own columns, under present column names. A duplicate
    key fails."""
    found: dict[str, Rows] = {}
    with duckdb.connect(file, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for table in TABLES:
            try:
                rows = connection.sql(f"select * from {DATASET}.{table.name}").to_arrow_table().to_pylist()
            except duckdb.CatalogException:
                continue
            key = table.key
            found[table.name] = {
                tuple(row[k] for k in key): {RENAMED.get(c, c): v for c, v in row.items() if not c.startswith("_dlt")}
                for row in rows
            }
            assert len(found[table.name]) == len(rows), table.name
    return found


def changed(before: dict[str, Rows], after: dict[str, Rows]) -> dict[str, set[tuple[Any, ...]]]:
    """The keys of the rows that are gone or have another value; columns that were added later are null in old rows."""
    return {
        table: {key for key, row in rows.items() if not row.items() <= after[table].get(key, {}).items()}
        for table, rows in before.items()
    }


def test_rows_of_an_earlier_version_say_which_listing_they_are_about(upgrade: Upgrade) -> None:
    """Those of kept listings as well: all but this run's are about the one listing that it knew."""
    for table in ("listings", "unlisted_jobs"):
        assert all("feed" not in row for row in upgrade.before.get(table, {}).values())
        earlier = [
            row for row in upgrade.after[table].values() if row.get("started_at", row.get("unlisted_at")) < UPGRADED
        ]
        assert {row["feed"] for row in earlier} == ({"query"} if table in upgrade.before else set())
    now = [row["feed"] for row in upgrade.after["listings"].values() if row["started_at"] == UPGRADED]
    assert sorted(now) == ["ingest", "query"]


def test_a_load_continues_where_an_earlier_version_left_off(upgrade: Upgrade) -> None:
    """Stored rows only change or go if the org changed, and the kept listings came in first."""
    org, jobs, before, after = upgrade.story.org, upgrade.story.jobs, upgrade.before, upgrade.after
    assert len(before["query_jobs"]) == 44
    assert upgrade.run.resumed == 2

    moved = {(org.org_id, jobs[9]), (org.org_id, jobs[13])}
    may_change = {
        "query_jobs": moved,
        "state_spans": {key for key in before.get("state_spans", {}) if key[:2] in moved},  # they have an end now
        "rejected_records": set(before["rejected_records"]),  # when it was last seen
        # requested again by the listing that could not know them
        **{table: {key for key in before.get(table, {}) if key[0] == org.org_id} for table in ("users", "orgs")},
    }
    assert changed(before, after) == {table: may_change.get(table, set()) for table in before}
    # observed_at: of what only the kept listings showed, its time; of what is new, that of this one
    for job, state, at in (
        (jobs[9], "JobComplete", LOCKED_OUT),
        (jobs[-3], "JobComplete", LOCKED_OUT),
        (jobs[13], "Failed", UPGRADED),
        (jobs[-2], "InProgress", UPGRADED),
        (jobs[-1], "JobComplete", UPGRADED),
    ):
        row = after["query_jobs"][org.org_id, job]
        assert (row["state"], row["observed_at"]) == (state, at)
    for key, row in before["rejected_records"].items():
        assert after["rejected_records"][key]["first_observed_at"] == row["first_observed_at"]
    starts = sorted(row["started_at"] for row in after["listings"].values())
    assert starts[-4:] == [LOCKED_OUT, LOCKED_OUT, UPGRADED, UPGRADED]  # this run read both listings
    assert len(starts) == len(before["listings"]) + 4


def test_the_load_after_that_finds_nothing_new(upgrade: Upgrade) -> None:
    """In neither org; states are those of the orgs, and jobs that are gone are recorded as missing."""
    org = upgrade.story.org
    assert [run.snapshot.jobs_changed for run in upgrade.second] == [0, 0]
    assert changed(upgrade.after, upgrade.later) == {
        table: set(rows) if table == "rejected_records" else set() for table, rows in upgrade.after.items()
    }
    stored_states = {key[1]: row["state"] for key, row in upgrade.later["query_jobs"].items() if key[0] == org.org_id}
    assert {job: record["state"] for job, record in org.jobs.items()}.items() <= stored_states.items()

    away = {key[1] for key, row in upgrade.later["unlisted_jobs"].items() if row["listed_again_at"] is None}
    if "unlisted_jobs" in upgrade.before:
        assert away == stored_states.keys() - org.jobs.keys()
    row = upgrade.later["unlisted_jobs"][org.org_id, upgrade.story.jobs[-1], UPGRADED + HOUR]
    assert (row["last_listed_at"], row["unlisted_at"]) == (UPGRADED, UPGRADED + HOUR)


def test_what_an_earlier_version_did_not_record_begins_with_the_first_load(upgrade: Upgrade) -> None:
    """Spans for the whole history, details, names and limits."""
    org, jobs, after = upgrade.story.org, upgrade.story.jobs, upgrade.after
    assert {table.name for table in TABLES} == after.keys()

    states = [tuple(row.values()) for row in after["query_job_states"].values()]
    assert sorted((tuple(row.values()) for row in after["state_spans"].values()), key=str) == spans_by_hand(states)
    finished = {job for job, row in org.jobs.items() if row["state"] in ("JobComplete", "Failed", "Closed")}
    assert finished - {jobs[-1]} <= {key[1] for key in after["job_details"]}
    assert after["job_details"][org.org_id, jobs[13]]["error_message"] == "After the upgrade"
    assert {row["name"] for row in after["users"].values()} >= {"Amara", "Billing", "Kiran"}
    assert after["orgs"][org.org_id,]["name"] == "Demo Org"
    queries = [row for row in after["listings"].values() if row["feed"] == "query"]
    newest = max(queries, key=lambda row: row["started_at"])
    assert newest["listing_id"] in {key[1] for key in after["org_limits"]}


def test_the_latest_shown_of_staged_rows_is_kept_after_an_upgrade(upgrade: Upgrade) -> None:
    """dlt keeps the hints of earlier versions, which used system_modstamp, and sorts by the first one it finds."""
    ((schema,),) = rows(upgrade.warehouse, "select schema from _dlt_version order by inserted_at desc limit 1")
    columns = json.loads(schema)["tables"]["query_jobs"]["columns"]

    assert [name for name, column in columns.items() if column.get("dedup_sort")] == ["current_since"]


def test_every_view_works_after_an_upgrade(upgrade: Upgrade) -> None:
    """With every column in its header; and everything that has a meaning here has a comment."""
    file, failed = upgrade.warehouse, upgrade.story.jobs[13]
    with duckdb.connect(file, read_only=True) as connection:
        for name, sql in views().items():
            columns = [column for column, _, _ in read_header(sql)[1]]
            connection.execute(f"select {', '.join(columns)} from {DATASET}.{name}").fetchall()
    assert rows(file, "select count(*) from jobs") == [(len(upgrade.later["query_jobs"]),)]
    assert rows(file, f"select error from failures where id = '{failed}'") == [("After the upgrade",)]
    uncommented = f"""
        select table_name, column_name from duckdb_columns()
        where schema_name = '{DATASET}' and comment is null and not regexp_matches(table_name || column_name, '_dlt')
    """
    assert rows(file, uncommented) == [("query_jobs", "of_tomorrow")]
    assert "rejected" in {finding.kind for finding in check(file, Thresholds())}


def test_recorded_errors_have_their_templates(upgrade: Upgrade) -> None:
    """For answers recorded by an earlier version, and by this one; without an error there is none."""
    before = {key for key, row in upgrade.before.get("job_details", {}).items() if row["error_message"] is not None}
    details = upgrade.after["job_details"]

    assert {key: row["error_template"] for key, row in details.items()} == {
        key: None if row["error_message"] is None else message_template(row["error_message"])
        for key, row in details.items()
    }
    assert ("job_details" in upgrade.before) == bool(before)
    assert {details[key]["error_template"] for key in before} <= {"InvalidBatch : Field name not found", "Timeout"}


@pytest.mark.parametrize("archive", [archive for archive in ARCHIVES if "0.1.0" in archive.name], ids=ids)
def test_a_job_that_an_earlier_version_missed_may_come_back_and_go_again(archive: Path, tmp_path: Path) -> None:
    """Then there are two rows, in a table whose key was the job alone; and dlt's schema of the file has the new key."""
    story = Story()
    unpack(archive, tmp_path)
    story.begin()
    job, record_of_job = story.jobs[2], dict(story.org.jobs[story.jobs[2]])
    for chapter in (story.move, story.expire, story.be_locked_out, story.go_on):
        chapter()
    with working_in(tmp_path), serving(story.org):
        before = stored(FILES.primary_file)["unlisted_jobs"]
        story.org.jobs[job] = record_of_job
        record(FILES, credentials(story.org))
        story.org.delete_job(job)
        for _ in range(2):
            story.org.advance(HOUR)
            record(FILES, credentials(story.org))
        after = stored(FILES.warehouse)["unlisted_jobs"]

    went = BEGIN + HOUR
    again = {key[2]: row for key, row in after.items() if key[1] == job}
    assert [key[2] for key in before if key[1] == job] == [went]
    assert {at: (row["last_listed_at"], row["listed_again_at"]) for at, row in again.items()} == {
        went: (BEGIN, UPGRADED),
        UPGRADED + HOUR: (UPGRADED, None),
    }
    assert before.keys() <= after.keys()
    ((schema,),) = rows(tmp_path / FILES.warehouse, "select schema from _dlt_version order by inserted_at desc limit 1")
    columns = json.loads(schema)["tables"]["unlisted_jobs"]["columns"]
    assert {name for name, column in columns.items() if column.get("primary_key")} == {"org_id", "id", "unlisted_at"}


@pytest.mark.slow
@pytest.mark.parametrize("upgrade", ARCHIVES[-1:], indirect=True, ids=ids)
def test_the_report_draws_what_an_earlier_version_recorded(upgrade: Upgrade, tmp_path: Path) -> None:
    """Of the oldest recording; pictures take seconds, and read only the views."""
    write_report(upgrade.warehouse, tmp_path / "report.html", 30)

    assert "After the upgrade" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("archive", ARCHIVES, ids=ids)
def test_a_recording_names_no_machine(archive: Path, tmp_path: Path) -> None:
    """Only state.json notes where dlt ran; it contains a placeholder instead."""
    unpack(archive, tmp_path)
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        data = file.read_bytes().replace(str(tmp_path).encode(), HOME.encode())
        assert not any(place in data for place in (b"/tmp/", b"/root/", b"/home/", b"/Users/")), file
        if file.name == "state.json":
            assert json.loads(data)["_local"]["initial_cwd"] == HOME
    assert archive.stat().st_size < 150_000


def test_there_are_recordings_of_both_versions_of_duckdb() -> None:
    """So that each of the two environments continues what the other one wrote."""
    kept = {tuple(ids(archive).split("-duckdb-")) for archive in ARCHIVES}

    assert kept == {(version, engine) for version in ("0.1.0", "before-details") for engine in ("1.5", "2.0")}
