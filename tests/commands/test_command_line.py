"""What cron sees, and the person on call at three in the morning: one line, nothing, or what is wrong and what to
do."""

import re
import signal
import time
from pathlib import Path

import duckdb
import pytest
from recorders import KEYS, Recorder

from pipelines.demo_org.org import DemoOrg


def test_a_run_prints_one_line(org: DemoOrg, recorder: Recorder) -> None:
    """Pages, jobs, changed, rejected, calls left, seconds, and the path of the warehouse."""
    org.page_size = 1_000
    for _ in range(1_203):
        org.add_job()
    org.add_raw({"state": "Open"})
    org.add_raw("no object")
    run = recorder.run()

    assert run.returncode == 0
    assert run.stderr == ""
    assert re.fullmatch(
        r"2 pages · 1,205 jobs · 1,203 changed · 2 rejected · 14,998 of 15,000 API calls left · "
        r"\d+\.\d s → warehouse\.duckdb\n",
        run.stdout,
    )


def test_quiet_prints_nothing_on_success(org: DemoOrg, recorder: Recorder) -> None:
    """So cron mails nothing."""
    org.add_job()
    run = recorder.run("load", "--quiet")

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.slow
def test_quiet_prints_nothing_in_a_second_run_or_with_a_new_field_either(org: DemoOrg, recorder: Recorder) -> None:
    """dlt's messages about null columns or changed schemas are not worth a mail."""
    org.add_job(lineEnding=..., columnDelimiter=...)
    for fields in ({}, {"newField": 1}, {"newField": "a"}, {"another": None}, {"nested": {"a": [1]}}):
        org.add_job(**fields)
        run = recorder.run("load", "--quiet")
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_without_credentials_no_request_is_sent_and_the_keys_are_named(org: DemoOrg, recorder: Recorder) -> None:
    """It never falls back to demo data."""
    run = recorder.run(**{f"{KEYS}{key}": "" for key in ("INSTANCE_URL", "CLIENT_ID", "CLIENT_SECRET")})

    assert run.returncode == 78
    assert run.stdout == ""
    for word in ("client_id", "private_key", "sf_cli_org", ".dlt/secrets.toml", KEYS, "make demo"):
        assert word in run.stderr
    assert "Traceback" not in run.stderr
    assert not org.requests
    assert not recorder.primary_file.exists()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SOURCES__SALESFORCE__API_BUDGET_PERCENT": "much"}, "api_budget_percent"),
        ({"QUERY_JOBS__LOCK_WAIT": "soon"}, "lock_wait"),
        ({"DESTINATION__DUCKDB__CREDENTIALS": "/no/such/directory/loader.duckdb"}, "/no/such/directory"),
        ({"QUERY_JOBS__WAREHOUSE": "/no/such/directory/warehouse.duckdb"}, "/no/such/directory"),
        ({"SOURCES__SALESFORCE__API_VERSION": "latest"}, "api_version"),
        ({"SOURCES__SALESFORCE__API_VERSION": "68"}, "Write it like 68.0."),
        ({f"{KEYS}INSTANCE_URL": "acme"}, "https://yourdomain.my.salesforce.com"),
        ({f"{KEYS}INSTANCE_URL": "ftp://example.com"}, "instance_url"),
    ],
)
def test_a_wrong_setting_is_named(org: DemoOrg, recorder: Recorder, environment, said) -> None:
    """78: retrying does not help until someone changes it."""
    run = recorder.run(**environment)

    assert run.returncode == 78, run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (403, "REQUEST_LIMIT_EXCEEDED", 75),
        (503, "SERVER_UNAVAILABLE", 75),
        (403, "API_DISABLED_FOR_ORG", 77),
        (404, "NOT_FOUND", 78),
        (400, "SOMETHING_ELSE", 70),
    ],
)
def test_the_exit_code_tells_the_kind_of_error(org: DemoOrg, recorder: Recorder, status, code, exit_code) -> None:
    """As documented in docs/operations.md."""
    org.fail_next(
        status, [{"errorCode": code, "message": "TotalRequests Limit exceeded."}], times=9, path="/jobs/query"
    )
    run = recorder.run()

    assert run.returncode == exit_code
    assert code in run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_a_refused_sign_in_is_77_and_shows_no_secret(org: DemoOrg, recorder: Recorder) -> None:
    """Not even with --verbose."""
    for verbose in ([], ["--verbose"]):
        run = recorder.run("load", *verbose, **{f"{KEYS}CLIENT_SECRET": "wrong-but-secret"})
        assert run.returncode == 77
        assert "Check client_id and client_secret" in run.stderr
        assert "wrong-but-secret" not in run.stderr
    assert "Traceback" in run.stderr


@pytest.mark.slow
def test_an_unexpected_error_is_70_without_a_traceback(org: DemoOrg, recorder: Recorder) -> None:
    """--verbose shows it."""
    recorder.run()
    with duckdb.connect(recorder.primary_file) as primary:
        primary.execute("drop view salesforce.failures; create table salesforce.failures as select 1 as one")
        primary.execute("drop macro salesforce.views_fingerprint")
    plain, verbose = recorder.run(), recorder.run("load", "--verbose")

    assert plain.returncode == 70
    assert "Traceback" not in plain.stderr
    assert "--verbose" in plain.stderr
    assert "Traceback" in verbose.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_exits_cleanly(org: DemoOrg, recorder: Recorder, number, code) -> None:
    """With the shell's exit codes and one sentence, and the next run catches up."""
    org.add_job()
    org.stall_next(20, path="/jobs/query")
    load = recorder.start()
    for _ in range(100):
        if org.requests:  # signing in is done, the listing stalls
            break
        time.sleep(0.1)
    time.sleep(0.3)
    load.send_signal(number)
    output, errors = load.communicate(timeout=15)

    assert load.returncode == code, errors
    assert output == ""
    assert "The next load picks up where this one stopped" in errors
    assert "Traceback" not in errors
    assert recorder.run().returncode == 0


def test_an_unusable_state_folder_is_named(org: DemoOrg, recorder: Recorder) -> None:
    """With what to do."""
    recorder.state_folder.write_text("a file")
    run = recorder.run()

    assert run.returncode == 78
    assert str(recorder.state_folder) in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("place", ["secrets.toml", "config.toml"])
def test_a_broken_settings_file_is_reported_with_the_line(org: DemoOrg, recorder: Recorder, place) -> None:
    """In the parser's words."""
    (recorder.home / ".dlt" / place).write_text("[query_jobs\nwarehouse = ")
    run = recorder.run()

    assert run.returncode == 78
    assert place in run.stderr
    assert "line 1" in run.stderr


def test_it_works_from_any_directory(org: DemoOrg, recorder: Recorder, tmp_path: Path) -> None:
    """Relative paths are relative to the project, and shown absolutely outside of it."""
    org.add_job()
    elsewhere = tmp_path / "else" / "where"
    elsewhere.mkdir(parents=True)
    run = recorder.run(
        "load", cwd=elsewhere, DESTINATION__DUCKDB__CREDENTIALS="mine.duckdb", QUERY_JOBS__WAREHOUSE="ours.duckdb"
    )

    assert run.returncode == 0, run.stderr
    assert f"→ {recorder.home / 'ours.duckdb'}\n" in run.stdout
    assert (recorder.home / "mine.duckdb").exists()
    assert (recorder.home / "ours.duckdb").exists()
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("file", "lines", "primary_file"),
    [
        ("secrets.toml", "", "query_jobs.duckdb"),
        ("secrets.toml", "[destination.duckdb]\ncredentials = 'mine.duckdb'", "mine.duckdb"),
        ("secrets.toml", "[destination.duckdb.credentials]\ndatabase = 'mine.duckdb'", "mine.duckdb"),
        ("config.toml", "[destination.duckdb]\ncredentials = 'duckdb:///mine.duckdb'", "mine.duckdb"),
    ],
)
def test_the_primary_database_is_a_setting(
    org: DemoOrg, recorder: Recorder, monkeypatch, file, lines, primary_file
) -> None:
    """Set in any way that dlt supports; relative paths are relative to the project."""
    monkeypatch.delenv("DESTINATION__DUCKDB__CREDENTIALS")
    settings = recorder.home / ".dlt" / file
    settings.write_text(f"{settings.read_text() if settings.exists() else ''}\n{lines}\n")
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert {file.name for file in recorder.home.glob("*.duckdb")} == {primary_file, "warehouse.duckdb"}


def test_credentials_can_come_from_secrets_toml(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """As in .dlt/secrets.example.toml."""
    for key in ("INSTANCE_URL", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"{KEYS}{key}")
    (recorder.home / ".dlt" / "secrets.toml").write_text(
        f"[sources.salesforce.credentials]\ninstance_url = '{org.instance_url}'\n"
        f"client_id = '{org.client_id}'\nclient_secret = '{org.client_secret}'\n"
    )
    assert recorder.run().returncode == 0


def test_help_names_the_commands(recorder: Recorder) -> None:
    """And says what each does; an unknown one is refused by name."""
    assert "doctor" in recorder.run("--help").stdout
    assert "\nDiagnose the set-up and suggest fixes.\n" in recorder.run("doctor", "--help").stdout
    assert recorder.run("frobnicate").returncode == 2
