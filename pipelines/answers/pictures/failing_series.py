"""What keeps failing: series of jobs that failed several times in a row."""

from datetime import datetime
from typing import Any, Final

from pipelines.answers import ranked_charts
from pipelines.answers.findings.words import when
from pipelines.answers.pictures.picture import MAX_ENTRIES, Picture, series
from pipelines.answers.selection import FILTERS, Selection
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

MIN_STREAK: Final = 3  # failures in a row; two may be chance


def streaks(selection: Selection) -> Picture:
    """What failed three or more times in a row, from the first failure to the next job that did not fail."""
    title = "What keeps failing, and since when?"
    found = selection.query(
        f"""
        select
            operation, object, job_type, coalesce(created_by, '?') as created_by, failures, failing_since,
            last_failure_at, ended_at, status
        from failure_streaks
        where {selection.where_clause(*FILTERS)} and failures >= $least
            and coalesce(ended_at, last_failure_at) >= $since and failing_since < $until
        order by
            status = 'recovered', status = 'abandoned', failures desc, failing_since, operation, object, job_type,
            created_by, created_by_id
        """,
        least=MIN_STREAK,
    )
    ongoing, abandoned = ([row for row in found if row["status"] == status] for status in ("ongoing", "abandoned"))
    numbers: dict[str, Any] = {
        "streaks": len(found),
        "ongoing": [_numbers(row) for row in ongoing],
        "abandoned": [_numbers(row) for row in abandoned],
        "recovered": len(found) - len(ongoing) - len(abandoned),
        "more": max(len(ongoing) + len(abandoned) - MAX_ENTRIES, 0),  # ongoing and abandoned ones not in the summary
    }
    if not found:
        return Picture("streaks", title, "Nothing failed three times in a row in this period.", numbers)
    words = [
        f"{series(row)} by {row['created_by']} has failed {row['failures']:,} times in a row since "
        f"{when(row['failing_since'])}."
        for row in ongoing[:MAX_ENTRIES]
    ]
    words += [
        f"{series(row)} by {row['created_by']} failed {row['failures']:,} times in a row from "
        f"{when(row['failing_since'])} to {when(row['last_failure_at'])}, and has not run since."
        for row in abandoned[: MAX_ENTRIES - len(words)]
    ]
    words += [f"So did {numbers['more']:,} more."] if numbers["more"] else []
    if over := numbers["recovered"]:
        words.append(f"{counted(over, 'streak')} of three or more failures ended with a job that did not fail.")
    span = selection.span
    lines: dict[str, list[Row]] = {}
    for row in found:
        lines.setdefault(f"{series(row).replace(' of ', ' ', 1)} · {row['created_by']}", []).append(row)
    shown = [
        {
            "name": name,
            "said": "" if nth else f"{row['failures']:,}×",  # of the worst: the labels of one line would overlap
            "over": row["status"] != "ongoing",
            "start": max(row["failing_since"], span.since),
            "end": min(_end(row), span.until),
        }
        for name, of_line in list(lines.items())[:MAX_ENTRIES]
        for nth, row in enumerate(of_line)
    ]
    table = [
        {
            "what": f"{series(row)} · {row['created_by']}", "failures": row["failures"], "since": row["failing_since"],
            "until": {"ongoing": "still failing", "abandoned": f"last failed {when(row['last_failure_at'])}"}.get(
                row["status"], row["ended_at"]
            ),
        }
        for row in found
    ]  # fmt: skip
    return Picture(
        "streaks", title, " ".join(words), numbers, table, lambda width: ranked_charts.periods(shown, span, width)
    )


def _end(row: Row) -> datetime:
    end: datetime = row["ended_at"] or row["last_failure_at"]
    return end


def _numbers(row: Row) -> Row:
    names = {"series": series(row), "user": row["created_by"]}
    return names | {name: row[name] for name in ("failures", "failing_since", "last_failure_at")}
