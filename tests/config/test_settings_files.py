"""Files of settings that are not what they should be, and values of a wrong kind: which file, which key, what is
allowed."""

import os
from pathlib import Path

import pytest
from demo_org_client import FIXTURES
from recorders import Recorder

from pipelines.answers.findings.thresholds import read_thresholds
from pipelines.config.dlt_context import use_project
from pipelines.config.settings import read_credentials, read_settings
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import ConfigError

SECTION = "[sources.salesforce.credentials]"
NAMES = ["secrets.toml", "config.toml"]


def read_all() -> None:
    use_project()
    read_settings()
    read_credentials()


def refusal() -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        read_all()
    return raised.value


@pytest.fixture
def folder(recorder: Recorder, give) -> Path:
    """The project's .dlt; the environment has no keys."""
    give()
    return recorder.home / ".dlt"


def test_a_byte_order_mark_does_no_harm(org: DemoOrg, folder: Path) -> None:
    """As an editor on Windows saves it; in both files."""
    port = org.instance_url.rpartition(":")[2]
    file = folder / "secrets.toml"
    file.write_bytes((FIXTURES / "s_72_secrets_bom.toml").read_bytes().replace(b"PORT", port.encode()))
    file.chmod(0o600)
    (folder / "config.toml").write_bytes(b"\xef\xbb\xbf[query_jobs]\nkeep_copies = 3\n")
    use_project()

    assert read_credentials().instance_url == org.instance_url
    assert read_settings().keep_copies == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1"])
def test_another_encoding_is_named(folder: Path, name: str, encoding: str) -> None:
    """As PowerShell writes files."""
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (folder / name).write_bytes(mark + f"{SECTION}\nclient_id = 'é'\n".encode(encoding))
    found = refusal()

    assert f"{folder / name} cannot be read: it is " in found.message
    assert ("UTF-16" if "16" in encoding else "not encoded as UTF-8 (line 2)") in found.message
    assert "save it as UTF-8" in found.message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["a directory", "a FIFO", "a link to /no/such/file"])
def test_what_is_no_file_is_named(folder: Path, name: str, kind: str) -> None:
    """Docker makes a directory in place of a file that is to be mounted and does not exist."""
    place = folder / name
    place.unlink(missing_ok=True)
    (folder / next(other for other in NAMES if other != name)).write_text("[query_jobs]\n")
    if kind == "a directory":
        place.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(place)
    else:
        place.symlink_to("/no/such/file")
    found = refusal()

    assert f"{place} cannot be read: it is {kind}" in found.message


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("query_jobs", "details_per_run = nan", "is nan, not a whole number."),
        ("query_jobs", "keep_copies = [1]", "is [1], not a whole number."),
        ("query_jobs", "fetch_org_metadata = 2026-01-01", "is 2026-01-01, not true or false."),
        ("query_jobs", "quiet_hours = true", "is true, not a number."),
        ("query_jobs", "quiet_hours = -1", "is -1."),
        ("query_jobs", "quiet_hours = nan", "is nan."),
        ("runtime", f"request_max_attempts = {10**400}", "is 1000"),
        ("runtime", "request_max_attempts = inf", "is inf, not a whole number."),
        ("query_jobs", f"details_per_run = {10**400}", "is 1000"),
        ("sources.salesforce", "feeds = nan", "is nan, not a list."),
        ("sources.salesforce", "feeds = [1]", "is not a list of texts."),
        ("sources.salesforce", "is_pk_chunking_enabled = {a = 1}", "is {'a': 1}, not true or false."),
    ],
)
def test_a_value_of_a_wrong_kind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, section: str, line: str, said: str
) -> None:
    """In our words, never in those of a library."""
    for name in [name for name in os.environ if name.startswith(("QUERY_JOBS__", "RUNTIME__", "SOURCES__"))]:
        monkeypatch.delenv(name)
    lines = [f"[{section}]", line, *(["[query_jobs]"] if section != "query_jobs" else [])]
    (folder / "config.toml").write_text("\n".join(lines))
    found = refusal()

    assert found.message.startswith(f"`{section}.{line.partition(' ')[0]}` (in {folder / 'config.toml'}) {said}")
    assert "class" not in str(found)
    assert "coerced" not in str(found)


@pytest.mark.parametrize("line", ["[1]", '[["x"]]', "[nan]", '["x", {}]'])
def test_a_list_of_other_things_than_texts(folder: Path, line: str) -> None:
    (folder / "config.toml").write_text(f"[check]\nmuted_findings = {line}\n[query_jobs]\n")
    use_project()
    with pytest.raises(ConfigError) as raised:
        read_thresholds()

    assert raised.value.message == (f"`check.muted_findings` (in {folder / 'config.toml'}) is not a list of texts.")


@pytest.mark.parametrize("key", ["JOB_TYPE", "CREDENTIALS__CLIENT_ID"])
def test_a_variable_that_is_not_utf_8(recorder: Recorder, key: str) -> None:
    """It is named before any request is sent."""
    run = recorder.run("load", **{f"SOURCES__SALESFORCE__{key}": "x\udcff"})

    assert run.returncode == 78
    assert f"(variable SOURCES__SALESFORCE__{key}) contains a character that is not UTF-8." in run.stderr
    assert not recorder.org.requests


def test_a_filter_cannot_control_the_terminal(recorder: Recorder) -> None:
    """Nor is one shown whose text has no end."""
    run = recorder.run("load", SOURCES__SALESFORCE__JOB_TYPE="\u202ex" + "y" * 10_000)

    assert run.returncode == 78
    assert "rejects the listing's filters jobType=\N{REPLACEMENT CHARACTER}xyyy" in run.stderr
    assert len(run.stderr) < 1_000


def test_empty_keys_are_named(folder: Path) -> None:
    """As the example file has them, and where they are; the placeholder, too."""
    file = folder / "secrets.toml"
    file.write_text((Path(__file__).parents[2] / ".dlt" / "secrets.example.toml").read_text())
    found = refusal()

    assert found.message == (
        "The sign-in is incomplete. It has instance_url. "
        f"Empty: client_id (in {file}), client_secret (in {file}). "
        f"`sources.salesforce.credentials.instance_url` (in {file}) is the placeholder of .dlt/secrets.example.toml."
    )


def test_empty_and_missing_keys_differ(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "secrets.toml").write_text(f'{SECTION}\ninstance_url = "x.my.salesforce.com"\nclient_secret = " "\n')
    assert "Missing: client_id. Empty: client_secret (in " in refusal().message
    (folder / "secrets.toml").write_text("")
    monkeypatch.setenv("SOURCES__SALESFORCE__CREDENTIALS__CLIENT_ID", "")
    assert refusal().message == (
        "No Salesforce credentials are set. Empty: client_id (variable SOURCES__SALESFORCE__CREDENTIALS__CLIENT_ID)."
    )
