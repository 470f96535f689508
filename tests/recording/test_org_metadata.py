"""What else is recorded about an org: names, limits, the org itself. Failing to fetch it never costs a listing."""

from dataclasses import replace
from datetime import timedelta

import pytest
from demo_org_client import recorded
from recorders import Recorder

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
    """Fetched when they first appear, and again only after a week."""
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


def test_a_user_the_org_does_not_show_is_recorded_without_a_name(org: DemoOrg, recorder: Recorder) -> None:
    """And not requested every hour; an invalid id is never put into SOQL."""
    org.add_job(createdById="005000000000001AAA")
    org.add_job(createdById="005' OR Name LIKE '%")
    for _ in range(2):
        recorder.load()

    assert recorder.rows("select id, name from users") == [("005000000000001AAA", None)]
    assert queries(org).count("User") == 1
    assert sorted(recorder.rows("select created_by from jobs")) == [("005' OR Name LIKE '%",), ("005000000000001AAA",)]


@pytest.mark.slow
def test_a_known_name_is_kept_when_the_org_no_longer_shows_it(org: DemoOrg, recorder: Recorder) -> None:
    """For a hidden or deleted user, and for the org: everything recorded under the name would lose it."""
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


def test_many_creators_are_fetched_in_batches(org: DemoOrg, recorder: Recorder) -> None:
    """200 ids per query."""
    for n in range(450):
        org.add_job(createdById=org.add_user(f"User {n}", f"user{n}@example.org"))
    recorder.load()

    assert queries(org).count("User") == 3
    assert recorder.rows("select count(*), count(name) from users") == [(450, 450)]


def test_the_org_has_a_name(org: DemoOrg, recorder: Recorder) -> None:
    """And whether it is a sandbox is recorded, too."""
    org.is_sandbox = True
    recorder.load()

    assert recorder.rows("select org_id, name, is_sandbox, instance_name, instance_url from orgs") == [
        (org.org_id, "Demo Org", True, "DM0", org.instance_url)
    ]


def test_each_run_keeps_a_snapshot_of_the_limits(org: DemoOrg, recorder: Recorder) -> None:
    """In long form, including the shares of apps."""
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


def test_the_documented_limits_answer_is_read_completely(org: DemoOrg, recorder: Recorder) -> None:
    """Nested shares get rows of their own; a maximum of 0 is recorded as 0."""
    org.fail_next(200, recorded("l_32_limits_v49plus_doc"), path="/limits")
    recorder.load()

    odd = "select limit_name, app, max, remaining from org_limits where max = 0 or app <> '' order by 1"
    assert recorder.rows(odd) == [
        ("PermissionSets", "CreateCustom", 1000, 999),
        ("PrivateConnectOutboundCalloutHourlyLimitMB", "", 0, 0),
    ]


def test_a_share_without_a_name_is_not_the_whole_org_s(org: DemoOrg, recorder: Recorder) -> None:
    """It gets a row under its name in quotation marks; so do names that differ only in case or blanks."""
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


def test_an_empty_limits_answer_is_noted(org: DemoOrg, recorder: Recorder) -> None:
    """It is an object all the same."""
    org.fail_next(200, {"message": "hello"}, path="/limits")
    recorder.load()

    assert (
        "org_limits: The org's limits are not what Salesforce documents"
        in recorder.rows("select notes from listings")[0][0]
    )


def test_a_blank_name_counts_as_none(org: DemoOrg, recorder: Recorder) -> None:
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
def test_refused_metadata_costs_a_note_and_never_the_jobs(
    org: DemoOrg, recorder: Recorder, caplog: pytest.LogCaptureFixture, path: str, table: str, status: int, body: object
) -> None:
    """The other tables are still filled."""
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


def test_a_spent_budget_costs_the_metadata_first(org: DemoOrg, recorder: Recorder) -> None:
    """The listing's own answer says that no calls are left for them."""
    org.daily_api_requests = 10
    org.usage.count_calls(org.now, 8)
    org.add_job()
    recorder.load()

    assert len(recorder.states()) == 1
    assert [request.path.rsplit("/", 1)[1] for request in org.requests if "/data/" in request.path] == ["query"]
    assert "daily API calls" in recorder.rows("select notes from listings")[0][0]


def test_metadata_can_be_switched_off(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a run is just its listing; the tables exist, empty."""
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "false")
    org.add_job()
    recorder.load()

    assert [request.path for request in org.requests if "/data/" in request.path] == ["/services/data/v68.0/jobs/query"]
    assert recorder.rows(
        "select (select count(*) from users), (select count(*) from orgs), (select count(*) from org_limits)"
    ) == [(0, 0, 0)]
    assert recorder.rows("select calls_after, notes from listings") == [(0, None)]
