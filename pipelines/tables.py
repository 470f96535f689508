"""The four tables, column by column: written here once, read by Arrow, dlt, DuckDB's comments and the README."""

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

DATASET: Final = "salesforce"

TEXT: Final = pa.string()
NUMBER: Final = pa.float64()
COUNT: Final = pa.int64()
# Microseconds with zone: the one precision that dlt and DuckDB carry through without a cast or a warning.
TIME: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """One column: its name, type and meaning; `field` is the record's field that fills it, as Salesforce spells it."""

    name: str
    type: pa.DataType
    meaning: str
    field: str | None = None
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """One table: its grain, what makes a row unique, and its columns."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema. Key columns are not nullable: dlt warns on every page where hint and data differ."""
        return pa.schema(
            [pa.field(c.name, c.type, nullable=c.nullable and c.name not in self.key) for c in self.columns]
        )

    @property
    def hints(self) -> dict[str, dict[str, Any]]:
        """dlt's column hints: the descriptions. Types and nullability come with the Arrow data."""
        return {c.name: {"name": c.name, "description": c.meaning} for c in self.columns}


_ORG_ID: Final = Column("org_id", TEXT, "Id of the org, 18 characters (00D…)")
_ID: Final = Column("id", TEXT, "Id of the job (750…)", "id")
_MODSTAMP: Final = Column(
    "system_modstamp",
    TIME,
    "When the job last changed, to the second; does not always move with the state",
    "systemModstamp",
)
_STATE: Final = Column(
    "state",
    TEXT,
    "V2: UploadComplete, InProgress, JobComplete, Failed, Aborted; Classic: Open, Closed, Failed, Aborted",
    "state",
)
_OBSERVED_AT: Final = Column(
    "observed_at", TIME, "Start, by the org's clock, of the listing that first showed this version", nullable=False
)

QUERY_JOBS: Final = Table(
    "query_jobs",
    "One row per job: its newest version",
    ("org_id", "id"),
    (
        _ORG_ID,
        _ID,
        Column("operation", TEXT, "query, queryAll; Classic jobs also insert, update, upsert, delete, hardDelete", "operation"),
        Column("object", TEXT, "API name of the object", "object"),
        Column("created_by_id", TEXT, "Id of the user who created the job (005…)", "createdById"),
        Column("created_date", TIME, "When the job was created", "createdDate"),
        Column(_MODSTAMP.name, TIME, _MODSTAMP.meaning, _MODSTAMP.field, nullable=False),
        Column(_STATE.name, TEXT, _STATE.meaning, _STATE.field, nullable=False),
        Column("concurrency_mode", TEXT, "Parallel, or Serial (Classic)", "concurrencyMode"),
        Column("content_type", TEXT, "CSV; Classic also JSON, XML, ZIP_CSV, ZIP_JSON, ZIP_XML", "contentType"),
        Column("api_version", NUMBER, "API version that created the job; a number, whichever way it was sent", "apiVersion"),
        Column("job_type", TEXT, "V2Query, or Classic, which includes Classic loads", "jobType"),
        Column("line_ending", TEXT, "LF or CRLF; not for Classic jobs", "lineEnding"),
        Column("column_delimiter", TEXT, "BACKQUOTE, CARET, COMMA, PIPE, SEMICOLON or TAB; not for Classic jobs", "columnDelimiter"),
        _OBSERVED_AT,
        Column("created_date_text", TEXT, "createdDate as it was sent, only where it could not be read as a time"),
        Column("api_version_text", TEXT, "apiVersion as it was sent, only where it could not be read as a number"),
        Column("more_fields", TEXT, "JSON object of new fields, only where one run brought more than 50 of them"),
    ),
)  # fmt: skip

QUERY_JOB_STATES: Final = Table(
    "query_job_states",
    "One row per job, system_modstamp and state ever observed",
    ("org_id", "id", "system_modstamp", "state"),
    (_ORG_ID, _ID, _MODSTAMP, _STATE, _OBSERVED_AT),
)

LISTINGS: Final = Table(
    "listings",
    "One row per completed listing, also when nothing had changed",
    ("listing_id",),
    (
        Column("listing_id", TEXT, "Id of the listing, made by the recorder"),
        Column("org_id", TEXT, _ORG_ID.meaning, nullable=False),
        Column("started_at", TIME, "Time of the first answer, by the org's clock", nullable=False),
        Column("finished_at", TIME, "Time of the last answer, by the org's clock", nullable=False),
        Column("restarted_at", TIME, "Start of its second or third try, if a lost locator made it start again: complete as of then"),
        Column("since", TIME, "Start, less a margin of 5 minutes, of the listing before this one with the same filters; null for the first"),
        Column("pages", COUNT, "Pages of the listing, of up to 1,000 jobs"),
        Column("calls", COUNT, "API calls of the run up to the last page, retries included"),
        Column("jobs_listed", COUNT, "Records that the listing showed"),
        Column("jobs_changed", COUNT, "Of these, new to the warehouse or different from it; counted again while the loader's file is locked"),
        Column("jobs_changed_late", COUNT, "Of these, with a system_modstamp before `since`: a plain cursor would have lost them"),
        Column("creators", COUNT, "Distinct created_by_id listed; 1 can mean that only our own jobs are visible"),
        Column("rejected", COUNT, "Records that could not be keyed; see rejected_records"),
        Column("filters", TEXT, "JSON object of the filters sent; {} is the whole listing", nullable=False),
        Column("api_version", TEXT, "API version asked"),
        Column("api_usage", COUNT, "API calls that the org had used of its rolling 24 hours, by the last answer"),
        Column("api_usage_max", COUNT, "API calls that the org may use in 24 hours"),
    ),
)  # fmt: skip

REJECTED_RECORDS: Final = Table(
    "rejected_records",
    "One row per org and distinct record that could not be keyed",
    ("org_id", "record_hash"),
    (
        _ORG_ID,
        Column("record_hash", TEXT, "SHA-256 of the record's JSON with sorted keys"),
        Column("reason", TEXT, "Why it could not be keyed: no id, no readable systemModstamp, no state, not an object"),
        Column("record", TEXT, "The record as JSON"),
        Column("first_listing_id", TEXT, "listing_id of the first listing that showed it"),
        Column("first_observed_at", TIME, "Start of that listing", nullable=False),
        Column("last_listing_id", TEXT, "listing_id of the newest listing that showed it"),
        Column("last_observed_at", TIME, "Start of that listing", nullable=False),
    ),
)

TABLES: Final = (QUERY_JOBS, QUERY_JOB_STATES, LISTINGS, REJECTED_RECORDS)
