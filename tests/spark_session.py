"""A real Spark for tests: a JVM of its own on 127.0.0.1, and gone afterwards."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from postgres_server import missing_engine

SETTINGS: Final = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}


@contextmanager
def spark_session(master: str = "local[2]", **settings: str) -> Iterator[Any]:
    """A new session in a new JVM. Skips the test where pyspark or Java is missing, or fails it if the environment
    variable CI is set."""
    try:
        from pyspark import SparkContext
        from pyspark.sql import SparkSession
    except ImportError:
        missing_engine("pyspark is not installed: make setup-engines")
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        missing_engine("Java is not installed: apt-get install openjdk-17-jre-headless")
    folder = Path(tempfile.mkdtemp(prefix="spark_"))
    builder = SparkSession.builder.master(master).appName("tests")
    places = {"spark.sql.warehouse.dir": f"{folder}/tables", "spark.local.dir": f"{folder}/spill"}
    for name, value in {**SETTINGS, **places, **settings}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    gateway = session.sparkContext._gateway
    try:
        yield session
    finally:
        with suppress(Exception):
            session.stop()
        with suppress(Exception):
            gateway.shutdown()
        SparkContext._gateway = SparkContext._jvm = None  # the next session starts a JVM of its own
        _end(gateway.proc)
        shutil.rmtree(folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The JVM ends when its standard input does; if it does not, by its process id."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait(20)
