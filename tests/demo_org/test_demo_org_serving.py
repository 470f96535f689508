"""The demo org as a server: what goes wrong on demand, connections, compression, control, and its command."""

import http.client
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests
from demo_org_client import LISTING, Client
from recorders import NOON

from pipelines.demo_org.org import DemoOrg, Request
from pipelines.demo_org.server import serving

LIMITS = "/services/data/v68.0/limits"


# --- what goes wrong ---


def test_a_failure_comes_as_often_and_as_late_as_ordered(org: DemoOrg, client: Client) -> None:
    error = [{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}]
    org.fail_next(503, error, times=2, after=1, headers={"Retry-After": "7"})
    answers = [client.get(LIMITS) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 503, 503, 200]
    assert (answers[1].json(), answers[1].headers["Retry-After"]) == (error, "7")


def test_a_failure_waits_for_its_path_and_spares_the_sign_in(org: DemoOrg, client: Client) -> None:
    org.fail_next(502, "<html>Edge</html>", path="/jobs/query$")
    assert client.get(LIMITS).status_code == 200
    assert client.get(f"{LISTING}/750").status_code == 404
    edge = client.get(LISTING)
    assert (edge.status_code, edge.text) == (502, "<html>Edge</html>")
    org.fail_next(500)
    assert client.ask("POST", "/services/oauth2/token").json()["error"] == "unsupported_grant_type"
    assert client.get(LIMITS).status_code == 500


def test_a_fault_that_could_never_happen_is_refused(org: DemoOrg) -> None:
    with pytest.raises(ValueError, match="times"):
        org.fail_next(500, times=0)
    with pytest.raises(ValueError, match="regular expression"):
        org.cut_next(path="(")


def test_a_cut_answer_declares_more_than_it_sends(org: DemoOrg, client: Client) -> None:
    org.add_job()
    org.cut_next()
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.get(LISTING)
    assert client.get(LISTING).status_code == 200


def test_a_stalled_answer_comes_late(org: DemoOrg, client: Client) -> None:
    org.stall_next(0.2)
    assert client.get(LIMITS).status_code == 200
    org.stall_next(30)
    with pytest.raises(requests.exceptions.ReadTimeout):
        client.http.get(org.instance_url + LIMITS, headers={"Authorization": f"Bearer {org.access_token}"}, timeout=0.1)


def test_stopping_waits_for_no_stalled_answer() -> None:
    org = DemoOrg(now=NOON)
    org.stall_next(60, path="")
    ended = []

    def wait(url: str) -> None:
        try:
            ended.append(requests.get(url, timeout=120))
        except requests.ConnectionError as error:
            ended.append(error)

    with serving(org) as url:
        waiting = threading.Thread(target=wait, args=(url,))
        waiting.start()
        while not org.requests:
            time.sleep(0.01)
    waiting.join()
    (end,) = ended
    assert isinstance(end, requests.ConnectionError), end  # no answer, as there would be after a minute


# --- connections ---


def test_requests_are_logged_without_their_tokens(org: DemoOrg, client: Client) -> None:
    client.get(LISTING, jobType="Classic")
    requests.get(org.instance_url + LIMITS, timeout=10)
    assert org.requests == [
        Request("GET", LISTING, {"jobType": "Classic"}, 200, True),
        Request("GET", LIMITS, {}, 401, False),
    ]


def test_a_connection_stays_open_and_the_date_is_the_orgs(org: DemoOrg) -> None:
    connection = http.client.HTTPConnection(org.instance_url.removeprefix("http://"), timeout=10)
    connection.connect()
    kept = connection.sock
    for hours in (0, 5):
        org.advance(timedelta(hours=hours))
        connection.request("GET", "/services/data")
        answer = connection.getresponse()
        answer.read()
        assert parsedate_to_datetime(answer.headers["Date"]) == NOON + timedelta(hours=hours)
        assert str(answer.headers["Date"]).endswith("GMT")
    assert connection.sock is kept
    connection.close()


def test_large_answers_are_compressed_for_those_who_ask(org: DemoOrg, client: Client) -> None:
    for _ in range(50):
        org.add_job()
    compressed = client.get(LISTING)
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert int(compressed.headers["Content-Length"]) < len(compressed.content) / 5
    client.http.headers["Accept-Encoding"] = "identity"
    plain = client.get(LISTING)
    assert "Content-Encoding" not in plain.headers
    assert len(plain.json()["records"]) == 50


def test_a_body_may_come_in_chunks(org: DemoOrg) -> None:
    """And the connection goes on with the next request behind it."""
    form = [b"grant_type=client_credentials&client_id=", org.client_id.encode(), b"&client_secret="]
    form.append(org.client_secret.encode())
    with requests.Session() as session:
        session.headers["Content-Type"] = "application/x-www-form-urlencoded"
        for _ in range(2):
            answer = session.post(f"{org.instance_url}/services/oauth2/token", data=iter(form), timeout=10)
            assert answer.json()["token_type"] == "Bearer"


@pytest.mark.parametrize(
    "sent",
    [
        "Content-Length: many\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-5\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n",
    ],
)
def test_a_body_that_cannot_be_read_is_refused(org: DemoOrg, sent: str) -> None:
    """Where the next request would begin is unknown: the connection is closed."""
    host, port = org.instance_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"POST /services/oauth2/token HTTP/1.1\r\nHost: {host}\r\n{sent}".encode())
        answer = b"".join(iter(lambda: connection.recv(4_096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_it_serves_this_machine_only_and_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    org = DemoOrg(now=NOON)
    with serving(org) as url, requests.Session() as session:
        assert url == org.instance_url
        host, port = url.removeprefix("http://").split(":")
        assert host == "127.0.0.1"
        session.get(f"{url}/services/data", timeout=10)
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)
    with serving(org, int(port)):  # free again at once
        pass


# --- control ---


def test_jobs_are_controlled_over_http_without_a_trace(org: DemoOrg) -> None:
    def control(method: str, **arguments: object) -> requests.Response:
        return requests.post(f"{org.instance_url}/_control/{method}", json=arguments, timeout=10)

    job = control("add_job", object="Lead", numberRecordsProcessed=3).json()["result"]
    control("advance", minutes=5)
    control("move_job", job_id=job, state="Failed", errorMessage="InvalidBatch : no")
    assert (org.jobs[job]["object"], org.jobs[job]["state"]) == ("Lead", "Failed")
    assert org.details[job] == {"numberRecordsProcessed": 3, "errorMessage": "InvalidBatch : no"}
    assert org.now == NOON + timedelta(minutes=5)
    control("fail_next", status=503)
    control("delete_job", job_id=job)
    assert org.jobs == {}
    assert org.requests == []
    control("expire_sessions")
    assert Client(org).get(LISTING).status_code == 503
    assert Client(org).get(LISTING).status_code == 401
    assert "stall_next" in requests.get(f"{org.instance_url}/_control", timeout=10).json()["methods"]


@pytest.mark.parametrize(
    ("method", "body", "status", "says"),
    [
        ("move_job", '{"job_id": "750000000000000AAA", "state": "Failed"}', 400, "no job 750000000000000AAA"),
        ("move_job", "{}", 400, "missing"),
        ("advance", '{"hours": -1}', 400, "ahead"),
        ("add_job", "[1]", 400, "one JSON object"),
        ("add_job", "{", 400, ""),
        ("issue_token", "{}", 404, "add_job"),
    ],
)
def test_a_wrong_control_request_gets_the_reason(org: DemoOrg, method: str, body: str, status: int, says: str) -> None:
    answer = requests.post(f"{org.instance_url}/_control/{method}", data=body, timeout=10)
    assert answer.status_code == status
    assert says in answer.json()["error"]


# --- the command ---


@pytest.mark.slow
def test_the_command_serves_an_org_with_a_past_until_it_is_told_to_stop() -> None:
    command = [sys.executable, "-m", "pipelines.demo_org", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = list(iter(process.stdout.readline, "Ctrl-C stops it; nothing is saved.\n"))
        exports = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines if "export" in line)
        prefix = "SOURCES__SALESFORCE__CREDENTIALS__"
        form = {
            "grant_type": "client_credentials",
            "client_id": exports[f"{prefix}CLIENT_ID"],
            "client_secret": exports[f"{prefix}CLIENT_SECRET"],
        }
        url = exports[f"{prefix}INSTANCE_URL"]
        token = requests.post(f"{url}/services/oauth2/token", data=form, timeout=10).json()["access_token"]
        page = requests.get(url + LISTING, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()
        assert len(page["records"]) == 1_000
        taken = subprocess.run(
            [*command[:-1], url.rpartition(":")[2]], capture_output=True, text=True, timeout=60, check=False
        )
        assert (taken.returncode, "Try --port 0" in taken.stderr) == (1, True)
        process.terminate()
        rest, errors = process.communicate(timeout=20)
        assert (process.returncode, rest, errors) == (0, "Stopped.\n", "")
    finally:
        process.kill()
        process.wait()
