"""Messages for a log: outside a terminal each is one line with time, program, org and level, or one JSON object."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from fleets import Fleet, fleet_fixture  # noqa: F401 - a fixture
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

LINE = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) bulk-jobs (?P<level>WARNING|ERROR): (?P<message>.+)")


def test_a_failure_is_one_line_and_the_same_as_json(org: DemoOrg, recorder: Recorder) -> None:
    org.client_credentials_user = False
    run = recorder.run("load", "--quiet")
    (line,) = run.stderr.splitlines()
    found = LINE.fullmatch(line)
    assert found, line
    assert found["level"] == "ERROR"
    assert abs(datetime.fromisoformat(found["time"]) - datetime.now(UTC)) < timedelta(minutes=5)

    run = recorder.run("load", "--log-format", "json")
    said = json.loads(run.stderr)
    assert (said["program"], said["org"], said["level"], said["exit_code"]) == ("bulk-jobs", "", "ERROR", 77)
    assert said["message"] == found["message"]
    assert run.stdout == ""


def test_lines_of_a_message_stay_apart_in_one_line(org: DemoOrg, recorder: Recorder) -> None:
    """Its first line, a list or a command need not end with a full stop."""
    settings = {"SOURCES__SALESFORCE__CREDENTIALS__CLIENT_SECRET": "", "SOURCES__SALESFORCE__API_VERSION": "1.0"}
    said = [recorder.run("load", "--quiet", **{name: value}).stderr for name, value in settings.items()]
    assert "client_id, client_secret; JWT bearer: instance_url" in said[0]
    assert re.search(r"\w; Check instance_url and api_version", said[1]), said[1]


@pytest.mark.slow
def test_json_of_several_orgs_says_which(fleet: Fleet) -> None:
    fleet.configure(uat={"client_secret": "wrong"})
    run = fleet.recorder.run("load", "--log-format", "json")
    said = [json.loads(line) for line in (run.stdout + run.stderr).splitlines()]
    assert {(one["org"], one["level"]) for one in said} == {
        ("prod", "INFO"), ("dev", "INFO"), ("uat", "ERROR"), ("", "INFO")
    }  # fmt: skip
    assert not any(one["message"].startswith(("prod:", "uat:")) for one in said)
