"""What there is to know of an org beside its jobs: names, limits, the org itself. None of it ever costs the jobs."""

from dataclasses import replace
from datetime import timedelta

import pytest
from conftest import Recorder
from demo_org_client import recorded

from pipelines.demo_org.org import DemoOrg


@pytest.fixture(autouse=True)
def extras_are_on(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")


def queries(org: DemoOrg) -> list[str]:
    """The objects that were queried."""
    return [
        request.query["q"].split(" FROM ")[1].split()[0]
        for request in org.requests
        if request.path.endswith("/query") and "q" in request.query
    ]


def test_creators_get_names(org: DemoOrg, recorder: Recorder) -> None:
    """Asked for when they first appear, and again after a week only."""
    amara = org.add_user("Amara Osei", "amara@example.org")
    org.add_job(createdById=amara)
    org.add_job()
    recorder.load()
    names = "select name, username, is_active, user_type from users order by name"
    assert recorder.rows(names) == [
        ("Amara Osei", "amara@example.org", True, "Standard"),
        ("Job Recorder", "job.recorder@demo-org.example", True, "Standard"),
    ]
    org.advance(timedelta(hours=6))
    recorder.load()
    assert queries(org) == ["User", "Organization"]

    org.users[amara] = replace(org.users[amara], name="Amara Adeyemi")
    org.advance(timedelta(days=8))
    org.add_job(createdById=amara)
    recorder.load()
    assert [name for name, *_ in recorder.rows(names)] == ["Amara Adeyemi", "Job Recorder"]


def test_a_user_whom_the_org_does_not_show_is_there_without_a_name(org: DemoOrg, recorder: Recorder) -> None:
    """And is not asked for every hour; an id that is none is not put into SOQL at all."""
    org.add_job(createdById="005000000000001AAA")
    org.add_job(createdById="005' OR Name LIKE '%")
    for _ in range(2):
        recorder.load()

    assert recorder.rows("select id, name from users") == [("005000000000001AAA", None)]
    assert queries(org).count("User") == 1
    assert sorted(recorder.rows("select created_by from jobs")) == [("005' OR Name LIKE '%",), ("005000000000001AAA",)]


@pytest.mark.slow
def test_a_name_that_is_known_stays_when_the_org_shows_it_no_longer(org: DemoOrg, recorder: Recorder) -> None:
    """Of a user who is hidden or gone, and of the org: all that was recorded would lose them."""
    amara = org.add_user("Amara Osei", "amara@example.org")
    org.add_job(createdById=amara)
    recorder.load()
    known = "select name from users union all select name from orgs order by name"
    names = recorder.rows(known)
    org.users.pop(amara)
    org.advance(timedelta(days=8))
    org.add_job(createdById=amara)
    org.fail_next(200, {"totalSize": 0, "done": True, "records": []}, path=r"/v[0-9.]+/query$", times=2)
    asked = recorder.rows("select min(asked_at) from users")
    recorder.load()

    assert recorder.rows(known) == names == [("Amara Osei",), ("Demo Org",)]
    assert recorder.rows("select min(asked_at) from users") > asked
    assert queries(org) == ["User", "Organization"] * 2


def test_many_creators_are_asked_for_in_batches(org: DemoOrg, recorder: Recorder) -> None:
    """200 ids a query."""
    for n in range(450):
        org.add_job(createdById=org.add_user(f"User {n}", f"user{n}@example.org"))
    recorder.load()

    assert queries(org).count("User") == 3
    assert recorder.rows("select count(*), count(name) from users") == [(450, 450)]


def test_the_org_has_a_name(org: DemoOrg, recorder: Recorder) -> None:
    """And says whether it is a sandbox."""
    org.is_sandbox = True
    recorder.load()

    assert recorder.rows("select org_id, name, is_sandbox, instance_name, instance_url from orgs") == [
        (org.org_id, "Demo Org", True, "DM0", org.instance_url)
    ]


def test_each_run_keeps_a_snapshot_of_the_limits(org: DemoOrg, recorder: Recorder) -> None:
    """In long form, the apps' own shares included."""
    org.usage.count_calls(org.now, 17, app="Order Sync")
    for _ in range(2):
        recorder.load()
        org.advance(timedelta(hours=1))
    calls = "select app, max, remaining from org_limits where limit_name = 'DailyApiRequests' and app <> 'Dataloader Bulk' order by asked_at, app"

    rows = recorder.rows(calls)
    assert [row for row in rows if row[0] == "Order Sync"] == [("Order Sync", 10_000, 9_983)] * 2
    first, second = [row for row in rows if row[0] == ""]
    assert first[1] == 15_000
    assert second[2] < first[2] < 15_000 - 17
    assert recorder.rows("select count(distinct listing_id) from org_limits join listings using (listing_id)") == [(2,)]


def test_the_documented_answer_of_the_limits_is_read_whole(org: DemoOrg, recorder: Recorder) -> None:
    """Nested shares get a row of their own; a maximum of 0 stays one."""
    org.fail_next(200, recorded("l_32_limits_v49plus_doc"), path="/limits")
    recorder.load()

    odd = "select limit_name, app, max, remaining from org_limits where max = 0 or app <> '' order by 1"
    assert recorder.rows(odd) == [
        ("PermissionSets", "CreateCustom", 1000, 999),
        ("PrivateConnectOutboundCalloutHourlyLimitMB", "", 0, 0),
    ]


def test_a_share_without_a_name_is_not_the_whole_org_s(org: DemoOrg, recorder: Recorder) -> None:
    """It has a row of its own, under its name in quotation marks; so have names that differ in case or blanks alone."""
    limit = {"Max": 15_000, "Remaining": 9_000}
    names = ["", " ", "\u00a0", '""', "App", "app", "App "]
    shares = {name: {"Max": number, "Remaining": 0} for number, name in enumerate(names)}
    org.fail_next(
        200, {"DailyApiRequests": limit | shares, "": limit, "Null": {"Max": None, "x": None}}, path="/limits"
    )
    recorder.load()

    rows = dict(recorder.rows("select app, max from org_limits where limit_name = 'DailyApiRequests'"))
    assert rows == {"": 15_000, '""': 0, '" "': 1, '"\u00a0"': 2, '"\\"\\""': 3, "App": 4, "app": 5, "App ": 6}
    assert recorder.rows("select limit_name, app, max from org_limits where limit_name <> 'DailyApiRequests' order by 1") == [
        ("", "", 15_000), ("Null", "", None),
    ]  # fmt: skip


def test_limits_of_which_there_are_none_are_noted(org: DemoOrg, recorder: Recorder) -> None:
    """An object all the same."""
    org.fail_next(200, {"message": "hello"}, path="/limits")
    recorder.load()

    assert (
        "org_limits: The org's limits are not what Salesforce documents"
        in recorder.rows("select notes from listings")[0][0]
    )


def test_a_name_of_blanks_is_none(org: DemoOrg, recorder: Recorder) -> None:
    """The views show the id instead."""
    org.add_job(createdById=org.add_user(" ", "blank@example.org"))
    recorder.load()

    assert recorder.rows("select name, username from users") == [(None, "blank@example.org")]


@pytest.mark.parametrize(("path", "table"), [("/limits$", "org_limits"), ("/query$", "users"), ("/query$", "orgs")])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "not for you"}]),
        (400, [{"errorCode": "INVALID_FIELD", "message": "No such column"}]),
        (200, ["unexpected"]),
        (200, "<html>maintenance</html>"),
    ],
)
def test_what_is_refused_costs_a_note_and_never_the_jobs(
    org: DemoOrg, recorder: Recorder, caplog: pytest.LogCaptureFixture, path: str, table: str, status: int, body: object
) -> None:
    """The other tables are filled all the same."""
    org.add_job()
    org.fail_next(status, body, path=r"v68\.0" + path, times=9)
    run = recorder.load()

    assert run.snapshot.jobs_changed == 1
    assert len(recorder.states()) == 1
    assert recorder.rows(f"select count(*) from {table}") == [(0,)]
    ((notes,),) = recorder.rows("select notes from listings")
    assert f"{table}: " in notes
    assert f"not all of {table}" in caplog.text
    if status != 200:
        assert body[0]["errorCode"] in notes  # type: ignore[index]


def test_a_spent_budget_costs_the_extras_first(org: DemoOrg, recorder: Recorder) -> None:
    """The listing's own answer says that nothing is left for them."""
    org.daily_api_requests = 10
    org.usage.count_calls(org.now, 8)
    org.add_job()
    recorder.load()

    assert len(recorder.states()) == 1
    assert [request.path.rsplit("/", 1)[1] for request in org.requests if "/data/" in request.path] == ["query"]
    assert "daily API calls" in recorder.rows("select notes from listings")[0][0]


def test_extras_can_be_switched_off(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a run is its listing; the tables are there, empty."""
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "false")
    org.add_job()
    recorder.load()

    assert [request.path for request in org.requests if "/data/" in request.path] == ["/services/data/v68.0/jobs/query"]
    assert recorder.rows(
        "select (select count(*) from users), (select count(*) from orgs), (select count(*) from org_limits)"
    ) == [(0, 0, 0)]
    assert recorder.rows("select calls_after, notes from listings") == [(0, None)]
