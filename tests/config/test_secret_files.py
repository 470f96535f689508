"""Secret files that other users can read are reported, one line each, and only if the sign-in really uses them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from keys import PRIVATE_PEM, PUBLIC_PEM
from recorders import KEYS, Recorder

from pipelines.config.dlt_context import use_project
from pipelines.config.own_settings import users_folder
from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg


@pytest.fixture
def secrets(org: DemoOrg, recorder: Recorder, give) -> Iterator[Path]:
    """A secrets.toml readable by all, with everything that a sign-in needs; nothing is in the environment."""
    give()
    file = recorder.home / ".dlt" / "secrets.toml"
    keys = {"instance_url": org.instance_url, "client_id": org.client_id, "client_secret": org.client_secret}
    file.write_text("[sources.salesforce.credentials]\n" + "".join(f'{key} = "{keys[key]}"\n' for key in keys))
    file.chmod(0o644)
    yield file
    file.unlink()
    use_project()  # or dlt would remember them in this process


def warned_of() -> list[str]:
    """The warnings about a sign-in's files."""
    said: list[str] = []
    use_project()
    read_credentials(lambda failure: said.append(str(failure)))
    return said


@pytest.mark.slow
def test_a_quiet_load_warns_in_one_line_and_loads(org: DemoOrg, recorder: Recorder, secrets: Path) -> None:
    """cron mails it: a readable secret needs attention, but does not stop the load."""
    org.add_job()
    run = recorder.run("load", "--quiet")

    assert (run.returncode, run.stdout) == (0, "")
    assert (
        run.stderr.partition(" bulk-jobs ")[2]
        == f"WARNING: {secrets} can be read by other users of this machine. Run: chmod 600 {secrets}\n"
    )
    secrets.chmod(0o600)
    assert recorder.run("load", "--quiet").stderr == ""
    assert len(recorder.rows("select * from listings")) == 2


@pytest.mark.parametrize(("mode", "others_can_read"), [(0o604, True), (0o640, True), (0o400, False), (0o711, False)])
def test_one_reader_too_many_is_enough(secrets: Path, mode: int, others_can_read: bool) -> None:
    """The group's members count, too."""
    secrets.chmod(mode)

    assert len(warned_of()) == others_can_read


def test_a_file_overridden_by_the_environment_is_not_reported(org: DemoOrg, secrets: Path, monkeypatch) -> None:
    """Its secret is not used in this run; the address may stay in it."""
    monkeypatch.setenv(f"{KEYS}CLIENT_SECRET", "of the environment")

    assert warned_of() == []


def test_a_file_without_a_secret_is_not_reported(secrets: Path) -> None:
    """An alias gives no access by itself."""
    secrets.write_text('[sources.salesforce.credentials]\nsf_cli_org = "mine"\n')

    assert warned_of() == []


def test_a_readable_private_key_file_is_reported(org: DemoOrg, recorder: Recorder, give) -> None:
    """Whoever can read it can sign in as us; wherever its path was set, and quoted for the shell if necessary."""
    org.jwt_public_key = PUBLIC_PEM
    key = recorder.home / "server key.pem"
    key.write_text(PRIVATE_PEM)
    key.chmod(0o640)
    give(instance_url=org.instance_url, client_id="x", username="y", private_key=str(key))
    assert warned_of() == [f"{key} can be read by other users of this machine. Run: chmod 600 '{key}'"]
    key.chmod(0o600)
    assert warned_of() == []


@pytest.mark.parametrize("key", ["~nobody-of-this-name/x", "/no/such/file", r"x\u0000y", "A" * 5_000, "/", PRIVATE_PEM])
def test_a_path_that_is_not_a_file_is_reported_at_sign_in(secrets: Path, key: str) -> None:
    """Checking for a file must neither fail nor quote what may be a key."""
    keys = f'instance_url = "x.my.salesforce.com"\nclient_id = "x"\nusername = "y"\nprivate_key = """{key}"""\n'
    secrets.write_text(f"[sources.salesforce.credentials]\n{keys}")
    secrets.chmod(0o600)

    assert warned_of() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root's own is in /var")
def test_the_users_own_secrets_file_is_reported(secrets: Path, recorder: Recorder, monkeypatch) -> None:
    """dlt also reads one for all projects: the message names the file that contains the secret."""
    monkeypatch.setenv("HOME", str(recorder.home / "user"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    (recorder.home / "user").mkdir()
    (recorder.home / "user" / ".dlt").mkdir()
    own = (users_folder() or Path()) / "secrets.toml"
    assert own.is_relative_to(recorder.home)
    own.write_text(secrets.read_text())
    own.chmod(0o644)
    secrets.write_text("")

    assert [str(own) in said for said in warned_of()] == [True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_another_owner_shares_with_our_group_is_not_reported(secrets: Path) -> None:
    """We could not read it otherwise; but all others need not."""
    os.chown(secrets, 4_711, -1)
    secrets.chmod(0o640)
    assert warned_of() == []
    secrets.chmod(0o644)
    assert len(warned_of()) == 1
