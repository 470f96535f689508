"""Fields whose names map to the same column: the first one to get it keeps it for good, whatever order they come in."""

import itertools
import json
import shutil
from datetime import timedelta
from typing import Any

import pytest
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.job_tables import QUERY_JOBS
from pipelines.recording.records import MAX_NAMES, NewFields, column_name, jobs_to_arrow

LISTING = r"/jobs/query$"
STAMP = "2026-11-02T12:00:00.000Z"
ALIKE = [
    ("fooBar", "FooBar"),
    ("FooBar", "foo_bar"),
    ("foo_bar", "foo-bar"),
    ("foo bar", "foo.bar"),
    ("fooBar", "foo__bar"),
    ("naïve", "nai\N{COMBINING DIAERESIS}ve"),
    ("straße", "strasse"),
    ("ﬁeld", "field"),
    ("fooBar", "FOO_BAR"),
]


def job(number: int, **fields: object) -> dict[str, object]:
    return {"id": f"750{number}", "state": "Open", "createdDate": STAMP, "systemModstamp": STAMP, **fields}


def listing(org: DemoOrg, *pages: list[dict[str, object]]) -> None:
    """The next listing, page by page."""
    for number, records in enumerate(pages, 1):
        url = f"/services/data/v68.0/jobs/query?queryLocator=01g-{number}" if number < len(pages) else None
        org.fail_next(200, {"done": url is None, "records": records, "nextRecordsUrl": url}, path=LISTING)


def everything(recorder: Recorder) -> list[tuple[Any, ...]]:
    return recorder.rows("select * from query_jobs order by id")


@pytest.mark.slow
@pytest.mark.parametrize(("names", "restored"), [*((names, False) for names in ALIKE), (ALIKE[0], True)])
def test_an_unchanged_org_has_no_changes_in_whatever_order_it_is_listed(
    org: DemoOrg, recorder: Recorder, names: tuple[str, str], restored: bool
) -> None:
    """Even for a recorder whose dlt home is lost: the file knows which field each column belongs to."""
    first, second = names
    pages = [[job(n, **{first: f"a{n}"}) for n in range(20)], [job(n, **{second: f"b{n}"}) for n in range(20, 40)]]
    listing(org, *pages)
    recorder.load()
    kept = everything(recorder)
    for order in itertools.permutations(pages):
        org.advance(timedelta(hours=1))
        if restored:
            shutil.rmtree(recorder.state_folder)
        listing(org, *order)
        assert recorder.load().snapshot.jobs_changed == 0
    assert everything(recorder) == kept

    column = column_name(first)
    if column_name(second) == column:
        rows = dict(recorder.rows(f'select id, coalesce("{column}", extra_fields) from query_jobs'))
        assert rows["7500"] == "a0"
        assert json.loads(rows["75020"]) == {second: "b20"}


@pytest.mark.slow
def test_the_field_that_came_first_is_remembered_while_it_is_absent(org: DemoOrg, recorder: Recorder) -> None:
    """The other field does not take over its column; a record may contain both."""
    listing(org, [job(1, fooBar="ours")])
    recorder.load()
    listing(org, [job(2, FooBar="other")])
    recorder.load()
    listing(org, [job(3, FooBar="other", fooBar="ours")], [job(1, fooBar="ours")])
    recorder.load()

    assert recorder.rows("select id, foo_bar, extra_fields from query_jobs order by id") == [
        ("7501", "ours", None),
        ("7502", None, '{"FooBar":"other"}'),
        ("7503", "ours", '{"FooBar":"other"}'),
    ]


def test_a_failed_listing_assigns_no_columns(org: DemoOrg, recorder: Recorder) -> None:
    """The fields it showed have no effect."""
    listing(org, [job(1, FooBar="x")], [])
    org.faults._waiting[-1].status = 403
    recorder.failure()
    org.faults.clear()
    listing(org, [job(1, fooBar="y")])
    recorder.load()

    assert recorder.rows("select foo_bar, extra_fields from query_jobs") == [("y", None)]


@pytest.mark.parametrize(
    "name",
    [
        *("Id", "ID", "org_id", "OrgId", "State", "observedAt", "OBSERVED_AT", "created_date_text", "moreFields"),
        *(
            "_dlt_id",
            "_dltLoadId",
            "__dlt_id",
            "_Dlt_position",
            "dltId",
            "rowid",
            "order",
            "select",
            "$",
            "",
            " ",
            "x" * 200,
        ),
    ],
)
def test_a_field_named_like_one_of_our_or_dlts_columns_loses_nothing(
    org: DemoOrg, recorder: Recorder, name: str
) -> None:
    """It gets a column of its own or goes into extra_fields; loading the same listing twice changes nothing."""
    for changed in (1, 0):
        listing(org, [job(1, **{name: "theirs"})])
        assert recorder.load().snapshot.jobs_changed == changed

    ((found,),) = recorder.rows("select to_json(q)::varchar from query_jobs as q")
    row = json.loads(found)
    beside = json.loads(row["extra_fields"] or "{}")
    ours = {column.name for column in QUERY_JOBS.columns}
    assert beside.get(name) == "theirs" or row[column_name(name)] == "theirs"
    assert name in beside or column_name(name) not in ours
    assert (row["id"], row["org_id"], row["state"]) == ("7501", org.org_id, "Open")


def test_columns_keep_their_fields_in_a_flood_of_names() -> None:
    """A run remembers a limited number of names; those that have a column come first."""
    owners = {"z_last": "zLast"}
    flood = {f"a{n}": n for n in range(MAX_NAMES + 10)}
    table, _ = jobs_to_arrow([job(1, zLast="kept", **flood)], "00D000000000001EAA", NewFields(owners=owners))

    assert table["z_last"].to_pylist() == ["kept"]
