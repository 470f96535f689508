"""What went wrong, why, and how often in a row."""

from datetime import datetime, timedelta
from typing import Any

from pipelines.answers import charts
from pipelines.answers.findings.words import counted, when
from pipelines.answers.pictures.bars import bars, total
from pipelines.answers.pictures.picture import MAX_ENTRIES, Picture, day, series
from pipelines.answers.selection import FILTERS, Selection
from pipelines.warehouse.reader import Row

MIN_STREAK = 3  # failures in a row; two may be chance
UNKNOWN = "not known"  # the reason why a job failed


def failures(selection: Selection) -> Picture:
    """Jobs that failed, were aborted or lost records, by bin; the reasons as a table."""
    title = "What went wrong, and why?"
    where = f"{selection.where_clause(*FILTERS)} and created_date >= $since and created_date < $until"
    found = selection.query(f"""
        select
            cast(date_trunc($granularity, created_date at time zone 'UTC') as date) as start, outcome as "group", kind,
            count(*) as value
        from failures
        where {where}
        group by all
        order by all
    """)
    # Grouped by template: messages with the same reason differ in ids and numbers. By user id: names can be shared.
    reasons = selection.query(
        f"""
        select
            coalesce(any_value(created_by), '?') as "user", job_type, operation, object, outcome,
            max_by(error_code, (created_date, id)) as error_code, max_by(error, (created_date, id)) as error,
            count(*) as jobs,
            count(case when created_date > $week then 1 end) as "last 7 days",
            cast(max(created_date) at time zone 'UTC' as date) as "last on"
        from failures
        where {where}
        group by created_by_id, job_type, operation, object, outcome, error_code, error_template
        order by "last 7 days" desc, jobs desc, "last on" desc, "user", operation, object, job_type, outcome, error
        """,
        week=selection.end - timedelta(days=7),
    )
    table = [
        {
            "user": row["user"], "operation": row["operation"] or "?", "object": row["object"] or "?",
            "type": row["job_type"] or "?", "outcome": row["outcome"],
            "reason": ": ".join(filter(None, (row["error_code"], row["error"]))) or UNKNOWN,
            **{name: row[name] for name in ("jobs", "last 7 days", "last on")},
        }
        for row in reasons
    ]  # fmt: skip
    counts = {outcome: total(row for row in found if row["group"] == outcome) for outcome in charts.OUTCOMES}
    first = table[0] if table and table[0]["last 7 days"] else None
    numbers: dict[str, Any] = {
        "jobs": total(found),
        **{outcome.replace(" ", "_"): number for outcome, number in counts.items()},
        "since": selection.since,
        "until": selection.until,
        "jobs_last_7_days": sum(row["last 7 days"] for row in table),
        "most_often_in_7_days": first["last 7 days"] if first else None,
        **{
            f"most_often_{name}": first[name] if first else None
            for name in ("user", "operation", "object", "type", "outcome", "reason")
        },
    }
    if not found:
        return Picture("failures", title, "Nothing is known to have failed in this time.", numbers)
    ended = ", ".join(f"{number:,} {outcome}" for outcome, number in reversed(counts.items()) if number)
    words = (
        f"{counted(numbers['jobs'], 'job')} from {day(selection.since)} to {day(selection.until)}: "
        f"{ended.replace(' every', ' with every')}. {numbers['jobs_last_7_days']:,} of them in the last 7 days"
    )
    if first:
        words += (
            f", most often {first['operation']} of {first['object']} ({first['type']}) by {first['user']}: "
            f"{first['outcome']} {counted(first['last 7 days'], 'time')}"
        )
        if first["reason"] != UNKNOWN:  # why records failed is another picture
            words += f" (reason: {first['reason']})"
    panels, span = bars(found, selection.granularity), selection.span
    return Picture(
        "failures",
        title,
        f"{words}.",
        numbers,
        table,
        lambda width: charts.stacked_bars(panels, charts.OUTCOMES, f"jobs a {selection.granularity}", span, width),
    )


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
        return Picture("streaks", title, "Nothing failed three times in a row in this time.", numbers)
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
    shown = [
        {
            "name": f"{series(row).replace(' of ', ' ', 1)} · {row['created_by']}",
            "said": f"{row['failures']:,}×",
            "over": row["status"] != "ongoing",
            "start": max(row["failing_since"], span.since),
            "end": min(_end(row), span.until),
        }
        for row in found[:MAX_ENTRIES]
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
    return Picture("streaks", title, " ".join(words), numbers, table, lambda width: charts.periods(shown, span, width))


def _end(row: Row) -> datetime:
    end: datetime = row["ended_at"] or row["last_failure_at"]
    return end


def _numbers(row: Row) -> Row:
    names = {"series": series(row), "user": row["created_by"]}
    return names | {name: row[name] for name in ("failures", "failing_since", "last_failure_at")}
