"""When jobs run: hour by hour of an average week."""

import calendar

from pipelines.answers import charts
from pipelines.answers.pictures.picture import KINDS, Picture
from pipelines.answers.selection import FILTERS, Selection
from pipelines.warehouse.reader import Row


def _average(number: float) -> str:
    """Small numbers keep one decimal place: 0.2 does not become 0."""
    return f"{number:,.0f}" if number >= 10 else f"{number:,.1f}"


def week(selection: Selection) -> Picture:
    """Jobs in an average week, hour by hour, averaged over the hours that the record covers completely."""
    title = "When in the week do jobs run?"
    by_kind = selection.query(f"""
        with hours as (
            select hour, isodow(hour) as weekday, hour(hour) as hour_of_day
            from covered_hours
            where org_id = $org and hour >= $since and hour < $until and list_contains($feeds, feed)
            group by hour
            having count(*) = len($feeds) and min(covered_percent) = 100
        ),
        jobs as (
            select hour, kind, sum(jobs) as jobs from jobs_by_hour
            where {selection.where_clause(*FILTERS)} and hour >= $since and hour < $until and jobs > 0
            group by hour, kind
        ),
        kinds as (
            select distinct kind from jobs
            union select cast(null as varchar) where not exists (select 1 from jobs)
        )
        select
            k.kind, cast(h.weekday as integer) as weekday, cast(h.hour_of_day as integer) as hour, count(*) as hours,
            cast(sum(coalesce(j.jobs, 0)) as bigint) as jobs
        from hours as h
        cross join kinds as k
        left join jobs as j on j.hour = h.hour and j.kind is not distinct from k.kind
        group by k.kind, h.weekday, h.hour_of_day
        order by all
    """, feeds=list(selection.feeds))  # fmt: skip
    panels = {
        name: [{**row, "value": row["jobs"] / row["hours"]} for row in by_kind if row["kind"] == kind]
        for kind, name in KINDS.items()
        if any(row["jobs"] for row in by_kind if row["kind"] == kind)
    }
    found = _together(by_kind)
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
        return Picture(
            "week", title, "No jobs are recorded in the hours of this period that the record covers.", numbers
        )
    words = []
    if fullest and by_day[fullest]:
        words += [f"Most on {names[fullest - 1]}s: {_average(by_day[fullest])} jobs on average."]
    words += [
        f"The busiest hour is {names[most['weekday'] - 1]}, {most['hour']:02}:00 UTC, with {_average(most['value'])}.",
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
        lambda width: charts.week(panels, "jobs an hour, on average", width),
    )


def _together(by_kind: list[Row]) -> list[Row]:
    """The average of all jobs for each hour of the week."""
    slots: dict[tuple[int, int], Row] = {}
    for row in by_kind:
        slot = slots.setdefault(
            (row["weekday"], row["hour"]),
            {"weekday": row["weekday"], "hour": row["hour"], "hours": row["hours"], "jobs": 0},
        )
        slot["jobs"] += row["jobs"]
    return [{**slot, "value": slot["jobs"] / slot["hours"]} for _, slot in sorted(slots.items())]
