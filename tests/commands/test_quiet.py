"""`--quiet` says nothing of a temporary failure until it has lasted; then it says since when, and ends with 69."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fleets import Fleet, fleet_fixture  # noqa: F401
from processes import holding
from recorders import KEYS, Recorder

from pipelines.command_line import command_line_parser
from pipelines.commands import COMMANDS
from pipelines.config.dlt_context import use_project
from pipelines.demo_org.org import DemoOrg
from pipelines.diagnosis.earlier_runs import FAILING, HOSTS
from pipelines.diagnosis.run_errors import failure_of
from pipelines.errors import RecorderError
from pipelines.salesforce import reached_hosts
from pipelines.warehouse.sealed_json import unseal

LISTING = "/jobs/query"
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def one_try(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    before = set(reached_hosts._reached)
    yield
    reached_hosts._reached.clear()
    reached_hosts._reached.update(before)


def load(*arguments: str) -> tuple[int, RecorderError | None]:
    """A load in this process: its exit code, and the error that `main` would print."""
    use_project()
    options = command_line_parser().parse_args(["load", *arguments])
    try:
        return COMMANDS["load"](options), None
    except Exception as error:
        failure = failure_of(error)
        return failure.exit_code, failure


def noted(recorder: Recorder, name: str = FAILING) -> dict[str, str]:
    return unseal((recorder.state_folder / name).read_text())


def failing_since(recorder: Recorder, **hours: float) -> None:
    """As if the failures had begun so many hours ago; `single` is the load's own."""
    since = {name.replace("single", ""): (NOW - timedelta(hours=ago)).isoformat() for name, ago in hours.items()}
    (recorder.state_folder / FAILING).write_text(json.dumps(since))


def test_a_passing_failure_is_silent(org: DemoOrg, recorder: Recorder) -> None:
    """As the process that cron starts: no output, and 75."""
    org.fail_next(503, times=9, path=LISTING)
    run = recorder.run("load", "--quiet")
    assert (run.returncode, run.stdout, run.stderr) == (75, "", "")
    since = noted(recorder)[""]
    failing_since(recorder, single=6.5)
    run = recorder.run("load", "--quiet")

    assert run.returncode == 69
    began = NOW - timedelta(hours=6.5)
    assert f" ERROR: Since {began:%Y-%m-%d %H:%M} UTC (6 hours): Salesforce answered with HTTP 503" in run.stderr
    assert datetime.fromisoformat(since) > NOW


def test_what_ends_the_silence(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting, a success, and the options; a failure of another kind does not begin it anew."""
    org.fail_next(503, times=1, path=LISTING)
    assert load("--quiet") == (75, None)
    failing_since(recorder, single=7)
    org.fail_next(403, [{"errorCode": "API_DISABLED_FOR_ORG", "message": "no"}], path=LISTING)
    code, error = load("--quiet")
    assert (code, "Since" in str(error)) == (77, False)
    org.fail_next(503, times=1, path=LISTING)
    assert load("--quiet")[0] == 69
    monkeypatch.setenv("QUERY_JOBS__QUIET_HOURS", "7.5")
    org.fail_next(503, times=1, path=LISTING)
    assert load("--quiet") == (75, None)
    org.fail_next(503, times=1, path=LISTING)
    code, error = load()  # without --quiet, it is reported as ever
    assert (code, str(error)[:10]) == (75, "Salesforce")
    org.fail_next(503, times=1, path=LISTING)
    assert load("--quiet", "--verbose")[1] is not None
    assert load("--quiet") == (0, None)
    assert noted(recorder) == {}
    org.fail_next(503, times=1, path=LISTING)
    assert load("--quiet") == (75, None)
    monkeypatch.setenv("QUERY_JOBS__QUIET_HOURS", "0")
    org.fail_next(503, times=1, path=LISTING)
    assert load("--quiet")[0] == 69


def test_a_held_file_is_silent_too(org: DemoOrg, recorder: Recorder) -> None:
    """So is another load that is still running; both are reported if they never end."""
    recorder.load()
    with holding(recorder.primary_file):
        assert load("--quiet") == (75, None)
        failing_since(recorder, single=30)
        code, error = load("--quiet")
    assert (code, "(30 hours): " in str(error)) == (69, True)
    assert load("--quiet")[0] == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"": 7}', '{"": "soon"}', '{"": "2999-01-01T00:00:00+00:00"}'])
def test_notes_that_cannot_be_read(org: DemoOrg, recorder: Recorder, text: str) -> None:
    """Or are of a clock that was ahead: then it begins now."""
    recorder.state_folder.mkdir()
    (recorder.state_folder / FAILING).write_text(text)
    (recorder.state_folder / HOSTS).write_text(text)
    org.fail_next(503, times=1, path=LISTING)

    assert load("--quiet") == (75, None)
    assert abs(datetime.fromisoformat(noted(recorder)[""]) - datetime.now(UTC)) < timedelta(minutes=5)


def test_one_of_several_orgs(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    """Who is refused is named at once, who does not answer once that has lasted; the refusal counts."""
    fleet.orgs["prod"].fail_next(503, times=1, path=LISTING)
    assert load("--quiet") == (75, None)
    assert capsys.readouterr() == ("", "")
    fleet.orgs["prod"].fail_next(503, times=1, path=LISTING)
    fleet.configure(uat={"client_secret": "wrong"})
    assert load("--quiet") == (77, None)
    first, last = capsys.readouterr().err.splitlines()
    assert "uat: Salesforce refused the sign-in" in first
    assert "1 of 3 orgs recorded · 2 failed" in last
    failing_since(fleet.recorder, prod=9, dev=9)
    fleet.orgs["prod"].fail_next(503, times=1, path=LISTING)
    assert load("--quiet") == (77, None)
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(" ERROR: ")[2].split(" ")[0] for line in lines] == ["prod:", "uat:", "1"]
    assert "prod: Since " in lines[0]
    assert lines[0].endswith("(exit code 69)")
    assert list(noted(fleet.recorder)) == ["prod"]
    fleet.configure()
    fleet.orgs["prod"].fail_next(503, times=1, path=LISTING)
    fleet.orgs["dev"].fail_next(503, times=1, path=LISTING)
    assert load("--quiet")[0] == 69


def test_hosts_are_remembered(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else failed, and from one process to the next."""
    org.fail_next(403, [{"errorCode": "API_DISABLED_FOR_ORG", "message": "no"}], path=LISTING)
    assert load()[0] == 77
    host = org.instance_url.removeprefix("http://")
    assert host in noted(recorder, HOSTS)["hosts"]
    known = json.dumps({"hosts": ["no-such-org.invalid"]})
    for text, code in (("{}", 78), (known, 75)):
        (recorder.state_folder / HOSTS).write_text(text)
        run = recorder.run("load", **{f"{KEYS}INSTANCE_URL": "https://no-such-org.invalid"})
        if "gave no answer" in run.stderr:
            pytest.skip("There is no name server here that could know.")
        assert run.returncode == code, run.stderr
        assert "name does not exist" in run.stderr
        assert recorder.run("doctor", **{f"{KEYS}INSTANCE_URL": "https://no-such-org.invalid"}).returncode == code


def test_the_placeholder_is_known_by_its_text(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name server is asked."""
    for host in ("yourdomain.my.salesforce.com", "YourDomain--uat.sandbox.my.salesforce.com."):
        monkeypatch.setenv(f"{KEYS}INSTANCE_URL", f"https://{host}")
        code, error = load("--quiet")
        assert (code, "is the placeholder" in str(error)) == (78, True)
