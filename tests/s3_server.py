"""A real server that answers as S3, for tests: moto, on 127.0.0.1, in memory, and gone afterwards."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from postgres_server import missing_engine

names = count(1)


@dataclass
class S3Server:
    """A running server. `stop` and `start` it again to see what happens meanwhile; what it had is gone then."""

    port: int
    process: subprocess.Popen[bytes] | None = None
    keys: dict[str, str] = field(default_factory=lambda: {"key": "test", "secret": "lake-secret-key"})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a user would set, as variables."""
        credentials = "DESTINATION__FILESYSTEM__CREDENTIALS__"
        return {
            f"{credentials}AWS_ACCESS_KEY_ID": self.keys["key"],
            f"{credentials}AWS_SECRET_ACCESS_KEY": self.keys["secret"],
            f"{credentials}ENDPOINT_URL": self.url,
            f"{credentials}REGION_NAME": "eu-central-1",
            "AWS_ALLOW_HTTP": "true",  # deltalake insists on TLS otherwise
        }

    @property
    def files(self) -> Any:
        """Its buckets, as a file system."""
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        return s3fs.S3FileSystem(
            **self.keys, client_kwargs={"region_name": "eu-central-1"}, endpoint_url=self.url, use_listings_cache=False
        )

    def new_bucket(self) -> str:
        name = f"bucket-{next(names)}"
        self.files.mkdir(name)
        return name

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("moto does not start") from error
                time.sleep(0.1)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(30)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A new server without buckets. Skips the test where moto or s3fs is missing, or fails it in CI."""
    try:
        import moto.server  # noqa: F401
        import s3fs  # noqa: F401
    except ImportError:
        missing_engine("moto or s3fs is not installed: make setup-engines")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    server = S3Server(port)
    before = os.environ.pop("AWS_PROFILE", None)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        if before is not None:
            os.environ["AWS_PROFILE"] = before
