"""A sign-in that is refused, and answers that are not the org's own: what they mean, and which pass by themselves."""

import pytest
from demo_org_client import FIXTURES, recorded
from recorders import Recorder

from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import RecorderError
from pipelines.salesforce.org import Org

TOKEN, LISTING = "/oauth2/token", "/jobs/query"
MAINTENANCE = (FIXTURES / "e_70_maintenance.html").read_text()


def refusal() -> RecorderError:
    """The error of the first request to the org."""
    with pytest.raises(RecorderError) as raised:
        Org(read_credentials()).get("jobs/query")
    return raised.value


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("e_66_oauth_inactive_org", 77, "locked, closed or suspended"),
        ("e_67_oauth_ip", 77, "Login IP Ranges"),
        ("e_68_oauth_login_rate", 75, "Try again later"),
        ("e_69_oauth_trial", 77, "trial is over"),
    ],
)
def test_recorded_refusals(org: DemoOrg, recorder: Recorder, name: str, code: int, words: str) -> None:
    """Each with its own remedy; one that passes is no reason to call anybody."""
    org.fail_next(400, body := recorded(name), path=TOKEN)
    found = refusal()

    assert (found.exit_code, words in found.remedy) == (code, True), found
    assert body["error_description"] in found.message


REFUSALS = {
    "unknown_error: retry your request": (75, "Try again"),
    "server_error: x": (75, "Try again"),
    "temporarily_unavailable: x": (75, "Try again"),
    "rate_limit_exceeded: number of logins exceeded": (75, "Try again"),
    "inactive_org: organization is locked, closed or suspended": (77, "Ask Salesforce"),
    "inactive_user: user is inactive": (77, "The user is inactive"),
    "invalid_grant: trial expired": (77, "trial is over"),
    "invalid_grant: expired access/refresh token": (77, "Refresh Token Policy"),
    "invalid_grant: token expired": (77, "Refresh Token Policy"),
    "invalid_grant: the assertion has expired": (77, "clock"),
    "invalid_grant: IP Restricted or invalid login hours": (77, "Login Hours"),
    "invalid_grant: Audience validation failed": (77, "salesforce.mil"),
    "invalid_grant: invalid audience": (77, "gs0.salesforce.com"),
}


@pytest.mark.parametrize("error", REFUSALS)
def test_refusals_by_their_words(org: DemoOrg, recorder: Recorder, error: str) -> None:
    """In any case of letters, as code or as description."""
    code, description = error.split(": ")
    org.fail_next(400, {"error": code, "error_description": description}, path=TOKEN)
    found = refusal()

    assert (found.exit_code, REFUSALS[error][1] in found.remedy) == (REFUSALS[error][0], True), found


@pytest.mark.parametrize("path", [TOKEN, LISTING])
@pytest.mark.parametrize("status", [200, 302, 404, 503])
def test_a_maintenance_page(org: DemoOrg, recorder: Recorder, path: str, status: int) -> None:
    """It passes, wherever it comes and whatever its status says."""
    where = {"Location": "https://example.com/Maintenance.html"} if status == 302 else {}
    org.fail_next(status, "" if where else MAINTENANCE, path=path, headers=where, times=9)
    found = refusal()

    assert found.exit_code == 75
    assert f"{org.instance_url} is down for maintenance" in found.message
    assert "<" not in str(found)


@pytest.mark.parametrize("path", [TOKEN, LISTING])
def test_a_page_that_is_not_about_maintenance(org: DemoOrg, recorder: Recorder, path: str) -> None:
    """Of a wrong host, say: no other try helps. Nor is a word in an answer of the org's own a maintenance page."""
    org.fail_next(200, "<html><body>Sign in to the network</body></html>", path=path)
    assert refusal().exit_code == (78 if path == TOKEN else 70)
    org.fail_next(400, [{"errorCode": "X", "message": "<html> maintenance"}], path=LISTING)
    assert refusal().exit_code == 70


@pytest.mark.parametrize("path", [TOKEN, LISTING])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://acme.my.salesforce.com/x?sid=00DR00000001234!s3cret", "to https://acme.my.salesforce.com/x."),
        ("https://bob:s3cret@acme.my.salesforce.com:8443/", "to https://acme.my.salesforce.com:8443/."),
        ("/elsewhere?s3cret", "/elsewhere."),
        ("https://acme.example:99999/s3cret", "to an invalid address."),
        (None, "to nowhere: it has no Location."),
    ],
)
def test_a_redirect_says_where_to(
    org: DemoOrg, recorder: Recorder, path: str, location: str | None, shown: str
) -> None:
    """Without what may be a secret in it."""
    org.fail_next(302, "", headers={"Location": location} if location else {}, path=path)
    found = refusal()

    assert (found.exit_code, shown in found.message) == (78, True), found
    assert "instance_url" in found.remedy
    assert "s3cret" not in str(found)


@pytest.mark.parametrize("body", [[], 7, "text", None, {"records": "x"}])
def test_json_that_is_no_object(org: DemoOrg, recorder: Recorder, body: object) -> None:
    """At the token endpoint: no answer of Salesforce's."""
    org.fail_next(200, body, path=TOKEN)
    assert refusal().exit_code == 78


def test_a_load_in_maintenance_changes_nothing(org: DemoOrg, recorder: Recorder) -> None:
    """The next one is as good as ever."""
    org.add_job()
    org.fail_next(200, MAINTENANCE, path=LISTING)
    assert recorder.failure().exit_code == 75
    recorder.load()
    assert len(recorder.states()) == 1


@pytest.mark.parametrize("usage", ["18/5,000", "18/5000", "1,018/1,005,000; per-app-api-usage=17/250(appName=x)"])
def test_a_separator_of_thousands_is_part_of_the_number(org: DemoOrg, recorder: Recorder, usage: str) -> None:
    """18 of 5,000 calls are no spent budget."""
    recorded_header = (FIXTURES / "e_71_limit_info.txt").read_text().strip()
    assert recorded_header == "api-usage=18/5,000"
    asked = Org(read_credentials())
    asked.budget.read(f"api-usage={usage}")

    used, allowed = (int(number.replace(",", "")) for number in usage.partition(";")[0].split("/"))
    assert asked.budget.usage == (used, allowed)
    assert asked.budget.calls_left == int(allowed * 0.9) - used
