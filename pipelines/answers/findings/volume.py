"""How much runs: far more or fewer jobs than usual, and usual jobs that did not run at all."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from pipelines.answers.findings.finding import Finding, Question, series_of
from pipelines.answers.findings.words import counted, known, series_name, when
from pipelines.warehouse.reader import Row

FIXED: Final = 3  # usual pauses without a failure, after which a series that failed often is taken to be repaired


def unusual_volume(question: Question) -> Iterator[Finding]:
    """A whole day had far more or far fewer jobs than that weekday usually has: of the days that became whole and
    covered since the listing before the newest, or in the last 24 hours if that is longer. What a series adds or lacks
    that was reported to fail is no news, nor is what a client may have deleted between two listings."""
    since = question.as_of - timedelta(days=1)
    if question.proven_before and question.proven == question.as_of:
        since = min(since, question.proven_before)
    for day in question.ask(
        """
        select day, kind, org_id, jobs, usual, spread, score
        from unusual_days
        where org_id = $org and (day + interval 1 day) > ($since at time zone 'UTC') and abs(score) >= 3.5
            and abs(jobs - usual) >= greatest($unusual_jobs, $unusual_percent / 100 * usual)
        order by day, kind
        """,
        since=since,
    ):
        few = day["jobs"] < day["usual"]
        explained = _perhaps_deleted(question, day) if few else 0
        explained += _of_failing_series(question, day, few=few)
        difference = day["jobs"] + explained - day["usual"]
        limit = max(question.thresholds.unusual_jobs, question.thresholds.unusual_percent / 100 * day["usual"])
        if abs(difference) < limit or (difference < 0) != few:
            continue
        if few:
            question.reported.quiet.add((day["kind"], day["day"]))
        jobs = counted(day["jobs"], f"{day['kind']} job")
        yield question.finding(
            "unusual volume",
            day["kind"],
            day["day"],
            message=f"{jobs} on {day['day']:%A, %d %B %Y}, where that weekday usually has {day['usual']:,.0f}.",
            remedy="See the view jobs_by_day for whose they were, or whose are missing.",
            numbers=day,
        )


def _of_failing_series(question: Question, day: Row, *, few: bool) -> int:
    """How many jobs series lack on a day that were reported to fail, against the most that they had on that weekday;
    or, below zero, how many they had."""
    found = question.ask(
        """
        select
            job_type, operation, object, created_by_id,
            max(case when day = $day then jobs else 0 end) as jobs, max(jobs) as most
        from (
            select
                job_type, operation, object, created_by_id, cast(began_at at time zone 'UTC' as date) as day,
                count(*) as jobs
            from all_jobs
            where org_id = $org and kind = $kind
                and cast(began_at at time zone 'UTC' as date) between $day - 56 and $day
                and dayofweek(cast(began_at at time zone 'UTC' as date)) = dayofweek($day)
            group by all
        )
        group by all
        """,
        kind=day["kind"],
        day=day["day"],
    )
    reported = set(question.reported.failing) | (set(question.reported.abandoned) if few else set())
    return sum(row["most"] - row["jobs"] if few else -row["jobs"] for row in found if series_of(row) in reported)


def _perhaps_deleted(question: Question, day: Row) -> int:
    """How many jobs of a day may have come and gone between two listings: at most as many as series had on that weekday
    whose jobs live for less time than the listings were apart."""
    (found,) = question.ask(
        """
        with unseen as (
            select s.* from short_lived_jobs as s
            where s.org_id = $org and s.kind = $kind and exists (
                select 1 from proving_listings as p
                where p.org_id = $org
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
            where j.org_id = $org and dayofweek(cast(j.began_at at time zone 'UTC' as date)) = dayofweek($day)
                and cast(j.began_at at time zone 'UTC' as date) between $day - 56 and $day - 1
            group by 1
        )
        """,
        kind=day["kind"],
        day=day["day"],
    )
    return int(found["jobs"])


def missing_runs(question: Question) -> Iterator[Finding]:
    """Series that run at usual times, and did not. All of one user's that went missing on one day are one finding: a
    machine that stopped. What is reported already is left out: series that fail, or did until they were tried no more,
    or whose job hangs, and series that are silent over a day on which too few jobs ran."""
    if not question.is_settled:
        return
    missing = question.ask("""
        select
            *, cast(expected_at at time zone 'UTC' as date) as day,
            (last_run_at at time zone 'UTC') as last_run, (expected_by at time zone 'UTC') as expected
        from usual_runs
        where org_id = $org and is_missing
        order by created_by_id, day, expected_at, object, operation, job_type
    """)
    news = [series for series in missing if not _is_reported(question, series)]
    for (user, day), group in groupby(news, key=lambda series: (series["created_by_id"], series["day"])):
        alike = list(group)
        first, more = alike[0], len(alike) - 1
        others = f" Nor did {counted(more, 'other')} of the same user: {_names(alike[1:])}." if more else ""
        yield question.finding(
            "missing run",
            user,
            day,
            message=f"{series_name(first)} did not run: after {when(first['last_run_at'])} it was to run by "
            f"{when(first['expected_by'])}. {_usually(first)}.{others}",
            remedy="Look whether the scheduler and its machine are up. If it was switched off, mute this finding; it "
            "ends by itself a week after the run that is missing.",
            ids=tuple(series["last_run_id"] for series in alike),
            numbers={
                "series": len(alike),
                "last_run_at": first["last_run_at"],
                "expected_at": first["expected_at"],
                "expected_by": first["expected_by"],
                "usual_pause_hours": first["usual_pause_hours"],
            },
        )


def _is_reported(question: Question, series: Row) -> bool:
    mine, told = series_of(series), question.reported
    if mine in told.failing or mine in told.hanging:
        return True
    if mine in told.abandoned:  # and not repaired before its last run
        pauses = (series["last_run_at"] - told.abandoned[mine]) / timedelta(hours=series["usual_pause_hours"])
        if pauses <= FIXED:
            return True
    silent_from, to = series["last_run"], series["expected"]
    return any(
        kind == series["kind"] and silent_from < _midnight(day) + timedelta(days=1) and _midnight(day) < to
        for kind, day in told.quiet
    )


def _midnight(day: Any) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - UTC, as the views write it


def _usually(series: Row) -> str:
    at = f"{series['expected_at']:%H:%M} UTC"
    pause = series["usual_pause_hours"]
    if series["rhythm"] == "week":
        often = f"on {series['expected_at']:%A}s" if pause > 150 else "on such weekdays"
        return f"It usually runs {often} in the hour from {at}"
    hours = round(24 / pause)  # evenly spread or not: all that is known is how many of them there are
    often = "every day" if hours <= 1 else "every hour" if hours >= 24 else f"in {hours} hours of a day"
    return f"It usually runs {often}, next in the hour from {at}"


def _names(alike: list[Row]) -> str:
    shown = [f"{known(series['operation'])} of {known(series['object'])}" for series in alike[:3]]
    return ", ".join(shown) + (f" and {len(alike) - 3:,} more" if len(alike) > 3 else "")
