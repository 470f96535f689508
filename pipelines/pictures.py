"""What report and notebook show, question by question: the answer in words, in numbers, and as a chart.

Everything is read from the views, and from tables where a view knows weeks and days only, through `reader.rows`. A
picture says in `words` all that its chart shows, for whoever cannot see it, and for whoever has no time.
"""

import calendar
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from pipelines import charts
from pipelines.charts import Chart, Span
from pipelines.check import ALLOWANCE, AS_OF, STILL_TRIED, USED_BY
from pipelines.reader import Row
from pipelines.selection import FILTERS, Selection

MOST: Final = 10  # entries of a ranking; what is more is summed up
KINDS: Final = {"query": "queries", "load": "loads", None: "jobs of an unknown kind"}
ONE: Final = {"query": "query", "load": "load", None: "job of an unknown kind"}
TREND: Final = 84  # days that the durations look back at the least: a trend needs more than four weeks


@dataclass(frozen=True)
class Picture:
    """A question, its answer in words, its numbers, and how to draw it in so many pixels; None: nothing to draw.

    `obeys` names the filters that it can follow; the views behind the others do not know of them.
    """

    name: str
    title: str
    words: str
    table: Sequence[Row] = ()
    draw: Callable[[int], Chart] | None = None
    obeys: tuple[str, ...] = tuple(FILTERS)


def pictures(selection: Selection) -> Iterator[Picture]:
    """All pictures, top to bottom, each read when its turn comes. Raises as `reader.rows` does."""
    for picture in PICTURES:
        yield picture(selection)


def volume(selection: Selection) -> Picture:
    """Jobs by bin and state, queries and loads apart."""
    title = "How many jobs, and how did they end?"
    found = selection.ask(f"""
        select
            cast(date_trunc($bin, day) as date) as start, kind, coalesce(state, '?') as "group",
            cast(sum(jobs) as bigint) as value
        from jobs_by_day
        where {selection.only(*FILTERS)} and day >= $since and day < $until and jobs > 0
        group by all
        order by all
    """)
    if not found:
        return Picture("volume", title, "No jobs are recorded in this time.")
    kinds = {kind: _sum(row for row in found if row["kind"] == kind) for kind in KINDS}
    by_bin: dict[date, int] = {}
    for row in found:
        by_bin[row["start"]] = by_bin.get(row["start"], 0) + row["value"]
    fullest = max(by_bin, key=lambda start: by_bin[start])
    words = [
        f"{_count(_sum(found), 'job')} from {_day(selection.since)} to {_day(selection.until)}: "
        f"{', '.join(_of_kind(number, kind) for kind, number in kinds.items() if number)}.",
        f"The fullest {selection.bin}, {_of_bin(fullest, selection.bin)}, had {by_bin[fullest]:,}.",
        *_compared(selection),
    ]
    panels, span = _bars(found, selection.bin), selection.span
    return Picture(
        "volume",
        title,
        " ".join(words),
        _pivot(found),
        lambda width: charts.stacked_bars(panels, charts.STATES, f"jobs a {selection.bin}", span, width),
    )


def _compared(selection: Selection) -> Iterator[str]:
    """The last 7 and 30 whole days against as many before them, where the record reaches back so far. Where it does not
    cover all of them, there is no percentage: nobody knows what is missing."""
    (first,) = selection.ask("""
        select greatest(
            (select min(day) from jobs_by_day where org_id = $org),
            (
                select cast(min(covered_from) at time zone 'UTC' + interval 1 day as date) from coverage
                where org_id = $org
            )
        ) as day
    """)
    for days in (7, 30):
        if first["day"] and first["day"] <= selection.until - timedelta(days=2 * days):
            (sums,) = selection.ask(
                f"""
                select
                    coalesce(sum(case when day >= $middle then jobs end), 0) as now,
                    coalesce(sum(case when day < $middle then jobs end), 0) as before,
                    (
                        select count(*) from coverage
                        where org_id = $org and covered_from <= $first and covered_to >= $today
                    ) > 0 as covered
                from jobs_by_day
                where {selection.only(*FILTERS)} and day >= $first and day < $today
                """,
                middle=selection.until - timedelta(days=days),
                first=selection.until - timedelta(days=2 * days),
                today=selection.until,
            )
            now, before = int(sums["now"]), int(sums["before"])
            change = f" ({_percent((now - before) / before, '+')})" if before else ""
            change = change if sums["covered"] else " (not all of these days are covered)"
            yield f"In the last {days} whole days there were {now:,}, in the {days} before {before:,}{change}."


def failures(selection: Selection) -> Picture:
    """Jobs that failed, were aborted or lost records, by bin; the reasons as a table."""
    title = "What went wrong, and why?"
    where = f"{selection.only(*FILTERS)} and created_date >= $since and created_date < $until"
    found = selection.ask(f"""
        select
            cast(date_trunc($bin, created_date at time zone 'UTC') as date) as start, outcome as "group", kind,
            count(*) as value
        from failures
        where {where}
        group by all
        order by all
    """)
    if not found:
        return Picture("failures", title, "Nothing is known to have failed in this time.")
    reasons = selection.ask(
        f"""
        select
            coalesce(created_by, '?') as "user", coalesce(operation, '?') as operation, coalesce(object, '?') as object,
            outcome,
            coalesce(nullif(concat_ws(': ', error_code, error), ''), 'not told') as reason,
            count(*) as jobs,
            count(case when created_date >= cast($week as timestamptz) then 1 end) as "last 7 days",
            cast(max(created_date) at time zone 'UTC' as date) as "last on"
        from failures
        where {where}
        group by all
        order by "last 7 days" desc, jobs desc, "last on" desc, "user", operation, object, outcome, reason
        """,
        week=selection.until - timedelta(days=6),
    )
    counts = {outcome: _sum(row for row in found if row["group"] == outcome) for outcome in charts.OUTCOMES}
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in reversed(counts.items()) if count)
    told = told.replace(" every", " with every")
    lately = sum(row["last 7 days"] for row in reasons)
    first = reasons[0]
    words = (
        f"{_count(_sum(found), 'job')} from {_day(selection.since)} to {_day(selection.until)}: {told}. "
        f"{lately:,} of them in the last 7 days"
        + (f", most often {first['operation']} of {first['object']} by {first['user']}, "
           f"{_count(first['last 7 days'], 'time')} {first['outcome']} (reason: {first['reason']})." if lately else ".")
    )  # fmt: skip
    panels, span = _bars(found, selection.bin), selection.span
    return Picture(
        "failures",
        title,
        words,
        reasons,
        lambda width: charts.stacked_bars(panels, charts.OUTCOMES, f"jobs a {selection.bin}", span, width),
    )


def streaks(selection: Selection) -> Picture:
    """What failed three times and more in a row, from the first failure to the first that did not fail."""
    title = "What failed again and again, since when?"
    (newest,) = selection.ask(f"select {AS_OF} as as_of from listings where org_id = $org")
    found = selection.ask(f"""
        select
            coalesce(operation, '?') || ' ' || coalesce(object, '?') || ' · ' || coalesce(created_by, '?') as name,
            failing_since as start, coalesce(ended_at, last_failure_at) as end, failures, job_type,
            case when {STILL_TRIED} then 'lasts' when ended_at is null then 'left' else 'mended' end as became
        from failure_streaks as s
        where {selection.only(*FILTERS)} and failures >= 3
            and coalesce(ended_at, last_failure_at) >= $since and failing_since < $until
        order by became = 'mended', became = 'left', failures desc, start, name, job_type
    """, as_of=newest["as_of"])  # fmt: skip
    if not found:
        return Picture("streaks", title, "Nothing failed three times in a row in this time.")
    words = [
        f"{row['name'].replace(' · ', ' by ')} {'still fails:' if row['became'] == 'lasts' else 'failed'} "
        f"{row['failures']:,} times in a row since {row['start']:%Y-%m-%d %H:%M} UTC"
        + ("." if row["became"] == "lasts" else f", the last time {row['end']:%Y-%m-%d %H:%M} UTC.")
        for row in found[:MOST]
        if row["became"] != "mended"
    ]
    over = sum(row["became"] == "mended" for row in found)
    words += [f"{_count(over, 'row')} of three failures or more came to an end."] if over else []
    span = selection.span
    shown = [
        {
            **row,
            "said": f"{row['failures']:,}×",
            "over": row["became"] != "lasts",
            "start": max(row["start"], span.since),
            "end": min(row["end"], span.until),
        }
        for row in found[:MOST]
    ]
    table = [
        {
            "what": row["name"], "failures": row["failures"], "since": row["start"],
            "until": {"lasts": "still failing", "left": f"last tried {row['end']:%Y-%m-%d %H:%M}"}.get(
                row["became"], row["end"]
            ),
        }
        for row in found
    ]  # fmt: skip
    return Picture("streaks", title, " ".join(words), table, lambda width: charts.spells(shown, span, width))


def allowance(selection: Selection) -> Picture:
    """V2 query jobs in each rolling 24 hours against the allowance; at most one point an hour."""
    title, of_all = "How near is the allowance of query jobs?", ()
    found = selection.ask("""
        select
            case when $bin = 'day' then hour else date_trunc('day', hour) end as start,
            max(greatest(query_jobs, counted)) as value,
            max_by(allowance, (greatest(query_jobs, counted), hour)) as limit
        from allowance_by_hour
        where org_id = $org and hour >= $since and hour < $until
        group by 1
        order by 1
    """)
    if not found:
        return Picture("allowance", title, "No V2 query jobs are recorded in this time.", obeys=of_all)
    fullest = max(found, key=lambda row: row["value"])
    words = f"At most {fullest['value']:,} V2 query jobs in 24 hours, around {fullest['start']:%Y-%m-%d %H:%M} UTC"
    if fullest["limit"]:
        over = {row["start"].date() for row in found if row["limit"] and row["value"] >= 0.8 * row["limit"]}
        words += (
            f": {_percent(fullest['value'] / fullest['limit'])} of the {fullest['limit']:,} that the org allows. "
            f"{_count(len(over), 'day') if over else 'No day'} came to 80 % or more."
        )
    else:
        words += ". The org's allowance is not known: `extras` is off, or the user may not see the limits."
    days = {row["start"].date(): row for row in sorted(found, key=lambda row: row["value"])}
    table = [
        {"day": day, "most in 24 hours": row["value"], "allowance": row["limit"]} for day, row in sorted(days.items())
    ]
    span = selection.span
    return Picture(
        "allowance",
        title,
        words,
        table,
        lambda width: charts.line_under_limit(found, "query jobs in 24 hours", "allowance", span, width),
        of_all,
    )


def users(selection: Selection) -> Picture:
    """Who filled the fullest 24 hours of V2 query jobs, those of the picture before, and on which object."""
    title, obeys = "Who uses it up?", ("objects", "creators")
    nobody = Picture("users", title, "Nobody, in this time.", obeys=obeys)
    fullest = selection.ask(f"""
        select used, allowance, until from ({ALLOWANCE}) where hour >= $since and hour < $until
        order by used desc, hour
        limit 1
    """)
    if not fullest:
        return nobody
    used, allowance, end = (fullest[0][name] for name in ("used", "allowance", "until"))
    found = selection.ask(
        f"""
        select
            created_by, coalesce(object, '?') as object, query_jobs, listed, 100.0 * query_jobs / nullif($allowance, 0)
                as share_percent
        from ({USED_BY})
        where {selection.only(*obeys)}
        order by query_jobs desc, created_by, object
        """,
        end=end,
        allowance=allowance,
    )
    if not found:
        return nobody
    first = found[0]
    words = (
        f"In the fullest 24 hours, up to {end:%Y-%m-%d %H:%M} UTC, "
        f"{first['query_jobs']:,} of {first['listed']:,} V2 query jobs were {first['created_by']}'s on "
        f"{first['object']}"
        + (f", {first['share_percent']:.0f} % of the allowance." if first["share_percent"] is not None else ".")
        + (
            f" The org counted {used - first['listed']:,} more, which were never listed."
            if used > first["listed"]
            else ""
        )
    )
    shown = [
        {"name": f"{row['created_by']} · {row['object']}", "value": row["query_jobs"], "said": f"{row['query_jobs']:,}"}
        for row in found[:MOST]
    ]
    if len(found) > MOST:
        rest = sum(row["query_jobs"] for row in found[MOST:])
        shown.append({"name": f"{len(found) - MOST:,} more", "value": rest, "said": f"{rest:,}"})
    table = [
        {"user": row["created_by"], "object": row["object"], "query jobs": row["query_jobs"],
         "% of the allowance": row["share_percent"]}
        for row in found
    ]  # fmt: skip
    return Picture(
        "users",
        title,
        words,
        table,
        lambda width: charts.ranking(shown, "query jobs in the fullest 24 hours", width),
        obeys,
    )


def limits(selection: Selection) -> Picture:
    """How near the org's limits came: the greatest share that a snapshot showed, limit by limit."""
    title = "And the org's other limits?"
    found = selection.ask("""
        select
            limit_name as "limit", app, max_by(used, (percent, used, asked_at)) as used,
            max_by(max, (percent, used, asked_at)) as max, max(percent) as percent,
            max_by(asked_at, (percent, used, asked_at)) as at
        from (
            select *, max - remaining as used, 100.0 * (max - remaining) / max as percent
            from org_limits
            where org_id = $org and limit_name <> 'DailyBulkV2QueryJobs' and max > 0 and remaining is not null
                and asked_at >= $since and asked_at < $until
        )
        group by limit_name, app
        having percent > 0
        order by percent desc, "limit", app
    """)
    if not found:
        return Picture("limits", title, "No snapshot of other limits is recorded in this time.", obeys=())
    first = found[0]
    words = (
        f"Of {len(found):,} limits of which something was used, {first['limit']}{_app(first['app'])} came nearest: "
        f"{first['used']:,} of {first['max']:,} ({first['percent']:.0f} %) by {first['at']:%Y-%m-%d %H:%M} UTC."
    )
    shown = [
        {"name": f"{row['limit']}{_app(row['app'])}", "value": row["percent"],
         "said": f"{row['percent']:.0f} % · {row['used']:,} of {row['max']:,}"}
        for row in found[:MOST]
    ]  # fmt: skip
    table = [{**row, "percent": round(row["percent"], 1)} for row in found]
    return Picture(
        "limits",
        title,
        words,
        table,
        lambda width: charts.ranking(shown, "the greatest share that a snapshot showed", width),
        obeys=(),
    )


def at_once(selection: Selection) -> Picture:
    """How many jobs ran or waited at the same time; at most one point an hour."""
    title = "How many ran at once?"
    found = selection.ask("""
        select
            case when $bin = 'day' then hour else date_trunc('day', hour) end as start, kind,
            max(at_once) as value
        from jobs_at_once
        where org_id = $org and hour >= $since and hour < $until
        group by all
        order by all
    """)
    if not found:
        return Picture("at_once", title, "No jobs are recorded in this time.", obeys=())
    panels, words, table = {}, [], []
    for kind, name in KINDS.items():
        of_kind = [row for row in found if row["kind"] == kind]
        if of_kind:
            most = max(of_kind, key=lambda row: row["value"])
            panels[name] = of_kind
            words.append(f"At most {_of_kind(most['value'], kind)}, around {most['start']:%Y-%m-%d %H:%M} UTC.")
            table.append({"": name, "most at once": most["value"], "when": most["start"]})
    words.append("An upper bound: a job whose end is not told counts until the listing that showed it.")
    span = selection.span
    return Picture(
        "at_once",
        title,
        " ".join(words),
        table,
        lambda width: charts.lines(panels, "jobs at once", span, width),
        obeys=(),
    )


def durations(selection: Selection) -> Picture:
    """How long the most frequent jobs took, week by week."""
    title, obeys = "Do jobs take longer than they did?", ("job_types", "objects")
    since = min(selection.since, selection.until - timedelta(days=TREND - 1))
    found = selection.ask(
        f"""
        with most as (
            select org_id, job_type, operation, object, sum(timed) as jobs from durations_by_week
            where {selection.only(*obeys)} and week >= $monday and week < $until
            group by all
            having jobs > 0
            order by jobs desc, object, operation, job_type
            limit 6
        )
        select
            coalesce(d.operation, '?') || ' ' || coalesce(d.object, '?') || ' (' || coalesce(d.job_type, '?') || ')'
                as name,
            m.jobs, d.week as start,
            d.p50_seconds / 60.0 as p50, d.p95_seconds / 60.0 as p95
        from durations_by_week as d
        inner join most as m on m.org_id = d.org_id and m.job_type is not distinct from d.job_type
            and m.operation is not distinct from d.operation and m.object is not distinct from d.object
        where d.week >= $monday and d.week < $running and d.timed > 0
        order by m.jobs desc, name, start
        """,
        monday=since - timedelta(days=since.weekday()),
        running=selection.until - timedelta(days=selection.until.weekday()),  # a week has to be over to be compared
    )
    if not found:
        said = "No week is over yet in which jobs ended whose duration is known."
        return Picture("durations", title, said, obeys=obeys)
    panels: dict[str, list[Row]] = {}
    for row in found:
        for which, value in zip(charts.HALVES, (row["p50"], row["p95"]), strict=True):
            panels.setdefault(row["name"], []).append({"start": row["start"], "which": which, "value": value})
    trends, table = [], []
    for name in panels:
        weeks = [row for row in found if row["name"] == name]
        trends.append(f"{name} {weeks[0]['p50']:.1f} → {weeks[-1]['p50']:.1f}")
        table += [{"job": name, "week of": row["start"], "half, minutes": round(row["p50"], 1),
                   "19 of 20, minutes": round(row["p95"], 1)} for row in weeks]  # fmt: skip
    words = "Minutes from creation within which half had ended, in the first and the last week shown: "
    span = Span(min(row["start"] for row in found), selection.until)
    return Picture(
        "durations",
        title,
        words + ", ".join(trends) + ".",
        table,
        lambda width: charts.small_lines(panels, "minutes", span, width),
        obeys,
    )


def week(selection: Selection) -> Picture:
    """Jobs in an average week, hour by hour; hours that the record does not cover are not in the average."""
    title = "When in the week do jobs run?"
    found = selection.ask(f"""
        with hours as (
            select h.hour
            from (
                select distinct hour from jobs_by_hour where org_id = $org and hour >= $since and hour < $until
            ) as h
            inner join coverage as c
                on c.org_id = $org
                and h.hour >= c.covered_from at time zone 'UTC'
                and h.hour + interval 1 hour <= c.covered_to at time zone 'UTC'
        ),
        counted as (
            select isodow(hour) as weekday, hour(hour) as hour, count(*) as hours from hours group by all
        ),
        jobs as (
            select isodow(hour) as weekday, hour(hour) as hour, sum(jobs) as jobs from jobs_by_hour
            where {selection.only(*FILTERS)} and hour in (select hour from hours) and jobs > 0
            group by all
        )
        select cast(c.weekday as integer) as weekday, cast(c.hour as integer) as hour,
            coalesce(j.jobs, 0) / c.hours as value
        from counted as c
        left join jobs as j using (weekday, hour)
        order by all
    """)
    if not any(row["value"] for row in found):
        return Picture("week", title, "No jobs are recorded in those hours of this time that the record covers.")
    most = max(found, key=lambda row: row["value"])
    by_day = {day: sum(row["value"] for row in found if row["weekday"] == day) for day in range(1, 8)}
    names = list(calendar.day_name)
    fullest = max(by_day, key=lambda day: by_day[day])
    words = (
        f"Most on {names[fullest - 1]}s, {by_day[fullest]:,.0f} on average; the fullest hour is "
        f"{names[most['weekday'] - 1]}, {most['hour']:02}:00 UTC, with {most['value']:,.1f}."
    )
    table = [{"day": names[day - 1], "jobs on average": round(jobs, 1)} for day, jobs in by_day.items()]
    return Picture("week", title, words, table, lambda width: charts.week(found, "jobs an hour, on average", width))


def coverage(selection: Selection) -> Picture:
    """For which time the record is provably complete, and what is known to be missing from it."""
    title = "What does the record not know?"
    whole = Span(selection.since, selection.until)
    times = {"since": whole.since, "until": whole.until}
    covered = selection.ask("""
        select greatest(covered_from, $since) as start, least(covered_to, $until) as end
        from coverage where org_id = $org and covered_to > $since and covered_from < $until order by start
    """, **times)  # fmt: skip
    if not covered:
        said = "Nothing is provably complete in this time: there is no complete, unfiltered listing."
        return Picture("coverage", title, said, obeys=())
    holes = selection.ask("""
        select hole_from, hole_to, hours, jobs from coverage_holes
        where org_id = $org and hole_to > $since and hole_from < $until order by hole_from
    """, **times)  # fmt: skip
    listings = selection.ask("""
        select started_at as start from listings
        where org_id = $org and filters = '{}' and started_at >= $since and started_at < $until
    """, **times)  # fmt: skip
    (unseen,) = selection.ask("""
        select
            (select sum(unseen) from unseen_jobs where org_id = $org and day >= $since and day < $until) as unseen,
            (
                select count(*) from early_deletions
                where org_id = $org and unlisted_at >= $since and unlisted_at < $until
            ) as deleted,
            (
                select max(date_diff('second', listed_before, listed_at)) / 3600.0
                from (
                    select
                        coalesce(restarted_at, started_at) as listed_at,
                        lag(coalesce(restarted_at, started_at)) over (order by coalesce(restarted_at, started_at))
                            as listed_before
                    from listings
                    where org_id = $org and filters = '{}'
                )
                where listed_at - interval 168 hours <= listed_before
                    and listed_at > $since and listed_before < $until
            ) as gap
    """)
    words = [
        f"{_count(len(listings), 'complete listing')}, the last up to "
        f"{covered[-1]['end']:%Y-%m-%d %H:%M} UTC"
        + (f"; the longest time between two that overlap was {unseen['gap']:,.0f} hours." if unseen["gap"] else ".")
    ]
    words += [
        f"A hole of {hole['hours']:,.0f} hours from {hole['hole_from']:%Y-%m-%d %H:%M} to "
        f"{hole['hole_to']:%Y-%m-%d %H:%M} UTC: no listing came within seven days."
        for hole in holes
    ]
    if unseen["deleted"]:
        words.append(f"{_count(unseen['deleted'], 'job')} deleted by their owner had been seen before.")
    if unseen["unseen"]:
        words.append(f"By the org's own counter, about {_count(unseen['unseen'], 'query job')} came and went unseen.")
    table = [{"hole from": hole["hole_from"], "to": hole["hole_to"], "hours": hole["hours"]} for hole in holes]
    span = selection.span
    return Picture(
        "coverage", title, " ".join(words), table, lambda width: charts.strip(covered, listings, span, width), obeys=()
    )


PICTURES: Final = (volume, failures, streaks, allowance, users, limits, at_once, durations, week, coverage)


def _sum(found: Iterable[Row]) -> int:
    return sum(row["value"] for row in found)


def _bars(found: Sequence[Row], size: str) -> dict[str, list[Row]]:
    """Panel -> rows with the end of each bin, for the kinds that there are."""
    panels: dict[str, list[Row]] = {KINDS[kind]: [] for kind in KINDS if any(row["kind"] == kind for row in found)}
    for row in found:
        start = row["start"]
        month = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
        end = month if size == "month" else start + timedelta(days=7 if size == "week" else 1)
        panels[KINDS[row["kind"]]].append({**row, "end": end})
    return panels


def _pivot(found: Sequence[Row]) -> list[Row]:
    """One row a bin and kind, one column a group."""
    groups = sorted({row["group"] for row in found})
    table: dict[tuple[date, str], Row] = {}
    for row in found:
        line = table.setdefault(
            (row["start"], row["kind"]), {"from": row["start"], "kind": row["kind"]} | dict.fromkeys(groups, 0)
        )
        line[row["group"]] += row["value"]
    return list(table.values())


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _of_kind(number: int, kind: str | None) -> str:
    return f"{number:,} {ONE[kind] if number == 1 else KINDS[kind]}"


def _percent(share: float, sign: str = "") -> str:
    return f"{100 * share:{sign}.0f} %"


def _app(app: str) -> str:
    return f" ({app})" if app else ""


def _day(day: date) -> str:
    return f"{day:%-d %B %Y}"


def _of_bin(start: date, size: str) -> str:
    return (
        f"that of {_day(start)}" if size == "week" else f"{start:%B %Y}" if size == "month" else f"{start:%A, %-d %B}"
    )
