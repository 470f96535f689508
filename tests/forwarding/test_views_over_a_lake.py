"""The views over a lake, by the scripts that `forward` writes, are equal to those of the published copy, row by row."""

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lake_forwarder import LakeForwarder
from spark_session import spark_session
from varied_warehouse import odd_warehouse, story_warehouse, together
from view_equality import differing_views

from pipelines.config.project import PROJECT
from pipelines.forwarding.lake_views import statements
from pipelines.warehouse.schema import views

DOCS = PROJECT / "docs" / "company-warehouse.md"
EXAMPLE = re.compile(r"```python\n(import re\n.*?)```", re.DOTALL)


@pytest.fixture
def varied(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded story of two orgs, and odd rows."""
    story = story_warehouse(tmp_path_factory.mktemp("story"))
    return together(tmp_path / "varied.duckdb", [story, odd_warehouse(tmp_path / "odd.duckdb", seed=1)])


@pytest.fixture
def lake(tmp_path: Path, varied: Path, lake_of: Callable[..., LakeForwarder]) -> LakeForwarder:
    """That warehouse, forwarded twice, so that many rows are there in two versions."""
    made = lake_of(url=str(tmp_path / "a=1 lake"))  # Spark takes brackets for a pattern
    made.publish(varied, "update query_jobs set object = 'before'", identity="varied")
    made.forward()
    made.publish(varied, identity="varied")
    made.forward()
    return made


def test_the_script_creates_every_view(lake_of: Callable[..., LakeForwarder], small: Path) -> None:
    lake = lake_of()
    lake.publish(small)
    lake.forward()

    with lake.lake(views=True) as connection:
        found = connection.execute("select view_name from duckdb_views() where schema_name = 'salesforce'").fetchall()
        assert {name for (name,) in found} >= views().keys()
        assert connection.execute("select id, state from salesforce.jobs").fetchall() == [("job", "Open")]


@pytest.mark.slow  # half a minute
def test_views_of_duckdb_over_a_lake_are_equal(varied: Path, lake: LakeForwarder) -> None:
    with lake.lake(views=True) as connection:
        assert differing_views(varied, lambda sql: connection.sql(sql).to_arrow_table()) == {}


@pytest.mark.slow  # minutes
def test_views_of_spark_over_a_lake_are_equal(varied: Path, lake: LakeForwarder, tmp_path: Path) -> None:
    """By the lines that the docs show, also if the session changes to another time zone afterwards."""
    (example,) = EXAMPLE.findall(DOCS.read_text())
    with spark_session(tmp_path / "spark") as spark:
        exec(example.replace("/srv/lake/salesforce", lake.root), {"spark": spark})
        spark.sql("set time zone 'Asia/Tokyo'")

        assert differing_views(varied, lambda sql: spark.sql(sql).toArrow(), schema="") == {}


@pytest.mark.slow
def test_two_executors_read_a_lake(
    lake_of: Callable[..., LakeForwarder], some: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of their own, as on a cluster: what they read comes from the files alone."""

    def whoever_works(part: Any) -> list[int]:  # sent to the executors as code: they cannot import this module
        time.sleep(2)  # so that one alone does not do everything
        return [os.getppid()]

    lake = lake_of(url=str(tmp_path / "a=1 lake"))  # Spark takes brackets for a pattern
    lake.publish(some)
    lake.forward()
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    with lake.lake() as connection:
        ours = connection.execute("select count(*), count(distinct org_id) from salesforce.query_jobs").fetchone()
    with spark_session(tmp_path / "spark", master="local-cluster[2,1,1024]") as spark:
        for statement in statements(lake.script("spark")):
            spark.sql(statement)
            if "view query_jobs as" in statement:
                break
        theirs = spark.sql("select count(*), count(distinct org_id) from query_jobs").collect()
        executors = set(spark.sparkContext.parallelize(range(4), 4).mapPartitions(whoever_works).collect())

    assert tuple(theirs[0]) == ours
    assert len(executors) == 2
