"""`init` writes an org's keys, destroys none, tries them, and shows the line for cron."""

import os
import pty
import re
import shlex
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorders import KEYS, Recorder

from pipelines.config.secrets_file import keys_there, section_of, with_keys
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.demo_org.ways_in import offer_all_ways

SECTION = section_of("")


@pytest.fixture
def org() -> Iterator[DemoOrg]:
    """With the machine's clock, which `init` compares."""
    with serving(demo_org := DemoOrg()):
        yield demo_org


@pytest.fixture
def empty(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A recorder without keys."""
    for name in [name for name in os.environ if name.startswith(KEYS)]:
        monkeypatch.delenv(name)
    (recorder.home / ".dlt" / "config.toml").write_text("[query_jobs]\n")
    return recorder


def init(recorder: Recorder, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        recorder.command("init", *arguments), env=os.environ, cwd=recorder.home, input=said, text=True,
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip


def secrets(recorder: Recorder) -> Path:
    return recorder.home / ".dlt" / "secrets.toml"


def commands(org: DemoOrg, folder: Path) -> list[list[str]]:
    """The arguments of `init`, and before them what is set in the environment, for each way that the org offers."""
    offered = offer_all_ways(org, folder).replace(f"{shlex.quote(sys.executable)} -m pipelines.query_jobs init", "INIT")
    return [shlex.split(line) for line in offered.splitlines() if " INIT " in f" {line} " and line.startswith("  ")]


@pytest.mark.parametrize("way", range(4))
def test_the_demo_org_lets_each_way_be_tried(
    org: DemoOrg, empty: Recorder, way: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    org.add_job()
    (tmp_path / "ways").mkdir()
    words = commands(org, tmp_path / "ways")[way]
    for variable in words[: words.index("INIT")]:
        monkeypatch.setenv("PATH", variable.removeprefix("PATH=").replace("$PATH", os.environ["PATH"]))
    ran = init(empty, *words[words.index("INIT") + 1 :])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert stat.S_IMODE(secrets(empty).stat().st_mode) == 0o600
    assert "signed in at" in ran.stdout
    assert re.search(r"17 \* \* \* \* .* -m pipelines\.query_jobs load --quiet", ran.stdout)
    assert org.client_secret not in ran.stdout + ran.stderr
    assert org.access_token not in ran.stdout + ran.stderr


def test_what_is_there_is_not_destroyed(org: DemoOrg, empty: Recorder) -> None:
    mine = '# mine\n[destination.postgres.credentials]\npassword = "p"  # of the warehouse\n'
    secrets(empty).write_text(mine)
    arguments = ("--instance-url", org.instance_url, "--client-id", org.client_id, "--secret-file", "-")
    ran = init(empty, *arguments, said="wrong\n")
    assert ran.returncode == 77
    assert secrets(empty).read_text().startswith(mine)
    assert stat.S_IMODE(secrets(empty).stat().st_mode) == 0o600

    before = secrets(empty).read_text()
    ran = init(empty, *arguments, said=org.client_secret)
    assert (ran.returncode, secrets(empty).read_text()) == (78, before)
    assert "--replace" in ran.stderr
    assert "move these keys to [orgs.NAME.credentials]" in ran.stderr  # --org alone would be refused
    ran = init(empty, *arguments, "--replace", said=org.client_secret)
    assert ran.returncode == 0, ran.stdout
    (kept,) = empty.home.glob(".dlt/secrets.toml.*")
    assert kept.read_text() == before
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert secrets(empty).read_text().startswith(mine)


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (["--instance-url", "https://a.my.salesforce.com", "--client-id", "x"], "--secret-file", 2),
        (["--sign-in", "sf"], "--sf-cli-org", 2),
        ([], "--sign-in", 2),
        (
            ["--instance-url", "https://yourdomain.my.salesforce.com", "--client-id", "x", "--secret-file", "-"],
            "placeholder",
            78,
        ),
        (["--instance-url", "http://a.my.salesforce.com", "--client-id", "x", "--secret-file", "-"], "https://", 78),
        (
            ["--sign-in", "token", "--instance-url", "https://a.my.salesforce.com", "--secret-file", os.devnull],
            "is empty",
            78,
        ),
        (["--sf-cli-org", "a", "--client-id", "x"], "client_id", 2),
        (["--org", "a b", "--sf-cli-org", "a"], "cannot have this name", 2),
    ],
)
def test_nothing_is_written_for_what_cannot_be_a_key(
    empty: Recorder, arguments: list[str], says: str, code: int
) -> None:
    ran = init(empty, *arguments, said="secret")
    assert ran.returncode == code, ran.stderr
    assert says in ran.stderr
    assert not secrets(empty).exists()


def test_the_copied_example_is_filled_in_and_other_orgs_stay() -> None:
    example = (Path(__file__).parents[2] / ".dlt" / "secrets.example.toml").read_text()
    assert keys_there(tomllib.loads(example), SECTION) == []
    filled = with_keys(example, SECTION, {"sf_cli_org": "mine"})
    assert tomllib.loads(filled) == {"sources": {"salesforce": {"credentials": {"sf_cli_org": "mine"}}}}
    assert "# 2. JWT bearer" in filled
    one = with_keys("", section_of("prod"), {"sf_cli_org": "a"})
    two = with_keys(one, section_of("uat"), {"sf_cli_org": 'b"]\n'})
    assert tomllib.loads(two)["orgs"] == {
        "prod": {"credentials": {"sf_cli_org": "a"}}, "uat": {"credentials": {"sf_cli_org": 'b"]\n'}}
    }  # fmt: skip


@pytest.mark.slow
def test_in_a_terminal_it_asks_and_does_not_show_the_secret(org: DemoOrg, empty: Recorder) -> None:
    master, terminal = pty.openpty()
    answers = {b"Number [1]:": "1", b"My Domain": org.instance_url, b"Consumer key": org.client_id,
               b"Consumer secret": org.client_secret}  # fmt: skip
    with subprocess.Popen(
        empty.command("init"), stdin=terminal, stdout=terminal, stderr=terminal, cwd=empty.home, start_new_session=True
    ) as process:
        os.close(terminal)
        said = b""
        try:
            while part := os.read(master, 65_536):
                said += part
                for question in [question for question in answers if question in said]:
                    time.sleep(0.2)  # getpass discards what was typed before it asks
                    os.write(master, f"{answers.pop(question)}\n".encode())
        except OSError:  # the end of a terminal
            pass
    assert process.returncode == 0, said.decode()
    assert org.client_secret.encode() not in said
    assert tomllib.loads(secrets(empty).read_text())["sources"]["salesforce"]["credentials"]["client_secret"]
