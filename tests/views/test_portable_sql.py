"""The views' SQL uses nothing that other databases lack, or silently interpret differently."""

from collections.abc import Callable, Iterator

import pytest
import sqlglot
from sqlglot import exp

from pipelines.warehouse.schema import views

VIEWS = views()
AGGREGATES = (exp.Count, exp.Sum, exp.Min, exp.Max, exp.Avg)


def concat_ws(tree: exp.Expression) -> Iterator[exp.Expression]:
    """Snowflake, ClickHouse and BigQuery write a separator for a null, Redshift returns null."""
    yield from tree.find_all(exp.ConcatWs)


def formatted_times(tree: exp.Expression) -> Iterator[exp.Expression]:
    """BigQuery has another function for timestamps: truncate `cast(t as varchar)`."""
    yield from tree.find_all(exp.TimeToStr)


def medians_and_percentiles(tree: exp.Expression) -> Iterator[exp.Expression]:
    """Spark's and ClickHouse's are approximate, BigQuery has none: use the rank."""
    yield from tree.find_all(exp.Median, exp.PercentileDisc, exp.PercentileCont, exp.Quantile, exp.WithinGroup)


def is_true(tree: exp.Expression) -> Iterator[exp.Expression]:
    """Snowflake and SQL Server get `not x` instead of `x is not true`, and lose the nulls: `not coalesce(x, false)`."""
    yield from (test for test in tree.find_all(exp.Is) if isinstance(test.expression, exp.Boolean))


def decimal_literals(tree: exp.Expression) -> Iterator[exp.Expression]:
    """Spark keeps six digits after the decimal point: `cast(3600 as double)`, or `100 * cast(x as double)`."""
    for operation in tree.find_all(exp.Div, exp.Mul):
        sides = operation.this, operation.expression
        yield from (
            operation for side in sides if isinstance(side, exp.Literal) and not side.is_string and "." in side.name
        )


def counts_that_can_be_null(tree: exp.Expression) -> Iterator[exp.Expression]:
    """ClickHouse returns null for a scalar subquery that counts nothing: coalesce it."""
    for count in tree.find_all(exp.Count):
        select = count.find_ancestor(exp.Select)
        around = select.parent if select else None
        if isinstance(around, exp.Subquery) and not isinstance(around.parent, exp.From | exp.Join | exp.Coalesce):
            yield around


def aliases_of_aggregates_read_as_columns(tree: exp.Expression) -> Iterator[exp.Expression]:
    """ClickHouse resolves a name to the aggregate with that alias in the same SELECT, not to the column."""
    for select in tree.find_all(exp.Select):
        called = {item.alias for item in select.selects if item.alias and item.find(*AGGREGATES)}
        for item in [*select.selects, *filter(None, (select.args.get("where"), select.args.get("group")))]:
            for column in item.find_all(exp.Column):
                own = column.find_ancestor(exp.Select) is select and item.alias_or_name == column.name
                if (
                    column.name in called
                    and not column.table
                    and not own
                    and column.find_ancestor(exp.Select) is select
                ):
                    yield column


def null_safe_equality(tree: exp.Expression) -> Iterator[exp.Expression]:
    """Redshift has no `is not distinct from`, and Postgres cannot use an index for it: `coalesce('=' || x, '')`."""
    yield from tree.find_all(exp.NullSafeEQ, exp.NullSafeNEQ)


def empty_text_for_null(tree: exp.Expression) -> Iterator[exp.Expression]:
    """`coalesce(x, '') = coalesce(y, '')` equates null and the empty text: `coalesce('=' || x, '')`."""
    for equality in tree.find_all(exp.EQ):
        sides = equality.this, equality.expression
        if all(isinstance(side, exp.Coalesce) and isinstance(side.this, exp.Column) for side in sides):
            yield equality


def recursion(tree: exp.Expression) -> Iterator[exp.Expression]:
    """SQL Server and others stop after 100 steps: count with the view `numbers`."""
    yield from (clause for clause in tree.find_all(exp.With) if clause.args.get("recursive"))


def ranges_of_values(tree: exp.Expression) -> Iterator[exp.Expression]:
    """Snowflake and SQL Server have no window frames of an interval: add up +1 and -1."""
    for spec in tree.find_all(exp.WindowSpec):
        bounds = (spec.args.get("start"), spec.args.get("end"))
        if spec.args.get("kind", "").upper() == "RANGE" and any(isinstance(bound, exp.Expression) for bound in bounds):
            yield spec


def running_totals_without_rows(tree: exp.Expression) -> Iterator[exp.Expression]:
    """Redshift takes no other frame: `rows between unbounded preceding and current row`, in an order without ties."""
    for window in tree.find_all(exp.Window):
        spec = window.args.get("spec")
        is_frame = isinstance(spec, exp.WindowSpec) and spec.args.get("kind", "").upper() == "ROWS"
        if isinstance(window.this, AGGREGATES) and window.args.get("order") and not is_frame:
            yield window


def greatest_of_nulls(tree: exp.Expression) -> Iterator[exp.Expression]:
    """BigQuery and Trino return null if one of them is: `case when x > y then x else y end`."""
    yield from tree.find_all(exp.Greatest, exp.Least)


CONSTRUCTS = (
    concat_ws,
    formatted_times,
    medians_and_percentiles,
    is_true,
    decimal_literals,
    counts_that_can_be_null,
    aliases_of_aggregates_read_as_columns,
    null_safe_equality,
    empty_text_for_null,
    recursion,
    ranges_of_values,
    running_totals_without_rows,
    greatest_of_nulls,
)
# What each of them must find, so that a new version of sqlglot does not disable it unnoticed.
SAMPLES = {
    concat_ws: "select concat_ws('; ', a, b) as x from t",
    formatted_times: "select strftime(a, '%Y') as x from t",
    medians_and_percentiles: "select median(a) as x, percentile_disc(0.5) within group (order by a) as y from t",
    is_true: "select a from t where b is not true or c is true",
    decimal_literals: "select a / 3600.0 as x, 100.0 * a as y from t",
    counts_that_can_be_null: "select (select count(*) from s where s.a = t.a) as x from t",
    aliases_of_aggregates_read_as_columns: "select max(a) as a, min(case when a > 0 then b end) as b from t",
    null_safe_equality: "select 1 from s inner join t on s.a is not distinct from t.a",
    empty_text_for_null: "select 1 from s inner join t on coalesce(s.a, '') = coalesce(t.a, '')",
    recursion: "with recursive n as (select 1 as x union all select x + 1 from n) select x from n",
    ranges_of_values: "select sum(a) over (order by b range between 9 preceding and current row) as x from t",
    running_totals_without_rows: "select sum(a) over (order by b) as x from t",
    greatest_of_nulls: "select greatest(a, b) as x from t",
}


@pytest.mark.parametrize("construct", CONSTRUCTS, ids=lambda construct: construct.__name__)
@pytest.mark.parametrize("view", sorted(VIEWS))
def test_a_view_means_the_same_in_other_databases(
    view: str, construct: Callable[[exp.Expression], Iterator[exp.Expression]]
) -> None:
    """For anything not portable there is another way, given in the construct's docstring."""
    found = [node.sql("duckdb") for node in construct(sqlglot.parse_one(VIEWS[view], read="duckdb"))]

    assert found == [], construct.__doc__


@pytest.mark.parametrize("construct", CONSTRUCTS, ids=lambda construct: construct.__name__)
def test_constructs_that_are_not_portable_would_be_found(
    construct: Callable[[exp.Expression], Iterator[exp.Expression]],
) -> None:
    """By this sqlglot, under its names for them."""
    assert list(construct(sqlglot.parse_one(SAMPLES[construct], read="duckdb")))
