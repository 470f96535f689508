"""What a lake refuses is said in plain words, with the exit code, and without a secret. Nothing is lost by it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lake_forwarder import LakeForwarder
from s3_server import S3Server, s3_server

from pipelines.errors import ConfigError, TemporaryError

Lakes = Callable[..., LakeForwarder]


@pytest.mark.parametrize("table_format", [None, "delta"], ids=["parquet", "delta"])
def test_a_missing_bucket_is_not_created(lake_of: Lakes, s3: S3Server, small: Path, table_format: str | None) -> None:
    lake = lake_of(on_s3=True, url="s3://no-such-bucket/jobs", table_format=table_format)
    lake.publish(small)

    with pytest.raises(ConfigError, match="no bucket no-such-bucket"):
        lake.forward()

    assert not s3.files.exists("no-such-bucket")


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

    with pytest.raises(ConfigError, match="in the way"):
        lake.forward()
