"""Whatever a page holds: what has a key is a row, all else is a rejected record, and every value is found again."""

import json
import os
from contextlib import suppress
from typing import Any

import pyarrow as pa
from hostile_records import broken, lost, names, pages, same, values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorders import NOON

from pipelines.job_tables import JOB_DETAILS, QUERY_JOBS
from pipelines.recording.feeds import QUERY
from pipelines.recording.job_answer import _values as details_values
from pipelines.recording.records import NewFields, jobs_to_arrow, whole_number
from pipelines.salesforce.ids import full_id
from pipelines.salesforce.json_answers import decoded

FUZZ = int(os.environ.get("FUZZ", "0"))
DETAILS = [c.field for c in JOB_DETAILS.columns if c.field]
ORG = "00D000000000001EAA"
often = settings(
    max_examples=FUZZ or 300,
    deadline=None,
    derandomize=settings.default.derandomize and not FUZZ,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@often
@given(pages())
def test_nothing_is_dropped_whatever_a_page_holds(page: bytes) -> None:
    """Row or rejected record, never both, never none."""
    try:
        listed = decoded(page)["records"]
    except RecursionError:  # only with half a character beside five hundred levels; `Org.request` says so
        return
    table, rejected = jobs_to_arrow(listed, ORG, NewFields())
    rows = table.to_pylist()
    assert len(rows) + len(rejected) == len(listed)
    left = [json.loads(one.record) for one in rejected]
    for record in listed:
        if any(same_json(record, one) for one in left):
            continue
        row = rows.pop(0)
        assert row["id"] == full_id(record["id"])
        assert lost(record, row) == [], (record, row)
    assert not rows


@often
@given(broken() | st.binary())
def test_what_is_no_json_is_refused_in_one_of_two_ways(body: bytes) -> None:
    """The two that `Org.request` has a sentence for."""
    with suppress(ValueError, RecursionError):
        decoded(body)


@often
@given(st.dictionaries(names | st.sampled_from(DETAILS), values, max_size=8).map(json.dumps))
def test_a_job_s_own_answer_becomes_a_row_whatever_it_holds(body: str) -> None:
    """What does not fit its column stands in extra_fields."""
    answer = decoded(body.encode())
    row = details_values(QUERY, answer)
    required = dict.fromkeys(("org_id", "id", "outcome", "listed_state"), "x") | {"attempts": 1}
    stamps = dict.fromkeys(("asked_at", "listed_modstamp"), NOON)
    pa.Table.from_pylist([required | stamps | row], schema=JOB_DETAILS.schema)
    more = json.loads(row["extra_fields"] or "{}")
    for name, value in answer.items():
        if value is not None and name not in QUERY_JOBS.fields and name not in more:
            assert any(same(value, held) or held == whole_number(value) for held in row.values()), (name, row)


def same_json(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
