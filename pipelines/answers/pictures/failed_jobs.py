"""What went wrong, and why: the reasons, then the outcomes."""

from datetime import timedelta
from typing import Any, Final

from pipelines.answers import charts, ranked_charts
from pipelines.answers.pictures.bars import bars, total
from pipelines.answers.pictures.failure_reasons import EXAMPLE, failure_reasons, reason_of, reasoned, shown_reasons
from pipelines.answers.pictures.picture import MAX_ENTRIES, Picture, day
from pipelines.answers.selection import FILTERS, Selection
from pipelines.plural import counted

UNKNOWN: Final = "not known"  # the reason why a job failed
WRONG: Final = ("aborted", "partly failed", "every record failed", "failed")


def failures(selection: Selection) -> Picture:
    """Why jobs failed, were aborted or lost records, and which of these, by bin; by series as a table."""
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
    # By user id: names can be shared.
    by_series = selection.query(
        f"""
        with {reasoned(selection)}
        select
            coalesce(any_value(created_by), '?') as "user", job_type, operation, object, outcome, {EXAMPLE},
            count(*) as jobs,
            count(case when created_date > $week then 1 end) as "last 7 days",
            cast(max(created_date) at time zone 'UTC' as date) as "last on"
        from reasoned
        where created_date >= $since
        group by created_by_id, job_type, operation, object, outcome, key
        order by
            "last 7 days" desc, jobs desc, "last on" desc, "user", operation, object, job_type, outcome, error, reason
        """,
        week=selection.end - timedelta(days=7),
    )
    table = [
        {
            "user": row["user"], "operation": row["operation"] or "?", "object": row["object"] or "?",
            "type": row["job_type"] or "?", "outcome": row["outcome"],
            "reason": reason_of(row) or UNKNOWN,
            **{name: row[name] for name in ("jobs", "last 7 days", "last on")},
        }
        for row in by_series
    ]  # fmt: skip
    counts = {outcome: total(row for row in found if row["group"] == outcome) for outcome in WRONG}
    first = table[0] if table and table[0]["last 7 days"] else None
    reasons = failure_reasons(selection)
    numbers: dict[str, Any] = {
        "reasons": [
            {name: value for name, value in reason.items() if name != "by_bin"} for reason in reasons[:MAX_ENTRIES]
        ],
        "reasons_more": max(len(reasons) - MAX_ENTRIES, 0),
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
        return Picture("failures", title, "Nothing is known to have failed in this period.", numbers)
    ended = ", ".join(f"{number:,} {outcome}" for outcome, number in reversed(counts.items()) if number)
    main = numbers["reasons"][0]
    words = (
        f"Lately most often: {main['reason']} ({counted(main['jobs'], 'job')}, {main['last_7_days']:,} of them in the "
        f"last 7 days, since {day(main['since'])}). "
        if main["last_7_days"]
        else ""
    )
    words += (
        f"{counted(numbers['jobs'], 'job')} from {day(selection.since)} to {day(selection.until)}: "
        f"{ended.replace(' every', ' with every')}. {numbers['jobs_last_7_days']:,} of them in the last 7 days"
    )
    if first:
        words += (
            f", most often {first['operation']} of {first['object']} ({first['type']}) by {first['user']}: "
            f"{first['outcome']} {counted(first['last 7 days'], 'time')}"
        )
        if first["reason"] != UNKNOWN:
            words += f" (reason: {first['reason']})"
    panels, span = bars(found, selection.granularity), selection.span
    lines = shown_reasons(reasons, selection)
    more = f" of {len(reasons):,}" if len(reasons) > len(lines) else ""
    scales = ", to different scales" if len(lines) > 1 else ""
    title_of_lines = f"{counted(len(lines), 'reason')}{more}{scales}; lately: in the last 7 days"

    def draw(width: int) -> charts.Chart:
        by_outcome = charts.stacked_bars(panels, charts.OUTCOMES, f"jobs a {selection.granularity}", span, width)
        return ranked_charts.above(ranked_charts.sparklines(lines, title_of_lines, span, width), by_outcome)

    return Picture("failures", title, f"{words}.", numbers, table, draw)
