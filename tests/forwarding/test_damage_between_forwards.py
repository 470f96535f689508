"""A flipped bit in each file that a forward reads or keeps, or a part of it missing, one at a time: it is named in a
message, or does no harm; and the destination is right in the end."""

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from damages import damages, files_in, flipped
from forwarder import differing
from killed_at import Runs
from lake_forwarder import LakeForwarder

from pipelines.errors import ConfigError
from pipelines.warehouse.damage import BLOCK_SIZES, FIRST_BLOCK

Lakes = Callable[..., LakeForwarder]
KINDS = {  # of files, by their paths below the folder of all
    "published": r"home/warehouse\.duckdb",
    "sent": r"home/loader\.duckdb\.sent/[^/]*/warehouse\.duckdb",
    "known": r"home/loader\.duckdb\.sent/[^/]*/(sent\.json|lock)",
    "registry": r"lake/salesforce/(recorders|full_forwards)/.*\.parquet",
    "rows": r"lake/salesforce/(listings|users)/.*\.parquet",
}
CHANGES = (
    "update query_jobs set object = 'Changed' where hash(id) % 3 = 0",
    "delete from users where id = 'user1'",
    "insert into listings select * replace ('extra' as listing_id) from listings limit 1",
)


class Sent:
    """A recorder that has forwarded to a lake, also with --full, and has something new."""

    def __init__(self, folder: Path, processes: Runs, published: Path) -> None:
        self.folder, self.processes = folder / "all", processes
        self.lake = LakeForwarder(self.folder / "home", url=str(self.folder / "lake"))
        self.lake.publish(published)
        assert self.run()[0] == 0
        assert self.run("--full")[0] == 0
        self.lake.change(*CHANGES)
        self.files = files_in(self.folder)
        shutil.copytree(self.folder, self.before)

    @property
    def before(self) -> Path:
        return self.folder.with_name("as it was")

    def restore(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.before, self.folder)

    def run(self, *options: str) -> tuple[int, str]:
        ended = self.processes.run("forward", *options, cwd=self.lake.home, environment=self.lake.environment)
        said = ended.stdout + ended.stderr
        assert re.search("Traceback|Unexpected", said) is None, said
        return ended.returncode, said

    def go_on(self, damaged: str) -> None:
        name = damaged.rpartition("/")[2]
        code, said = self.run()
        if code:
            assert (code, name in said) == (78, True), said
            if "next load publishes it" in said:
                shutil.copy(self.before / damaged, self.folder / damaged)
            else:
                assert "delete it" in said
                (self.folder / damaged).unlink()
            code, said = self.run("--full")
            assert code == 0, said
        if damaged.startswith("lake/") and not self.is_right():  # as the docs say: no forward reads what it has sent
            (self.folder / damaged).unlink()
            assert self.run("--full")[0] == 0
        assert self.is_right(), said
        assert self.run()[1].startswith("nothing new")

    def is_right(self) -> bool:
        try:
            return differing(self.lake.here(), self.lake.there()) == {}
        except duckdb.Error:  # a file that cannot be read
            return False


@pytest.fixture
def sent(tmp_path: Path, processes: Runs, some: Path) -> Sent:
    return Sent(tmp_path, processes, some)


def damage_rows(file: Path) -> None:
    """Flips a bit in each block of a DuckDB file."""
    content = bytearray(file.read_bytes())
    for at in range(FIRST_BLOCK + 100, len(content), BLOCK_SIZES[-1]):
        content[at] ^= 4
    file.write_bytes(content)


@pytest.mark.slow_cases
@pytest.mark.parametrize(("is_first", "dry_run"), [(True, False), (False, False), (True, True), (False, True)])
def test_a_damaged_published_copy_is_named(tmp_path: Path, some: Path, is_first: bool, dry_run: bool) -> None:
    """Whether it is compared with what was sent, or sent for the first time."""
    lake = LakeForwarder(tmp_path / "home", url=str(tmp_path / "lake"))
    lake.publish(some)
    if not is_first:
        lake.forward()
        lake.change(*CHANGES)
    damage_rows(lake.published)
    with pytest.raises(ConfigError, match=r"published copy .*warehouse\.duckdb is damaged: .*\n.*make load"):
        lake.forward(dry_run=dry_run)


@pytest.mark.slow
def test_a_damaged_sent_copy_counts_as_none(tmp_path: Path, some: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And so does one of which it is not known whether it was sent as a whole."""
    lake = LakeForwarder(tmp_path / "home", url=str(tmp_path / "lake"))
    lake.publish(some)
    lake.forward()
    lake.change(*CHANGES)
    damage_rows(lake.sent / "warehouse.duckdb")
    lake.forward()
    assert "warehouse.duckdb, cannot be read: everything is sent again" in caplog.text
    assert differing(lake.here(), lake.there()) == {}

    (before := tmp_path / "before.duckdb").write_bytes(lake.published.read_bytes())
    lake.change("update query_jobs set object = 'half sent'")
    lake.killed("*/loaded/*")
    (lake.sent / "sent.json").write_text("{")
    lake.publish(before)
    lake.forward()
    assert "is lost: everything is sent again" in caplog.text
    assert differing(lake.here(), lake.there()) == {}


@pytest.mark.slow
def test_a_damaged_file_of_the_registry_is_named(tmp_path: Path, small: Path) -> None:
    lake = LakeForwarder(tmp_path / "home", url=str(tmp_path / "lake"))
    lake.publish(small)
    lake.forward()
    (file,) = [path for path in lake.paths("recorders") if not path.name.startswith("columns")]
    whole = file.read_bytes()
    lake.change(*CHANGES)
    named = 0
    for at in range(4, len(whole), 200):
        file.write_bytes(flipped(whole, at, at % 8))
        with suppress(ConfigError):  # some bits have no meaning
            lake.forward()
            file.write_bytes(whole)
            continue
        with pytest.raises(ConfigError, match=rf"recorders/{file.name} .* is damaged.*\n.*forward --full"):
            lake.forward()
        named += 1
        file.write_bytes(whole)
    assert named
    file.unlink()
    lake.forward(full=True)
    assert differing(lake.here(), lake.there()) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged(sent: Sent, kind: str) -> None:
    found = [file for file in sent.files if re.fullmatch(KINDS[kind], file)]
    assert found
    for file in found:
        for how, content in damages((sent.before / file).read_bytes(), file):
            sent.restore()
            (sent.folder / file).write_bytes(content)
            try:
                sent.go_on(file)
            except BaseException as error:
                error.add_note(f"{file}: {how}")
                raise


@pytest.mark.slow
def test_what_the_lake_lost_comes_back(sent: Sent) -> None:
    """Its scripts are written anew by --init, if they differ, and all rows by --full."""
    (script,) = (sent.folder / "lake" / "salesforce" / "views").glob("duckdb.sql")
    whole = script.read_text()
    script.write_text(whole[:-100])
    assert sent.run("--init")[0] == 0
    assert script.read_text() == whole
    for file in (sent.folder / "lake" / "salesforce" / "query_jobs").glob("*.parquet"):
        file.write_bytes(b"PAR1")
        file.unlink()
    assert sent.run("--full")[0] == 0
    assert sent.is_right()
