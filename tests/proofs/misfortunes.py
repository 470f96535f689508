"""What can happen to an org, and to a load, as drawn by hypothesis."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import dlt
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from hypothesis import strategies as st
from recorders import NOON
from stopped import FAILED_RECORDS

from pipelines.demo_org.org import DemoOrg
from pipelines.recording import load as run

SECOND = timedelta(seconds=1)
STATES = ("UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted", "Open", "Closed")
RAW = (None, 7, {"id": None}, {"id": "750R", "state": "Open"}, {"id": "  ", "systemModstamp": "never"}, [], {})

number = st.integers(0, 99)
feed = st.sampled_from(["query", "ingest"])
listing = st.sampled_from(["/jobs/query$", "/jobs/ingest$"])
where = st.none() | listing  # any request for data, or one listing alone
change = st.one_of(
    st.tuples(
        st.just("add"),
        st.sampled_from(["V2Query", "Classic", "V2Ingest", "V2Ingest", "BigObjectIngest"]),
        st.booleans(),
    ),
    st.tuples(
        st.just("move"), number, st.sampled_from(STATES), st.sampled_from(["moves", "stands still", "late", "back"])
    ),
    st.tuples(
        st.just("edit"), number, st.sampled_from(["object", "apiVersion"]), st.sampled_from([51.0, 52.0, "53.0"])
    ),
    st.tuples(st.just("delete"), number),
    st.tuples(st.just("failed load")),
    st.tuples(st.just("raw"), st.sampled_from(RAW), feed),
    st.tuples(st.just("lose locators")),
    st.tuples(st.just("advance"), st.integers(1, 300)),  # within one listing at most an hour,
)
fault = st.one_of(
    st.none(),
    st.tuples(st.just("refuse"), st.sampled_from([403, 500]), st.just(9), st.integers(0, 3), listing),
    st.tuples(
        st.just("refuse"), st.sampled_from([401, 403, 404, 429, 500, 503]), st.integers(1, 7), st.integers(0, 12), where
    ),
    st.tuples(
        st.just("garbage"), st.sampled_from([b"<html>", b"[]", b'{"done": false, "records": []}']), st.integers(0, 9), where
    ),
    st.tuples(st.just("cut"), st.integers(1, 7), st.integers(0, 12), where),
    st.tuples(
        st.just("crash"),
        st.sampled_from(["sync_destination", "extract", "normalize", "load", "complete_tables", "join_feeds", "refresh_spans", "apply_views", "publish"]),
        st.booleans(),
    ),
    st.tuples(st.just("statement"), st.integers(1, 60), st.booleans()),
)  # fmt: skip


def happen(org: DemoOrg, one: Any) -> None:
    """What a drawn change does."""
    what, *how = one
    jobs = sorted([*org.jobs, *org.ingest_jobs])
    job = jobs[how[0] % len(jobs)] if jobs and how and isinstance(how[0], int) else None
    if what == "add":
        others = [user for user in org.users if user != org.integration_user_id]
        org.add_job(jobType=how[0], createdById=others[0] if how[1] else org.integration_user_id)
    elif what == "failed load":
        load = org.add_job(jobType="V2Ingest", state="JobComplete")
        org.fail_records(load, FAILED_RECORDS)
    elif what == "raw":
        org.add_raw(*how)
    elif what == "lose locators":
        org.lose_locators()
    elif what == "advance":
        org.advance(timedelta(seconds=how[0]))
    elif job and what == "move":
        # A stamp may be from before now, and even from before the one that the job had.
        stamps = {
            "moves": True,
            "stands still": False,
            "late": org.now - 3 * SECOND,
            "back": NOON - timedelta(days=1),
        }
        org.move_job(job, how[1], stamp=stamps[how[2]])
    elif job and what == "edit":
        org.edit_job(job, **{how[1]: how[2] if how[1] == "apiVersion" else str(how[2])})
    elif job and what == "delete":
        org.delete_job(job)


class Crash(Exception):
    """Stands for a bug, or for a machine that fails in the middle of a step."""


@contextmanager
def trouble(org: DemoOrg, fault: Any) -> Iterator[None]:
    """What a drawn fault does, for as long as one load takes."""
    match fault:
        case ("refuse", status, times, after, where):
            body = [{"errorCode": "DRAWN", "message": "drawn"}]
            org.fail_next(status, body, times=times, after=after, path=where)
            yield
        case ("garbage", body, after, where):
            org.fail_next(200, body, after=after, path=where)
            yield
        case ("cut", times, after, where):
            org.cut_next(times=times, after=after, path=where)
            yield
        case ("crash", step, late):
            owner = dlt.Pipeline if hasattr(dlt.Pipeline, step) else run
            real = getattr(owner, step)

            def crash(*given: Any, **options: Any) -> Any:
                if late:
                    real(*given, **options)
                raise Crash(step)

            with patch.object(owner, step, crash):
                yield
        case ("statement", nth, stays):
            real, count = DuckDbSqlClient.execute_query, iter(range(10**9))

            def execute(*given: Any, **options: Any) -> Any:
                now = next(count) + 1
                if now == nth or (stays and now > nth):
                    raise Crash(f"statement {now}")
                return real(*given, **options)

            with patch.object(DuckDbSqlClient, "execute_query", execute):
                yield
        case _:
            yield
