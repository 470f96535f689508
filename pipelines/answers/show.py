"""`show VIEW`: a view or table of the published copy, as a table to read, or as CSV, JSON or Parquet."""

import contextlib
import difflib
import io
import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from pipelines.answers.org_choice import chosen_orgs
from pipelines.answers.output_file import check_output, write_copy
from pipelines.errors import UsageError, sanitize
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.reader import Warehouse
from pipelines.warehouse.schema import views
from pipelines.warehouse.tables_page import QUESTIONS

# A row's time, for --days, if that is not the first one in the row: of what has a beginning, the newest that is known.
TIMES: Final = {
    "api_versions": "last_job_at",
    "coverage": "covered_to",
    "coverage_holes": "hole_to",
    "early_deletions": "unlisted_at",
    "failure_rates": "greatest(last_failure_at, last_loss_at)",
    "failure_reasons": "last_at",
    "failure_streaks": "last_failure_at",
    "reason_trends": "last_at",
    "reduced_views": "reduced_to",
}
NOT_OF_ROWS: Final = frozenset({"as_of", "newest_as_of", "outcome_as_of", "covered_from", "covered_to", "since"})
TIMELESS: Final = frozenset({"fleet", "org_rhythms", "recorded_feeds", "recorded_orgs"})  # as of the last load
ROWS: Final = 40  # in a terminal, which shows the first and the last of more
MIN_WIDTH: Final = 40  # of the text below such a table
UNLIMITED: Final = 2**31 - 1
ORG_NAME: Final = "coalesce((select max(o.display_name) from recorded_orgs as o where o.org_id = {0}), {0})"
ZONED, PLAIN = "TIMESTAMP WITH TIME ZONE", "TIMESTAMP"
# Characters that would control a terminal; DuckDB shows line ends and escape sequences itself, but only some others.
CONTROL: Final = r"[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]"
TO_READ: Final = {
    ZONED: "date_trunc('second', {0} at time zone 'UTC')",
    PLAIN: "date_trunc('second', {0})",
    # Whatever is below 1 keeps two digits: no small number becomes 0.
    "DOUBLE": "case when abs({0}) between 1e-300 and 1 then cast(format('{:.2g}', {0}) as double) "
    "else round({0}, 2) end",
    "VARCHAR": f"regexp_replace({{0}}, '{CONTROL}', chr(65533), 'g')",
    "VARCHAR[]": f"list_transform({{0}}, lambda x: regexp_replace(x, '{CONTROL}', chr(65533), 'g'))",
}
ISO: Final = {  # the connection's time zone is UTC
    ZONED: "replace(replace(cast({0} as varchar), ' ', 'T'), '+00', 'Z')",
    PLAIN: "replace(cast({0} as varchar), ' ', 'T') || 'Z'",
}
FINITE: Final = {"DOUBLE": "case when isfinite({0}) then {0} end"}  # JSON has no others
FORMS: Final = {"csv": ISO, "json": ISO | FINITE, "parquet": {}}
COPY_OPTIONS: Final = {"csv": "format csv, header", "json": "format json, array", "parquet": "format parquet"}


def list_of_views() -> str:
    """Every view with the question that it answers, and every table, one a line."""
    lines = ["show VIEW prints one of these; see docs/tables.md for their columns."]
    wide = max(map(len, known_names()))
    groups = {**QUESTIONS, "Tables": {table.name: f"{table.grain}." for table in TABLES}}
    for title, about in groups.items():
        lines += ["", title, *(f"  {name:<{wide}}  {text}" for name, text in about.items())]
    return "\n".join(lines)


def known_names() -> list[str]:
    """All views and tables."""
    return [*views(), *(table.name for table in TABLES)]


def chosen_name(given: str) -> str:
    """The view or table that is meant. Raises UsageError, with the names that are most like it."""
    name = given.strip().lower().replace("-", "_").removeprefix(f"{DATASET}.")
    names = known_names()
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=3)  # best first
    near = list(dict.fromkeys(close + [n for n in names if len(name) > 3 and name in n]))
    asked = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(
        f"There is no view or table {sanitize(given, 60)}.", f"{asked}`show` without a name lists them all."
    )


class Shown:
    """The rows of a view that were asked for. The query is `select … from shown`, a temporary view."""

    def __init__(
        self,
        file: Warehouse,
        given: str,
        days: int | None = None,
        orgs: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> None:
        """Raises UsageError for a name, an org, a period or columns that cannot be chosen, and like
        `Warehouse.rows`."""
        self.file, self.name = file, chosen_name(given)
        described = file.rows(f"select column_name, column_type from (describe {self.name})")
        self.types: dict[str, str] = {row["column_name"]: row["column_type"] for row in described}
        self.columns = [self._column(name) for name in columns]
        chosen = chosen_orgs(file, orgs)
        conditions = []
        if orgs:
            if "org_id" not in self.types:
                raise UsageError(f"{self.name} is not about an org.", "Leave out --org.")
            self._set("shown_orgs", chosen)
            conditions.append("org_id in (select unnest(getvariable('shown_orgs')))")
        self._time = self._time_of_row()
        if days:
            if not self._time:
                raise UsageError(f"{self.name} has no time to filter by.", "Leave out --days.")
            conditions.append(f"{self._time} >= getvariable('shown_since')")
            ((newest,),) = file.connection.execute(
                "select max(as_of at time zone 'UTC') from recorded_orgs where list_contains($1, org_id)", [chosen]
            ).fetchall()
            self._set("shown_since", newest and newest.date() - timedelta(days=days - 1))
        self._where = f"where {' and '.join(conditions)}" if conditions else ""
        self.is_one_org = len(chosen) < 2

    def as_table(self) -> str:
        """The rows as DuckDB draws them: in a terminal as wide as that, elsewhere in full. What a reader does not need
        is left out: fractions of a second, further digits, the org if there is one, a user's id beside the name, an
        error's template beside the error. Of several orgs, the name is shown instead of the id."""
        names = set(self.types)
        spare = {name for name in names if name.endswith("_by_id") and name.removesuffix("_id") in names}
        spare |= {"error_template"} if "error" in names else set()
        if self.is_one_org or names & {"name", "display_name"}:
            spare.add("org_id")
        read = self.columns or [name for name in self.types if name not in spare] or list(self.types)
        query = self._query(read, TO_READ if self.columns else TO_READ | {"org_id": ORG_NAME})
        in_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns
        sizes = {"max_width": width, "max_rows": ROWS, "max_col_width": max(20, width // 6)}
        drawn = io.StringIO()
        with self.file.explained(), contextlib.redirect_stdout(drawn):
            self.file.connection.sql(query).show(
                **(sizes if in_terminal else dict.fromkeys(sizes, UNLIMITED)), null_value=""
            )
        text = drawn.getvalue().rstrip("\n")
        if " shown)" not in text.rpartition("\n")[2]:
            return text
        rest = "To see all of it, pipe it into `less -S`. To see less of it, use --days or some of --columns: "
        rest += ", ".join(self.types)
        return f"{text}\n{textwrap.fill(rest, max(width, MIN_WIDTH), break_on_hyphens=False)}"

    def write(self, kind: str, output: Path) -> int:
        """Writes the rows to a file or stream, as COPY_OPTIONS has it, in full; returns how many.

        Raises ConfigError if that is not possible, or would replace a file of another kind."""
        option = f"--{kind}"
        columns = self.columns or list(self.types)
        begins = {"csv": columns[0].encode(), "json": b"[", "parquet": b"par1"}
        if kind == "parquet" and _is_terminal(output):
            raise UsageError("Parquet cannot be shown in a terminal.", f"Name a file: {option}.")
        check_output(output, option, f"{kind.upper()} file of {self.name}", begins[kind])
        query = self._query(columns, FORMS[kind])
        written = 0

        def fill(new: Path) -> None:
            nonlocal written
            place = str(new).replace("'", "''")
            with self.file.explained():
                ((written,),) = self.file.connection.execute(
                    f"copy ({query}) to '{place}' ({COPY_OPTIONS[kind]})"
                ).fetchall()

        write_copy(output, option, fill)
        return written

    def _query(self, columns: Sequence[str], forms: dict[str, str]) -> str:
        shown = []
        for name in columns:
            text = "shown." + '"' + name.replace('"', '""') + '"'
            form = forms.get(name) or forms.get(self.types[name], "{0}")
            shown.append(f"{form.replace('{0}', text)} as {'org' if name in forms else text.removeprefix('shown.')}")
        newest = [f"{self._time} desc nulls last"] if self._time else []
        order = ", ".join([*newest, *(str(place) for place in range(1, len(shown) + 1))])
        return f"select {', '.join(shown)} from {self.name} as shown {self._where} order by {order}"

    def _column(self, given: str) -> str:
        name = given.strip().lower()
        if name in self.types:
            return name
        near = difflib.get_close_matches(name, self.types, n=3)
        raise UsageError(
            f"{self.name} has no column {sanitize(given, 60)}.",
            f"Did you mean {' or '.join(near)}?" if near else f"It has: {', '.join(self.types)}.",
        )

    def _time_of_row(self) -> str:
        """The time of a row, as SQL: the first that it has. A job without a readable date has other times."""
        kinds = (ZONED, PLAIN, "DATE")
        own = [name for name, kind in self.types.items() if kind in kinds and name not in NOT_OF_ROWS]
        first = TIMES.get(self.name)
        times = [f"cast({time} as timestamptz)" for time in (*([first] if first else []), *own)]
        return f"coalesce({', '.join(times)})" if times and self.name not in TIMELESS else ""

    def _set(self, variable: str, value: object) -> None:
        self.file.connection.execute(f"set variable {variable} = $1", [value])


def _is_terminal(output: Path) -> bool:
    return str(output) in ("-", "/dev/stdout") and sys.stdout.isatty()
