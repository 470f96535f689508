"""Unknown settings are reported: dlt ignores them, and what was intended would not happen."""

import re

import pytest
from recorders import KEYS, Recorder

from pipelines.config.project import PROJECT
from pipelines.demo_org.org import DemoOrg

FILES = [
    ("config.toml", '[query_jobs]\nlock_wiat = 3', "query_jobs.lock_wiat", "Did you mean lock_wait?"),
    ("config.toml", '[query_job]\nwarehouse = "x.duckdb"', "query_job", "Did you mean query_jobs?"),
    ("config.toml", '[query_jobs]\napi_version = "68.0"', "query_jobs.api_version", "belongs under [sources.salesforce]"),
    ("config.toml", "[sources.salesforce]\ndetails_per_run = 3", "salesforce.details_per_run", "under [query_jobs]"),
    ("config.toml", '[sources.saleforce]\njob_type = "Classic"', "sources.saleforce", "Did you mean sources.salesforce?"),
    ("config.toml", '[chekc]\nunusual_jobs = 3', "chekc", "Did you mean check?"),
    ("config.toml", '[check]\nknown_finding = ["x"]', "check.known_finding", "Did you mean muted_findings?"),
    ("config.toml", "[load]\nworkers = 3", "load.workers", "Remove it: the recorder configures dlt itself"),
    ("config.toml", "[normalize.data_writer]\nfile_max_items = 3", "normalize.data_writer.file_max_items", "Remove it"),
    ("secrets.toml", "[destination.duckdb]\ncreate_indexes = true", "destination.duckdb.create_indexes", "Remove it"),
    ("config.toml", "[sources]\njob_type = 'Classic'", "sources.job_type", "belongs under [sources.salesforce]"),
    ("secrets.toml", '[sources.salesforce.credentials]\nuserame = "me"', "credentials.userame", "Did you mean username?"),
    ("secrets.toml", '[destination.duckdb]\ncredential = "x.duckdb"', "duckdb.credential", "Did you mean credentials?"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "key", "hint"), FILES)
def test_in_a_file(org: DemoOrg, recorder: Recorder, name: str, text: str, key: str, hint: str) -> None:
    """By name, with a suggestion; the load continues."""
    file = recorder.home / ".dlt" / name
    before = file.read_text() if file.exists() else ""
    section = text.split("\n", maxsplit=1)[0]
    file.write_text(before.replace(section, text) if section in before else f"{before}\n{text}\n")
    file.chmod(0o600)
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert f"{key}` in .dlt/{name} is an unknown setting." in run.stderr
    assert hint in run.stderr
    assert "userame = " not in run.stderr


def test_a_key_that_is_missing_for_it(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The load ends, and says which name is wrong as well."""
    monkeypatch.delenv(f"{KEYS}CLIENT_SECRET")
    run = recorder.run("load", "--quiet", **{f"{KEYS}CLIENT_SECRE": "x"})

    assert run.returncode == 78
    assert "Missing: client_secret." in run.stderr
    assert f"Did you mean {KEYS}CLIENT_SECRET?" in run.stderr


def test_above_all_sections(recorder: Recorder) -> None:
    """Version 0.1.0 read it there."""
    file = recorder.home / ".dlt" / "config.toml"
    file.write_text('job_type = "V2Query"\nrefresh = "drop_data"\n' + file.read_text())
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert "`job_type` in .dlt/config.toml is an unknown setting. It belongs under" in run.stderr
    assert "`refresh` in .dlt/config.toml" in run.stderr


def test_the_lines_of_the_first_versions_config_are_accepted(recorder: Recorder) -> None:
    """They ask for what is done anyway; nor is another program's section reported."""
    lines = "[load]\ntruncate_staging_dataset = true\ndelete_completed_jobs = true\n[sources.github]\ntoken = 'x'\n"
    (recorder.home / ".dlt" / "config.toml").write_text(f"[runtime]\ndlthub_telemetry = false\n{lines}[query_jobs]\n")

    assert recorder.run("load", "--quiet").stderr == ""


def test_in_the_environment(org: DemoOrg, recorder: Recorder) -> None:
    """By the doctor, too, as an error; what other programs read is ignored."""
    given = {"QUERY_JOBS__WAREHOSE": "x", "SOURCES__SALESFORCE__JOBTYPE": "Classic", "CHECK_X": "1", "RUNTIME__X": "1"}
    doctor = recorder.run("doctor", **given)

    assert doctor.returncode == 78
    assert "`QUERY_JOBS__WAREHOSE` in the environment is an unknown setting." in doctor.stdout
    assert "Did you mean SOURCES__SALESFORCE__JOB_TYPE?" in doctor.stdout
    assert "check_x" not in doctor.stdout
    assert "runtime" not in doctor.stdout


def test_all_documented_settings_are_known(org: DemoOrg, recorder: Recorder) -> None:
    """Every setting in .dlt/config.toml and the example secrets, commented out or not."""
    for name, shown in (("config.toml", "config.toml"), ("secrets.toml", "secrets.example.toml")):
        text, _, alerts = (PROJECT / ".dlt" / shown).read_text().partition("# [alerts]\n")
        settings = dict(re.findall(r"^#? ?(\w+) = (\S+|\".*?\")", text, re.MULTILINE))
        assert len(settings) > 5
        section = "[sources.salesforce.credentials]" if name == "secrets.toml" else ""
        uncommented = (
            re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
            if not section
            else "\n".join([section, *(f"{key} = {value}" for key, value in settings.items())])
        )
        uncommented += "\n[alerts]\n" + re.sub(r"^# (\w+ = )", r"\1", alerts, flags=re.MULTILINE) if alerts else ""
        (recorder.home / ".dlt" / name).write_text(uncommented)
    found = recorder.run("doctor")

    assert "Settings" in found.stdout
    assert "unknown setting" not in found.stdout
