"""How many jobs ran at the same time, and how long they took."""

import itertools
from datetime import datetime, timedelta
from typing import Any, Final

from pipelines.answers import charts
from pipelines.answers.findings.words import when
from pipelines.answers.pictures.picture import KINDS, NUMBER_OF, Picture, of_kind, series
from pipelines.answers.selection import Selection
from pipelines.answers.time_axis import Span, merged
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

MAX_PAUSE_HOURS: Final = 36  # between two listings of a recorder that is running: daily, and half a day late
MAX_SERIES: Final = 3  # with durations: of queries, and of loads
TREND_DAYS: Final = 84  # durations look back at least this far: a trend needs more than four weeks


def at_once(selection: Selection) -> Picture:
    """How many jobs ran or waited at the same time; at most one point per hour. The peak is taken only from hours that
    are fully covered and in which the recorder was running: otherwise jobs whose end was not seen would pile up until
    the next listing."""
    title = "How many ran at once?"
    found = selection.query("""
        select
            case when $granularity = 'day' then hour else date_trunc('day', hour) end as start, kind,
            max(at_once) as value
        from jobs_at_once
        where org_id = $org and hour >= $since and hour < $until
        group by all
        order by all
    """)
    pauses = _pauses(selection)
    condition = """
        org_id = $org and hour >= $since and hour < $until and not exists (
            select 1 from (select unnest($starts) as paused_at, unnest($ends) as ended_at)
            where paused_at < hour + interval 1 hour and ended_at > hour
        )
    """
    bounds = {"starts": [start for start, _ in pauses], "ends": [end for _, end in pauses]}
    most = selection.query(
        f"""
        select kind, max(at_once) as at_once, max_by(hour, (at_once, hour)) as hour from jobs_at_once
        where {condition} and covered_percent = 100
        group by kind
        """,
        **bounds,
    )
    (hours,) = selection.query(
        f"""
        select count(*) as counted
        from (select hour from covered_hours where {condition} group by hour having min(covered_percent) = 100)
        """,
        **bounds,
    )
    by_kind: dict[str | None, Row] = {row["kind"]: row for row in most}
    numbers: dict[str, Any] = {"hours_counted": hours["counted"]}
    for kind, name in NUMBER_OF.items():
        most_of_kind = by_kind.get(kind, {})
        numbers |= {f"{name}_at_once": most_of_kind.get("at_once"), f"{name}_at_once_from": most_of_kind.get("hour")}
    if not found:
        return Picture("at_once", title, "No jobs are recorded in this period.", numbers, supported_filters=())
    panels = {
        name: [row for row in found if row["kind"] == kind]
        for kind, name in KINDS.items()
        if any(row["kind"] == kind for row in found)
    }
    words = [
        f"At most {of_kind(row['at_once'], kind)}, in the hour from {when(row['hour'])}."
        for kind in KINDS
        if (row := by_kind.get(kind))
    ]
    basis = f"that the record fully covers, between listings at most {MAX_PAUSE_HOURS} hours apart"
    if words:
        words += [
            f"This is based on the {counted(hours['counted'], 'hour')} {basis}.",
            "It may be fewer: jobs with an unknown end count until the end of the listing that showed them.",
        ]
    else:
        words = [f"Not known: this period has no hour {basis}."]
    table = [
        {
            "kind": KINDS[kind],
            "most at once": numbers[f"{name}_at_once"],
            "in the hour from": numbers[f"{name}_at_once_from"],
        }
        for kind, name in NUMBER_OF.items()
        if KINDS[kind] in panels
    ]
    recorded_to = selection.end
    span = Span(selection.since, selection.until, [(a, min(b, recorded_to)) for a, b in pauses if a < recorded_to])
    # Jobs whose end was not seen pile up in a pause: what is drawn of it would look like a peak.
    panels = {
        name: [{**row, "value": None if span.is_unknown(row["start"]) else row["value"]} for row in rows]
        for name, rows in panels.items()
    }
    return Picture(
        "at_once",
        title,
        " ".join(words),
        numbers,
        table,
        (lambda width: charts.lines(panels, "jobs at once", span, width)) if by_kind else None,
        supported_filters=(),
    )


def _pauses(selection: Selection) -> list[tuple[datetime, datetime]]:
    """The parts of the time shown before the first complete listing, after the last one, and between two of the same
    kind that are too far apart; UTC."""
    proofs = selection.query(
        "select feed, listed_at from proving_listings where org_id = $org and list_contains($feeds, feed) "
        "order by listed_at",
        feeds=list(selection.feeds),
    )
    whole = Span(selection.since, selection.until)
    never = timedelta(days=36_500)
    pauses: list[tuple[datetime, datetime]] = []
    for feed in selection.feeds or ("query",):
        listed = [proof["listed_at"] for proof in proofs if proof["feed"] == feed]
        is_first = not listed or listed[0] < proofs[0]["listed_at"] + timedelta(hours=MAX_PAUSE_HOURS)
        times = [*([whole.since - never] if is_first else []), *listed, whole.until + never]
        pauses += [
            (max(before, whole.since), min(after, whole.until))
            for before, after in itertools.pairwise(times)
            if after - before > timedelta(hours=MAX_PAUSE_HOURS)
        ]
    return merged(pauses)


def durations(selection: Selection) -> Picture:
    """How long the most frequent queries and loads took, week by week. Only weeks that are over count, and a
    trend needs two."""
    title, filters = "Are jobs getting slower?", ("job_types", "objects")
    since = min(selection.since, selection.until - timedelta(days=TREND_DAYS - 1))
    found = selection.query(
        f"""
        with weeks as (
            select * from durations_by_week
            where {selection.where_clause(*filters)} and week >= $monday and week < $running and timed > 0
        ),
        most as (
            select
                kind, job_type, operation, object, sum(timed) as jobs,
                row_number() over (partition by kind order by sum(timed) desc, object, operation, job_type) as nth
            from weeks
            group by kind, job_type, operation, object
        )
        select
            w.job_type, w.operation, w.object, w.week as start, w.timed,
            w.p50_seconds / 60.0 as p50, w.p95_seconds / 60.0 as p95
        from weeks as w
        inner join most as m on m.job_type is not distinct from w.job_type
            and m.operation is not distinct from w.operation and m.object is not distinct from w.object
        where m.nth <= $shown
        order by m.kind desc nulls last, m.jobs desc, w.object, w.operation, w.job_type, start
        """,
        shown=MAX_SERIES,
        monday=since - timedelta(days=since.weekday()),
        running=selection.whole_until - timedelta(days=selection.whole_until.weekday()),
    )
    by_series: dict[str, list[Row]] = {}
    for row in found:
        by_series.setdefault(series(row), []).append(row)
    numbers: dict[str, Any] = {
        "series": [
            {
                "series": name,
                "weeks": len(weeks),
                "first_week": weeks[0]["start"],
                "first_median_minutes": weeks[0]["p50"],
                "last_week": weeks[-1]["start"],
                "last_median_minutes": weeks[-1]["p50"],
            }
            for name, weeks in by_series.items()
        ]
    }
    if not found:
        said = "There is no complete week yet with jobs of known duration."
        return Picture("durations", title, said, numbers, supported_filters=filters)
    panels: dict[str, list[Row]] = {
        name: [
            {"start": row["start"], "which": which, "value": row[column]}
            for row in weeks
            for which, column in zip(charts.PERCENTILES, ("p50", "p95"), strict=True)
        ]
        for name, weeks in by_series.items()
    }
    trends = [
        f"{row['series']} {row['first_median_minutes']:,.1f} → {row['last_median_minutes']:,.1f}"
        for row in numbers["series"]
        if row["weeks"] > 1
    ]
    single = [f"{row['series']} {row['last_median_minutes']:,.1f}" for row in numbers["series"] if row["weeks"] == 1]
    words = [f"Median minutes to finish, first → last week: {', '.join(trends)}."] if trends else []
    words += [f"Median minutes to finish, in the only week known: {', '.join(single)}."] if single else []
    table = [
        {"job": name, "week of": row["start"], "jobs": row["timed"], "median, minutes": row["p50"],
         "95th percentile, minutes": row["p95"]}
        for name, weeks in by_series.items()
        for row in weeks
    ]  # fmt: skip
    span = Span(min(row["start"] for row in found), selection.until)
    return Picture(
        "durations",
        title,
        " ".join(words),
        numbers,
        table,
        lambda width: charts.small_lines(panels, "minutes", span, width),
        filters,
    )
