"""A Spark of two threads in this process, for tests: times are UTC, and nothing listens but on 127.0.0.1."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from postgres_server import missing_engine

from pipelines.tables import DATASET

SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Of a few hundred rows, planning, compiling and starting tasks take nearly all the time.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.leafNodeDefaultParallelism": "1",
    "spark.sql.shuffle.partitions": "1",
}


@contextmanager
def spark_session(folder: Path, master: str = "local[2]") -> Iterator[Any]:
    """The session, with an empty schema of our name; its files are in the folder. Skips the test where Spark or Java is
    missing, or fails it if the environment variable CI is set."""
    try:
        from pyspark import SparkContext
        from pyspark.sql import SparkSession
    except ImportError:
        missing_engine("PySpark is not installed: make setup-engines")
    if not shutil.which("java"):
        missing_engine("Java is not installed: apt-get install openjdk-17-jre-headless")
    builder = SparkSession.builder.master(master).appName("tests of forwarding")
    for name, value in {**SETTINGS, "spark.sql.warehouse.dir": str(folder / "spark")}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        session.sparkContext.setLogLevel("ERROR")
        session.sql(f"create schema if not exists {DATASET}")
        yield session
    finally:
        session.stop()
        gateway, SparkContext._gateway, SparkContext._jvm = SparkContext._gateway, None, None
        if gateway is not None:  # without this, Java ends with this process only
            gateway.shutdown()
            gateway.proc.kill()
            gateway.proc.wait(30)
