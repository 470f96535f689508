"""Of what the pictures are made: an org, a time, and filters, as conditions of a query on the views."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pipelines.answers.time_axis import Span
from pipelines.warehouse.reader import Row, Warehouse, rows

LONG, VERY_LONG = 100, 1_000  # days, from which on bars are weeks and months

FILTERS: Final = {
    "job_types": "list_contains($job_types, job_type)",
    "objects": "list_contains($objects, object)",
    "creators": "list_contains($creators, created_by_id)",
}


@dataclass(frozen=True)
class Selection:
    """Of which org, from which UTC day to which, and of which types, objects and users (ids); empty: of all."""

    warehouse: Path | Warehouse
    org: str
    since: date
    until: date
    job_types: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    creators: tuple[str, ...] = ()

    @property
    def bin(self) -> str:
        """How much time one bar holds: day, week or month."""
        days = (self.until - self.since).days
        return "day" if days <= LONG else "week" if days <= VERY_LONG else "month"

    def ask(self, sql: str, **parameters: Any) -> list[Row]:
        """Rows of a query that may name $org, $since, $until (the day after), $bin and the filters' parameters."""
        known = {
            "org": self.org, "since": self.since, "until": self.until + timedelta(days=1), "bin": self.bin,
            "job_types": list(self.job_types), "objects": list(self.objects), "creators": list(self.creators),
        }  # fmt: skip
        return rows(sql, self.warehouse, known | parameters)

    def only(self, *names: str) -> str:
        """The condition for the org, and for those of the named filters that are set."""
        return " and ".join(["org_id = $org", *(FILTERS[name] for name in names if getattr(self, name))])

    @cached_property
    def _recorded(self) -> Row:
        """The org's row of recorded_orgs; empty where no listing of it was completed."""
        found = self.ask("select as_of, listed_at from recorded_orgs where org_id = $org")
        return found[0] if found else {}

    @cached_property
    def end(self) -> datetime:
        """The end of the time shown: of its last day, or of what is recorded, if that day is not over by then. Where
        only filtered listings came after the newest complete one, a day that the org is shown as of ends with that."""
        end = datetime.combine(self.until + timedelta(days=1), time(), UTC)
        as_of, listed_at = self._recorded.get("as_of", end), self._recorded.get("listed_at", end)
        recorded_to: datetime = listed_at if as_of.date() < self.until else as_of
        return min(end, recorded_to)

    @property
    def whole_until(self) -> date:
        """The day after the last whole day that is shown."""
        return self.end.date()

    @cached_property
    def span(self) -> Span:
        """The time axis, with the times up to the newest listing of any kind that no complete listing covers."""
        covered = self.ask("select covered_from, covered_to from coverage where org_id = $org order by covered_from")
        newest = self._recorded.get("listed_at")
        unknown, known_to = [], None
        whole = Span(self.since, self.until)
        for spell in covered:
            start = known_to or whole.since
            if spell["covered_from"] > start and start < whole.until:
                unknown.append((start, spell["covered_from"]))
            known_to = max(spell["covered_to"], whole.since)
        start = known_to or whole.since
        if newest and newest > start and start < whole.until:
            unknown.append((start, newest))
        return Span(self.since, self.until, unknown)


def orgs(warehouse: Path | Warehouse) -> list[Row]:
    """The recorded orgs by name: those of the view recorded_orgs, with their jobs and first_day, which is None without
    a job that has a plausible date."""
    return rows(
        """
        select
            o.*,
            (select count(*) from query_jobs as j where j.org_id = o.org_id) as jobs,
            (
                select cast(min(j.began_at) at time zone 'UTC' as date) from all_jobs as j
                where j.org_id = o.org_id
            ) as first_day
        from recorded_orgs as o
        order by o.name, o.org_id
        """,
        warehouse,
    )


def select(warehouse: Path | Warehouse, org: Row, days: int) -> Selection:
    """The last `days` days of an org (a row of `orgs`), or as many as are recorded, but no less than a week."""
    until = org["as_of"].date()
    first = min(org["first_day"] or until, until)
    since = min(max(until - timedelta(days=days - 1), first), until - timedelta(days=min(days, 7) - 1))
    return Selection(warehouse, org["org_id"], since, until)
