"""What a lake refuses is said in plain words, with the exit code, and without a secret. Nothing is lost by it."""

import os
import shutil
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import pytest
from forwarder import differing
from lake_forwarder import LakeForwarder
from s3_server import S3Server, s3_server
from small_disks import fill, make_room, mounted, remount

from pipelines.config.dlt_context import use_project
from pipelines.config.settings import read_settings
from pipelines.errors import AccessDenied, ConfigError, RecorderError, TemporaryError
from pipelines.forwarding.examination import examine
from pipelines.forwarding.settings import read_forward_settings
from pipelines.warehouse.damage import FACTOR, HEADER_SIZE, SEED

Lakes = Callable[..., LakeForwarder]


FORMATS = pytest.mark.parametrize("table_format", [None, "delta"], ids=["parquet", "delta"])


def examined(lake: LakeForwarder, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `doctor` says of it."""
    for name, value in lake.environment.items():
        monkeypatch.setenv(name, value)
    use_project()
    forwarding = read_forward_settings()
    assert forwarding is not None
    return examine(read_settings(), forwarding)


@FORMATS
def test_a_missing_bucket_is_not_created(lake_of: Lakes, s3: S3Server, small: Path, table_format: str | None) -> None:
    lake = lake_of(on_s3=True, url="s3://no-such-bucket/jobs", table_format=table_format)
    lake.publish(small)

    with pytest.raises(ConfigError, match="no bucket no-such-bucket"):
        lake.forward()

    assert not s3.files.exists("no-such-bucket")


def test_a_bucket_without_keys(lake_of: Lakes, small: Path) -> None:
    """They are named as the settings have them."""
    lake = lake_of(on_s3=True, url="s3://bucket/jobs", more={"AWS_EC2_METADATA_DISABLED": "true"})
    lake.publish(small)

    with pytest.raises(ConfigError, match="filesystem: aws_access_key_id, aws_secret_access_key"):
        lake.forward()


def test_a_server_that_is_down_means_later(lake_of: Lakes, small: Path) -> None:
    with s3_server() as server:
        lake = lake_of(url=f"s3://{server.new_bucket()}/jobs", files=server.files, more=server.environment, on_s3=True)
        lake.publish(small)
        server.stop()

        with pytest.raises(TemporaryError) as refused:
            lake.forward()

    assert server.keys["secret"] not in str(refused.value)
    assert not lake.sent.joinpath("warehouse.duckdb").exists()


def test_a_file_in_the_way_of_the_lake(lake_of: Lakes, small: Path) -> None:
    lake = lake_of()
    Path(lake.url).write_text("not a folder")
    lake.publish(small)

    with pytest.raises(ConfigError, match=r"Something else is in the place of .*a=1 lake"):
        lake.forward()
    assert lake.run("--quiet")[0] == 78


@FORMATS
def test_a_disk_that_is_read_only(
    lake_of: Lakes, some: Path, tmp_path: Path, table_format: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "disk") as disk:
        lake = lake_of(url=str(disk / "lake"), table_format=table_format)
        lake.publish(some)
        lake.forward()
        lake.change("update query_jobs set state = 'Closed'")
        remount(disk, "ro")
        for refused in (lake.forward, lambda: examined(lake, monkeypatch)):
            with pytest.raises(AccessDenied, match="Access to the lake"):
                refused()
        assert lake.run("--quiet")[0] == 77
        remount(disk, "rw")

        assert "reached" in examined(lake, monkeypatch)
        lake.forward()
        assert differing(lake.here(), lake.there()) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="Root may write everywhere.")
def test_a_folder_without_permission(lake_of: Lakes, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lake_of()
    Path(lake.url).mkdir(mode=0o555)
    lake.publish(small)

    for refused in (lake.forward, lambda: examined(lake, monkeypatch)):
        with pytest.raises(AccessDenied, match="Access to the lake"):
            refused()


@FORMATS
def test_a_full_disk(lake_of: Lakes, some: Path, tmp_path: Path, table_format: str | None) -> None:
    """What was there can be read, and the next forward sends the rest."""
    with mounted(tmp_path / "disk") as disk:
        lake = lake_of(url=str(disk / "lake"), table_format=table_format)
        lake.publish(some)
        lake.forward()
        lake.change("update query_jobs set object = hash(id)::varchar", "update users set name = hash(id)::varchar")
        fill(disk, leaving=40 * 1024)

        with pytest.raises(RecorderError, match="The disk is full"):
            lake.forward()

        assert len(lake.there()["query_jobs"]) == 2001
        make_room(disk)
        lake.forward()
        assert differing(lake.here(), lake.there()) == {}


@pytest.mark.parametrize(
    ("package", "on_s3", "table_format"), [("deltalake", False, "delta"), ("s3fs", True, None)], ids=["delta", "s3"]
)
def test_a_package_that_is_not_installed(
    lake_of: Lakes, small: Path, package: str, on_s3: bool, table_format: str | None
) -> None:
    lake = lake_of(on_s3=on_s3, table_format=table_format)
    lake.publish(small)
    hidden = lake.home / "hidden"
    hidden.mkdir()
    missing = f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')\n"
    (hidden / f"{package}.py").write_text(missing)
    lake.environment["PYTHONPATH"] = str(hidden)

    code, said = lake.run()

    assert (code, "make setup-lake" in said, "Traceback" in said) == (78, True, False), said


@FORMATS
def test_doctor_examines_a_lake_and_writes_nothing(
    lake_of: Lakes, s3: S3Server, small: Path, table_format: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, on_s3 = lake_of("folder", table_format=table_format), lake_of("bucket", on_s3=True, table_format=table_format)
    for one in (lake, on_s3):
        one.publish(small)
        assert "reached" in examined(one, monkeypatch)
    assert not Path(lake.url).exists()
    assert not s3.files.exists(on_s3.url)
    on_s3.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = "s3://no-such-bucket/jobs"
    with pytest.raises(ConfigError, match="no bucket no-such-bucket"):
        examined(on_s3, monkeypatch)
    Path(lake.url).write_text("not a folder")
    with pytest.raises(ConfigError, match=r"Something else is in the place of .*a=1 lake"):
        examined(lake, monkeypatch)


def test_a_published_copy_that_a_newer_duckdb_wrote(lake_of: Lakes, small: Path) -> None:
    lake = lake_of()
    lake.publish(small)
    content = bytearray(lake.published.read_bytes())
    content[12:20] = (71).to_bytes(8, "little")  # the version, and before it, the checksum of all words behind that
    words = [int.from_bytes(content[at : at + 8], "little") for at in range(8, HEADER_SIZE, 8)]
    content[:8] = reduce(lambda sum, word: sum ^ word * FACTOR.as_py() % 2**64, words, SEED).to_bytes(8, "little")
    lake.published.write_bytes(content)

    with pytest.raises(ConfigError, match=r"is not a readable DuckDB file.* version"):
        lake.forward()


@pytest.mark.parametrize("where", ["recorders", "users", "query_jobs", "views/duckdb.sql"])
def test_something_else_in_the_place_of_a_part_of_the_lake(lake_of: Lakes, small: Path, where: str) -> None:
    lake = lake_of()
    lake.publish(small)
    lake.forward()
    lake.change("update listings set notes = 'new'")
    place = Path(lake.root) / where
    if place.is_dir():
        shutil.rmtree(place)
        place.touch()
    else:
        place.unlink()
        place.mkdir()

    with pytest.raises(ConfigError, match=rf"Something else is in the place of .*{where}"):
        lake.forward(init=True)  # which writes the scripts, too

    place.rmdir() if place.is_dir() else place.unlink()
    lake.forward(init=True)
    lake.forward()
    assert differing(lake.here(), lake.there()) == {}


@pytest.mark.parametrize("table_format", [None, "delta"])
def test_a_path_that_is_too_long(lake_of: Lakes, small: Path, tmp_path: Path, table_format: str | None) -> None:
    lake = lake_of(url=str(tmp_path / ("n" * 300)), table_format=table_format)
    lake.publish(small)
    with pytest.raises(ConfigError, match="too long for the file system"):
        lake.forward()
