"""The tables, column by column: the one definition, used by Arrow, dlt, DuckDB's comments and docs/tables.md."""

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

DATASET: Final = "salesforce"

TEXT: Final = pa.string()
NUMBER: Final = pa.float64()
COUNT: Final = pa.int64()
FLAG: Final = pa.bool_()
# Microseconds with a zone: the only precision that dlt and DuckDB pass through without a cast or a warning.
TIME: Final = pa.timestamp("us", tz="UTC")

# A Classic job never becomes JobComplete: "Closed" only means that no more batches may be added to it.
FINISHED: Final = ("JobComplete", "Failed", "Aborted", "Closed")


@dataclass(frozen=True)
class Column:
    """One column: its name, type and meaning; `field` is the record's field that fills it, as Salesforce spells it;
    `before` is its value for rows that were recorded before the column existed."""

    name: str
    type: pa.DataType
    meaning: str
    field: str | None = None
    nullable: bool = True
    before: str | None = None


@dataclass(frozen=True)
class Table:
    """One table: its grain, its unique key, and its columns."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema. Key columns are not nullable: dlt would warn on each page where hint and data differ."""
        return pa.schema(
            [pa.field(c.name, c.type, nullable=c.nullable and c.name not in self.key) for c in self.columns]
        )

    @property
    def fields(self) -> dict[str, Column]:
        """Field of a record -> the column that it fills."""
        return {c.field: c for c in self.columns if c.field}

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
    "One row per job, as last listed",
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
        Column("api_version", NUMBER, "API version that created the job, as a number", "apiVersion"),
        Column("job_type", TEXT, "V2Query, or Classic, which includes Classic loads", "jobType"),
        Column("line_ending", TEXT, "LF or CRLF; not for Classic jobs", "lineEnding"),
        Column("column_delimiter", TEXT, "BACKQUOTE, CARET, COMMA, PIPE, SEMICOLON or TAB; not for Classic jobs", "columnDelimiter"),
        _OBSERVED_AT,
        Column("created_date_text", TEXT, "createdDate as sent, only if it could not be read as a time"),
        Column("api_version_text", TEXT, "apiVersion as sent, only if it could not be read as a number"),
        Column("extra_fields", TEXT, "JSON object of undocumented fields that got no column: more than 50 in one run, more than 300 columns in all, or a name that is taken"),
        Column("current_since", TIME, "Start of the listing that first showed the job exactly as in this row; null for rows recorded by earlier versions of this program"),
    ),
)  # fmt: skip

QUERY_JOB_STATES: Final = Table(
    "query_job_states",
    "One row per job, system_modstamp and state that was ever observed",
    ("org_id", "id", "system_modstamp", "state"),
    (_ORG_ID, _ID, _MODSTAMP, _STATE, _OBSERVED_AT),
)

STATE_SPANS: Final = Table(
    "state_spans",
    "One row per job and observed version: its state, from when to when; derived from query_job_states",
    ("org_id", "id", "nth"),
    (
        _ORG_ID,
        _ID,
        Column("nth", COUNT, "1 for the job's first observed version, counting in the order of observation; states between two listings go unseen"),
        Column("state", TEXT, "The state"),
        Column("state_before", TEXT, "State of the previous version; null for the first"),
        Column("entered_at", TIME, "When it entered this state: system_modstamp if that moved forward with the state, or for the first version, which may have entered its state later; else the latest possible time: observed_by, or the next version's entered_at"),
        Column("left_at", TIME, "When it left this state: entered_at of the next version; null for the newest"),
        Column("seconds", COUNT, "From entered_at to left_at; null for the newest"),
        Column("observed_at", TIME, "Start, by the org's clock, of the listing that first showed this version"),
        Column("observed_by", TIME, "End of that listing: the job was in this state by then"),
        Column("by_stamp", FLAG, "Whether entered_at is its system_modstamp, exact to the second; false: it is the latest possible time"),
    ),
)  # fmt: skip

LISTINGS: Final = Table(
    "listings",
    "One row per completed listing, even if nothing had changed",
    ("listing_id",),
    (
        Column("listing_id", TEXT, "Id of the listing, generated by the recorder"),
        Column("org_id", TEXT, _ORG_ID.meaning, nullable=False),
        Column("feed", TEXT, "Which of the org's listings it is: query (/jobs/query)", before="query"),
        Column("started_at", TIME, "Time of the first answer, by the org's clock", nullable=False),
        Column("finished_at", TIME, "Time of the last answer, by the org's clock", nullable=False),
        Column("restarted_at", TIME, "Start of its second or third try, if a lost locator made it restart: it is complete as of then"),
        Column("since", TIME, "Start, less an overlap of 5 minutes, of the previous listing with the same filters; null for the first"),
        Column("pages", COUNT, "Pages of the listing, of up to 1,000 jobs"),
        Column("calls", COUNT, "API calls of the run up to the last page, including retries"),
        Column("jobs_listed", COUNT, "Records in the listing"),
        Column("jobs_changed", COUNT, "Of these, new to the warehouse or changed; a job can count in several listings while the primary database is locked"),
        Column("jobs_changed_late", COUNT, "Of these, with a system_modstamp before `since`: a plain cursor would have missed them"),
        Column("jobs_unlisted", COUNT, "Jobs that it no longer showed, see unlisted_jobs; null if nothing was compared: the listing is filtered, or there was nothing to compare with"),
        Column("jobs_expected", COUNT, "Jobs known before that cannot have expired by then: not finished, or less than seven days old; null if jobs_unlisted is"),
        Column("jobs_lost", COUNT, "Of these, no longer shown"),
        Column("reduced_since", TIME, "If this listing showed only a fraction of the jobs that must still exist, and so proves nothing: start of the first listing in a row that did; null: it showed enough"),
        Column("creators", COUNT, "Distinct created_by_id listed; 1 can mean that only our own jobs are visible"),
        Column("only_creator_id", TEXT, "The created_by_id of all listed jobs, if they all have the same"),
        Column("listed_by_id", TEXT, "Id of the user whose access listed them (005…); null if the sign-in does not tell"),
        Column("rejected", COUNT, "Records without a usable key; see rejected_records"),
        Column("filters", TEXT, "JSON object of the filters sent; {} is the whole listing", nullable=False),
        Column("api_version", TEXT, "API version used for the request"),
        Column("api_usage", COUNT, "API calls that the org had used in its rolling 24 hours, according to the last answer"),
        Column("api_usage_max", COUNT, "API calls that the org may use in 24 hours"),
        Column("calls_after", COUNT, "API calls of the run after the last page: details, users, limits, org"),
        Column("details_asked", COUNT, "Jobs whose details this run fetched; null if none was waiting"),
        Column("details_left", COUNT, "Finished jobs whose details are left to later runs, for the first time or again"),
        Column("notes", TEXT, "What else this run could not fetch, and why, and anomalies of the listing; null if there were none"),
        Column("new_columns", TEXT, "JSON object: columns that this listing added to query_jobs, and the undocumented field that each belongs to; null if none"),
        Column("details_stopped", TEXT, "Why this run stopped fetching details early; null if it did not"),
    ),
)  # fmt: skip

REJECTED_RECORDS: Final = Table(
    "rejected_records",
    "One row per org and distinct record without a usable key",
    ("org_id", "record_hash"),
    (
        _ORG_ID,
        Column("record_hash", TEXT, "SHA-256 of the record's JSON with sorted keys"),
        Column("reason", TEXT, "Why it has no usable key: no id, no readable systemModstamp, no state, not an object"),
        Column("record", TEXT, "The record as JSON"),
        Column("first_listing_id", TEXT, "listing_id of the first listing that showed it"),
        Column("first_observed_at", TIME, "Start of that listing", nullable=False),
        Column("last_listing_id", TEXT, "listing_id of the newest listing that showed it"),
        Column("last_observed_at", TIME, "Start of that listing", nullable=False),
    ),
)

UNLISTED_JOBS: Final = Table(
    "unlisted_jobs",
    "One row per job and absence: a complete, unfiltered listing no longer showed it, because it expired, was deleted, or is hidden",
    ("org_id", "id", "unlisted_at"),
    (
        _ORG_ID,
        _ID,
        Column("state", TEXT, "The last state observed before that", nullable=False),
        Column("last_listed_at", TIME, "Start of the newest listing that showed it; filtered listings count only if they showed it changed or back", nullable=False),
        Column("unlisted_at", TIME, "Start of the first listing found not to show it", nullable=False),
        Column("listed_again_at", TIME, "Start of a later listing, filtered or not, that showed it again; null: still absent, which at most one row per job is"),
        Column("hidden", FLAG, "True: listings had lost most jobs at once (listings.reduced_since), so it may still exist without being shown"),
        Column("feed", TEXT, "Which of the org's listings no longer shows it: query (/jobs/query)", before="query"),
    ),
)  # fmt: skip

JOB_DETAILS: Final = Table(
    "job_details",
    "One row per finished job whose details were requested: what the listing does not tell",
    ("org_id", "id"),
    (
        _ORG_ID,
        _ID,
        Column("asked_at", TIME, "Time of the newest answer, by the org's clock", nullable=False),
        Column("outcome", TEXT, "answered, possibly by an earlier call than the newest (see error); gone: neither listed nor found (HTTP 404); refused: access denied or no usable answer, see error", nullable=False),
        Column("error", TEXT, "Status, errorCode and message of the newest call, if it failed"),
        Column("attempts", COUNT, "How often its details were requested, successfully or not", nullable=False),
        Column("provisional", FLAG, "Whether batches of a Closed job were still to come, so that its counts may grow; null: not known"),
        Column("listed_state", TEXT, "State in the listing when its details were requested", nullable=False),
        Column("listed_modstamp", TIME, "system_modstamp in the listing then", nullable=False),
        Column("state", TEXT, "State in the answer itself", "state"),
        Column("number_records_processed", COUNT, "Records processed; for Classic jobs as counted by the Classic API", "numberRecordsProcessed"),
        Column("number_records_failed", COUNT, "Of these, failed; null if the API does not tell, as for V2 queries", "numberRecordsFailed"),
        Column("number_batches_queued", COUNT, "Classic: batches waiting", "numberBatchesQueued"),
        Column("number_batches_in_progress", COUNT, "Classic: batches running", "numberBatchesInProgress"),
        Column("number_batches_completed", COUNT, "Classic: batches completed, whether or not their records failed", "numberBatchesCompleted"),
        Column("number_batches_failed", COUNT, "Classic: batches that failed as a whole", "numberBatchesFailed"),
        Column("number_batches_total", COUNT, "Classic: batches of the job", "numberBatchesTotal"),
        Column("retries", COUNT, "How often Salesforce retried storing or processing", "retries"),
        Column("total_processing_time", COUNT, "Milliseconds of work, added up over chunks that ran in parallel: can exceed elapsed time", "totalProcessingTime"),
        Column("api_active_processing_time", COUNT, "Of these, milliseconds without triggers and the like; loads only", "apiActiveProcessingTime"),
        Column("apex_processing_time", COUNT, "Of these, milliseconds in Apex triggers; loads only", "apexProcessingTime"),
        Column("is_pk_chunking_supported", FLAG, "Whether the object can be chunked by primary key", "isPkChunkingSupported"),
        Column("error_message", TEXT, "Why the job failed, in Salesforce's words", "errorMessage"),
        Column("error_template", TEXT, "error_message without its ids, numbers, quoted and bracketed text: the same for failures of the same kind"),
        Column("extra_fields", TEXT, "JSON object of further fields of the answers, and of values that do not fit their column"),
    ),
)  # fmt: skip

_ASKED_AT: Final = Column("asked_at", TIME, "Time of the answer, by the org's clock", nullable=False)

USERS: Final = Table(
    "users",
    "One row per user who created a listed job",
    ("org_id", "id"),
    (
        _ORG_ID,
        Column("id", TEXT, "Id of the user (005…)"),
        Column("name", TEXT, "Full name; null if our user may not see this one", "Name"),
        Column("username", TEXT, "Username, in the form of an e-mail address", "Username"),
        Column("is_active", FLAG, "Whether the user may sign in", "IsActive"),
        Column("user_type", TEXT, "Standard, AutomatedProcess and so on", "UserType"),
        _ASKED_AT,
    ),
)

ORG_LIMITS: Final = Table(
    "org_limits",
    "One row per listing, limit and app: the limit, and what is left of it",
    ("org_id", "listing_id", "limit_name", "app"),
    (
        _ORG_ID,
        Column("listing_id", TEXT, "The listing of the same run"),
        Column("limit_name", TEXT, "Name of the limit, such as DailyBulkV2QueryJobs"),
        Column("app", TEXT, "The connected app or sub-limit that this share belongs to; empty for the whole org"),
        Column("max", COUNT, "The limit; 0 if the org has none of it"),
        Column("remaining", COUNT, "What is left; can go below zero"),
        _ASKED_AT,
    ),
)

ORGS: Final = Table(
    "orgs",
    "One row per org: its name and instance",
    ("org_id",),
    (
        _ORG_ID,
        Column("name", TEXT, "The company's name in Setup", "Name"),
        Column("is_sandbox", FLAG, "Whether it is a sandbox", "IsSandbox"),
        Column("organization_type", TEXT, "Edition", "OrganizationType"),
        Column("instance_name", TEXT, "The Salesforce instance it runs on, as on status.salesforce.com", "InstanceName"),
        Column("instance_url", TEXT, "URL that requests were sent to: its My Domain"),
        _ASKED_AT,
    ),
)  # fmt: skip

TABLES: Final = (
    QUERY_JOBS,
    QUERY_JOB_STATES,
    STATE_SPANS,
    UNLISTED_JOBS,
    JOB_DETAILS,
    USERS,
    ORGS,
    ORG_LIMITS,
    LISTINGS,
    REJECTED_RECORDS,
)
