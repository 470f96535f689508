"""README and docs/ agree with the code: commands, settings, columns, examples, exit codes, links."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from pages import DOCS, MAKEFILE, PAGES, README
from planted import NOW, plant
from recorders import Recorder

from pipelines import errors as failures
from pipelines.alerts.settings import DEFAULT_REMIND_HOURS
from pipelines.answers.check import Thresholds
from pipelines.config.credentials import METHODS
from pipelines.config.own_settings import KEYS
from pipelines.config.project import PROJECT
from pipelines.config.settings import RecorderConfiguration
from pipelines.demo_org.org import DemoOrg
from pipelines.forwarding.settings import ForwardConfiguration
from pipelines.recording.source import salesforce

ALL = "\n".join(PAGES.values())
MAX_WORDS = 1_500
CHANGELOG = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
CONFIG = (PROJECT / ".dlt" / "config.toml").read_text(encoding="utf-8")


def code(language: str) -> list[str]:
    """The pages' code blocks in a language, without duplicates."""
    return list(dict.fromkeys(re.findall(rf"```{language}\n(.*?)```", ALL, re.DOTALL)))


def examples_in(language: str) -> list[str]:
    """Those for the published copy. What company-warehouse.md has is for other programs; the lake's examples are run in
    forwarding/test_views_over_a_lake.py."""
    others = PAGES[DOCS / "company-warehouse.md"]
    return [example for example in code(language) if example not in others]


def part(page: str, heading: str) -> str:
    """The text below a heading of a page in docs/, up to the next heading of its level."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = re.findall(rf"(?ms)^{re.escape(heading)}$\n(.*?)(?=^##? |\Z)", text)
    return found


def test_the_readme_takes_five_minutes() -> None:
    """Including code, counted like `wc -w`."""
    assert len(README.split()) <= MAX_WORDS


def test_the_readme_links_to_every_page() -> None:
    """And to every other file in docs/."""
    linked = {(PROJECT / target.split("#")[0]).resolve() for target in links(README)}

    assert {file for file in DOCS.rglob("*") if file.is_file()} <= linked


def test_every_make_target_that_is_mentioned_exists_and_is_explained() -> None:
    """In README, docs/, CHANGELOG and the code's own messages."""
    texts = [ALL, CHANGELOG, *(file.read_text(encoding="utf-8") for file in (PROJECT / "pipelines").rglob("*.py"))]
    named = {name for text in texts for name in re.findall(r"(?<=\bmake )[a-z][a-z-]*(?=[`,;:.)\n ])", text)}
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    prose = {"them", "its", "the"}

    assert named - prose <= targets
    assert {"demo", "test", "load", "doctor", "notebook", "setup", "clean", "help"} <= targets


def test_every_setting_is_in_the_committed_config_and_the_docs() -> None:
    """And nothing else."""
    uncommented = re.sub(r"(?m)^# ?(?=[a-z_]+ = )", "", CONFIG)
    config = tomllib.loads(uncommented)
    source = {name for name in salesforce.__wrapped__.__annotations__ if name not in NOT_SETTINGS}

    assert set(config["sources"]["salesforce"]) == source
    assert set(config["query_jobs"]) == set(RecorderConfiguration().get_resolvable_fields())
    assert set(config["check"]) == set(Thresholds().get_resolvable_fields())
    assert set(config["forward"]) == set(ForwardConfiguration().get_resolvable_fields())
    assert config["runtime"].pop("dlthub_telemetry") is False  # for dlt's own commands
    assert set(config["runtime"]) == KEYS["runtime"]
    documented = set()
    for keys, section in re.findall(r"(?m)^\| (`[a-z_`, ]+`) \| `\[([a-z_.]+)\]` \| ", part("setup.md", "## Settings")):
        documented |= {(section, key) for key in re.findall("[a-z_]+", keys)}
    sections = {"sources.salesforce": config["sources"]["salesforce"], **{name: config[name] for name in SECTIONS}}
    there = {(section, key) for section, keys in sections.items() for key in keys}
    secrets = {("destination.duckdb", "credentials"), ("alerts", "urls"), ("alerts", "ping_url")}
    assert documented == there | secrets


def test_the_committed_config_shows_the_defaults() -> None:
    """Uncommenting a setting changes nothing."""
    config = tomllib.loads(re.sub(r"(?m)^# ?(?=[a-z_]+ = )", "", CONFIG))

    for section, settings in (("query_jobs", RecorderConfiguration()), ("check", Thresholds())):
        assert config[section] == {name: settings[name] for name in settings.get_resolvable_fields()}
    assert config["alerts"] == {"remind_after_hours": DEFAULT_REMIND_HOURS}


def test_every_finding_is_documented() -> None:
    """Under the name that `check` prints."""
    rooms = "".join(file.read_text() for file in (PROJECT / "pipelines" / "answers" / "findings").glob("*.py"))
    reported = set(re.findall(r'finding\(\s+"([a-z ]+)"', rooms))
    table = part("alerts.md", "## Findings").split("| finding |")[1].split("\n\n")[0]

    assert reported == set(re.findall(r"(?m)^\| ([a-z ]+) \| ", table))


SECTIONS = ("query_jobs", "check", "alerts", "forward", "runtime")
NOT_SETTINGS = {
    "credentials", "fetch_org_metadata", "clock_tolerance_hours", "history", "on_page", "on_listed", "return",
}  # fmt: skip


def test_the_example_secrets_show_every_key() -> None:
    """Of all four ways to sign in, and no others; one of them is not commented out."""
    example = (PROJECT / ".dlt" / "secrets.example.toml").read_text(encoding="utf-8")
    keys = set(re.findall(r"^#? ?([a-z_]+) = ", example, re.MULTILINE))

    assert keys == {key for keys in METHODS.values() for key in keys} | {"login_url", "urls", "ping_url"}
    assert set(tomllib.loads(example)["sources"]["salesforce"]["credentials"]) == set(METHODS["client credentials"])


def test_the_documented_exit_codes_match_the_code() -> None:
    """Each kind of failure is in the table."""
    listed = {int(found) for found in re.findall(r"^\| (\d+) \|", part("operations.md", "## Exit codes"), re.MULTILINE)}
    kinds = [kind for kind in vars(failures).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]

    assert listed == {0, 1, 2, 130, 143} | {kind.exit_code for kind in kinds}


def test_the_cron_line_and_the_units_use_the_actual_command_line(recorder: Recorder) -> None:
    """Its options exist; it uses the interpreter in .venv, because make has exit codes of its own."""
    lines = [
        line for block in code("cron") + code("ini") for line in block.splitlines() if "pipelines.query_jobs" in line
    ]

    others = [re.findall(r"query_jobs (\w+)", line) for line in lines if " load " not in line]
    lines = [line for line in lines if " load " in line]
    assert (len(lines), others) == (4, [["check"], ["metrics"]])
    assert all(".venv/bin/python -m pipelines.query_jobs load --quiet" in line for line in lines)
    assert lines[0].split(" ")[5].endswith("/python")  # no wrapper with exit codes of its own
    assert f"\nSuccessExitStatus={failures.TemporaryError.exit_code}\n" in (DOCS / "operations.md").read_text()
    assert lines[1].endswith("; .venv/bin/python -m pipelines.query_jobs check")  # even if the load fails
    (forwarding,) = [line for line in lines if "query_jobs forward" in line]
    assert forwarding.endswith("load --quiet && .venv/bin/python -m pipelines.query_jobs forward --quiet")
    for command in ("load", "forward"):
        assert "--quiet" in recorder.run(command, "--help").stdout


@pytest.mark.parametrize("command", ["load", "forward", "demo", "doctor", "report", "check", "metrics"])
def test_options_that_are_mentioned_exist(recorder: Recorder, command: str) -> None:
    """Those next to a command's name, and those in the table about the report."""
    named = {
        option for line in re.findall(rf"\b{command} (--[^`\n]+)", ALL) for option in re.findall(r"--[a-z-]+", line)
    }
    if command == "report":
        named |= set(re.findall(r"(?m)^\| `(--[a-z-]+)", part("queries.md", "## The report")))
    there = set(re.findall(r"--[a-z-]+", recorder.run(command, "--help").stdout))

    assert named <= there
    assert named or command == "demo"


def test_the_sql_examples_run(org: DemoOrg, recorder: Recorder, tmp_path: Path) -> None:
    """On warehouses that have results for each: a recorded one, and one with a load that lost records."""
    for state in ("InProgress", "Failed", "JobComplete"):
        org.add_job(state=state)
    recorder.load()
    load = f"7501{1:011}AAA"
    with_reasons = plant(
        tmp_path / "reasons.duckdb",
        alone=True,
        listings=[{"feed": "ingest"}],
        ingest_jobs=[{"id": load}],
        job_details=[
            {"id": load, "number_records_processed": 9, "number_records_failed": 2, "results_outcome": "read"}
        ],
        record_errors=[{"id": load, "reason": "a", "level": "record", "records": 2, "read_at": NOW}],
    )
    examples = examples_in("sql")

    assert len(examples) == 6
    for example in examples:
        assert recorder.rows(example, with_reasons if "reason_trends" in example else None)


def test_the_python_examples_run(org: DemoOrg, recorder: Recorder) -> None:
    """From the directory with the warehouse."""
    org.add_job(state="Failed")
    recorder.load()
    examples = examples_in("python")

    assert examples
    for example in examples:
        run = subprocess.run(
            [*recorder.command()[:1], "-c", example], cwd=recorder.home, capture_output=True, text=True, check=False,
            env=os.environ,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr


def links(text: str) -> list[str]:
    """The targets of a page's links, except those to other sites."""
    return re.findall(r"\]\((?!https?:)([^)]+)\)", text)


def headings(text: str) -> set[str]:
    """The anchors of a page: its headings, as GitHub writes them."""
    outside_code = re.sub(r"(?ms)^```.*?^```$", "", text)
    found = re.findall(r"(?m)^#+ (.*)$", outside_code)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_are_not_broken(page: Path) -> None:
    """The file exists, and so does the heading in it."""
    for target in links(PAGES[page]):
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.is_relative_to(PROJECT), target
        assert file.exists(), target
        assert not heading or heading in headings(file.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_table_of_contents_is_complete(page: Path) -> None:
    """If a page begins with one, it lists all second-level headings in order."""
    text = re.sub(r"(?ms)^```.*?^```$", "", PAGES[page])
    before, *_ = text.partition("\n## ")
    listed = re.findall(r"(?m)^- \[(.+)\]\(#", before)

    assert listed == (re.findall(r"(?m)^## (.*)$", text) if listed else [])


def test_pages_and_headings_named_in_messages_exist() -> None:
    """`docs/operations.md, Restore` in a message or a comment."""
    named = [
        found
        for folder in ("pipelines", "notebooks", ".dlt")
        for file in (PROJECT / folder).rglob("*")
        if file.suffix in {".py", ".toml"}
        for found in re.findall(r"\(?(docs/[\w-]+\.md), ([A-Z][\w -]+)", file.read_text(encoding="utf-8"))
    ]

    assert named
    for page, heading in named:
        assert re.search(rf"(?m)^#+ {re.escape(heading)}$", PAGES[PROJECT / page]), (page, heading)


def test_files_that_are_mentioned_exist() -> None:
    """Tests, modules and locked requirements in backquotes, without a link."""
    for text in (ALL, CHANGELOG.split("\n## ")[1]):
        for name in re.findall(r"`((?:tests|pipelines|docs|notebooks)/[\w./*-]+)`", text):
            assert list(PROJECT.glob(name)), name


def test_version_and_changelog_agree() -> None:
    """The newest entry is the version of the package, apart from unreleased changes."""
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    entries = re.findall(r"^## (\S+)", CHANGELOG, re.MULTILINE)

    assert next(entry for entry in entries if entry != "Unreleased") == version


def test_the_locks_name_no_host_and_pin_every_hash() -> None:
    """The installer's settings decide where packages come from."""
    for name in ("requirements.txt", "requirements-dev.txt"):
        lock = (PROJECT / name).read_text()
        assert "://" not in lock
        assert "--index" not in lock
        pins = re.findall(r"^[a-z0-9][\w.\-\[\]]*==\S+", lock, re.MULTILINE)
        assert len(pins) > 30
        assert all(re.search(rf"^{re.escape(pin)}[^\n]*\\\n +--hash=sha256:", lock, re.MULTILINE) for pin in pins)
