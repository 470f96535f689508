"""The views' SQL in each dialect that the documentation names: it parses, has the columns that the header says, and none
of the wordings that the dialect takes and understands differently."""

import re
from functools import cache

import pytest
import sqlglot
from sqlglot import exp

from pipelines.forwarding.dialects import translate, typed, views_in
from pipelines.warehouse.schema import read_header, views

VIEWS = views()
DIALECTS = ("duckdb", "postgres", "redshift", "spark", "databricks", "snowflake", "bigquery", "trino")
EVERYWHERE = {
    r"\bPERCENTILE|\bAPPROX|\bQUANTILE|\bMEDIAN\(": "select median(x.used) as v from salesforce.limit_readings as x",
    r"\bCONCAT_WS\(": "select concat_ws('; ', x.name, x.username) as v from salesforce.users as x",
    r"\bIS NOT DISTINCT FROM|\bIS DISTINCT FROM|<=>|EQUAL_NULL": (
        "select x.id as v from salesforce.users as x inner join salesforce.users as y on x.name is not distinct from y.name"
    ),
}
DIFFERENCE = "select date_diff('second', x.started_at, x.finished_at) as v from salesforce.listings as x"
PRODUCT = "select x.started_at + x.pages * interval '1' hour as v from salesforce.listings as x"
UTC = "select cast(x.started_at at time zone 'UTC' as date) as v from salesforce.listings as x"
WEEK = "select date_trunc('week', x.started_at at time zone 'UTC') as v from salesforce.listings as x"
PART = "select split_part(x.name, ' ', 1) as v from salesforce.users as x"
IS_TRUE = "select case when x.is_active is not true then 1 end as v from salesforce.users as x"
GREATEST = "select greatest(x.used, x.max) as v from salesforce.limit_readings as x"
RUNNING = "select sum(x.pages) over (order by x.started_at) as v from salesforce.listings as x"
# What sqlglot writes for these, pattern by pattern, is wrong in that dialect: refused, or worse, taken.
WRONG = {
    "duckdb": {},
    "postgres": {**EVERYWHERE, r"CAST\(EXTRACT|EXTRACT\(epoch": DIFFERENCE},
    "redshift": {
        **{pattern: sql for pattern, sql in EVERYWHERE.items() if "CONCAT" not in pattern},  # written with ||, and null
        r"\* INTERVAL": PRODUCT,
        r"(?i)\bSUM\([^()]*\) OVER \([^()]*ORDER BY (?:(?!\brows\b)[^()])*\)": RUNNING,
    },
    "spark": {**EVERYWHERE, r"DATEDIFF\((SECOND|HOUR)": DIFFERENCE},
    "databricks": {**EVERYWHERE, r"DATEDIFF\((SECOND|HOUR)": DIFFERENCE},
    "snowflake": {
        **EVERYWHERE,
        r"\* INTERVAL": PRODUCT,
        r"(?<!CAST\()(?<!CAST\(\n)CONVERT_TIMEZONE": UTC.replace("cast(", "(").replace(" as date)", ")"),
        r"DATE_TRUNC\(\s*'WEEK'": WEEK,
        r"NOT x\.is_active\b": IS_TRUE,
    },
    "bigquery": {
        **EVERYWHERE,
        r"\* INTERVAL": PRODUCT,
        r"TIMESTAMP\(\s*DATETIME\(": UTC,
        r"\bWEEK\s*\)": WEEK,
        r"\bDATE_DIFF\(": DIFFERENCE,
        r"\bSPLIT_PART\(": PART,
        r"\bGREATEST\(": GREATEST,
    },
    "trino": {
        **EVERYWHERE,
        r"(?<!CAST\()(?<!CAST\(\n)\bAT_TIMEZONE\(": UTC.replace("cast(", "(").replace(" as date)", ")"),
        r"DATE_DIFF\('(SECOND|HOUR)', (?!\s*DATE_TRUNC)": DIFFERENCE,
        r"\bGREATEST\(": GREATEST,
    },
}
PATTERNS = [(dialect, pattern) for dialect, patterns in WRONG.items() for pattern in patterns]
RULED = (DIFFERENCE, PRODUCT, UTC, WEEK, PART)


@cache
def written(dialect: str) -> dict[str, str]:
    return views_in(dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_view_is_written_in_the_dialect(dialect: str) -> None:
    """It parses back, has the columns of the header, in order, and reads no view that comes after it."""
    seen: set[str] = set()
    for name, sql in written(dialect).items():
        (tree,) = sqlglot.parse(sql, read=dialect)
        assert isinstance(tree, exp.Query)
        assert tree.named_selects == [column for column, *_ in read_header(VIEWS[name])[1]], name
        assert {table.name for table in tree.find_all(exp.Table) if table.db} & VIEWS.keys() <= seen, name
        assert not re.search(r"--|/\*", sql), "comments"
        seen.add(name)
    assert seen == VIEWS.keys()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_view_has_words_that_the_dialect_understands_differently(dialect: str) -> None:
    found = {
        (view, pattern): match.group()
        for view, sql in written(dialect).items()
        for pattern in WRONG[dialect]
        if (match := re.search(pattern, sql))
    }
    assert found == {}


@pytest.mark.parametrize(("dialect", "pattern"), PATTERNS)
def test_such_words_would_be_found(dialect: str, pattern: str) -> None:
    """sqlglot alone writes them; our rules, where there is one, do not."""
    sql = WRONG[dialect][pattern]

    (alone,) = sqlglot.transpile(sql, read="duckdb", write=dialect)
    assert re.search(pattern, alone), alone
    if sql in RULED:
        assert not re.search(pattern, translate(sql, dialect)), translate(sql, dialect)


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_quotients_and_averages_are_of_floating_point_numbers(view: str) -> None:
    """Others divide whole numbers to whole numbers, or to six digits after the point."""
    tree = typed(VIEWS[view])
    quotients = [node for node in tree.find_all(exp.Div) if not (is_double(node.this) or is_double(node.expression))]

    assert [node.sql("duckdb") for node in quotients] == []
    assert [node.sql("duckdb") for node in tree.find_all(exp.Avg) if not is_double(node.this)] == []


def test_quotients_of_whole_numbers_would_be_found() -> None:
    tree = typed("select x.used / x.max as v, avg(x.used) as a from salesforce.limit_readings as x group by 1")

    assert not any(is_double(node.this) for node in tree.find_all(exp.Div, exp.Avg))


def is_double(node: exp.Expression) -> bool:
    return node.is_type("double")


def test_views_read_from_the_schema_that_is_named() -> None:
    """One that needs quotes, too, or none."""
    assert 'FROM "our jobs".jobs' in views_in("postgres", "our jobs")["failures"]
    assert "FROM jobs" in views_in("spark", "")["failures"]
    assert "salesforce." not in "".join(views_in("spark", "").values())
