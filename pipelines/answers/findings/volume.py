"""Far more or far fewer jobs than usual, and regular jobs that did not run."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from pipelines.answers.findings.finding import QUERY, CheckContext, Finding, RecordedFeed, series_of
from pipelines.answers.findings.words import known, series_name, when
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

REPAIRED_AFTER: Final = 3  # usual pauses without a failure, after which a series that failed often counts as repaired


def unusual_volume(context: CheckContext) -> Iterator[Finding]:
    """A day had far more or far fewer jobs than usual on that weekday. Considers days that became complete and covered
    since the listing before the newest, or in the last 24 hours if that is longer. Jobs that a series reported as
    failing adds or lacks are ignored, and so are reported exports, and jobs that a client may have deleted between two
    listings."""
    for feed in context.feeds:
        yield from _unusual_volume(context, feed)


def _unusual_volume(context: CheckContext, feed: RecordedFeed) -> Iterator[Finding]:
    since = feed.as_of - timedelta(days=1)
    if feed.proven_before and feed.proven == feed.as_of:
        since = min(since, feed.proven_before)
    for day in context.query(
        """
        select day, kind, org_id, jobs, usual, spread, score
        from unusual_days
        where org_id = $org and feed = $feed and (day + interval 1 day) > ($since at time zone 'UTC') and is_unusual
            and abs(jobs - usual) >= greatest($unusual_jobs, $unusual_percent / 100 * usual)
        order by day, kind
        """,
        since=since,
        feed=feed.name,
    ):
        few = day["jobs"] < day["usual"]
        explained = _perhaps_deleted(context, feed, day) if few else 0
        explained += _of_failing_series(context, feed, day, few=few)
        if feed.name == QUERY and day["kind"] == "query" and not few:
            explained -= context.reported.exports.get(day["day"], 0)
        difference = day["jobs"] + explained - day["usual"]
        limit = max(context.thresholds.unusual_jobs, context.thresholds.unusual_percent / 100 * day["usual"])
        if abs(difference) < limit or (difference < 0) != few:
            continue
        if few:
            context.reported.quiet.add((feed.name, day["kind"], day["day"]))
        jobs = counted(day["jobs"], f"{day['kind']} job") + (f" of /jobs/{feed.name}" if feed.key else "")
        yield context.finding(
            "unusual volume",
            day["kind"],
            day["day"],
            *feed.key,
            message=f"{jobs} on {day['day']:%A, %d %B %Y}, but that weekday usually has {day['usual']:,.0f}.",
            remedy="See the view jobs_by_day for whose jobs they are, or whose are missing.",
            numbers=day,
        )


def _of_failing_series(context: CheckContext, feed: RecordedFeed, day: Row, *, few: bool) -> int:
    """How many jobs the series reported as failing lacked on a day, compared with their maximum on that weekday; or, as
    a negative number, how many they had."""
    found = context.query(
        """
        select
            job_type, operation, object, created_by_id,
            max(case when day = $day then jobs else 0 end) as jobs, max(jobs) as most
        from (
            select
                job_type, operation, object, created_by_id, cast(began_at at time zone 'UTC' as date) as day,
                count(*) as jobs
            from all_jobs
            where org_id = $org and feed = $feed and kind = $kind
                and cast(began_at at time zone 'UTC' as date) between $day - 56 and $day
                and dayofweek(cast(began_at at time zone 'UTC' as date)) = dayofweek($day)
            group by all
        )
        group by all
        """,
        feed=feed.name,
        kind=day["kind"],
        day=day["day"],
    )
    reported = set(context.reported.failing) | (set(context.reported.abandoned) if few else set())
    return sum(row["most"] - row["jobs"] if few else -row["jobs"] for row in found if series_of(row) in reported)


def _perhaps_deleted(context: CheckContext, feed: RecordedFeed, day: Row) -> int:
    """How many of a day's jobs may have appeared and vanished between two listings: at most as many as were recorded on
    that weekday of series whose jobs are deleted sooner than the listings were apart."""
    (found,) = context.query(
        """
        with unseen as (
            select s.* from short_lived_jobs as s
            where s.org_id = $org and s.feed = $feed and s.kind = $kind and exists (
                select 1 from proving_listings as p
                where p.org_id = $org and p.feed = $feed
                    and p.listed_before < p.listed_at - s.hours * interval 1 hour
                    and (p.listed_before at time zone 'UTC') < $day + interval 1 day
                    and ((p.listed_at - s.hours * interval 1 hour) at time zone 'UTC') > $day
            )
        )
        select coalesce(max(jobs), 0) as jobs
        from (
            select cast(j.began_at at time zone 'UTC' as date) as day, count(*) as jobs
            from all_jobs as j
            inner join unseen as u
                on u.org_id = j.org_id and u.job_type is not distinct from j.job_type
                and u.operation is not distinct from j.operation and u.object is not distinct from j.object
                and u.created_by_id is not distinct from j.created_by_id
            where j.org_id = $org and j.feed = $feed
                and dayofweek(cast(j.began_at at time zone 'UTC' as date)) = dayofweek($day)
                and cast(j.began_at at time zone 'UTC' as date) between $day - 56 and $day - 1
            group by 1
        )
        """,
        feed=feed.name,
        kind=day["kind"],
        day=day["day"],
    )
    return int(found["jobs"])


def missing_runs(context: CheckContext) -> Iterator[Finding]:
    """Series that run at regular times, and did not run. All of one user's on one day are one finding: probably a
    machine that stopped. What has been reported is left out: series that fail or were abandoned, series with an
    unfinished job, and series whose pause includes a day that was reported for having too few jobs."""
    missing = context.query("""
        select
            *, cast(expected_at at time zone 'UTC' as date) as day,
            (last_run_at at time zone 'UTC') as last_run, (expected_by at time zone 'UTC') as expected
        from usual_runs
        where org_id = $org and is_missing and list_contains($feeds, feed)
        order by created_by_id, day, expected_at, object, operation, job_type
    """)
    news = [series for series in missing if not _is_reported(context, series)]
    for (user, day), group in groupby(news, key=lambda series: (series["created_by_id"], series["day"])):
        alike = list(group)
        first, more = alike[0], len(alike) - 1
        others = f" Nor did {more:,} other series of the same user: {_names(alike[1:])}." if more else ""
        yield context.finding(
            "missing run",
            user,
            day,
            message=f"{series_name(first)} did not run: it last ran {when(first['last_run_at'])} and was due by "
            f"{when(first['expected_by'])}. {_usually(first)}.{others}",
            remedy="Check that the scheduler and its machine are up. If it was switched off, mute this finding; it is "
            "no longer reported a week after the missing run.",
            ids=tuple(series["last_run_id"] for series in alike),
            numbers={
                "series": len(alike),
                "last_run_at": first["last_run_at"],
                "expected_at": first["expected_at"],
                "expected_by": first["expected_by"],
                "usual_pause_hours": first["usual_pause_hours"],
            },
        )


def _is_reported(context: CheckContext, series: Row) -> bool:
    mine, reported = series_of(series), context.reported
    if mine in reported.failing or mine in reported.unfinished:
        return True
    if mine in reported.abandoned:  # and not repaired before its last run
        pauses = (series["last_run_at"] - reported.abandoned[mine]) / timedelta(hours=series["usual_pause_hours"])
        if pauses <= REPAIRED_AFTER:
            return True
    silent_from, to = series["last_run"], series["expected"]
    return any(
        (feed, kind) == (series["feed"], series["kind"])
        and silent_from < _midnight(day) + timedelta(days=1)
        and _midnight(day) < to
        for feed, kind, day in reported.quiet
    )


def _midnight(day: Any) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - UTC, as the views write it


def _usually(series: Row) -> str:
    at = f"{series['expected_at']:%H:%M} UTC"
    pause = series["usual_pause_hours"]
    if series["rhythm"] == "week":
        often = f"on {series['expected_at']:%A}s" if pause > 150 else "on such weekdays"
        return f"It usually runs {often} in the hour from {at}"
    hours = round(24 / pause)  # evenly spread or not: only their number is known
    often = "every day" if hours <= 1 else "every hour" if hours >= 24 else f"in {hours} hours of a day"
    return f"It usually runs {often}, next in the hour from {at}"


def _names(alike: list[Row]) -> str:
    shown = [f"{known(series['operation'])} of {known(series['object'])}" for series in alike[:3]]
    return ", ".join(shown) + (f" and {len(alike) - 3:,} more" if len(alike) > 3 else "")
