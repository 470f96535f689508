"""Loads that simple-salesforce makes in the demo org, a client that others wrote, as the recorder records them."""

import pytest
import requests
from foreign_clients import ToTheDemoOrg, signed_in
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

CONTACTS = [{"LastName": "One"}, {"LastName": ""}, {"LastName": "Three"}]


def test_loads_of_both_apis_are_recorded_with_their_counts(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "10")
    monkeypatch.delenv("SOURCES__SALESFORCE__FEEDS")  # both, as by default
    with requests.Session() as http:
        http.mount("https://", ToTheDemoOrg(org.instance_url))
        client = signed_in(org, http)
        [loaded] = client.bulk2.Contact.insert(records=CONTACTS, wait=0)
        list(client.bulk.Contact.insert(CONTACTS))
        opened = client.bulk2.Contact._client.create_job("update")["id"]
    [classic] = org.jobs
    recorder.load()
    assert recorder.rows("select id, operation, object, state, content_url from ingest_jobs order by state") == [
        (loaded["job_id"], "insert", "Contact", "JobComplete", None),
        (opened, "update", "Contact", "Open", f"services/data/v68.0/jobs/ingest/{opened}/batches"),
    ]
    assert recorder.rows("select id, job_type, state, content_type from query_jobs") == [
        (classic, "Classic", "Closed", "JSON")
    ]
    assert recorder.details() == {job: ["answered", 3, 1] for job in (loaded["job_id"], classic)}
