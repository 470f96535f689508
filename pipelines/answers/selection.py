"""What a picture shows: an org, a time and filters, as conditions of a query on the views."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pipelines.answers.time_axis import Span, merged
from pipelines.warehouse.reader import Row, Warehouse, rows

MAX_DAILY_BARS, MAX_WEEKLY_BARS = 100, 1_000  # days; longer periods are shown in weeks, then in months

# What share of each UTC day all of the listings shown cover: 0 if one of them does not reach it.
COVERED_DAYS: Final = """
select day, case when count(*) = len($feeds) then min(covered_percent) else 0 end as covered_percent
from covered_days
where org_id = $org and list_contains($feeds, feed)
group by day
"""
FILTERS: Final = {
    "job_types": "list_contains($job_types, job_type)",
    "objects": "list_contains($objects, object)",
    "creators": "list_contains($creators, created_by_id)",
}


@dataclass(frozen=True)
class Selection:
    """The org, the first and the last UTC day, and the types, objects and users (ids) to show; empty: all."""

    warehouse: Path | Warehouse
    org: str
    since: date
    until: date
    job_types: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    creators: tuple[str, ...] = ()

    @property
    def granularity(self) -> str:
        """The period of one bar: day, week or month."""
        days = (self.until - self.since).days
        return "day" if days <= MAX_DAILY_BARS else "week" if days <= MAX_WEEKLY_BARS else "month"

    def query(self, sql: str, **parameters: Any) -> list[Row]:
        """Rows of a query that may name $org, $since, $until (the day after), $granularity and the filters."""
        known = {
            "org": self.org, "since": self.since, "until": self.until + timedelta(days=1),
            "granularity": self.granularity,
            "job_types": list(self.job_types), "objects": list(self.objects), "creators": list(self.creators),
        }  # fmt: skip
        return rows(sql, self.warehouse, known | parameters)

    def where_clause(self, *names: str) -> str:
        """The condition for the org, and for those of the named filters that are set."""
        return " and ".join(["org_id = $org", *(FILTERS[name] for name in names if getattr(self, name))])

    @cached_property
    def _recorded(self) -> Row:
        """The org's row of recorded_orgs; empty if it has no listing."""
        found = self.query("select as_of, listed_at from recorded_orgs where org_id = $org")
        return found[0] if found else {}

    @cached_property
    def end(self) -> datetime:
        """The end of the time shown: the end of its last day or, if that day is not over yet, of the record: the newest
        complete listing, or the newest of any kind if the last day is later than that."""
        end = datetime.combine(self.until + timedelta(days=1), time(), UTC)
        as_of, listed_at = self._recorded.get("as_of", end), self._recorded.get("listed_at", end)
        recorded_to: datetime = listed_at if as_of.date() < self.until else as_of
        return min(end, recorded_to)

    @property
    def whole_until(self) -> date:
        """The day after the last complete day shown."""
        return self.end.date()

    @cached_property
    def feeds(self) -> tuple[str, ...]:
        """The listings that show the selected types of jobs; if none is selected, those that are recorded."""
        if self.job_types:
            sql = "select distinct feed from listed_jobs where org_id = $org and list_contains($job_types, job_type)"
        else:
            sql = "select feed from recorded_feeds where org_id = $org and is_current"
        return tuple(row["feed"] for row in self.query(f"{sql} order by feed desc"))

    @cached_property
    def busiest(self) -> Row:
        """The row of allowance_by_day with the busiest 24 hours of the time shown, and how many of its jobs are
        `recorded`; empty if there is none. Read once: two pictures are about it."""
        found = self.query("""
            select
                p.*, coalesce(
                    (select max(all_jobs) from allowance_by_user as u where u.org_id = $org and u.day = p.day), 0
                ) as recorded
            from (
                select * from allowance_by_day
                where org_id = $org and day >= $since and day < $until
                order by fullness desc
                limit 1
            ) as p
        """)
        return found[0] if found else {}

    @cached_property
    def limits_ahead(self) -> dict[str, Row]:
        """Limit -> its row of limits_ahead; empty for a time that ended before the newest listing."""
        found = self.query(
            """
            select
                l.limit_name as limit, l.weeks, l.reached_on, l.read_at, 100 * l.weekly_growth / l.max as growth
            from limits_ahead as l
            inner join recorded_orgs as o on o.org_id = l.org_id and o.as_of < $end
            where l.org_id = $org
            order by l.reached_on nulls last, l.limit_name
            """,
            end=datetime.combine(self.until + timedelta(days=1), time(), UTC),
        )
        return {row["limit"]: row for row in found}

    @cached_property
    def span(self) -> Span:
        """The time axis, with the times up to the newest listing that one of the listings shown does not cover. One
        that was recorded only later than another counts from then on."""
        covered = self.query(
            "select feed, covered_from, covered_to from coverage "
            "where org_id = $org and list_contains($feeds, feed) order by covered_from",
            feeds=list(self.feeds),
        )
        newest, whole = self._recorded.get("listed_at"), Span(self.since, self.until)
        unknown: list[tuple[datetime, datetime]] = []
        for feed in self.feeds or ("query",):
            spells = [spell for spell in covered if spell["feed"] == feed]
            is_later = spells and spells[0]["covered_from"] > covered[0]["covered_from"]
            start = max(spells[0]["covered_from"], whole.since) if is_later else whole.since
            for spell in spells:
                unknown.append((start, spell["covered_from"]))
                start = max(spell["covered_to"], whole.since)
            if newest:
                unknown.append((start, newest))
        return Span(self.since, self.until, merged(gap for gap in unknown if gap[0] < whole.until))


def orgs(warehouse: Path | Warehouse) -> list[Row]:
    """The recorded orgs by name: rows of recorded_orgs, with the number of jobs, first_day, which is None if no job has
    a plausible date, and instance_url, where the org was last reached."""
    return rows(
        """
        select
            o.*,
            (select count(*) from listed_jobs as j where j.org_id = o.org_id) as jobs,
            (
                select cast(min(j.began_at) at time zone 'UTC' as date) from all_jobs as j
                where j.org_id = o.org_id
            ) as first_day,
            n.instance_url
        from recorded_orgs as o
        left join orgs as n on n.org_id = o.org_id
        order by o.display_name, o.org_id
        """,
        warehouse,
    )


def select(warehouse: Path | Warehouse, org: Row, days: int) -> Selection:
    """The last `days` days of an org (a row of `orgs`), or as many as are recorded, but at least a week if asked."""
    until = org["as_of"].date()
    first = min(org["first_day"] or until, until)
    since = min(max(until - timedelta(days=days - 1), first), until - timedelta(days=min(days, 7) - 1))
    return Selection(warehouse, org["org_id"], since, until)
