"""How long jobs took, and when they ran, computed independently: in plain Python, from the planted rows."""

import bisect
import calendar
import itertools
import math
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from typing import Any

from planted import kind
from report_truth import DAY, HOUR, KINDS, NAMES, Numbers, OrgTruth, series


def durations(org: OrgTruth) -> tuple[Numbers, list[Numbers]]:
    since = min(org.since, org.until - timedelta(days=83))
    monday, running = since - since.weekday() * DAY, org.until - org.until.weekday() * DAY
    weeks: dict[Any, dict[date, list[float]]] = defaultdict(lambda: defaultdict(list))
    for job in org.jobs:
        began, (ended, is_exact) = org.began(job), org.ended(job)
        week = began and began.date() - began.weekday() * DAY
        if job["state"] in ("JobComplete", "Closed") and week and monday <= week < running and ended and is_exact:
            weeks[series(job)[:3]][week].append((ended - job["created_date"]).total_seconds())
    numbers, rows = [], []
    sums = {name: sum(map(len, by_week.values())) for name, by_week in weeks.items()}
    order = sorted(weeks, key=lambda name: (-sums[name], name[2] or "~", name[1], name[0]))
    most = [name for what in NAMES for name in [one for one in order if kind(one[1]) == what][:3]]
    for type_, operation, object_ in most:
        name = f"{operation or '?'} of {object_ or '?'} ({type_ or '?'})"
        median = {}
        for week, seconds in sorted(weeks[type_, operation, object_].items()):
            median[week], most = (sorted(seconds)[math.ceil(len(seconds) * p) - 1] / 60 for p in (0.5, 0.95))
            rows.append({"job": name, "week of": week, "jobs": len(seconds), "median, minutes": median[week],
                         "95th percentile, minutes": most})  # fmt: skip
        numbers.append({
            "series": name, "weeks": len(median), "first_week": min(median), "last_week": max(median),
            "first_median_minutes": median[min(median)], "last_median_minutes": median[max(median)],
        })  # fmt: skip
    return {"series": numbers}, rows


def at_once(org: OrgTruth) -> tuple[Numbers, list[Numbers]]:
    # Between listings at most 36 hours apart: a recorder that was off for longer saw no job end meanwhile.
    at_work = [(a, b) for a, b in itertools.pairwise(org.proofs) if b - a <= timedelta(hours=36)]
    hours = [hour for hour in org.covered_hours() if _whole(hour, at_work)]
    numbers: Numbers = {"hours_counted": len(hours)}
    rows = []
    for what, name in NAMES.items():
        changes: Counter[datetime] = Counter()
        for job in org.jobs:
            if (began := org.began(job)) and kind(job["operation"]) == what:
                changes[began] += 1
                if end := org.ended(job)[0]:
                    changes[max(end, began + timedelta(seconds=1))] -= 1
        moments = sorted(changes)
        levels = [0, *itertools.accumulate(changes[moment] for moment in moments)]
        most = {}
        for hour in hours:
            before, after = bisect.bisect_right(moments, hour), bisect.bisect_left(moments, hour + HOUR)
            most[hour] = max(levels[before : max(before, after) + 1])
        at, from_ = max(((number, hour) for hour, number in most.items()), default=(None, None))
        if not changes:
            at = from_ = None
        numbers |= {f"{name}_at_once": at, f"{name}_at_once_from": from_}
        if changes:
            rows.append({"kind": KINDS[what], "most at once": at, "in the hour from": from_})
    return numbers, rows


def week(org: OrgTruth) -> tuple[Numbers, list[Numbers]]:
    hours = org.covered_hours()
    jobs = Counter(job["created_date"].replace(minute=0, second=0, microsecond=0) for job in org.shown())
    sums: dict[tuple[int, int], list[int]] = defaultdict(list)
    for hour in hours:
        sums[hour.weekday(), hour.hour].append(jobs[hour])
    average = {slot: sum(numbers) / len(numbers) for slot, numbers in sums.items()}
    names = list(calendar.day_name)
    by_day = {
        n: sum(average[n, hour] for hour in range(24))
        for n in range(7)
        if all((n, hour) in average for hour in range(24))
    }
    fullest = max(by_day, key=lambda n: (round(by_day[n], 9), -n), default=None)
    slot = max(average, key=lambda slot: (average[slot], -slot[0], -slot[1]), default=None)
    numbers = {
        "covered_hours": len(hours), "hours": int((org.end - org.start) / HOUR),
        "fullest_weekday": None if fullest is None else names[fullest],
        "fullest_weekday_jobs": None if fullest is None else by_day[fullest],
        "fullest_hour_weekday": names[slot[0]] if slot else None,
        "fullest_hour": slot[1] if slot else None, "fullest_hour_jobs": average[slot] if slot else None,
    }  # fmt: skip
    rows = [
        {"day": names[n], "jobs on average": by_day.get(n), "covered hours": sum(h.weekday() == n for h in hours)}
        for n in range(7)
    ]
    return numbers, rows if any(average.values()) else []


def _whole(hour: datetime, spans: list[tuple[datetime, datetime]]) -> bool:
    """Whether non-overlapping spans cover all of an hour."""
    shares = (max(min(end, hour + HOUR) - max(start, hour), timedelta()) for start, end in spans)
    return sum(shares, timedelta()) == HOUR
