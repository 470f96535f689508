"""How many jobs were created: bar by bar, against the days before, and hour by hour of an average week."""

import calendar
from datetime import date, timedelta
from typing import Any

from pipelines.answers import charts
from pipelines.answers.findings.words import counted, percent
from pipelines.answers.pictures.bars import bars, by_group, end_of, total
from pipelines.answers.pictures.picture import NUMBER_OF, Picture, day, of_kind
from pipelines.answers.selection import COVERED_DAYS, FILTERS, Selection
from pipelines.warehouse.reader import Row


def volume(selection: Selection) -> Picture:
    """Jobs by bin and state, separately for queries and loads."""
    title = "How many jobs, and how did they end?"
    found = selection.query(f"""
        select
            cast(date_trunc($granularity, day) as date) as start, kind, coalesce(state, '?') as "group",
            cast(sum(jobs) as bigint) as value
        from jobs_by_day
        where {selection.where_clause(*FILTERS)} and day >= $since and day < $until and jobs > 0
        group by all
        order by all
    """)
    by_bin: dict[date, int] = {}
    for row in found:
        by_bin[row["start"]] = by_bin.get(row["start"], 0) + row["value"]
    fullest = max(by_bin, key=lambda start: by_bin[start], default=None)
    compared = _compared(selection)
    numbers: dict[str, Any] = {
        "jobs": total(found),
        **{name: total(row for row in found if row["kind"] == kind) for kind, name in NUMBER_OF.items()},
        "since": selection.since,
        "until": selection.until,
        "bin": selection.granularity,
        "fullest_from": fullest,
        "fullest_jobs": by_bin.get(fullest) if fullest else None,
        "fullest_covered_percent": _covered_percent(selection, fullest) if fullest else None,
    }
    for days, figures in compared.items():
        numbers |= {name.format(days=days): value for name, value in figures.items()}
    if not fullest:
        return Picture("volume", title, "No jobs are recorded in this time.", numbers)
    kinds = ", ".join(of_kind(numbers[name], kind) for kind, name in NUMBER_OF.items() if numbers[name])
    covered = numbers["fullest_covered_percent"]
    size = selection.granularity
    words = [
        f"{counted(numbers['jobs'], 'job')} from {day(selection.since)} to {day(selection.until)}: {kinds}.",
        f"The busiest {size}, {_of_bin(fullest, size)}, had {numbers['fullest_jobs']:,}"
        + ("." if covered == 100 else f", with {percent(covered)} of it covered."),
        *(_comparison(days, numbers) for days in compared),
    ]
    panels, span = bars(found, selection.granularity), selection.span
    return Picture(
        "volume",
        title,
        " ".join(words),
        numbers,
        by_group(found),
        lambda width: charts.stacked_bars(panels, charts.STATES, f"jobs a {selection.granularity}", span, width),
    )


def _covered_percent(selection: Selection, start: date) -> float:
    """How much of a bin's displayed days is covered."""
    days = selection.query(
        f"""
        select sum(covered_percent) as covered from ({COVERED_DAYS})
        where date_trunc($granularity, day) = $start and day >= $since and day < $until
        """,
        start=start,
        feeds=list(selection.feeds),
    )
    end = min(end_of(start, selection.granularity), selection.until + timedelta(days=1))
    return (days[0]["covered"] or 0.0) / (end - max(start, selection.since)).days


def _compared(selection: Selection) -> dict[int, Row]:
    """Compares the last 7 and 30 whole days with as many before them, if the record goes back that far. The change in
    percent is null unless the record covers all of these days."""
    (first,) = selection.query("""
        select greatest(
            (
                select cast(min(began_at) at time zone 'UTC' as date) from all_jobs
                where org_id = $org
            ),
            (
                select cast(min(covered_from) at time zone 'UTC' + interval 1 day as date) from coverage
                where org_id = $org and list_contains($feeds, feed)
            )
        ) as day
    """, feeds=list(selection.feeds))  # fmt: skip
    compared = {}
    for days in (7, 30):
        bounds = {
            "first": selection.whole_until - timedelta(days=2 * days),
            "middle": selection.whole_until - timedelta(days=days),
            "today": selection.whole_until,
        }
        if first["day"] and first["day"] <= bounds["first"]:
            (sums,) = selection.query(
                f"""
                select
                    cast(coalesce(sum(case when day >= $middle then jobs end), 0) as bigint) as now,
                    cast(coalesce(sum(case when day < $middle then jobs end), 0) as bigint) as before
                from jobs_by_day
                where {selection.where_clause(*FILTERS)} and day >= $first and day < $today
                """,
                **bounds,
            )
            (covered,) = selection.query(
                f"""
                select
                    coalesce(sum(case when day >= $middle then covered_percent end), 0) / 100.0 as now,
                    coalesce(sum(case when day < $middle then covered_percent end), 0) / 100.0 as before
                from ({COVERED_DAYS})
                where day >= $first and day < $today
                """,
                feeds=list(selection.feeds),
                **bounds,
            )
            whole = covered["now"] == days and covered["before"] == days
            change = 100 * (sums["now"] - sums["before"]) / sums["before"] if whole and sums["before"] else None
            compared[days] = {
                "jobs_last_{days}_whole_days": sums["now"],
                "jobs_{days}_whole_days_before": sums["before"],
                "covered_days_of_last_{days}": covered["now"],
                "covered_days_of_{days}_before": covered["before"],
                "change_percent_{days}_whole_days": change,
            }
    return compared


def _comparison(days: int, numbers: Row) -> str:
    covered = [numbers[f"covered_days_of_last_{days}"], numbers[f"covered_days_of_{days}_before"]]
    change = numbers[f"change_percent_{days}_whole_days"]
    note = "" if change is None else f" ({change:+,.0f} %)"
    if min(covered) < days:
        note = f" (covered: {_days(covered[0])} and {_days(covered[1])} of {days} days)"
    now, before = numbers[f"jobs_last_{days}_whole_days"], numbers[f"jobs_{days}_whole_days_before"]
    return f"In the last {days} whole days there were {now:,}, in the {days} before {before:,}{note}."


def _days(number: float) -> str:
    """Days, rounded down: 6.99 days are not 7."""
    return f"{int(number)}" if number == int(number) else f"{int(10 * number) / 10:.1f}"


def _of_bin(start: date, size: str) -> str:
    return f"that of {day(start)}" if size == "week" else f"{start:%B %Y}" if size == "month" else f"{start:%A, %-d %B}"


def _average(number: float) -> str:
    """Small numbers keep one decimal place: 0.2 does not become 0."""
    return f"{number:,.0f}" if number >= 10 else f"{number:,.1f}"


def week(selection: Selection) -> Picture:
    """Jobs in an average week, hour by hour, averaged over the hours that the record covers completely."""
    title = "When in the week do jobs run?"
    found = selection.query(f"""
        with hours as (
            select hour, isodow(hour) as weekday, hour(hour) as hour_of_day
            from covered_hours
            where org_id = $org and hour >= $since and hour < $until and list_contains($feeds, feed)
            group by hour
            having count(*) = len($feeds) and min(covered_percent) = 100
        ),
        jobs as (
            select hour, sum(jobs) as jobs from jobs_by_hour
            where {selection.where_clause(*FILTERS)} and hour >= $since and hour < $until and jobs > 0
            group by hour
        )
        select
            cast(weekday as integer) as weekday, cast(hour_of_day as integer) as hour, count(*) as hours,
            cast(sum(coalesce(jobs, 0)) as double) / count(*) as value
        from hours
        left join jobs using (hour)
        group by weekday, hour_of_day
        order by all
    """, feeds=list(selection.feeds))  # fmt: skip
    names = list(calendar.day_name)
    # A weekday counts only if all of its hours are known: otherwise it would look too empty.
    by_day = {
        weekday: sum(row["value"] for row in found if row["weekday"] == weekday)
        for weekday in range(1, 8)
        if sum(row["weekday"] == weekday for row in found) == 24
    }
    fullest = max(by_day, key=lambda weekday: by_day[weekday], default=None)
    most: Row = max(found, key=lambda row: row["value"], default={"weekday": None, "hour": None, "value": None})
    numbers = {
        "covered_hours": sum(row["hours"] for row in found),
        "hours": 24 * ((selection.until - selection.since).days + 1),
        "fullest_weekday": names[fullest - 1] if fullest else None,
        "fullest_weekday_jobs": by_day[fullest] if fullest else None,
        "fullest_hour_weekday": names[most["weekday"] - 1] if most["weekday"] else None,
        "fullest_hour": most["hour"],
        "fullest_hour_jobs": most["value"],
    }
    if not any(row["value"] for row in found):
        return Picture("week", title, "No jobs are recorded in the hours of this time that the record covers.", numbers)
    words = []
    if fullest and by_day[fullest]:
        words += [f"Most on {names[fullest - 1]}s: {_average(by_day[fullest])} on average."]
    words += [
        f"The busiest hour is {names[most['weekday'] - 1]}, {most['hour']:02}:00 UTC, with {most['value']:,.1f}.",
        f"Averages of the hours that the record fully covers: {numbers['covered_hours']:,} of {numbers['hours']:,}.",
    ]
    table = [
        {
            "day": names[weekday - 1],
            "jobs on average": by_day.get(weekday),
            "covered hours": sum(row["hours"] for row in found if row["weekday"] == weekday),
        }
        for weekday in range(1, 8)
    ]
    return Picture(
        "week",
        title,
        " ".join(words),
        numbers,
        table,
        lambda width: charts.week(found, "jobs an hour, on average", width),
    )
