"""Values that a database cannot store, or that are rare: each arrives, or what stands for it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from forwarder import FIRST, LAST, Forwarder, differing

JOB = (
    "insert into query_jobs by name select 'org' as org_id, {id} as id, 'Open' as state, "
    "timestamptz '2026-11-02' as system_modstamp, timestamptz '2026-11-02' as observed_at, {created} as created_date, "
    "{object} as object, {processed} as api_version"
)
TIMES = {
    "'0001-01-01'": FIRST,
    "'9999-12-31 23:59:59.999999'": LAST,
    "'infinity'": LAST,
    "'-infinity'": FIRST,
    "'4714-01-01 (BC)'": FIRST,
    "'44-03-15 (BC)'": FIRST,
    "'294000-01-01'": LAST,
    "'1900-01-01 00:00:00.000001'": datetime(1900, 1, 1, 0, 0, 0, 1, UTC),
    "'2026-10-25 01:30:00+02'": datetime(2026, 10, 24, 23, 30, tzinfo=UTC),
}
TEXTS = [
    "", " ", "a" * 1_000_000, "ä\N{PILE OF POO}" * 1_000, "'; drop table salesforce.query_jobs; --", "\\N", "\\.", "\\x00",
    "%s", "$1", "{}", '"', "line\nbreak\ttab\r", "\x1b[31mred", "\u202eback", "NULL", "\N{REPLACEMENT CHARACTER}", "\ufeff",
]  # fmt: skip


def insert(**given: str) -> str:
    values = {"id": "'odd'", "created": "null", "object": "null", "processed": "null"} | given
    return JOB.format(**values)


@pytest.fixture
def odd(forwarder_of: Callable[..., Forwarder], small: Path) -> Callable[..., Forwarder]:
    """Forwards these odd rows."""

    def make(*statements: str) -> Forwarder:
        made = forwarder_of()
        made.publish(small, *statements)
        made.forward()
        return made

    return make


def test_times_beyond_the_calendar_are_its_first_or_last_moment(odd: Callable[..., Forwarder]) -> None:
    forwarder = odd(*(insert(id=f"'{n}'", created=f"timestamptz {time}") for n, time in enumerate(TIMES)))

    found = forwarder.ask("select id, created_date from salesforce.query_jobs where id <> 'job' order by id::int")

    assert [time for _, time in found] == list(TIMES.values())
    assert forwarder.forward().startswith("nothing new")


def test_texts_arrive_as_they_are(odd: Callable[..., Forwarder]) -> None:
    literals = ["'" + text.replace("'", "''") + "'" for text in TEXTS]
    forwarder = odd(*(insert(id=f"'{n}'", object=text) for n, text in enumerate(literals)))

    assert differing(forwarder.here(), forwarder.there()) == {}
    found = forwarder.ask("select object from salesforce.query_jobs where id <> 'job' order by id::int")
    assert [text for (text,) in found] == TEXTS


def test_nul_becomes_the_replacement_character(odd: Callable[..., Forwarder]) -> None:
    forwarder = odd(insert(object="'a' || chr(0) || 'b'"))

    assert forwarder.ask("select object from salesforce.query_jobs where id = 'odd'") == [("a\ufffdb",)]
    assert forwarder.forward().startswith("nothing new")


def test_numbers_of_any_size(odd: Callable[..., Forwarder]) -> None:
    numbers: list[Any] = [0.0, -1.5, 2.0**53, 5e-324, 1.7976931348623157e308]
    forwarder = odd(*(insert(id=f"'{n}'", processed=f"{number!r}::double") for n, number in enumerate(numbers)))

    assert differing(forwarder.here(), forwarder.there()) == {}


def test_a_key_that_is_longer_than_an_index_takes(odd: Callable[..., Forwarder]) -> None:
    """No org has one, but a record of a broken proxy might. Nothing else is held up by it."""
    forwarder = odd(
        *(insert(id=f"string_agg(md5(n::varchar || '{which}'), '')") + " from range(200) as t(n)" for which in "ab")
    )

    assert differing(forwarder.here(), forwarder.there()) == {}


def test_a_column_with_a_long_name(odd: Callable[..., Forwarder]) -> None:
    """Postgres cuts names after 63 characters; two fields that begin alike must not become one column."""
    long = "x" * 80
    forwarder = odd(
        f"alter table query_jobs add column {long}a varchar", f"alter table query_jobs add column {long}b varchar",
        f"update query_jobs set {long}a = 'a', {long}b = 'b'",
    )  # fmt: skip

    *_, first, second = forwarder.columns("query_jobs")

    assert forwarder.ask(f'select "{first}", "{second}" from salesforce.query_jobs') == [("a", "b")]


def test_a_file_of_an_earlier_version(forwarder_of: Callable[..., Forwarder], small: Path) -> None:
    """Fewer tables, fewer columns, an earlier name of one: what is there arrives, and then what an upgrade adds."""
    forwarder = forwarder_of()
    forwarder.publish(
        small, "alter table query_jobs rename column extra_fields to more_fields", "drop table ingest_jobs",
        "update query_jobs set more_fields = '{}'", "alter table listings drop column feed",
    )  # fmt: skip
    forwarder.forward()
    forwarder.publish(small, "update query_jobs set extra_fields = '{}'")

    forwarder.forward()

    with duckdb.connect(forwarder.published, read_only=True) as connection:
        assert connection.execute("select extra_fields from salesforce.query_jobs").fetchall() == [("{}",)]
    assert forwarder.ask("select extra_fields from salesforce.query_jobs") == [("{}",)]
