"""`check` on the command line: findings or none, exit codes, JSON, several orgs, hostile names, and the demo's
problems."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from planted import DAY, HOUR, NOW, ORG, plant
from recorders import Recorder

from pipelines.answers.check import Thresholds, check, read_thresholds
from pipelines.config.settings import Settings, warehouse_to_read
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import ConfigError
from pipelines.warehouse.file_identity import new_identity, write_identity
from pipelines.warehouse.reader import opened

EVIL = "\x1b[31mred\x1b[0m\n\u202eEVIL\x07"


@pytest.mark.slow
def test_load_and_check_are_silent_on_a_healthy_day(recorder_of: Callable[[DemoOrg], Recorder]) -> None:
    """With real clocks, as cron runs them: nothing on either stream, and exit code 0 from both."""
    org = DemoOrg(now=datetime.now(UTC) - timedelta(hours=3))
    with serving(org):
        recorder = recorder_of(org)
        for state in ("JobComplete", "Failed", "JobComplete", "InProgress"):
            org.add_job(state=state)
        org.advance(datetime.now(UTC) - org.now)
        for command in (["load", "--quiet"], ["check"]):
            run = recorder.run(*command, QUERY_JOBS__FETCH_ORG_METADATA="true", QUERY_JOBS__DETAILS_PER_RUN="10")
            assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
        reported = json.loads(recorder.run("check", "--json").stdout)

    assert reported == {"warehouse": str(recorder.warehouse), "demo": False, "findings": []}


def test_findings_end_with_exit_code_1(recorder: Recorder, tmp_path: Path) -> None:
    """On stdout, with how to mute them; the file is released."""
    file = plant(tmp_path / "w.duckdb", query_jobs=[{"state": "InProgress", "created_date": NOW - 3 * DAY}])
    run = recorder.run("check", "--warehouse", str(file))

    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.startswith("URGENT COVERAGE in ")
    assert "\n\nUNFINISHED in " in run.stdout
    assert run.stdout.endswith("muted_findings in .dlt/config.toml.\n")
    duckdb.connect(file).close()


@pytest.mark.slow
def test_json_has_every_id_and_number(recorder: Recorder, tmp_path: Path) -> None:
    """Even those that the message leaves out."""
    jobs = [{"state": "Open", "job_type": "Classic", "created_date": NOW - 3 * DAY}] * 9
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs)
    run = recorder.run("check", "--json", "--warehouse", str(file))
    (finding,) = [found for found in json.loads(run.stdout)["findings"] if found["kind"] == "unfinished"]

    assert run.returncode == 1
    assert set(finding) == {
        "kind", "key", "org_id", "org", "message", "remedy", "urgent", "ids", "numbers", "configured_name",
    }  # fmt: skip
    assert finding["numbers"] == {"jobs": 9, "oldest_hours": 72.0}
    assert len(set(finding["ids"])) == 9
    text = recorder.run("check", "--warehouse", str(file)).stdout
    assert "and 4 more" in text


def test_a_muted_finding_is_silenced_and_no_other(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its key, from the environment or config.toml."""
    jobs = [{"state": state, "created_date": NOW - 3 * DAY} for state in ("InProgress", "UploadComplete")]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs)
    found = check(file, Thresholds(), now=NOW)
    monkeypatch.setenv("CHECK__MUTED_FINDINGS", json.dumps([found[0].key]))

    assert len(found) == 2
    assert check(file, read_thresholds(), now=NOW) == found[1:]


def test_each_org_is_judged_on_its_own(tmp_path: Path) -> None:
    """One is still recorded, the other no longer; each one's jobs are reported under its name."""
    file = plant(
        tmp_path / "w.duckdb",
        listings=[{}, {"org_id": "00DX", "started_at": NOW - 2 * DAY}],
        orgs=[{"name": "Acme"}, {"org_id": "00DX", "name": "Umbrella"}],
        query_jobs=[
            {"state": "InProgress", "created_date": NOW - 2 * DAY},
            {
                "org_id": "00DX", "state": "InProgress", "created_date": NOW - 2 * DAY - HOUR,
                "observed_at": NOW - 2 * DAY,
            },
        ],
    )  # fmt: skip
    found = check(file, Thresholds(), now=NOW)

    assert [(finding.kind, finding.org, finding.org_id) for finding in found] == [
        ("unfinished", "Acme", ORG),
        ("coverage", "Umbrella", "00DX"),
    ]


@pytest.mark.parametrize(
    ("filters", "ages", "reported"),
    [
        (["{}", '{"jobType": "Classic"}'], [30, 1], True),  # a newer filtered listing proves nothing
        (['{"jobType": "Classic"}', '{"jobType": "Classic"}'], [30, 1], False),
        (['{"jobType": "Classic"}'], [30], True),
        (["{}", "{}"], [30, 1], False),
    ],
)
def test_the_last_complete_listing_is_what_counts(tmp_path: Path, filters, ages, reported: bool) -> None:
    """If the recorder always filters, the last one of any kind."""
    listings = [{"filters": f, "started_at": NOW - age * HOUR} for f, age in zip(filters, ages, strict=True)]
    found = check(plant(tmp_path / "w.duckdb", listings=listings), Thresholds(), now=NOW)

    assert [finding.kind for finding in found] == ["coverage"] * reported


@pytest.mark.parametrize(
    ("age", "urgent", "word"), [(4.9, False, "will be"), (5.0, True, "will be"), (7.0, True, "have been")]
)
def test_coverage_about_to_break_is_urgent(tmp_path: Path, age: float, urgent: bool, word: str) -> None:
    """It comes first, with the hour from which on jobs are lost."""
    jobs = [{"state": "InProgress", "created_date": NOW - 3 * DAY}]
    first, *_ = found = check(plant(tmp_path / "w.duckdb", query_jobs=jobs), Thresholds(), now=NOW + age * DAY)

    assert len(found) == 2
    assert first.urgent == urgent
    assert ("coverage" in first.kind) or not urgent
    (coverage,) = [finding for finding in found if finding.kind == "coverage"]
    assert f"{word} lost from 2026-11-23 06:00 UTC on" in coverage.message


def test_urgent_things_come_first(tmp_path: Path) -> None:
    """Whichever org they belong to; a listing that had to restart is complete as of then."""
    file = plant(
        tmp_path / "w.duckdb",
        listings=[
            {"started_at": NOW - 6 * DAY, "restarted_at": NOW - DAY},
            {"org_id": "00DX", "started_at": NOW - 5 * DAY},
        ],
        orgs=[{"name": "Acme"}, {"org_id": "00DX", "name": "Umbrella"}],
    )
    found = check(file, Thresholds(), now=NOW)

    assert [(finding.org, finding.urgent) for finding in found] == [("Umbrella", True), ("Acme", False)]


@pytest.mark.slow
def test_hostile_names_do_nothing_to_a_terminal(recorder: Recorder, tmp_path: Path) -> None:
    """In all text from Salesforce; JSON is for programs, and escapes them as well."""
    failing = {"object": EVIL, "created_by_id": "005E", "state": "Failed"}
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[
            *({**failing, "created_date": NOW - n * HOUR} for n in range(1, 9)),
            {"id": EVIL, "object": EVIL, "state": EVIL, "created_by_id": "005E", "created_date": NOW - 2 * DAY},
        ],
        users=[{"id": "005E", "name": EVIL}],
        orgs=[{"name": EVIL}],
        job_details=[{"id": f"750{n:012}AAA", "error_message": EVIL} for n in range(1, 9)],
        rejected_records=[
            {"record_hash": "1", "reason": EVIL, "first_observed_at": NOW, "last_observed_at": NOW, "record": "{}"}
        ],
    )
    for arguments in ([], ["--json"]):
        run = recorder.run("check", "--warehouse", str(file), *arguments)
        assert run.returncode == 1
        assert "EVIL" in run.stdout
        assert all(c.isprintable() or c == "\n" for c in run.stdout)
    lines = recorder.run("check", "--warehouse", str(file)).stdout.splitlines()
    assert not [line for line in lines if line.startswith("EVIL")]


def of_another_version(file: Path) -> None:
    with duckdb.connect(file) as connection:
        connection.execute("alter table salesforce.listings rename column jobs_listed to listed")


def of_an_earlier_demo(file: Path) -> None:
    with duckdb.connect(file) as connection:
        write_identity(connection, new_identity(demo=True))
        connection.execute("drop view salesforce.recorded_orgs")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: None, "There is no warehouse"),
        (lambda file: file.write_bytes(b"no database" * 999), "is not a readable DuckDB file"),
        (lambda file: duckdb.connect(file).close(), "does not have what this version reads"),
        (lambda file: of_another_version(plant(file)), "does not have what this version reads"),
        (lambda file: of_an_earlier_demo(plant(file)), "does not have what this version reads"),
    ],
    ids=["none", "other file", "empty", "other version", "earlier demo"],
)
@pytest.mark.parametrize("command", ["check", "report"])
def test_a_file_that_is_not_a_warehouse_is_named(
    recorder: Recorder, tmp_path: Path, command: str, make: Callable[[Path], Any], said: str
) -> None:
    """78, with a message, and nothing on stdout."""
    make(tmp_path / "w.duckdb")
    run = recorder.run(command, "--warehouse", str(tmp_path / "w.duckdb"))

    assert (run.returncode, run.stdout) == (78, "")
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_a_copy_locked_by_a_writer_is_a_temporary_error(recorder: Recorder, tmp_path: Path) -> None:
    """75: try again later."""
    file = plant(tmp_path / "w.duckdb")
    with duckdb.connect(file):
        run = recorder.run("check", "--warehouse", str(file))

    assert run.returncode == 75
    assert "is open for writing in another program" in run.stderr


@pytest.mark.parametrize("given", ["much", "nan", "-1", "1e30"])
def test_a_wrong_threshold_is_named(recorder: Recorder, tmp_path: Path, given: str) -> None:
    """78, as for any other setting."""
    file = plant(tmp_path / "w.duckdb")
    run = recorder.run("check", "--warehouse", str(file), CHECK__ALLOWANCE_PERCENT=given)

    assert run.returncode == 78
    assert "allowance_percent" in run.stderr


@pytest.mark.parametrize("records", [0, None])
def test_a_load_whose_batches_all_failed_has_no_count_of_records(tmp_path: Path, records: int | None) -> None:
    """It is reported all the same."""
    load = {"job_type": "Classic", "operation": "insert", "object": "Lead", "state": "Closed"}
    counts = {"number_records_processed": records, "number_records_failed": records}
    batches = {"number_batches_failed": 2, "number_batches_completed": 0, "number_batches_total": 2}
    details = [{"id": f"750{1:012}AAA", **counts, **batches}]
    (finding,) = check(plant(tmp_path / "w.duckdb", query_jobs=[load], job_details=details), Thresholds(), now=NOW)

    assert "shows as Closed, but every batch failed;" in finding.message


def test_an_allowance_used_up_by_unseen_jobs_is_reported(tmp_path: Path) -> None:
    """The org's own counter includes jobs that no listing ever showed; the reason is not known: they may have been
    deleted, or hidden by a filter."""
    limit = {"listing_id": "listing 0", "limit_name": "DailyBulkV2QueryJobs", "max": 100, "remaining": 10}
    (finding,) = check(plant(tmp_path / "w.duckdb", org_limits=[limit]), Thresholds(), now=NOW)

    assert finding.message.endswith("none of them was ever recorded.")


def test_two_users_with_the_same_name_are_two_findings(tmp_path: Path) -> None:
    """And a key does not change when the name becomes known."""
    jobs = [{"state": "InProgress", "created_date": NOW - 2 * DAY, "created_by_id": user} for user in ("005A", "005B")]
    users = [{"id": user, "name": "Integration"} for user in ("005A", "005B")]
    named = check(plant(tmp_path / "a.duckdb", query_jobs=jobs, users=users), Thresholds(), now=NOW)
    unnamed = check(plant(tmp_path / "b.duckdb", query_jobs=jobs), Thresholds(), now=NOW)

    assert len(named) == 2
    assert {finding.key for finding in named} == {finding.key for finding in unnamed}


def test_all_problems_of_the_demo_org_are_found(filled: Settings) -> None:
    """The failing extract, the job left in progress, the spent allowance, the loads that only look done."""
    found = {finding.kind: finding for finding in check(filled.warehouse, Thresholds(), now=NOW)}

    assert "query of Lead (V2Query) by Data Warehouse has failed" in found["failing"].message
    assert "Field name not found" in found["failing"].message
    assert found["unfinished"].message == "1 query job of Data Warehouse on Case is still InProgress, after 5.0 days."
    assert "Order Sync on Order" in found["allowance"].message
    assert "by Billing Loader" in (lost := found["closed but failed"].message) or "of Billing Loader" in lost
    assert "coverage" not in found


def test_readers_use_the_given_file_or_the_users_own_or_the_demos(recorder: Recorder, tmp_path: Path) -> None:
    """In this order; if there is none of them, the message says how to make one."""
    given, demo = plant(tmp_path / "given.duckdb"), tmp_path / "demo.duckdb"
    assert warehouse_to_read(given, demo) == given
    with pytest.raises(ConfigError, match="There is no warehouse") as raised:
        warehouse_to_read(None, demo)
    assert raised.value.remedy == "The first load creates it: make load. To try it without an org: make demo"
    plant(demo)
    assert warehouse_to_read(None, demo) == demo
    with pytest.raises(ConfigError, match="There is no warehouse") as raised:
        warehouse_to_read(None, None)  # as for `metrics`: another demo would not help
    assert "make demo" not in raised.value.remedy
    assert "--warehouse" in raised.value.remedy
    with pytest.raises(ConfigError, match="There is no warehouse") as raised, opened(tmp_path / "none.duckdb"):
        pass
    assert "demo/warehouse.duckdb" in raised.value.remedy
    plant(recorder.warehouse)
    assert warehouse_to_read(None, demo) == recorder.warehouse
