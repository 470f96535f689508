"""Records to Arrow: every documented and recorded form is read, and nothing that does not fit is dropped."""

import json
from datetime import UTC, datetime

import pytest
from demo_org_client import recorded
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.job_tables import QUERY_JOBS
from pipelines.recording.records import MAX_NEW_FIELDS, NewFields, column_name, jobs_to_arrow
from pipelines.tables import TABLES

ORG = "00D000000000001EAA"
STAMP = "2026-11-02T12:00:00.000+0000"


def job(**fields: object) -> dict[str, object]:
    return {"id": "750R0000000zhfdIAA", "state": "JobComplete", "createdDate": STAMP, "systemModstamp": STAMP} | fields


def row(**fields: object) -> dict[str, object]:
    """The one row that a job with these fields becomes."""
    table, rejected = jobs_to_arrow([job(**fields)], ORG, NewFields())
    assert not rejected
    return table.to_pylist()[0]


def test_the_documented_page_becomes_rows() -> None:
    """Field by field, times as UTC."""
    page = recorded("q_list_01_doc_page1")
    table, rejected = jobs_to_arrow(page["records"], ORG, NewFields())

    assert rejected == []
    assert table.to_pylist()[0] == {
        "org_id": ORG,
        "id": "750R0000000zhfdIAA",
        "operation": "query",
        "object": "Account",
        "created_by_id": "005R0000000GiwjIAC",
        "created_date": datetime(2018, 12, 7, 19, 58, 9, tzinfo=UTC),
        "created_date_text": None,
        "system_modstamp": datetime(2018, 12, 7, 19, 59, 14, tzinfo=UTC),
        "state": "JobComplete",
        "concurrency_mode": "Parallel",
        "content_type": "CSV",
        "api_version": 68.0,
        "api_version_text": None,
        "job_type": "V2Query",
        "line_ending": "LF",
        "column_delimiter": "COMMA",
        "extra_fields": None,
    }


def test_the_recorded_classic_page_with_redacted_dates_is_kept_as_rejected() -> None:
    """Its times cannot be read, so it has no usable key; the whole record is kept."""
    page = recorded("q_list_03_postman_classic_insert_open")
    table, (rejected,) = jobs_to_arrow(page["records"], ORG, NewFields())

    assert table.num_rows == 0
    assert rejected.reason == "no readable systemModstamp"
    assert json.loads(rejected.record) == page["records"][0]


@pytest.mark.parametrize(
    "name", ["c_one_17_classic_query_closed_664k", "q_one_05_v57_complete", "i_one_11_string_version_null_error"]
)
def test_recorded_single_jobs_would_load_unchanged(name) -> None:
    """Whatever the listing may contain one day: undocumented fields become text columns."""
    record = recorded(name)
    table, rejected = jobs_to_arrow([record], ORG, NewFields())
    (loaded,) = table.to_pylist()

    assert rejected == []
    for field, value in record.items():
        if field in QUERY_JOBS.fields:
            assert loaded[QUERY_JOBS.fields[field].name] is not None
        elif value is not None:
            assert loaded[column_name(field)] == str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(
    ("sent", "number", "text"),
    [(66.0, 66.0, None), (58, 58.0, None), ("52.0", 52.0, None), (None, None, None), ("v1", None, "v1"),
     (True, None, "true"), ("nan", None, "nan"), ({"a": 1}, None, '{"a":1}'), (10**30, 1e30, None)],
)  # fmt: skip
def test_api_version_is_a_number_however_it_is_sent(sent, number, text) -> None:
    """If it is not a number, it is kept as text."""
    loaded = row(apiVersion=sent)

    assert (loaded["api_version"], loaded["api_version_text"]) == (number, text)


@pytest.mark.parametrize(
    ("sent", "time", "text"),
    [
        ("2026-11-02T12:00:00.000+0000", NOON, None),
        ("2026-11-02T12:00:00.000Z", NOON, None),
        ("2026-11-02T04:00:00-0800", NOON, None),
        ("1969-07-20T20:17:40.000+0000", datetime(1969, 7, 20, 20, 17, 40, tzinfo=UTC), None),
        ("2300-01-01T00:00:00.000+0000", datetime(2300, 1, 1, tzinfo=UTC), None),
        (None, None, None),
        ("2026-11-02T12:00:00", None, "2026-11-02T12:00:00"),
        ("<datetime>", None, "<datetime>"),
        ("", None, ""),
        (1772452800000, None, "1772452800000"),
    ],
)
def test_created_date_is_read_or_kept_as_text(sent, time, text) -> None:
    """A time without a zone is ambiguous; a job with an unreadable one still loads."""
    loaded = row(createdDate=sent)

    assert (loaded["created_date"], loaded["created_date_text"]) == (time, text)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "not an object"),
        ("750R0000000zhfdIAA", "not an object"),
        ([job()], "not an object"),
        ({}, "no id"),
        (job(id=None), "no id"),
        (job(id=" "), "no id"),
        (job(id=750), "no id"),
        (job(systemModstamp=None), "no readable systemModstamp"),
        (job(systemModstamp="yesterday"), "no readable systemModstamp"),
        (job(systemModstamp={"$": STAMP}), "no readable systemModstamp"),
        (job(state=None), "no state"),
    ],
)
def test_a_record_without_a_key_is_kept_and_its_neighbours_load(record, reason) -> None:
    """With the reason; identical ones become one."""
    table, rejected = jobs_to_arrow([job(id="a"), record, job(id="b"), record], ORG, NewFields())

    assert table["id"].to_pylist() == ["a", "b"]
    assert [one.reason for one in rejected] == [reason, reason]
    assert len({one.record_hash for one in rejected}) == 1
    assert json.loads(rejected[0].record) == record


def test_odd_values_load_unchanged() -> None:
    """Undocumented states, types and operations; ids that are short, long or contain a $."""
    loaded = row(id="750$xx", state="Pondering", jobType="V9", operation="imagine", object=["a"], lineEnding=7)

    assert (loaded["id"], loaded["state"], loaded["job_type"], loaded["operation"]) == (
        "750$xx",
        "Pondering",
        "V9",
        "imagine",
    )
    assert (loaded["object"], loaded["line_ending"]) == ('["a"]', "7")
    assert row(nested={"b": 1, "a": 2})["nested"] == row(nested={"a": 2, "b": 1})["nested"]


def test_fields_whose_column_is_taken_go_into_extra_fields() -> None:
    """An org_id field from Salesforce must not become ours, nor two fields one column."""
    loaded = row(orgId="x", observedAt="y", **{"$": {"xmlns": "z"}, "newField": 1, "new_field": 2, "_dlt_id": "i"})

    assert loaded["org_id"] == ORG
    assert loaded["new_field"] == "1"
    assert json.loads(loaded["extra_fields"]) == {
        "$": {"xmlns": "z"}, "_dlt_id": "i", "new_field": 2, "observedAt": "y", "orgId": "x",
    }  # fmt: skip


def test_more_than_fifty_new_fields_at_once_share_one_column() -> None:
    """Known columns do not count, and are still filled."""
    fields = {f"field{n}": n for n in range(MAX_NEW_FIELDS + 1)}
    new_fields = NewFields(known=frozenset({"field0", "old"}))
    table, _ = jobs_to_arrow([job(**fields, old=1)], ORG, new_fields)
    assert set(table.column_names) >= {"field0", "field50", "old"}
    assert new_fields.too_many == 0

    new_fields = NewFields(known=frozenset({"old"}))
    table, _ = jobs_to_arrow([job(**fields, old=1)], ORG, new_fields)
    assert set(table.column_names) - {c.name for c in QUERY_JOBS.columns} == {"old"}
    assert len(json.loads(table["extra_fields"][0].as_py())) == new_fields.too_many == MAX_NEW_FIELDS + 1


def test_an_undocumented_field_becomes_a_column(org: DemoOrg, recorder: Recorder) -> None:
    """Through the whole pipeline; its type may change from run to run."""
    before = org.add_job()
    recorder.load()
    first = org.add_job(chunkCount=3)
    recorder.load()
    second, third = org.add_job(chunkCount="many"), org.add_job(chunkCount={"a": [1, None]})
    recorder.load()

    assert dict(recorder.rows("select id, chunk_count from query_jobs")) == {
        before: None,
        first: "3",
        second: "many",
        third: '{"a":[1,null]}',
    }


def test_a_flood_of_fields_becomes_one_column_and_a_warning(org: DemoOrg, recorder: Recorder) -> None:
    """The run succeeds, with a warning on stderr."""
    org.add_job(**{f"field{n}": n for n in range(MAX_NEW_FIELDS + 10)})
    run = recorder.run()

    assert run.returncode == 0
    assert "60 new fields of the listing are kept as JSON" in run.stderr
    (more,) = recorder.rows("select extra_fields from query_jobs")[0]
    assert json.loads(more)["field59"] == 59
    assert len(recorder.rows("describe query_jobs")) == len(QUERY_JOBS.columns)


def test_rejected_records_are_counted_and_kept_once(org: DemoOrg, recorder: Recorder) -> None:
    """One row each, with the first and the last listing that showed it."""
    org.add_job()
    org.add_raw({"id": "750x", "state": "Open", "systemModstamp": "<datetime>"})
    org.add_raw(["not", "an", "object"])
    first = recorder.load()
    second = recorder.load()

    assert len(first.snapshot.rejected) == 2
    assert "2 rejected" in str(second)
    assert recorder.rows("select rejected from listings") == [(2,), (2,)]
    assert recorder.rows(
        "select reason, record, first_listing_id, last_listing_id from rejected_records order by reason"
    ) == [
        ("no readable systemModstamp", '{"id":"750x","state":"Open","systemModstamp":"<datetime>"}',
         first.snapshot.listing_id, second.snapshot.listing_id),
        ("not an object", '["not","an","object"]', first.snapshot.listing_id, second.snapshot.listing_id),
    ]  # fmt: skip


def test_the_warehouse_has_the_columns_of_tables_py(org: DemoOrg, recorder: Recorder) -> None:
    """Names, types, order and comments."""
    org.add_job()
    recorder.load()
    names = {
        "string": "VARCHAR",
        "double": "DOUBLE",
        "int64": "BIGINT",
        "bool": "BOOLEAN",
        "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
    }
    for table in TABLES:
        stored = recorder.rows(
            "select column_name, data_type, comment from duckdb_columns() "
            f"where schema_name = 'salesforce' and table_name = '{table.name}' order by column_index"
        )
        assert stored == [(c.name, names[str(c.type)], c.meaning) for c in table.columns]
        assert recorder.rows(
            f"select comment from duckdb_tables() where schema_name = 'salesforce' and table_name = '{table.name}'"
        ) == [(table.grain,)]
