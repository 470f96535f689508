"""A renamed setting works under its old name, wherever that is set; only the doctor says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorders import Recorder

from pipelines.answers.findings.thresholds import read_thresholds
from pipelines.config.dlt_context import use_project
from pipelines.config.own_settings import KEYS, RENAMED, SettingPath
from pipelines.config.settings import read_settings
from pipelines.demo_org.org import DemoOrg

# old path -> the value set under it as TOML and as text, what it becomes, and how the program represents it.
VALUES: dict[SettingPath, tuple[str, Any, Callable[[], Any]]] = {
    ("query_jobs", "extras"): ("false", False, lambda: read_settings().fetch_org_metadata),
    ("check", "known_findings"): ('["x/y"]', ["x/y"], lambda: read_thresholds().muted_findings),
}
OLD = pytest.mark.parametrize("old", RENAMED, ids=".".join)


@pytest.fixture(autouse=True)
def unset(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test alone sets either name."""
    monkeypatch.delenv("QUERY_JOBS__FETCH_ORG_METADATA")


def set_in(file: Path, path: SettingPath, value: str) -> None:
    """Adds it to a file, in a form that TOML accepts next to the section's own header."""
    text = file.read_text() if file.exists() else ""
    head, line = f"[{path[0]}]", f"{path[1]} = {value}"
    file.write_text(text.replace(head, f"{head}\n{line}\n", 1) if head in text else f"{text}\n{head}\n{line}\n")
    file.chmod(0o600)


def test_new_names_are_settings_and_old_ones_are_not() -> None:
    """Each in its own section."""
    assert RENAMED.keys() == VALUES.keys()
    for old, new in RENAMED.items():
        assert new[-1] in KEYS[".".join(new[:-1])]
        assert old[-1] not in KEYS[".".join(old[:-1])]


@OLD
@pytest.mark.parametrize("place", ["config.toml", "secrets.toml", "user", "environment"])
def test_the_old_name_works(
    org: DemoOrg, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: SettingPath, place: str
) -> None:
    """In every place. A load and a check do not mention it; the doctor gives the new name."""
    value, expected, read = VALUES[old]
    variable = "__".join(old).upper()
    users = tmp_path / "data" / "dlt"
    users.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_DATA_HOME", str(users.parent))
    if place == "environment":
        monkeypatch.setenv(variable, value)
    elif place == "user":
        set_in(users / "config.toml", old, value)
    else:
        set_in(recorder.home / ".dlt" / place, old, value)
    use_project()
    assert read() == expected

    org.add_job()
    assert [recorder.run(*command).stderr for command in (("load", "--quiet"), ("check",))] == ["", ""]
    new = ".".join(RENAMED[old])
    run = recorder.run("doctor", "--verbose")
    assert "BAD" not in run.stdout.partition("Host")[0]
    (said,) = [line for line in run.stdout.splitlines() if new in line]
    where = variable if place == "environment" else f"in {users if place == 'user' else recorder.home / '.dlt'}/"
    assert said.startswith(f"  note  `{'.'.join(old)}` is now called `{new}` ({where}")
    assert said.endswith("): the old name still works")
    assert f"ignored: {variable}" not in run.stdout


@OLD
def test_if_both_are_set_the_new_name_wins(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, old: SettingPath
) -> None:
    """Even if the new one is in a file, and the old one in the environment, which would otherwise win."""
    value, expected, read = VALUES[old]
    variable, file = "__".join(old).upper(), recorder.home / ".dlt" / "config.toml"
    other = "true" if value == "false" else '["z"]'
    set_in(file, RENAMED[old], value)
    monkeypatch.setenv(variable, other)
    use_project()
    assert read() == expected

    run = recorder.run("doctor")
    assert "BAD" not in run.stdout.partition("Host")[0]
    new = ".".join(RENAMED[old])
    assert (
        f"  note  `{'.'.join(old)}` is now called `{new}`, which is also set (in {file}): "
        f"remove the old name ({variable}), it has no effect\n"
    ) in run.stdout


def test_a_wrong_value_is_reported_under_the_name_that_was_used(recorder: Recorder) -> None:
    """The new name would not be found in the file."""
    file = recorder.home / ".dlt" / "config.toml"
    set_in(file, ("query_jobs", "extras"), '"perhaps"')
    run = recorder.run()

    assert run.returncode == 78
    assert (
        f"`query_jobs.fetch_org_metadata` (as `query_jobs.extras` in {file}) is 'perhaps', not true or false."
    ) in run.stderr


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (("query_jobs", "extra"), "Did you mean fetch_org_metadata?"),
        (("query_jobs", "fetch_org_meta"), "Did you mean fetch_org_metadata?"),
        (("check", "known_finding"), "Did you mean muted_findings?"),
        (("check", "extras"), "It is now called fetch_org_metadata, and belongs under [query_jobs]."),
    ],
)
def test_for_a_misspelt_old_name_the_new_one_is_suggested(recorder: Recorder, path: SettingPath, hint: str) -> None:
    """Also for one in the wrong section."""
    set_in(recorder.home / ".dlt" / "config.toml", path, "false")
    run = recorder.run()

    assert run.returncode == 0
    assert f"`{'.'.join(path)}` in .dlt/config.toml is an unknown setting. {hint}" in run.stderr
