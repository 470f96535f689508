"""Files with secrets that others can read are told, each in one line, and only those that the sign-in really reads."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import KEYS, Recorder
from keys import PRIVATE_PEM, PUBLIC_PEM

from pipelines.config.dlt_context import use_project
from pipelines.config.own_settings import users_folder
from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg


@pytest.fixture
def secrets(org: DemoOrg, recorder: Recorder, give) -> Iterator[Path]:
    """A secrets.toml that all can read, with all that a sign-in needs; nothing of it is in the environment."""
    give()
    file = recorder.home / ".dlt" / "secrets.toml"
    keys = {"instance_url": org.instance_url, "client_id": org.client_id, "client_secret": org.client_secret}
    file.write_text("[sources.salesforce.credentials]\n" + "".join(f'{key} = "{keys[key]}"\n' for key in keys))
    file.chmod(0o644)
    yield file
    file.unlink()
    use_project()  # or dlt goes on knowing them in this process


def told() -> list[str]:
    """What a sign-in's files are told for."""
    said: list[str] = []
    use_project()
    read_credentials(lambda failure: said.append(str(failure)))
    return said


@pytest.mark.slow
def test_a_quiet_load_tells_it_in_one_line_and_loads(org: DemoOrg, recorder: Recorder, secrets: Path) -> None:
    """cron mails it: that somebody else can read the secret needs a person, and waits for none."""
    org.add_job()
    run = recorder.run("load", "--quiet")

    assert (run.returncode, run.stdout) == (0, "")
    assert run.stderr == f"WARNING: {secrets} can be read by other users of this machine. Run: chmod 600 {secrets}\n"
    secrets.chmod(0o600)
    assert recorder.run("load", "--quiet").stderr == ""
    assert len(recorder.rows("select * from listings")) == 2


@pytest.mark.parametrize(("mode", "others_can_read"), [(0o604, True), (0o640, True), (0o400, False), (0o711, False)])
def test_one_reader_too_many_is_enough(secrets: Path, mode: int, others_can_read: bool) -> None:
    """The group's members, too."""
    secrets.chmod(mode)

    assert len(told()) == others_can_read


def test_a_file_that_the_environment_replaces_is_not_told(org: DemoOrg, secrets: Path, monkeypatch) -> None:
    """Its secret opens nothing that this run asks for; the address may stay in it."""
    monkeypatch.setenv(f"{KEYS}CLIENT_SECRET", "of the environment")

    assert told() == []


def test_a_file_without_a_secret_is_not_told(secrets: Path) -> None:
    """An alias opens nothing by itself."""
    secrets.write_text('[sources.salesforce.credentials]\nsf_cli_org = "mine"\n')

    assert told() == []


def test_a_private_keys_own_file_is_told(org: DemoOrg, recorder: Recorder, give) -> None:
    """Whoever reads it signs in as us; wherever its path was given, and with what the shell would split quoted."""
    org.jwt_public_key = PUBLIC_PEM
    key = recorder.home / "server key.pem"
    key.write_text(PRIVATE_PEM)
    key.chmod(0o640)
    give(instance_url=org.instance_url, client_id="x", username="y", private_key=str(key))
    assert told() == [f"{key} can be read by other users of this machine. Run: chmod 600 '{key}'"]
    key.chmod(0o600)
    assert told() == []


@pytest.mark.parametrize("key", ["~nobody-of-this-name/x", "/no/such/file", r"x\u0000y", "A" * 5_000, "/", PRIVATE_PEM])
def test_what_is_no_file_is_told_at_the_sign_in(secrets: Path, key: str) -> None:
    """Looking for a file is no reason to fail, nor to quote what may be a key."""
    keys = f'instance_url = "x.my.salesforce.com"\nclient_id = "x"\nusername = "y"\nprivate_key = """{key}"""\n'
    secrets.write_text(f"[sources.salesforce.credentials]\n{keys}")
    secrets.chmod(0o600)

    assert told() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root's own is in /var")
def test_the_users_own_secrets_file_is_told(secrets: Path, recorder: Recorder, monkeypatch) -> None:
    """dlt reads one for all projects, too: the file that holds the secret is meant."""
    monkeypatch.setenv("HOME", str(recorder.home / "user"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    (recorder.home / "user").mkdir()
    (recorder.home / "user" / ".dlt").mkdir()
    own = (users_folder() or Path()) / "secrets.toml"
    assert own.is_relative_to(recorder.home)
    own.write_text(secrets.read_text())
    own.chmod(0o644)
    secrets.write_text("")

    assert [str(own) in said for said in told()] == [True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_somebody_else_lets_our_group_read_is_not_told(secrets: Path) -> None:
    """Nobody could read it otherwise; but all the others need not."""
    os.chown(secrets, 4_711, -1)
    secrets.chmod(0o640)
    assert told() == []
    secrets.chmod(0o644)
    assert len(told()) == 1
