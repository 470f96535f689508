"""What a database would read differently, or not at all, although it is written portably: rewritten on the syntax tree.

The views are written in words that mean the same in most databases (tests/views/test_portable_sql.py). A rule is for
what no wording in DuckDB's dialect can carry: which expressions it is for, how that database says the same, and why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import sqlglot
from sqlglot import exp

Parts = dict[str, exp.Expression]
WITH_ZONE: Final = (exp.DataType.Type.TIMESTAMPTZ, exp.DataType.Type.TIMESTAMPLTZ)


@dataclass(frozen=True)
class Rule:
    """`find` gives the parts of an expression that the rule is for, or nothing. `wording` has their names as columns,
    and the unit of time as {unit}."""

    find: Callable[[exp.Expression], Parts | None]
    wording: str
    why: str


def rewrite(tree: exp.Expression, dialect: str) -> exp.Expression:
    """The tree by the dialect's rules, applied from the leaves to the root; every node has its type."""
    rules = RULES.get(dialect, ())
    for node in reversed(list(tree.find_all(exp.Expression))):
        for rule in rules:
            if parts := rule.find(node):
                new = _worded(rule.wording, dialect, parts)
                new[0].type = node.type
                node.replace(new if len(new) > 1 else new[0])
                break
    return tree


def _worded(wording: str, dialect: str, parts: Parts) -> list[exp.Expression]:
    """The wording as a tree, or several of an order, with the parts in their places."""
    text = wording.format(unit=parts["unit"].name.upper() if "unit" in parts else "")
    tree = _parsed(text, dialect).copy()
    for column in list(tree.find_all(exp.Column)):
        if not column.table and column.name in parts:
            column.replace(parts[column.name].copy())
    order = tree.args.get("order")
    return [part.pop() for part in list((order or tree).expressions)]


@cache
def _parsed(text: str, dialect: str) -> exp.Expression:
    return sqlglot.parse_one(text if text.startswith("select") else f"select {text}", read=dialect, into=exp.Select)


def moment_as_utc(node: exp.Expression) -> Parts | None:
    """`x at time zone 'UTC'` of a time with a zone: what the clocks of UTC show."""
    return {"x": node.this} if isinstance(node, exp.AtTimeZone) and node.this.is_type(*WITH_ZONE) else None


def utc_as_moment(node: exp.Expression) -> Parts | None:
    """`x at time zone 'UTC'` of a time without a zone: when the clocks of UTC show it."""
    return {"x": node.this} if isinstance(node, exp.AtTimeZone) and not node.this.is_type(*WITH_ZONE) else None


def moved(node: exp.Expression) -> Parts | None:
    """`x + n * interval '1' hour`, and with a minus."""
    if not isinstance(node, exp.Add | exp.Sub) or not isinstance(node.expression, exp.Mul):
        return None
    n, interval = node.expression.this, node.expression.expression
    if not isinstance(interval, exp.Interval):
        return None
    n = n if isinstance(node, exp.Add) else exp.Neg(this=exp.Paren(this=n.copy()))
    return {"x": node.this, "n": n, "unit": interval.args["unit"]}


def moved_moment(node: exp.Expression) -> Parts | None:
    """The same of a time with a zone."""
    found = moved(node)
    return found if found and found["x"].is_type(*WITH_ZONE) else None


def difference(node: exp.Expression) -> Parts | None:
    """`date_diff(unit, y, x)`: how many seconds or hours of the clock began after y, up to x."""
    if not isinstance(node, exp.DateDiff):
        return None
    return {"x": node.this, "y": node.expression, "unit": node.args["unit"]}


def difference_of_moments(node: exp.Expression) -> Parts | None:
    """The same of times with a zone."""
    found = difference(node)
    return found if found and found["x"].is_type(*WITH_ZONE) else None


def hours(node: exp.Expression) -> Parts | None:
    found = difference(node)
    return found if found and found["unit"].name.upper() == "HOUR" else None


def start(node: exp.Expression) -> Parts | None:
    """`date_trunc(unit, x)`."""
    return {"x": node.this, "unit": node.args["unit"]} if isinstance(node, exp.TimestampTrunc) else None


def start_of_week(node: exp.Expression) -> Parts | None:
    found = start(node)
    return found if found and found["unit"].name.upper() == "WEEK" else None


def first_part(node: exp.Expression) -> Parts | None:
    """`split_part(x, separator, 1)`."""
    if not isinstance(node, exp.SplitPart) or node.text("part_index") != "1":
        return None
    return {"x": node.this, "separator": node.args["delimiter"]}


def order_of_running_total(node: exp.Expression) -> Parts | None:
    """The x of `sum(…) over (… order by x …)`, or of another aggregate; nulls last."""
    if not isinstance(node, exp.Ordered) or node.args.get("desc") or node.args.get("nulls_first"):
        return None
    over = node.find_ancestor(exp.Window, exp.Select)
    is_total = isinstance(over, exp.Window) and isinstance(over.this, exp.Sum | exp.Count | exp.Max | exp.Min)
    return {"x": node.this} if is_total else None


ELAPSED: Final = "It counts units that have passed, not those that began: 0.9 seconds after 11:59:59.5 are none."
NO_PRODUCT: Final = "It has no product of a number and an interval."
_SPARK: Final = (Rule(difference, "timestampdiff({unit}, date_trunc('{unit}', y), date_trunc('{unit}', x))", ELAPSED),)

RULES: Final[dict[str, Sequence[Rule]]] = {
    "postgres": (
        Rule(
            hours,
            "cast(floor(extract(epoch from x) / 3600) - floor(extract(epoch from y) / 3600) as bigint)",
            "sqlglot rounds the hours between, and reads times in the session's zone, which has an hour twice.",
        ),
        Rule(
            difference,
            "cast(floor(extract(epoch from x)) - floor(extract(epoch from y)) as bigint)",
            "The same of seconds.",
        ),
    ),
    "redshift": (Rule(moved, "dateadd({unit}, n, x)", NO_PRODUCT),),
    "snowflake": (
        Rule(moved, "dateadd({unit}, n, x)", NO_PRODUCT),
        Rule(
            moment_as_utc,
            "cast(convert_timezone('UTC', x) as timestamp_ntz)",
            "convert_timezone alone gives a time with a zone.",
        ),
        Rule(
            utc_as_moment,
            "dateadd(microsecond, datediff(microsecond, cast('1970-01-01 00:00:00' as timestamp_ntz), x),"
            " cast('1970-01-01 00:00:00 +00:00' as timestamp_tz))",
            "convert_timezone with one zone would read x in the session's zone; with two, it gives no zone.",
        ),
        Rule(
            start_of_week,
            "dateadd(day, 1 - dayofweekiso(x), date_trunc('day', x))",
            "An account can let weeks begin on Sunday (WEEK_START).",
        ),
    ),
    "bigquery": (
        Rule(moved_moment, "timestamp_add(x, interval n {unit})", "It has types for times with and without a zone,"),
        Rule(moved, "datetime_add(x, interval n {unit})", "and functions for either."),
        Rule(moment_as_utc, "datetime(x, 'UTC')", "The same."),
        Rule(utc_as_moment, "timestamp(x, 'UTC')", "The same."),
        Rule(
            difference_of_moments,
            "timestamp_diff(timestamp_trunc(x, {unit}), timestamp_trunc(y, {unit}), {unit})",
            ELAPSED,
        ),
        Rule(difference, "datetime_diff(x, y, {unit})", "As DuckDB counts, and of times without a zone."),
        Rule(start_of_week, "datetime_trunc(x, isoweek)", "Its WEEK begins on Sunday."),
        Rule(start, "datetime_trunc(x, {unit})", "Of times without a zone."),
        Rule(first_part, "split(x, separator)[safe_offset(0)]", "It has no split_part."),
        Rule(
            order_of_running_total,
            "select 1 order by case when x is null then 1 else 0 end, x",
            "An order within a running total cannot have nulls last.",
        ),
    ),
    "trino": (
        Rule(difference, "date_diff('{unit}', date_trunc('{unit}', y), date_trunc('{unit}', x))", ELAPSED),
        Rule(
            moment_as_utc,
            "cast(at_timezone(x, 'UTC') as timestamp(6))",
            "at_timezone alone gives a time with a zone; timestamp alone keeps milliseconds.",
        ),
        Rule(utc_as_moment, "with_timezone(x, 'UTC')", "at_timezone would read x in the session's zone."),
    ),
    "spark": _SPARK,
    "databricks": _SPARK,
}  # fmt: skip
