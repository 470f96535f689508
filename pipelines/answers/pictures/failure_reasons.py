"""For which reasons jobs fail: those of the last seven days first, each since when and how often."""

from datetime import date, timedelta
from typing import Final

from pipelines.answers.findings.record_reasons import reason_name
from pipelines.answers.pictures.bars import bins
from pipelines.answers.pictures.picture import MAX_ENTRIES
from pipelines.answers.selection import FILTERS, Selection
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

NOT_GIVEN: Final = "no reason known"

# The failures of a selection, each with its reason. `key` is the same for the same reason: of a job, its error without
# its ids and numbers; of a load without one, the reason for which most of its records failed; else, its outcome.
REASONED: Final = """
failed as (
    select
        id, created_date, created_by_id, created_by, job_type, operation, object, outcome, error_code, error,
        error_template
    from failures
    where {where} and created_date < $until
),
of_records as (
    select
        id, reason, error_code, fields, message,
        row_number() over (partition by id order by records desc nulls last, batches desc nulls last, reason) as nth
    from record_errors
    where org_id = $org
),
reasoned as (
    select
        f.*, r.reason, r.error_code as record_code, r.fields, r.message,
        f.error_code is not null or f.error is not null as has_error,
        case
            when has_error then 'job ' || coalesce(f.error_code, '') || chr(10) || coalesce(f.error_template, f.error)
            when r.reason is not null then 'record ' || r.reason
            else 'none ' || f.outcome
        end as key
    from failed as f
    left join of_records as r on r.id = f.id and r.nth = 1
)
"""
# What `reason_of` needs of a group of them with the same key: of the newest job, or the same for all.
EXAMPLE: Final = """
bool_or(has_error) as has_error, max_by(error_code, (created_date, id)) as error_code,
max_by(error, (created_date, id)) as error, max(reason) as reason, max(record_code) as record_code,
max(fields) as fields, max(message) as message
"""


def reasoned(selection: Selection) -> str:
    """The common table expression `reasoned`: the failures up to the end of the time shown."""
    return REASONED.format(where=selection.where_clause(*FILTERS))


def reason_of(row: Row) -> str | None:
    """A job's reason in words; None if it is not known."""
    if row["has_error"]:
        return ": ".join(filter(None, (row["error_code"], row["error"])))
    if row["reason"] is not None:
        return reason_name({**row, "error_code": row["record_code"]}) or None
    return None


def failure_reasons(selection: Selection) -> list[Row]:
    """{reason, jobs, last_7_days, since, by_bin} for each reason that occurs in the time shown. `since` is its first
    failure on record, which may be before that time; `by_bin` has the number of jobs of each bin.
    """
    found = selection.query(
        f"""
        with {reasoned(selection)}
        select
            key,
            case
                when created_date >= $since
                    then cast(date_trunc($granularity, created_date at time zone 'UTC') as date)
            end as start,
            {EXAMPLE}, max(outcome) as outcome,
            count(*) as jobs, count(case when created_date > $week then 1 end) as lately,
            min(created_date) as since
        from reasoned
        group by all
        order by max((created_date, id))
        """,
        week=selection.end - timedelta(days=7),
    )
    reasons: dict[str, Row] = {}
    for row in found:  # the newest last: that one gives the example
        known = reasons.setdefault(
            row["key"], {"reason": "", "jobs": 0, "last_7_days": 0, "since": row["since"], "by_bin": {}}
        )
        known["reason"] = reason_of(row) or f"{row['outcome']}: {NOT_GIVEN}"
        known["since"] = min(known["since"], row["since"])
        if row["start"]:
            known["jobs"] += row["jobs"]
            known["last_7_days"] += row["lately"]
            known["by_bin"][row["start"]] = row["jobs"]
    return sorted(
        (reason for reason in reasons.values() if reason["jobs"]),
        key=lambda reason: (-reason["last_7_days"], -reason["jobs"], reason["since"], reason["reason"]),
    )


def sparkline(reason: Row, selection: Selection) -> list[tuple[date, int | None]]:
    """The reason's jobs, bin by bin, each until the next; None in times that the record does not cover."""
    span = selection.span
    points: list[tuple[date, int | None]] = []
    for start in bins(selection):
        number = reason["by_bin"].get(start, 0)
        points.append((max(start, selection.since), None if not number and span.is_unknown(start) else number))
    end = selection.until + timedelta(days=1)
    return [*points, (end, points[-1][1])]


def shown_reasons(reasons: list[Row], selection: Selection) -> list[Row]:
    """The rows of a chart: the first reasons, each with what is said of it."""
    return [
        {
            "name": reason["reason"],
            "said": f"{counted(reason['jobs'], 'job')}, {lately}",
            "short": lately,
            "points": sparkline(reason, selection),
        }
        for reason in reasons[:MAX_ENTRIES]
        for lately in [f"{reason['last_7_days']:,} lately · since {reason['since']:%-d %b %Y}"]
    ]
