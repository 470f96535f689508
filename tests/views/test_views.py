"""What the headers of the views say is true, on a warehouse that the demo org has filled, with all its problems."""

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import sqlglot
from planted import rows

from pipelines.config.project import PROJECT
from pipelines.config.settings import Settings
from pipelines.warehouse.schema import VIEWS as FOLDER
from pipelines.warehouse.schema import apply_views, read_header, views
from pipelines.warehouse.tables_page import QUESTIONS

VIEWS = views()
EMPTY = {"reduced_views", "usual_runs"}
EVERY_VIEW = pytest.mark.parametrize("view", sorted(VIEWS))


def test_views_have_the_same_order_in_every_process() -> None:
    """Or every other load would find that they have changed, and create them all again: a third of a small load."""
    code = "from pipelines.warehouse.schema import views; print(*views())"
    orders = {
        subprocess.check_output([sys.executable, "-c", code], cwd=PROJECT, env=os.environ | {"PYTHONHASHSEED": seed})
        for seed in "12345"
    }
    assert len(orders) == 1


@EVERY_VIEW
def test_the_header_matches_the_view(filled: Settings, view: str) -> None:
    """Names, types, order and comments, in the primary database and in the published copy."""
    grain, columns = read_header(VIEWS[view])
    for file in (filled.primary_file, filled.warehouse):
        described = rows(file, f"describe {view}")
        assert [(name, kind) for name, kind, *_ in described] == [(name, kind) for name, kind, _ in columns]
        comments = (
            f"select column_name, comment from duckdb_columns() "
            f"where schema_name = 'salesforce' and table_name = '{view}' order by column_index"
        )
        assert rows(file, comments) == [(name, meaning) for name, _, meaning in columns]
        assert rows(
            file, f"select comment from duckdb_views() where schema_name = 'salesforce' and view_name = '{view}'"
        ) == [(grain,)]


@EVERY_VIEW
def test_columns_that_the_header_calls_unique_are(filled: Settings, view: str) -> None:
    """On data with nulls."""
    (unique,) = [line for line in VIEWS[view].splitlines() if line.startswith("-- unique: ")]
    key = unique.removeprefix("-- unique: ")

    # All of it was shown all the time, but not for two weeks: tests/views/test_reduced_views.py, test_usual_runs.py have others.
    assert rows(filled.warehouse, f"select count(*) > 0 from {view}") == [(view not in EMPTY,)]
    assert rows(filled.warehouse, f"select {key} from {view} group by {key} having count(*) > 1") == []


@EVERY_VIEW
def test_every_view_is_the_same_in_any_time_zone(filled: Settings, view: str) -> None:
    """Days, hours and weeks are in UTC, not in the session's zone."""
    hashes = set()
    with duckdb.connect(filled.warehouse, read_only=True) as connection:
        for zone in ("UTC", "America/Los_Angeles", "Asia/Kathmandu"):
            connection.execute(f"set TimeZone = '{zone}'")
            # bit_xor of hashes does not depend on the order of the rows
            hashes.add(
                connection.execute(f"select count(*), bit_xor(hash(hash(v))) from salesforce.{view} as v").fetchone()
            )

    assert len(hashes) == 1


@pytest.mark.parametrize("dialect", ["postgres", "spark", "snowflake", "clickhouse"])
@EVERY_VIEW
def test_every_view_can_be_translated_into_other_dialects(view: str, dialect: str) -> None:
    """sqlglot parses it, and generates it without leaving anything out."""
    written = sqlglot.transpile(VIEWS[view], read="duckdb", write=dialect, unsupported_level=sqlglot.ErrorLevel.RAISE)

    assert sqlglot.parse_one(*written, read=dialect)


@EVERY_VIEW
def test_a_view_is_one_select_below_its_header(view: str) -> None:
    """Grain first; no DDL, no star, no constructs that only DuckDB has."""
    sql = VIEWS[view]
    (select,) = sqlglot.parse(sql, read="duckdb")

    assert isinstance(select, sqlglot.exp.Query)
    assert sql.startswith("-- One row per ")
    body = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    for construct in (r"\bgroup by all\b", r"\bqualify\b", r"::", r"\barg_max\b", r"\bexclude\b", r"\bfilter \("):
        assert not re.search(construct, body, re.IGNORECASE), construct


@pytest.mark.parametrize(
    ("fact", "home"),
    [
        (r"\bsalesforce\.query_jobs\b", {"listed_jobs"}),
        (r"in \('query', 'queryAll'\)", {"listed_jobs"}),
        (r"'JobComplete', 'Failed', 'Aborted', 'Closed'", {"listed_jobs"}),
        (r"filters = '\{\}'", {"complete_listings"}),
        # listing_ends keeps both starts of a listing apart: rows of either are of that listing.
        (r"\brestarted_at\b", {"all_listings", "listing_ends"}),
        (r"order by (coalesce\()?share_percent", {"allowance_by_hour"}),
        (r"\bapi_usage_max\b", {"limit_readings"}),
    ],
)
def test_each_fact_is_defined_in_one_view(fact: str, home: set[str]) -> None:
    bodies = {
        name: "\n".join(line for line in sql.splitlines() if not line.startswith("--")) for name, sql in VIEWS.items()
    }

    assert {name for name, body in bodies.items() if re.search(fact, body)} == home


def test_the_base_folder_has_the_views_that_others_build_on() -> None:
    """As listed on the page of tables."""
    base = {file.stem for file in (FOLDER / "base").glob("*.sql")}

    assert base == set(QUESTIONS["Building blocks of the other views"])
    for name in base:
        assert any(re.search(rf"\bsalesforce\.{name}\b", sql) for other, sql in VIEWS.items() if other != name), name


def test_the_problems_of_the_demo_org_show(filled: Settings) -> None:
    """Streak, stuck job, allowance, early deletions, a hole in coverage: each in its view."""
    file = filled.warehouse
    ((failures, created_by),) = rows(
        file, "select failures, created_by from failure_streaks where object = 'Lead' and ended_at is null"
    )
    assert created_by == "Data Warehouse"
    assert failures >= 10
    assert rows(
        file, "select object, created_by, age_hours from stuck_jobs order by age_hours desc nulls last limit 1"
    ) == [("Case", "Data Warehouse", 120.0)]
    assert rows(file, "select created_by, object from allowance_by_user order by query_jobs desc limit 1") == [
        ("Order Sync", "Order")
    ]
    ((peak,),) = rows(file, "select max(share_percent) from allowance_by_hour")
    assert peak > 80
    assert {who for (who,) in rows(file, "select created_by from early_deletions")} == {"Cloud Connector"}
    assert rows(file, "select feed, hours from coverage_holes order by feed") == [("ingest", 48.0), ("query", 48.0)]
    assert rows(file, "select sum(unseen) >= 100 from unseen_jobs") == [(True,)]


def test_applying_again_changes_nothing_and_restores_missing_views(filled: Settings, tmp_path: Path) -> None:
    """The second time, nothing is executed."""
    file = tmp_path / "copy.duckdb"
    file.write_bytes(filled.warehouse.read_bytes())
    everything = "select view_name, comment from duckdb_views() where schema_name = 'salesforce' order by 1"
    with duckdb.connect(file) as connection:
        before = connection.execute(everything).fetchall()
        apply_views(connection)
        assert connection.execute(everything).fetchall() == before
        connection.execute(
            "drop view salesforce.coverage_holes; create or replace view salesforce.mine as select 1 as x"
        )
        apply_views(connection)
        after = connection.execute(everything).fetchall()

    assert [view for view in after if view[0] != "mine"] == before
    assert len(after) == len(before) + 1
