"""A finding, and the context of a check: an org, as of when, and what has been reported about it so far."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from pipelines.answers.findings.thresholds import Thresholds
from pipelines.warehouse.narrowed import recent_jobs
from pipelines.warehouse.reader import Row, Warehouse

# Salesforce forgets a finished job after seven days (salesforce_app_limits_platform_bulkapi): a job that no listing
# showed by then is lost, and so is the file that says which records of a load failed.
RETENTION: Final = timedelta(days=7)
URGENT_AFTER: Final = timedelta(days=5)
MAX_SHOWN_IDS: Final = 5
QUERY: Final = "query"  # the feed of /jobs/query; the other is "ingest"

Series = tuple[str | None, ...]
SERIES: Final = ("job_type", "operation", "object", "created_by_id")


@dataclass(frozen=True)
class Finding:
    """One problem that needs attention: `numbers` are those in the message, `ids` all jobs concerned. `org` is the name
    to show, `configured_name` the org's name in the settings, if it has one there; `quotes`: what the message quotes of
    the org's own texts, which may name what is in a record."""

    kind: str
    key: str
    org_id: str
    org: str
    message: str
    remedy: str
    urgent: bool = False
    ids: tuple[str, ...] = ()
    numbers: Row = field(default_factory=dict)
    configured_name: str | None = None
    quotes: tuple[str | None, ...] = ()

    @property
    def heading(self) -> str:
        """Its kind: 'Closed but failed', 'API limit'."""
        return self.kind.capitalize().replace("Api", "API")

    @property
    def shown_ids(self) -> str:
        """The first of the ids, and how many more there are."""
        more = len(self.ids) - MAX_SHOWN_IDS
        return ", ".join(self.ids[:MAX_SHOWN_IDS]) + (f" and {more:,} more" if more > 0 else "")

    def __str__(self) -> str:
        lines = [f"{'URGENT ' if self.urgent else ''}{self.kind.upper()} in {self.org}: {self.message}"]
        lines += [f"  {'job' if len(self.ids) == 1 else 'jobs'}: {self.shown_ids}"] if self.ids else []
        return "\n".join([*lines, f"  {self.remedy}"])


@dataclass(frozen=True)
class RecordedFeed:
    """One of an org's listings, and the times that count: `as_of` is its newest complete one, `proven` the newest that
    proves coverage (if the recorder always filters: the newest), `proven_before` the one before that."""

    name: str
    as_of: datetime
    proven: datetime
    proven_before: datetime | None

    @property
    def key(self) -> tuple[str, ...]:
        """What the key of a finding about this listing ends with: nothing for that of query jobs, the only one of
        earlier versions, whose keys people have muted."""
        return () if self.name == QUERY else (self.name,)

    @property
    def jobs(self) -> str:
        return "jobs" if self.name == QUERY else "loads"

    @property
    def listing(self) -> str:
        return "listing" if self.name == QUERY else f"listing of loads (/jobs/{self.name})"


@dataclass(frozen=True)
class Reported:
    """What has been reported about an org so far, so that one event is one finding: series that fail, with their first
    and last failure; series that failed until they were abandoned, with their last failure; series that lose most
    records; series with unfinished jobs; feeds, days and kinds with too few jobs; feeds of which a listing shows only a
    fraction of the jobs; by day, the bulk queries of exports."""

    failing: dict[Series, tuple[datetime, datetime]] = field(default_factory=dict)
    abandoned: dict[Series, datetime] = field(default_factory=dict)
    losing: set[Series] = field(default_factory=set)
    unfinished: set[Series] = field(default_factory=set)
    quiet: set[tuple[str, str, date]] = field(default_factory=set)
    reduced: set[str] = field(default_factory=set)
    exports: dict[date, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckContext:
    """An org, its newest complete listing `as_of`, the reader's clock, and the listings that are recorded. One that has
    not been recorded for two weeks, while the other was, is not among `feeds`: what was true of its jobs then is no
    news, and that it is old is no problem. `newest_as_of` is the newest complete listing of any org that the settings
    name, if there are several."""

    warehouse: Warehouse
    thresholds: Thresholds
    org_id: str
    org: str
    as_of: datetime
    now: datetime
    feeds: tuple[RecordedFeed, ...]
    configured_name: str | None = None
    newest_as_of: datetime | None = None
    reported: Reported = field(default_factory=Reported)

    def query(self, sql: str, jobs_since: datetime | None = None, **parameters: Any) -> list[Row]:
        """The rows of a query that may name $org, $as_of, $feeds and the thresholds; with `jobs_since`, from what
        `recent_jobs` shows."""
        feeds = [feed.name for feed in self.feeds]
        known = {**self.thresholds, "org": self.org_id, "as_of": self.as_of, "feeds": feeds}
        with recent_jobs(self.warehouse, jobs_since):
            return self.warehouse.rows(sql, known | parameters)

    def finding(self, kind: str, *key: object, **rest: Any) -> Finding:
        full_key = "/".join(str(part) for part in (kind, self.org_id, *key))
        return Finding(kind, full_key, self.org_id, self.org, configured_name=self.configured_name, **rest)


def series_of(row: Row) -> Series:
    """The series that a row is about: one user's jobs of one type and operation on one object."""
    return tuple(row[part] for part in SERIES)
