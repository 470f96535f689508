"""Bulk queries that may be data theft: new or far larger than ever for this user, and deleted afterwards or of several
objects. That is how records were stolen from many orgs in 2025, with a user's or an integration's own rights."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Final

from pipelines.answers.findings.finding import QUERY, RETENTION, CheckContext, Finding
from pipelines.answers.findings.words import known, when
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

LOOKED_AT: Final = timedelta(days=35)  # so that an export of several days has the same key until it is over
MAX_SHOWN: Final = 5  # objects
USUAL_AFTER: Final = 7  # days with queries of an object, so that a week's one big day is among them
DAY: Final = timedelta(days=1)
REMEDY: Final = (
    "Ask the user, or the owner of the integration. If neither can explain it: freeze the user, look up the IP address "
    "and the app in Setup's Login History, and revoke the app's tokens under Connected Apps OAuth Usage. The text of "
    "the queries is not in the record; the view exports_by_day shows how much of each object was read, day by day."
)


@dataclass(frozen=True)
class Export:
    """What is new or unusual of one user's bulk queries, on one day or on several in a row: rows of exports_by_day."""

    rows: tuple[Row, ...]

    @property
    def days(self) -> set[date]:
        return {row["day"] for row in self.rows}

    @property
    def first_day(self) -> date:
        return min(self.days)

    @property
    def last_day(self) -> date:
        return max(self.days)

    @property
    def key(self) -> tuple[str | None, date]:
        return self.rows[0]["created_by_id"], self.first_day

    @property
    def objects(self) -> list[str]:
        return sorted({known(row["object"]) for row in self.rows})

    @property
    def records(self) -> int:
        return sum(row["records_processed"] or 0 for row in self.rows)

    @property
    def deleted(self) -> int:
        return sum(row["jobs_deleted"] for row in self.rows if not row["deletes_regularly"])

    def total(self, column: str) -> int:
        return sum(row[column] for row in self.rows)


def unusual_exports(context: CheckContext) -> Iterator[Finding]:
    """A user's bulk queries of one day are reported if they are new for that user, or read far more rows than on any
    earlier day, and if something else comes on top: jobs that were deleted early, which this user's usually are not, or
    several objects. Of one user, days in a row are one finding, for a week after the last."""
    as_of = next((feed.as_of for feed in context.feeds if feed.name == QUERY), None)
    if as_of is None:
        return
    rows = context.query(
        """
        select * from exports_by_day
        where org_id = $org and day > $since and (
            new_user or new_object
            or (records_processed >= $export_rows and records_processed >= $export_times * most_records_before)
        )
        order by created_by_id, day, object
        """,
        since=as_of.date() - LOOKED_AT,
    )
    by_day = groupby(rows, key=lambda row: (row["created_by_id"], row["day"]))
    exports = [export for _, of_day in by_day if (export := _reported(context, Export(tuple(of_day))))]
    lasting = [export for export in _in_a_row(exports) if export.last_day >= as_of.date() - RETENTION]
    jobs = _jobs(context, lasting)
    for export in lasting:
        yield _finding(context, export, jobs.get(export.key, []))


def _reported(context: CheckContext, export: Export) -> Export | None:
    """What is to be reported of one user's day."""
    rows_from, objects_from = context.thresholds.export_rows, context.thresholds.export_objects
    if export.deleted:
        return export if export.records >= rows_from or export.total("jobs_uncounted") else None
    rest = tuple(
        row for row in export.rows if row["new_object"] or row["new_user"] or row["days_before"] >= USUAL_AFTER
    )
    export = Export(rest)
    return export if export.records >= rows_from and len(export.objects) >= objects_from else None


def _in_a_row(days: list[Export]) -> Iterator[Export]:
    """Those of one user on days in a row as one: a theft does not end at midnight."""
    joined: list[Export] = []
    for export in days:
        last = joined[-1] if joined else None
        same_user = last is not None and last.rows[0]["created_by_id"] == export.rows[0]["created_by_id"]
        if last is not None and same_user and export.first_day - last.last_day <= DAY:
            joined[-1] = Export(last.rows + export.rows)
        else:
            joined.append(export)
    yield from joined


def _jobs(context: CheckContext, exports: list[Export]) -> dict[tuple[str | None, date], list[Row]]:
    """The bulk queries of these exports, by the key of their export, oldest first."""
    if not exports:
        return {}
    key_of = {_searched(row): export.key for export in exports for row in export.rows}
    by_key: dict[tuple[str | None, date], list[Row]] = {}
    for job in context.query(
        """
        with jobs as (
            select
                *, cast(began_at at time zone 'UTC' as date) as day,
                concat_ws('/', cast(day as varchar), object, '/', created_by_id) as searched
            from dated_jobs
            where org_id = $org and kind = 'query' and began_at is not null
        )
        select j.id, j.searched, e.unlisted_at as deleted_by
        from jobs as j
        left join early_deletions as e on e.org_id = j.org_id and e.id = j.id
        where j.searched in (select unnest($searched))
        order by j.began_at, j.id
        """,
        jobs_since=datetime.combine(min(export.first_day for export in exports), time(), UTC),
        searched=list(key_of),
    ):
        by_key.setdefault(key_of[job["searched"]], []).append(job)
    return by_key


def _searched(row: Row) -> str:
    """What the jobs of a row of exports_by_day have in common, as text."""
    parts = str(row["day"]), row["object"], "/", row["created_by_id"]
    return "/".join(part for part in parts if part is not None)


def _finding(context: CheckContext, export: Export, jobs: list[Row]) -> Finding:
    user, thresholds = export.rows[0], context.thresholds
    for row in export.rows:
        context.reported.exports[row["day"]] = context.reported.exports.get(row["day"], 0) + row["jobs"]
    is_serious = export.records >= thresholds.export_rows or len(export.objects) >= thresholds.export_objects
    # Who steals from a sandbox steals copies, and people try things out there: no reason to wake anyone.
    urgent = export.deleted > 0 and is_serious and not _is_sandbox(context)
    deleted_by = max((job["deleted_by"] for job in jobs if job["deleted_by"] and export.deleted), default=None)
    return context.finding(
        "unusual export",
        user["created_by_id"],
        export.first_day,
        # A finding of its own: whoever knows of a new export, and muted it, does not know that its traces were removed.
        *(("urgent",) if urgent else ()),
        message=f"{known(user['created_by'])} read {_amount(export)} of {_names(export.objects)} by "
        f"{counted(len(jobs), 'bulk query', 'bulk queries')} {_days(export)}: {_why(export)}."
        + (f" {_deleted(export)} {when(deleted_by)}." if deleted_by else ""),
        remedy=REMEDY,
        urgent=urgent,
        ids=tuple(job["id"] for job in jobs),
        numbers={
            "created_by_id": user["created_by_id"],
            "first_day": export.first_day,
            "last_day": export.last_day,
            "objects": export.objects,
            "jobs": len(jobs),
            "records_processed": export.records,
            "jobs_uncounted": export.total("jobs_uncounted"),
            "jobs_deleted": export.deleted,
            "new_user": any(row["new_user"] for row in export.rows),
            "new_objects": sorted({known(row["object"]) for row in export.rows if row["new_object"]}),
        },
    )


def _is_sandbox(context: CheckContext) -> bool:
    return any(org["is_sandbox"] for org in context.query("select is_sandbox from orgs where org_id = $org"))


def _amount(export: Export) -> str:
    """Rows that were not counted are not none."""
    if not export.total("jobs_uncounted"):
        return counted(export.records, "row")
    return f"at least {counted(export.records, 'row')}" if export.records else "an unknown number of rows"


def _days(export: Export) -> str:
    first, last = (f"{day:%A, %d %B %Y}" for day in (export.first_day, export.last_day))
    return f"on {first}" if first == last else f"from {first} to {last}"


def _why(export: Export) -> str:
    if any(row["new_user"] for row in export.rows):
        return "the first bulk queries of this user on record"
    new = {known(row["object"]) for row in export.rows if row["new_object"]}
    grown = [row for row in export.rows if not row["new_object"]]
    reasons = [f"this user's first of {_names(sorted(new))} on record"] if new else []
    reasons += [
        f"{row['records_processed']:,} rows of {known(row['object'])}, and never more than "
        f"{row['most_records_before']:,} on an earlier day"
        for row in grown[:MAX_SHOWN]
    ]
    more = len(grown) - MAX_SHOWN
    return "; ".join([*reasons, *([f"and {more:,} more like that"] if more > 0 else [])])


def _deleted(export: Export) -> str:
    jobs = export.total("jobs")
    if jobs == 1:
        return "The job was deleted soon after, by"
    which = f"All {jobs:,} jobs" if export.deleted == jobs else f"{export.deleted:,} of the {jobs:,} jobs"
    return f"{which} {'was' if export.deleted == 1 else 'were'} deleted soon after, the last by"


def _names(objects: list[str]) -> str:
    shown, more = objects[:MAX_SHOWN], len(objects) - MAX_SHOWN
    if more > 0:
        return f"{', '.join(shown)} and {more:,} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
