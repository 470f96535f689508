"""A flipped bit in each file that the recorder keeps beside its databases, and in these, or a part of it missing, one at
a time: it is named in a message, or does no harm, and everything that was recorded is there in the end."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest
from damages import damages, files_in
from killed_at import Runs
from processes import holding
from receivers import Web, web
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

HOUR = timedelta(hours=1)
KINDS = {  # of files, by their paths
    "primary": r"loader\.duckdb",
    "published": r"warehouse\.duckdb",
    "copies": r"warehouse\.duckdb\.copies/.*",
    "kept": r"loader\.duckdb\.state/kept/.*",
    "notes": r"loader\.duckdb\.state/[^/]*\.json",
    "identity": r"loader\.duckdb\.state/identity",
    "locks": r".*\.?lock",
}


class Keeping:
    """A recorder that has loaded and notified, and keeps a listing, of a job that no other one has; with all its files
    as they are then."""

    def __init__(self, recorder: Recorder, processes: Runs, channel: Web) -> None:
        self.recorder, self.processes, self.channel = recorder, processes, channel
        self.org: DemoOrg = recorder.org
        for number in range(30):
            self.org.add_job(jobType=("V2Query", "Classic")[number % 2])
        assert self.run("load", "--quiet")[0] == 0
        self.org.advance(HOUR)
        for job in list(self.org.jobs)[::3]:
            self.org.move_job(job, "JobComplete")
        assert self.run("load", "--quiet")[0] == 0
        self.findings, _ = self.run("check", "--notify")
        self.org.advance(HOUR)
        short_lived = self.org.add_job()
        with holding(recorder.primary_file):
            assert self.run("load")[0] == 75
        self.known = set(self.org.jobs)
        self.org.delete_job(short_lived)
        self.org.advance(HOUR)
        self.without_listing = self.known - {short_lived}
        self.files = files_in(recorder.home)
        shutil.copytree(recorder.home, recorder.home.with_name("as it was"))

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit code, and what was said. Whatever happens, nothing is unexpected."""
        ended = self.processes.run(*arguments, cwd=self.recorder.home)
        said = ended.stdout + ended.stderr
        assert re.search("Traceback|Unexpected", said) is None, said
        return ended.returncode, said

    def restore(self) -> None:
        shutil.rmtree(self.recorder.home)
        shutil.copytree(self.recorder.home.with_name("as it was"), self.recorder.home)
        self.channel.requests.clear()

    def go_on(self, damaged: str) -> None:
        """A load, doing what it says if it refuses, and `check --notify`; then all is there, or was named."""
        home, name = self.recorder.home, damaged.rpartition("/")[2]
        code, said = self.run("load", "--quiet")
        if code:
            assert (code, name in said) == (78, True), said
            if again := re.search(r"load again: (cp .+? && rm -f [^\s;]+)", said):
                subprocess.run(["sh", "-ec", again[1]], check=True)
            else:
                assert "move it away" in said
                (home / damaged).rename(home / "away")
            code, more = self.run("load", "--quiet")
            said += more
            assert code == 0, said
        is_kept = "/kept/" in damaged
        named = name in said or (is_kept and "kept listing could not be loaded" in said)
        there = set(self.recorder.states())
        assert there == (self.without_listing if is_kept and named else self.known), said
        if is_kept and named:
            assert len(list((self.recorder.state_folder / "set_aside").iterdir())) == 1
        code, said = self.run("check", "--notify")
        assert code == self.findings
        assert not self.channel.requests or name in said  # sent again, and why


@pytest.fixture
def keeping(recorder: Recorder, processes: Runs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeping]:
    with web() as channel:
        monkeypatch.setenv("ALERTS__URLS", f'["json://{channel.host}/"]')
        yield Keeping(recorder, processes, channel)


def test_the_kinds_are_all(keeping: Keeping) -> None:
    """Each file that the recorder keeps is of one of them."""
    ours = [file for file in keeping.files if not file.startswith(".dlt/")]
    assert [file for file in ours if not any(re.fullmatch(kind, file) for kind in KINDS.values())] == []
    assert [kind for kind in KINDS.values() if not any(re.fullmatch(kind, file) for file in ours)] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged(keeping: Keeping, kind: str) -> None:
    for file in keeping.files:
        if not re.fullmatch(KINDS[kind], file):
            continue
        whole = (keeping.recorder.home.with_name("as it was") / file).read_bytes()
        for how, content in damages(whole, file):
            keeping.restore()
            (keeping.recorder.home / file).write_bytes(content)
            try:
                keeping.go_on(file)
            except BaseException as error:
                error.add_note(f"{file}: {how}")
                raise
