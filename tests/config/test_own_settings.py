"""Where our own settings are read from, and the messages about wrong ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from recorders import KEYS, Recorder

from pipelines.config.dlt_context import use_project
from pipelines.config.own_settings import users_folder
from pipelines.config.project import PROJECT
from pipelines.config.settings import read_settings
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import ConfigError


@pytest.fixture
def users(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of settings for all projects, isolated from the real one."""
    data = recorder.home / "data"
    (data / "dlt").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(recorder.home / "user"))
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    return data / "dlt"


def set_in(file: Path, text: str) -> None:
    """Appends to the file, with the permissions of a file with secrets."""
    file.write_text((file.read_text() if file.exists() else "") + "\n" + text + "\n")
    file.chmod(0o600)


WRONG = [
    ("QUERY_JOBS__LOCK_WAIT", "soon", "`query_jobs.lock_wait` ({place}) is 'soon', not a number."),
    ("QUERY_JOBS__LOCK_WAIT", "-1", "`query_jobs.lock_wait` ({place}) is -1."),
    ("QUERY_JOBS__DETAILS_PER_RUN", "1.5", "`query_jobs.details_per_run` ({place}) is '1.5', not a whole number."),
    (
        "QUERY_JOBS__FETCH_ORG_METADATA",
        "perhaps",
        "`query_jobs.fetch_org_metadata` ({place}) is 'perhaps', not true or false.",
    ),
    ("QUERY_JOBS__WAREHOUSE", "/no/such/folder/x.duckdb", "`query_jobs.warehouse` ({place}) is /no/such/folder/x"),
    (
        "DESTINATION__DUCKDB__CREDENTIALS",
        "/no/such/folder/x.duckdb",
        "`destination.duckdb.credentials` ({place}) is /no",
    ),
    (
        "SOURCES__SALESFORCE__API_BUDGET_PERCENT",
        "much",
        "`sources.salesforce.api_budget_percent` ({place}) is 'much', ",
    ),
    ("SOURCES__SALESFORCE__API_BUDGET_PERCENT", "900", "`sources.salesforce.api_budget_percent` ({place}) is 900."),
    (f"{KEYS}INSTANCE_URL", "ftp://x", "`sources.salesforce.credentials.instance_url` ({place}) must be an https://"),
    ("RUNTIME__REQUEST_TIMEOUT", "long", "`runtime.request_timeout` ({place}) is 'long', not a number."),
]


@pytest.mark.parametrize(("variable", "value", "said"), WRONG)
def test_a_wrong_setting_is_reported_with_the_variable(
    recorder: Recorder, variable: str, value: str, said: str
) -> None:
    """Before any request is sent."""
    run = recorder.run(**{variable: value})

    assert run.returncode == 78
    assert said.format(place=f"variable {variable}") in run.stderr


@pytest.mark.parametrize(("variable", "value", "said"), WRONG)
def test_a_wrong_setting_is_reported_with_the_file(
    recorder: Recorder, users: Path, monkeypatch, variable: str, value: str, said: str
) -> None:
    """For the user's own two files as for the project's."""
    monkeypatch.delenv(variable, raising=False)
    section, _, key = variable.lower().replace("__", ".").rpartition(".")
    file = users / ("secrets.toml" if section.endswith("credentials") else "config.toml")
    (recorder.home / ".dlt" / "config.toml").write_text("[query_jobs]\n")
    set_in(file, f"[{section}]\n{key} = {value if value.strip('-').isdecimal() else repr(value)}")
    run = recorder.run()

    assert run.returncode == 78, run.stderr
    assert said.format(place=f"in {file}") in run.stderr


def test_settings_have_an_order_of_precedence(recorder: Recorder, users: Path, monkeypatch) -> None:
    """The environment, the project's secrets, the user's, the project's config, the user's."""
    own = recorder.home / ".dlt"
    places = [users / "config.toml", own / "config.toml", users / "secrets.toml", own / "secrets.toml"]
    for number, file in enumerate(places, 1):
        file.write_text(f"[query_jobs]\ndetails_per_run = {number}\n")
        monkeypatch.delenv("QUERY_JOBS__DETAILS_PER_RUN", raising=False)
        use_project()
        assert read_settings().details_per_run == number
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "9")
    assert read_settings().details_per_run == 9


def test_settings_in_the_working_directory_are_ignored(recorder: Recorder, tmp_path: Path) -> None:
    """Even if they cannot be read."""
    elsewhere = tmp_path / "elsewhere" / ".dlt"
    elsewhere.mkdir(parents=True)
    for name in ("config.toml", "secrets.toml"):
        (elsewhere / name).write_text("[query_jobs\n")

    assert recorder.run("load", cwd=elsewhere.parent).returncode == 0


@pytest.mark.slow
def test_a_broken_user_file_matters_only_if_it_concerns_us(recorder: Recorder, users: Path) -> None:
    """Another program's file is skipped; one with a section of ours may hide a setting."""
    (users / "config.toml").write_text("[load\nworkers = 1\n")
    assert recorder.run().returncode == 0
    (users / "config.toml").write_text("[query_jobs]\nwarehouse = \n")
    run = recorder.run()
    assert run.returncode == 78
    assert str(users / "config.toml") in run.stderr
    assert "line 2" in run.stderr


@pytest.mark.slow
def test_files_that_other_users_may_write_are_not_read(recorder: Recorder, users: Path) -> None:
    """And the doctor says so."""
    file = users / "config.toml"
    set_in(file, '[query_jobs]\nwarehouse = "theirs.duckdb"')
    for path, mode in ((file, 0o666), (users, 0o777)):
        before = path.stat().st_mode
        path.chmod(mode)
        use_project()
        assert read_settings().warehouse.name == "warehouse.duckdb"
        assert f"{file} is ignored" in recorder.run("doctor").stdout
        path.chmod(before)
    use_project()
    assert read_settings().warehouse.name == "theirs.duckdb"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_of_another_user_are_not_read(recorder: Recorder, users: Path) -> None:
    """Whatever their permissions."""
    set_in(users / "config.toml", '[query_jobs]\nwarehouse = "theirs.duckdb"')
    os.chown(users, 4_711, -1)
    use_project()

    assert read_settings().warehouse.name == "warehouse.duckdb"


def test_without_a_home_no_world_writable_folder_is_read(recorder: Recorder, monkeypatch) -> None:
    """dlt would use /tmp/dlt."""
    monkeypatch.setenv("HOME", "/no/such/home")
    monkeypatch.delenv("XDG_DATA_HOME")

    assert users_folder() in (None, Path("/var/dlt"))


def test_the_settings_of_another_project_of_this_recorder_are_used(
    recorder: Recorder, tmp_path: Path, monkeypatch
) -> None:
    """Another program's project is ignored, whatever it contains; a broken one that may be ours is reported."""
    monkeypatch.setattr("pipelines.config.dlt_context.PROJECT", recorder.home)
    other = tmp_path / "other"
    (other / ".dlt").mkdir(parents=True)
    monkeypatch.setenv("DLT_PROJECT_DIR", str(other))
    for name, text, followed in (
        ("config.toml", "", False),
        ("config.toml", "[load]\nworkers = 1\n[destination.duckdb]\ncredentials = 'theirs.duckdb'\n", False),
        ("secrets.toml", "[sources.salesforce.credentials]\nuser_name = 'x'\nsecurity_token = 'y'\n", False),
        ("config.toml", "[load\n", False),
        ("config.toml", "[query_jobs]\n", True),
        ("config.toml", "[sources.salesforce]\napi_version = '68.0'\n", True),
        ("secrets.toml", "[sources.salesforce.credentials]\nsf_cli_org = 'x'\n", True),
    ):
        file = other / ".dlt" / name
        file.write_text(text)
        assert Path(use_project().run_dir) == (other if followed else recorder.home), text
        file.unlink()
    (other / ".dlt" / "config.toml").write_text("[query_jobs]\nlock_wait = \n")
    with pytest.raises(ConfigError, match="line 2"):
        use_project()


def test_a_secret_in_the_file_for_other_settings_is_refused(recorder: Recorder, give) -> None:
    """Git would commit it."""
    give(instance_url="x.my.salesforce.com", client_id="x")
    set_in(recorder.home / ".dlt" / "config.toml", '[sources.salesforce.credentials]\nclient_secret = "s3cret"')
    run = recorder.run()

    assert run.returncode == 78
    assert f"client_secret` is a secret, but is set in {recorder.home}/.dlt/config.toml" in run.stderr
    assert "s3cret" not in run.stderr


@pytest.mark.parametrize("variable", ["DESTINATION__DUCKDB__CREDENTIALS", "DESTINATION__DUCKDB__CREDENTIALS__DATABASE"])
def test_the_environment_names_the_primary_database_before_any_file(
    recorder: Recorder, monkeypatch, variable: str
) -> None:
    """As text, or as `database`."""
    set_in(recorder.home / ".dlt" / "secrets.toml", '[destination.duckdb]\ncredentials = "of_the_file.duckdb"')
    monkeypatch.delenv("DESTINATION__DUCKDB__CREDENTIALS")
    use_project()
    assert read_settings().primary_file == recorder.home / "of_the_file.duckdb"
    monkeypatch.setenv(variable, "of_the_environment.duckdb")
    assert read_settings().primary_file == recorder.home / "of_the_environment.duckdb"


@pytest.mark.slow
def test_a_record_of_an_earlier_version_elsewhere_is_not_restarted_from_scratch(
    org: DemoOrg, recorder: Recorder, tmp_path: Path, monkeypatch
) -> None:
    """0.1.0 resolved relative paths against DLT_LOCAL_DIR."""
    monkeypatch.delenv("DESTINATION__DUCKDB__CREDENTIALS")
    left = tmp_path / "left"
    left.mkdir()
    (left / "query_jobs.duckdb").write_bytes(b"a recording")
    run = recorder.run(DLT_LOCAL_DIR=str(left))
    assert run.returncode == 78
    assert str(left / "query_jobs.duckdb") in run.stderr
    assert not org.requests
    assert recorder.run().returncode == 0
    assert recorder.run(DLT_LOCAL_DIR=str(left)).returncode == 0  # the project's own record continues


@pytest.mark.slow
def test_the_doctor_lists_the_names_of_ignored_settings(org: DemoOrg, recorder: Recorder, users: Path) -> None:
    """With --verbose; their values are never shown."""
    set_in(users / "config.toml", 'refresh = "drop_data"\n[load]\nworkers = 918273645')
    foreign = {
        "REFRESH": "harm",
        "LOAD__WORKERS": "harm",
        "DLT_LOCAL_DIR": "/harm",
        "CREDENTIALS": "harm",
        "PATHS": "harm",
    }
    plain, verbose = recorder.run("doctor", **foreign), recorder.run("doctor", "--verbose", **foreign)

    lines = ["REFRESH", "LOAD__WORKERS", "DLT_LOCAL_DIR", "CREDENTIALS"]
    lines += [f"{name} in {users / 'config.toml'}" for name in ("refresh", "load.workers")]
    for line in lines:
        assert f"  note  ignored: {line}\n" in verbose.stdout
    assert "not read" not in plain.stdout
    assert "PATHS" not in verbose.stdout
    assert "DLT_PROJECT_DIR" not in verbose.stdout
    assert "harm" not in verbose.stdout + verbose.stderr
    assert "918273645" not in "".join(line for line in verbose.stdout.splitlines() if "not read" in line)


def test_tests_see_none_of_the_users_settings(tmp_path: Path) -> None:
    """An empty project, an empty home, and none of the variables that matter here."""
    code = (
        "import os, isolated\n"
        "from pipelines.config.dlt_context import use_project\n"
        "from pipelines.config.settings import read_settings\n"
        "print(*use_project().settings.files, read_settings().lock_wait)\n"
    )
    own = tmp_path / ".dlt"
    own.mkdir()
    (own / "config.toml").write_text("[query_jobs]\nlock_wait = 7\n")
    given = {
        "HOME": tmp_path, "XDG_DATA_HOME": tmp_path, "DLT_PROJECT_DIR": tmp_path, "DLT_DATA_DIR": tmp_path,
        "QUERY_JOBS__LOCK_WAIT": "7", "DLT_JSON_TYPED_PUA_START": "no number", "PYTHONPATH": f"{PROJECT}:{PROJECT}/tests",
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {name: str(value) for name, value in given.items()},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith(" 30.0\n")
    assert str(tmp_path) not in run.stdout
