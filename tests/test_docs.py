"""What the README says is so: commands, settings, columns, examples, exit codes."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import Recorder

from pipelines import errors as failures
from pipelines.answers.check import Thresholds
from pipelines.config.credentials import WAYS
from pipelines.config.project import PROJECT
from pipelines.config.settings import RecorderConfiguration
from pipelines.demo_org.org import DemoOrg
from pipelines.recording.source import salesforce
from pipelines.tables import TABLES, Table
from pipelines.warehouse.schema import VIEWS, read_header

README = (PROJECT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
CONFIG = (PROJECT / ".dlt" / "config.toml").read_text(encoding="utf-8")
TYPES = {
    "string": "VARCHAR",
    "double": "DOUBLE",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
}


def code(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def columns_of(table: Table) -> str:
    """The table of columns as the README has it."""
    rows = [f"| `{c.name}` | {TYPES[str(c.type)]} | {c.meaning} |" for c in table.columns]
    return "\n".join(["| column | type | meaning |", "| --- | --- | --- |", *rows])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_readme_has_every_column(table: Table) -> None:
    """With the meaning that DuckDB's comments have."""
    assert f"`{table.name}`" in README
    assert columns_of(table) in README


@pytest.mark.parametrize("file", sorted(VIEWS.glob("*.sql")), ids=lambda file: file.stem)
def test_the_readme_has_every_view(file: Path) -> None:
    """With its grain."""
    grain, _ = read_header(file.read_text(encoding="utf-8"))

    assert f"| `{file.stem}` | {grain}" in README


def test_every_make_target_that_is_named_exists_and_is_explained() -> None:
    """In the README, the CHANGELOG and the code's own messages."""
    texts = [README, CHANGELOG, *(file.read_text(encoding="utf-8") for file in (PROJECT / "pipelines").rglob("*.py"))]
    named = {name for text in texts for name in re.findall(r"(?<=\bmake )[a-z][a-z-]*(?=[`,;:.)\n ])", text)}
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    prose = {"them", "its"}

    assert named - prose <= targets
    assert {"demo", "test", "load", "doctor", "notebook", "setup", "clean", "help"} <= targets


def test_make_clean_leaves_what_cannot_be_made_again(tmp_path: Path) -> None:
    """Loader's file, warehouse, secrets, dlt's home and the demo's files stay; caches and .venv go."""
    (tmp_path / "Makefile").write_text(MAKEFILE)
    kept = [
        "query_jobs.duckdb",
        "query_jobs.duckdb.wal",
        "warehouse.duckdb",
        ".dlt/secrets.toml",
        "dlt/state.json",
        "demo/w.duckdb",
    ]
    gone = [
        ".venv/bin/python",
        ".pytest_cache/x",
        "pipelines/__pycache__/x.pyc",
        "tests/__pycache__/x.pyc",
        "notebooks/__marimo__/session/n.py.json",
        "notebooks/n.py",
    ]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)

    assert {name for name in kept + gone if (tmp_path / name).exists()} == {*kept, "notebooks/n.py"}


def test_every_setting_is_in_the_committed_config_and_the_readme() -> None:
    """And nothing else is."""
    uncommented = re.sub(r"(?m)^# ?(?=[a-z_]+ = )", "", CONFIG)
    config = tomllib.loads(uncommented)
    source = {name for name in salesforce.__wrapped__.__annotations__ if name not in NOT_SETTINGS}

    assert set(config["sources"]["salesforce"]) == source
    assert set(config["query_jobs"]) == set(RecorderConfiguration().get_resolvable_fields())
    assert set(config["check"]) == set(Thresholds().get_resolvable_fields())
    for key in (*config["sources"]["salesforce"], *config["query_jobs"], *config["check"]):
        assert f"`{key}`" in README


def test_the_committed_config_shows_the_defaults() -> None:
    """Whoever takes away a comment sign changes nothing."""
    config = tomllib.loads(re.sub(r"(?m)^# ?(?=[a-z_]+ = )", "", CONFIG))

    for section, settings in (("query_jobs", RecorderConfiguration()), ("check", Thresholds())):
        assert config[section] == {name: settings[name] for name in settings.get_resolvable_fields()}


def test_every_finding_is_in_the_readme() -> None:
    """With the name that it is told by."""
    rooms = "".join(file.read_text() for file in (PROJECT / "pipelines" / "answers" / "findings").glob("*.py"))
    told = set(re.findall(r'finding\(\s+"([a-z ]+)"', rooms))

    assert told == set(re.findall(r"(?m)^\| ([a-z ]+) \| ", README.split("| finding |")[1].split("\n\n")[0]))


NOT_SETTINGS = {"credentials", "extras", "clock_tolerance_hours", "known", "on_page", "on_listed", "return"}


def test_the_example_of_the_secrets_shows_every_key() -> None:
    """Of all four ways, and only those; one of them is there without a comment sign."""
    example = (PROJECT / ".dlt" / "secrets.example.toml").read_text(encoding="utf-8")
    keys = set(re.findall(r"^#? ?([a-z_]+) = ", example, re.MULTILINE))

    assert keys == {key for way in WAYS.values() for key in way} | {"login_url"}
    assert set(tomllib.loads(example)["sources"]["salesforce"]["credentials"]) == set(WAYS["client credentials"])


def test_the_exit_codes_are_those_of_the_code() -> None:
    """Each kind of failure stands in the table."""
    listed = {int(found) for found in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    kinds = (failures.Failure, failures.TryLater, failures.NotPermitted, failures.Misconfigured)

    assert listed == {0, 1, 2, 130, 143} | {kind.exit_code for kind in kinds}


def test_the_cron_line_and_the_units_call_the_command_line_that_there_is(recorder: Recorder) -> None:
    """Their options are known to it; the interpreter is the one of .venv, because make has exit codes of its own."""
    lines = [
        line for block in code("cron") + code("ini") for line in block.splitlines() if "pipelines.query_jobs" in line
    ]

    assert len(lines) == 3
    for line in lines:
        assert ".venv/bin/python -m pipelines.query_jobs load --quiet" in line
    assert "flock -n -E 75" in lines[0]
    assert lines[1].endswith("; .venv/bin/python -m pipelines.query_jobs check")  # also when the load fails
    assert "--quiet" in recorder.run("load", "--help").stdout


def test_the_sql_examples_run(org: DemoOrg, recorder: Recorder) -> None:
    """On a warehouse that has something to say to each."""
    for state in ("InProgress", "Failed", "JobComplete"):
        org.add_job(state=state)
    recorder.load()
    examples = code("sql")

    assert len(examples) == 3
    for example in examples:
        assert recorder.rows(example)


def test_the_python_examples_run(org: DemoOrg, recorder: Recorder) -> None:
    """From the directory that holds the warehouse."""
    org.add_job(state="Failed")
    recorder.load()
    for example in code("python"):
        run = subprocess.run(
            [*recorder.command()[:1], "-c", example], cwd=recorder.home, capture_output=True, text=True, check=False,
            env=os.environ,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr


def test_links_within_the_readme_lead_somewhere() -> None:
    """Headings and files."""
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).strip().lower().replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (target[1:] in headings) if target.startswith("#") else (PROJECT / target).exists(), target


def test_version_and_changelog_agree() -> None:
    """The newest entry is the version of the package, but for what is not released."""
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    entries = re.findall(r"^## (\S+)", CHANGELOG, re.MULTILINE)

    assert next(entry for entry in entries if entry != "Unreleased") == version


def test_the_locks_name_no_host_and_pin_every_hash() -> None:
    """Whoever installs chooses where from."""
    for name in ("requirements.txt", "requirements-dev.txt"):
        lock = (PROJECT / name).read_text()
        assert "://" not in lock
        assert "--index" not in lock
        pins = re.findall(r"^[a-z0-9][\w.\-\[\]]*==\S+", lock, re.MULTILINE)
        assert len(pins) > 30
        assert all(re.search(rf"^{re.escape(pin)}[^\n]*\\\n +--hash=sha256:", lock, re.MULTILINE) for pin in pins)
