"""Whose access listed the jobs, and whose jobs were shown: if both are the same user, that may be all it can see."""

from typing import Any

import pytest
from planted import HOUR
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg

WHO = "select creators, only_creator_id, listed_by_id from listings order by started_at desc limit 1"


def test_a_user_that_sees_only_its_own_jobs(org: DemoOrg, recorder: Recorder) -> None:
    """The sign-in names the user; the jobs name their creator."""
    org.add_job()
    org.add_job(createdById=org.add_user("Amara Osei", "amara@example.org"))
    me = org.integration_user_id
    recorder.load()
    assert recorder.rows(WHO) == [(2, None, me)]

    org.sees_all = False
    org.advance(HOUR)
    recorder.load()
    assert recorder.rows(WHO) == [(1, me, me)]

    for job in list(org.jobs):
        org.delete_job(job)
    org.advance(HOUR)
    recorder.load()
    assert recorder.rows(WHO) == [(0, None, me)]


@pytest.mark.slow
@pytest.mark.parametrize("other", [{}, {"createdById": None}, {"createdById": "005Dm000000other"}, "no record"])
def test_a_record_that_may_be_another_users(org: DemoOrg, recorder: Recorder, other: Any) -> None:
    """One without a creator, or without a key: it is listed, so not everything listed belongs to one user."""
    org.add_job()
    for record in ({"systemModstamp": NOON.isoformat(), "state": "Open", "id": "7500000000000001"}, {}):
        org.add_raw(record | other if isinstance(other, dict) else other)
        recorder.load()
        assert recorder.rows("select only_creator_id from listings order by started_at desc limit 1") == [(None,)]
        org.advance(HOUR)


def test_short_ids_name_the_same_user(org: DemoOrg, recorder: Recorder) -> None:
    """In a job, in a record without a key, and in the sign-in."""
    me = org.integration_user_id
    org.add_job()
    org.add_raw({"createdById": me[:15]})
    identity = f"https://login.salesforce.com/id/{org.org_id}/{me[:15]}"
    token = {"access_token": org.access_token, "instance_url": org.instance_url, "id": identity}
    org.fail_next(200, token, path="/token")
    recorder.load()

    assert recorder.rows(WHO) == [(1, me, me)]


def test_a_bare_token_does_not_say_whose_it_is(org: DemoOrg, recorder: Recorder, give) -> None:
    """Unless userinfo had to be asked for the org."""
    org.add_job()
    me = org.integration_user_id
    give(instance_url=org.instance_url, access_token=org.access_token)
    recorder.load()
    assert recorder.rows(WHO) == [(1, me, None)]

    org.advance(HOUR)
    org.fail_next(403, [{"errorCode": "INVALID_TYPE", "message": "No."}], path="/query$")
    recorder.load()
    assert recorder.rows(WHO) == [(1, me, me)]


@pytest.mark.slow
def test_a_renewed_session_belongs_to_the_same_user(org: DemoOrg, recorder: Recorder) -> None:
    """Otherwise, it was not one user who listed."""
    org.page_size = 1
    org.add_job()
    org.add_job()

    me = org.integration_user_id
    org.fail_next(401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}], path="/query$")
    recorder.load()
    assert [request.path for request in org.requests].count("/services/oauth2/token") == 2
    assert recorder.rows(WHO) == [(1, me, me)]

    other = org.add_user("Amara Osei", "amara@example.org")
    tokens = [
        {"access_token": token, "instance_url": org.instance_url, "id": f"https://x/id/{org.org_id}/{user}"}
        for token, user in (("spent", me), (org.access_token, other))
    ]
    for token in tokens:
        org.fail_next(200, token, path="/token")
    org.advance(HOUR)
    recorder.load()
    assert recorder.rows(WHO) == [(1, me, None)]


@pytest.mark.slow
def test_a_kept_listing_says_who_listed_it(org: DemoOrg, recorder: Recorder) -> None:
    """The row waits beside the file as it was extracted."""
    me = org.integration_user_id
    org.add_job()
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    org.advance(HOUR)
    recorder.load()

    assert recorder.rows("select only_creator_id, listed_by_id from listings") == [(me, me)] * 2


@pytest.mark.parametrize("user", ["", "nobody", "00500000000000", "<b>005000000000001</b>"])
def test_a_sign_in_that_names_no_user(org: DemoOrg, recorder: Recorder, user: str) -> None:
    """An invalid user id is not accepted as one."""
    token = {"access_token": org.access_token, "instance_url": org.instance_url, "id": f"https://x/id/{org.org_id}/{user}"}  # fmt: skip
    org.fail_next(200, token, path="/token")
    recorder.load()

    assert recorder.rows("select listed_by_id from listings") == [(None,)]
