"""The tables of jobs, column by column: as listed, their states over time, details, and why their records failed."""

from typing import Final

from pipelines.columns import COUNT, FLAG, NUMBER, TEXT, TIME, Column, Table

# A Classic job never becomes JobComplete: "Closed" only means that no more batches may be added to it.
FINISHED: Final = ("JobComplete", "Failed", "Aborted", "Closed")

ORG_ID: Final = Column("org_id", TEXT, "Id of the org, 18 characters (00D…)")
ID: Final = Column("id", TEXT, "Id of the job (750…)", "id")
MODSTAMP: Final = Column(
    "system_modstamp",
    TIME,
    "When the job last changed, to the second; does not always move with the state",
    "systemModstamp",
)
STATE: Final = Column(
    "state",
    TEXT,
    "V2: UploadComplete, InProgress, JobComplete, Failed, Aborted, for loads also Open; Classic: Open, Closed, Failed, Aborted",
    "state",
)
OBSERVED_AT: Final = Column(
    "observed_at", TIME, "Start, by the org's clock, of the listing that first showed this version", nullable=False
)

QUERY_JOBS: Final = Table(
    "query_jobs",
    "One row per V2 query or Classic job, as last listed by /jobs/query",
    ("org_id", "id"),
    (
        ORG_ID,
        ID,
        Column("operation", TEXT, "query, queryAll; Classic jobs also insert, update, upsert, delete, hardDelete", "operation"),
        Column("object", TEXT, "API name of the object", "object"),
        Column("created_by_id", TEXT, "Id of the user who created the job (005…)", "createdById"),
        Column("created_date", TIME, "When the job was created", "createdDate"),
        Column(MODSTAMP.name, TIME, MODSTAMP.meaning, MODSTAMP.field, nullable=False),
        Column(STATE.name, TEXT, STATE.meaning, STATE.field, nullable=False),
        Column("concurrency_mode", TEXT, "Parallel, or Serial (Classic)", "concurrencyMode"),
        Column("content_type", TEXT, "CSV; Classic also JSON, XML, ZIP_CSV, ZIP_JSON, ZIP_XML", "contentType"),
        Column("api_version", NUMBER, "API version that created the job, as a number", "apiVersion"),
        Column("job_type", TEXT, "V2Query, or Classic, which includes Classic loads", "jobType"),
        Column("line_ending", TEXT, "LF or CRLF; not for Classic jobs", "lineEnding"),
        Column("column_delimiter", TEXT, "BACKQUOTE, CARET, COMMA, PIPE, SEMICOLON or TAB; not for Classic jobs", "columnDelimiter"),
        OBSERVED_AT,
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
    (ORG_ID, ID, MODSTAMP, STATE, OBSERVED_AT),
)

INGEST_JOBS: Final = Table(
    "ingest_jobs",
    "One row per V2 load, or job of any other type that only /jobs/ingest lists, as last listed there",
    ("org_id", "id"),
    (
        ORG_ID,
        ID,
        Column("operation", TEXT, "insert, update, upsert, delete, hardDelete", "operation"),
        Column("object", TEXT, "API name of the object", "object"),
        Column("created_by_id", TEXT, "Id of the user who created the job (005…)", "createdById"),
        Column("created_date", TIME, "When the job was created", "createdDate"),
        Column(MODSTAMP.name, TIME, MODSTAMP.meaning, MODSTAMP.field, nullable=False),
        Column(STATE.name, TEXT, STATE.meaning, STATE.field, nullable=False),
        Column("concurrency_mode", TEXT, "Parallel", "concurrencyMode"),
        Column("content_type", TEXT, "CSV", "contentType"),
        Column("api_version", NUMBER, "API version that created the job, as a number", "apiVersion"),
        Column("job_type", TEXT, "V2Ingest or BigObjectIngest; Classic if only /jobs/ingest showed it", "jobType"),
        Column("line_ending", TEXT, "LF or CRLF", "lineEnding"),
        Column("column_delimiter", TEXT, "BACKQUOTE, CARET, COMMA, PIPE, SEMICOLON or TAB", "columnDelimiter"),
        Column("content_url", TEXT, "Where its data is to be uploaded; listed only while it is Open", "contentUrl"),
        Column("external_id_field_name", TEXT, "Field by which an upsert matches records, as the uploader wrote it; from the job's details", "externalIdFieldName", only_in_details=True),
        Column("assignment_rule_id", TEXT, "Assignment rule applied to cases or leads; from the job's details", "assignmentRuleId", only_in_details=True),
        *QUERY_JOBS.columns[QUERY_JOBS.columns.index(OBSERVED_AT):],
    ),
)  # fmt: skip

INGEST_JOB_STATES: Final = Table(
    "ingest_job_states",
    "One row per job of ingest_jobs, system_modstamp and state that was ever observed",
    QUERY_JOB_STATES.key,
    QUERY_JOB_STATES.columns,
)

STATE_SPANS: Final = Table(
    "state_spans",
    "One row per job and observed version: its state, from when to when; derived from query_job_states and ingest_job_states",
    ("org_id", "id", "nth"),
    (
        ORG_ID,
        ID,
        Column("nth", COUNT, "1 for the job's first observed version, counting in the order of observation; states between two listings go unseen"),
        Column("state", TEXT, "The state"),
        Column("state_before", TEXT, "State of the previous version; null for the first"),
        Column("entered_at", TIME, "When it entered this state: system_modstamp if that moved forward with the state, or for the first version, which may have entered its state later; else the latest possible time: observed_by, or the next version's entered_at"),
        Column("left_at", TIME, "When it left this state: entered_at of the next version; null for the newest"),
        Column("seconds", COUNT, "From entered_at to left_at; null for the newest"),
        Column("observed_at", TIME, "Start, by the org's clock, of the listing that first showed this version"),
        Column("observed_by", TIME, "End of that listing: the job was in this state by then"),
        Column("by_stamp", FLAG, "Whether entered_at is its system_modstamp, exact to the second; false: it is the latest possible time"),
        Column("feed", TEXT, "Which of the org's listings showed it: query (/jobs/query) or ingest (/jobs/ingest)"),
    ),
)  # fmt: skip

JOB_DETAILS: Final = Table(
    "job_details",
    "One row per finished job whose details were requested: what the listing does not show",
    ("org_id", "id"),
    (
        ORG_ID,
        ID,
        Column("asked_at", TIME, "Time of the newest answer, by the org's clock", nullable=False),
        Column("outcome", TEXT, "answered, possibly by an earlier call than the newest (see error); gone: neither listed nor found (HTTP 404); refused: access denied or no usable answer, see error", nullable=False),
        Column("error", TEXT, "Status, errorCode and message of the newest call, if it failed"),
        Column("attempts", COUNT, "How often its details were requested, successfully or not", nullable=False),
        Column("provisional", FLAG, "Whether batches of a Closed job were still to come, so that its counts may grow; null: not known"),
        Column("listed_state", TEXT, "State in the listing when its details were requested", nullable=False),
        Column("listed_modstamp", TIME, "system_modstamp in the listing then", nullable=False),
        Column("state", TEXT, "State in the answer itself", "state"),
        Column("number_records_processed", COUNT, "Records processed; for Classic jobs as counted by the Classic API", "numberRecordsProcessed"),
        Column("number_records_failed", COUNT, "Of these, failed; null if the API does not report it, as for V2 queries", "numberRecordsFailed"),
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
        Column("external_id_field_name", TEXT, "Field by which an upsert matches records, as the uploader wrote it", "externalIdFieldName"),
        Column("assignment_rule_id", TEXT, "Assignment rule applied to cases or leads", "assignmentRuleId"),
        Column("records_unprocessed", COUNT, "V2 loads that failed or were aborted: rows of the upload that were never processed; null: not read"),
        Column("results_outcome", TEXT, "Reading why its records failed: read; first N of M: a limit was hit, or the org gave fewer; refused, or unreadable: see results_error; null: not read yet, or nothing to read"),
        Column("results_error", TEXT, "Why the newest attempt failed, or why the unprocessed records could not be counted"),
        Column("results_attempts", COUNT, "How often that was tried; null: never"),
        Column("results_asked_at", TIME, "When that was last tried, by the org's clock"),
        Column("extra_fields", TEXT, "JSON object of further fields of the answers, and of values that do not fit their column"),
    ),
)  # fmt: skip

RECORD_ERRORS: Final = Table(
    "record_errors",
    "One row per load and reason why its records failed; never an id or a value of a record",
    ("org_id", "id", "reason"),
    (
        ORG_ID,
        ID,
        Column("reason", TEXT, "Hash of level, error_code, fields and message"),
        Column("level", TEXT, "What failed for this reason: record; batch or job, if these failed as a whole", nullable=False),
        Column("error_code", TEXT, "Salesforce's code, such as UNABLE_TO_LOCK_ROW; null: none was given"),
        Column("fields", TEXT, "API names of the fields concerned, separated by commas; null: none was given"),
        Column("message", TEXT, "The message without ids, numbers, quoted text and record values; null: not recognized, so that it could contain some"),
        Column("records", COUNT, "Rows read that failed for this reason; of several errors of a row, the first counts; null for a batch or job"),
        Column("further_records", COUNT, "Rows read in which this error came after another one"),
        Column("batches", COUNT, "Classic: batches that failed as a whole for this reason; null for records"),
        Column("rows_read", COUNT, "Failed rows of the load that were read, for all reasons"),
        Column("rows_failed", COUNT, "Failed records of the load by the org's own count; null: not given"),
        Column("complete", FLAG, "Whether the results were read to their end, and rows_read and rows_failed are equal; null if rows_failed is"),
        Column("retryable", FLAG, "Whether sending the records again may succeed: locks, time-outs, server errors"),
        Column("read_at", TIME, "When they were read, by the org's clock", nullable=False),
    ),
)  # fmt: skip

JOB_BATCHES: Final = Table(
    "job_batches",
    "One row per batch of a Classic load with failures",
    ("org_id", "id"),
    (
        ORG_ID,
        Column("id", TEXT, "Id of the batch (751…)", "id"),
        Column("job_id", TEXT, "Id of its job (750…)", "jobId", nullable=False),
        Column("state", TEXT, "Queued, InProgress, Completed, Failed, NotProcessed; Completed says nothing about its records", "state"),
        Column("message", TEXT, "Salesforce's stateMessage without ids, numbers, quoted text and record values"),
        Column("created_date", TIME, "When the batch was added", "createdDate"),
        Column("system_modstamp", TIME, "When it last changed", "systemModstamp"),
        Column("number_records_processed", COUNT, "Records processed, including failed ones", "numberRecordsProcessed"),
        Column("number_records_failed", COUNT, "Of these, failed", "numberRecordsFailed"),
        Column("total_processing_time", COUNT, "Milliseconds of work", "totalProcessingTime"),
        Column("api_active_processing_time", COUNT, "Of these, milliseconds without triggers and the like", "apiActiveProcessingTime"),
        Column("apex_processing_time", COUNT, "Of these, milliseconds in Apex triggers", "apexProcessingTime"),
        Column("read_at", TIME, "When it was read, by the org's clock", nullable=False),
    ),
)  # fmt: skip
