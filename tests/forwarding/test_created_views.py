"""The views in Postgres: created with comments, replaced only if they changed, and never at the cost of others' views."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from forwarder import Forwarder

from pipelines.errors import AccessDenied, ConfigError
from pipelines.forwarding import destination_views
from pipelines.forwarding.registry import RECORDERS
from pipelines.tables import TABLES
from pipelines.warehouse.schema import views
from pipelines.warehouse.sealed_json import unseal

OF_OURS = "from pg_views where schemaname = 'salesforce' order by 1"


@pytest.fixture
def one(forwarder_of: Callable[..., Forwarder], small: Path) -> Forwarder:
    made = forwarder_of()
    made.publish(small)
    return made


def test_all_views_are_there_with_comments(one: Forwarder) -> None:
    one.forward()

    assert [name for (name,) in one.ask(f"select viewname {OF_OURS}")] == sorted(set(views()) - {"numbers"})
    assert one.ask("select count(*), max(n) from salesforce.numbers") == [(100_000, 99_999)]
    for name in views():
        one.ask(f"select * from salesforce.{name} limit 1")
    uncommented = one.ask(
        "select relname, attname from pg_attribute as a join pg_class as c on c.oid = attrelid "
        "where relnamespace = 'salesforce'::regnamespace and relkind in ('v', 'r') and attnum > 0 "
        "and left(relname, 4) <> '_dlt' "
        "and left(attname, 4) <> '_dlt' and col_description(c.oid, attnum) is null"
    )
    assert uncommented == []
    for name, grain in ((TABLES[0].name, TABLES[0].grain), (RECORDERS.name, RECORDERS.grain)):
        assert one.ask(f"select obj_description('salesforce.{name}'::regclass)") == [(grain,)]
    assert one.ask("select obj_description('salesforce.numbers'::regclass) is not null") == [(True,)]


def test_they_are_made_anew_only_if_they_have_changed(one: Forwarder, monkeypatch: pytest.MonkeyPatch) -> None:
    one.forward()
    before = one.ask("select xmin from pg_class where relname = 'jobs'")
    one.change("update query_jobs set object = 'other'")
    one.forward()
    assert one.ask("select xmin from pg_class where relname = 'jobs'") == before

    monkeypatch.setattr(destination_views, "fingerprint", lambda *_: "another version's")
    monkeypatch.setattr("pipelines.forwarding.forward.fingerprint", lambda *_: "another version's")
    one.forward()

    assert one.ask("select xmin from pg_class where relname = 'jobs'") != before
    assert json.loads((one.sent / "sent.json").read_text())["views"] == "another version's"


def older_views(one: Forwarder, *theirs: str) -> None:
    """As another version left them: `failures` with a column that ours no longer has, and views of others on it."""
    one.forward(init=True)
    one.ask("drop view salesforce.failures cascade")
    one.ask("create view salesforce.failures as select id as since_renamed, org_id from salesforce.query_jobs")
    for statement in theirs:
        one.ask(statement)
    known = one.sent / "sent.json"
    known.write_text(json.dumps(unseal(known.read_text()) | {"views": "an earlier version's"}))


def test_a_view_with_other_columns_is_replaced(one: Forwarder) -> None:
    older_views(one)

    one.forward()

    names = one.ask("select column_name from information_schema.columns where table_name = 'failures'")
    assert ("since_renamed",) not in names
    assert len(names) > 10


def test_a_view_of_others_is_never_dropped(one: Forwarder) -> None:
    older_views(one, "create schema theirs", "create view theirs.dashboard as select org_id from salesforce.failures")

    with pytest.raises(ConfigError, match=r"theirs\.dashboard"):
        one.forward()

    assert one.ask("select count(*) from theirs.dashboard") == [(1,)]
    assert one.ask("select count(*) from salesforce.query_jobs") == [(1,)]  # the tables are up to date
    with pytest.raises(ConfigError, match=r"theirs\.dashboard"):  # until that view is gone
        one.forward()
    one.ask("drop view theirs.dashboard")
    assert one.forward().startswith("nothing new; tables and views are brought up to date")
    assert one.forward().startswith("nothing new")


def test_without_the_right_to_create_views_the_tables_are_sent(one: Forwarder) -> None:
    """As where only administrators may, which Postgres has an event trigger for."""
    one.ask(
        "create function refuse() returns event_trigger language plpgsql as "
        "$$begin raise insufficient_privilege using message = 'only administrators create views'; end$$;"
        "create event trigger no_views on ddl_command_start when tag in ('CREATE VIEW') execute function refuse()"
    )
    for _ in range(2):  # until it is granted, or not wanted any more
        with pytest.raises(AccessDenied, match=r"right to create views in salesforce.*\n.*views = false"):
            one.forward()
        assert one.ask("select count(*) from salesforce.query_jobs") == [(1,)]
    assert one.run()[0] == 77

    one.environment["FORWARD__VIEWS"] = "false"
    assert one.forward().startswith("nothing new")
    one.ask("drop event trigger no_views")
    one.environment["FORWARD__VIEWS"] = "true"
    one.forward()

    assert one.ask("select count(*) from salesforce.jobs") == [(1,)]


def test_without_views(one: Forwarder) -> None:
    one.environment["FORWARD__VIEWS"] = "false"

    one.forward()

    assert one.ask(f"select viewname {OF_OURS}") == []
    with pytest.raises(psycopg2.Error):
        one.ask("select * from salesforce.numbers")
    assert one.forward().startswith("nothing new")
    one.environment["FORWARD__VIEWS"] = "true"
    one.forward()
    assert len(one.ask(f"select viewname {OF_OURS}")) > 20
