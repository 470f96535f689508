"""The doctor says clearly what is wrong, and what can be seen of the open questions."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from processes import holding
from recorders import KEYS, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.warehouse.damage import suspect_blocks
from pipelines.warehouse.primary import exclusive_load


@pytest.fixture
def org():
    """An org with the right time: the doctor checks the clock."""
    demo_org = DemoOrg()
    with serving(demo_org):
        yield demo_org


def test_a_sound_set_up_is_confirmed_with_few_calls(org: DemoOrg, recorder: Recorder) -> None:
    """Settings, host, sign-in, listing, budget."""
    other = org.add_user("Other", "other@demo.example")
    org.add_job(state="JobComplete", numberRecordsProcessed=5)
    org.add_job(state="JobComplete", createdById=other, createdDate=org.now - timedelta(hours=1))
    org.add_job(jobType="Classic", state="Closed")
    found = recorder.run("doctor")

    assert found.returncode == 0, found.stdout + found.stderr
    for line in (
        "sign-in by client credentials", "API version 68.0 is supported", "clock and the org's agree",
        f"org {org.org_id}", "/jobs/query has 3 jobs", "jobs of 2 users", "of 15,000 API calls used", "All is well.",
    ):  # fmt: skip
        assert line in found.stdout
    assert "In short" in found.stdout
    assert "Are jobs of other users seen? Yes." in found.stdout
    assert "documentation leaves open" not in found.stdout
    assert len(org.requests) <= 5


def test_one_fault_does_not_hide_the_rest(org: DemoOrg, recorder: Recorder) -> None:
    org.add_job()
    org.fail_next(200, "<html>", path="/services/data$")
    found = recorder.run("doctor", QUERY_JOBS__LOCK_WAIT="-1", QUERY_JOBS__LOKC_WAIT="1")
    assert found.returncode == 78
    for said in ("lock_wait` (variable", "LOKC_WAIT", "does not answer like Salesforce", "signed in", "1 job"):
        assert said in found.stdout
    assert found.stdout.count("  BAD ") == 3


def test_a_damaged_copy_is_named(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daily one, which is read only when it is needed; and the published one, in a block that few queries read."""
    monkeypatch.setenv("QUERY_JOBS__KEEP_COPIES", "1")
    org.add_job()
    recorder.load()
    (daily,) = recorder.home.glob("warehouse.duckdb.copies/*.duckdb")
    for file, remedy in ((daily, "Remove it, and check the disk"), (recorder.warehouse, "publishes it again")):
        content, end = file.read_bytes(), 0
        while not suspect_blocks(file):  # the last block that is in use
            end += 1_000
            file.write_bytes(content[:-end] + bytes([content[-end] ^ 1]) + content[len(content) - end + 1 :])
        said = recorder.run("doctor")
        assert said.returncode == 78
        assert f"  BAD   {file} is damaged: " in said.stdout
        assert remedy in said.stdout
        file.write_bytes(content)
    assert recorder.run("doctor").returncode == 0


@pytest.mark.parametrize("read_only", [False, True])
def test_a_program_that_locks_the_primary_database_is_named(org: DemoOrg, recorder: Recorder, read_only: bool) -> None:
    """A load may do that, any other program keeps loads from recording."""
    org.add_job()
    recorder.load()
    file = recorder.primary_file
    with holding(file, read_only=read_only) as program:
        holder = "another process" if read_only else f"PID {program.pid}"
        said = recorder.run("doctor")
        assert said.returncode == 75
        assert f"  BAD   {file.name} is locked by {holder}" in said.stdout
        assert "Close that program" in said.stdout
        with exclusive_load(file):
            said = recorder.run("doctor")
            assert said.returncode == 0
            assert f"  note  a load is running ({holder}" in said.stdout


def test_it_answers_open_questions_and_says_what_it_cannot_tell(org: DemoOrg, recorder: Recorder) -> None:
    """From the first page, one job, and a few calls more."""
    hour = timedelta(hours=1)
    for n in range(4):
        org.add_job(state="JobComplete", createdDate=org.now - n * hour, systemModstamp=org.now - (n % 2) * n * hour)
    answer = recorder.run("doctor", "--verbose").stdout

    assert "no: not for 3 of 4" in answer
    assert "numberRecordsProcessed" in answer
    assert "How long is a locator valid?\n    unknown so far" in answer
    assert "no, on these pages" in answer
    assert "What does /jobs/query?jobType=V2Ingest list?\n    nothing" in answer


def test_it_looks_at_both_listings(recorder_of: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is refused is no reason not to look at the other."""
    org = DemoOrg(page_size=3, lists_loads=True, locator_needs_filters=False)
    with serving(org):
        recorder = recorder_of(org)
        monkeypatch.delenv("SOURCES__SALESFORCE__FEEDS")
        for number in range(12):
            org.add_job(jobType="Classic" if number % 3 else "V2Ingest")
        answer = recorder.run("doctor", "--verbose").stdout
        assert "the first page of /jobs/query has 3 jobs; more pages follow" in answer
        assert "the first page of /jobs/ingest has 3 jobs; more pages follow" in answer
        assert "jobType=V2Ingest list?\n    3 of type V2Ingest, on its first page" in answer
        assert "remember the filters of its first page?\n    yes" in answer
        assert "other users' loads failed?\n    unknown so far" in answer
        org.fail_next(403, [{"errorCode": "NOT_YOURS", "message": "no"}], path="/jobs/ingest$")
        found = recorder.run("doctor", "--verbose")
        assert "NOT_YOURS" in found.stdout
        assert "the first page of /jobs/query has 3 jobs" in found.stdout
        assert "API calls" in found.stdout
        assert found.returncode == 77


def test_it_tries_to_read_the_results_of_another_users_load(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')
    loader = org.add_user("Order Sync", "orders@demo-org.example")
    job = org.add_job(jobType="V2Ingest", operation="insert", state="JobComplete", createdById=loader)
    assert f"other users' loads failed?\n    yes, of {job}" in recorder.run("doctor", "--verbose").stdout
    org.results.own_only = True
    assert (
        f"other users' loads failed?\n    not of {job}: HTTP 403 INSUFFICIENT_ACCESS"
        in recorder.run("doctor", "--verbose").stdout
    )


@pytest.mark.parametrize(
    ("trouble", "environment", "code", "said"),
    [
        (lambda org: None, {"CLIENT_SECRET": ""}, 78, "Empty: client_secret (variable "),
        (lambda org: None, {"CLIENT_SECRET": "wrong"}, 77, "Check client_id and client_secret"),
        (lambda org: setattr(org, "wrong_domain", True), {}, 77, "My Domain"),
        (lambda org: setattr(org, "client_credentials_user", False), {}, 77, "run-as user"),
        (lambda org: setattr(org, "disabled", "API_DISABLED_FOR_ORG"), {}, 77, "API_DISABLED_FOR_ORG"),
        (lambda org: org.usage.count_calls(org.now, 14_900), {}, 70, "a load stops at 90 %"),
        (lambda org: org.fail_next(200, "<html>", path="/services/data$"), {}, 78, "does not answer like Salesforce"),
        (lambda org: None, {"INSTANCE_URL": "http://127.0.0.1:9"}, 75, "could not be reached"),
        (lambda org: org.fail_next(200, "<html>maintenance", path="/services/data$"), {}, 75, "down for maintenance"),
        (lambda org: None, {"INSTANCE_URL": "https://login.salesforce.com"}, 78, "My Domain"),
        (lambda org: None, {"ACCESS_TOKEN": "[REDACTED] Use 'sf org"}, 78, "one method"),
    ],
)
def test_each_problem_has_its_message(org: DemoOrg, recorder: Recorder, trouble, environment, code, said) -> None:
    """And its exit code, and no secret."""
    org.add_job()
    trouble(org)
    found = recorder.run(
        "doctor", RUNTIME__REQUEST_MAX_ATTEMPTS="1", **{f"{KEYS}{key}": value for key, value in environment.items()}
    )

    assert found.returncode == code, found.stdout + found.stderr
    assert said in found.stdout
    assert "BAD" in found.stdout
    assert "Traceback" not in found.stderr
    assert org.client_secret not in found.stdout


@pytest.mark.parametrize(
    ("urls", "code", "said"),
    [
        ('["json://127.0.0.1:9/s3cret", "json://127.0.0.1:9/s3cret2"]', 0, "ok    2 channels for check --notify"),
        ('["json://127.0.0.1:9/s3cret", "nonsense://s3cret"]', 78, "BAD   Number 2"),
    ],
)
def test_the_channels_are_read_and_not_used(org: DemoOrg, recorder: Recorder, urls: str, code: int, said: str) -> None:
    run = recorder.run("doctor", ALERTS__URLS=urls)

    assert run.returncode == code
    assert said in run.stdout
    assert "s3cret" not in run.stdout + run.stderr


def test_no_heading_stands_alone(recorder: Recorder) -> None:
    """What cannot be examined for a reason that is already said, says so."""
    settings = {f"{KEYS}INSTANCE_URL": "https://org.invalid", "HTTPS_PROXY": "socks5://127.0.0.1:9"}
    run = recorder.run("doctor", **settings)
    lines = run.stdout.splitlines()
    assert "PySocks" in run.stdout
    assert lines[lines.index("Sign-in") + 1] == "  note  cannot be examined, for the same reason"


def test_a_listing_of_our_own_jobs_only_is_pointed_out(org: DemoOrg, recorder: Recorder) -> None:
    """It may be all there is, so it is not an error."""
    org.sees_all = False
    org.add_job(createdById=org.add_user("Other", "other@demo.example"))
    org.add_job()
    found = recorder.run("doctor")

    assert found.returncode == 0
    assert "only jobs of the signed-in user are listed" in found.stdout
    assert "Manage Data Integrations" in found.stdout


def test_an_unsupported_version_is_named_with_the_newest(org: DemoOrg, recorder: Recorder) -> None:
    """Before the listing would fail because of it."""
    found = recorder.run("doctor", SOURCES__SALESFORCE__API_VERSION="99.0")

    assert found.returncode == 78
    assert 'Set api_version = "68.0"' in found.stdout


def test_a_clock_that_is_far_off_is_reported(recorder_of) -> None:
    """Signed assertions are valid for minutes only."""
    with serving(demo_org := DemoOrg(now=datetime.now(UTC) - timedelta(hours=1))):
        found = recorder_of(demo_org).run("doctor")

    assert found.returncode == 78
    assert "clock differs from the org's by 3,6" in found.stdout


@pytest.mark.slow
def test_secrets_that_other_users_can_read_are_reported(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """With the command that fixes it."""
    monkeypatch.delenv(f"{KEYS}CLIENT_SECRET")
    secrets = recorder.home / ".dlt" / "secrets.toml"
    secrets.write_text(f'[sources.salesforce.credentials]\nclient_secret = "{org.client_secret}"\n')
    secrets.chmod(0o644)
    answer = recorder.run("doctor")
    assert f"  BAD   {secrets} can be read by other users of this machine. Run: chmod 600 {secrets}\n" in answer.stdout
    assert answer.returncode == 78
    secrets.chmod(0o600)
    assert recorder.run("doctor").returncode == 0


@pytest.mark.slow
def test_an_old_listing_is_reported(recorder_of) -> None:
    """The org forgets a finished job after seven days."""
    with serving(demo_org := DemoOrg(now=datetime.now(UTC) - timedelta(days=3, hours=2))):
        recorder = recorder_of(demo_org)
        recorder.load()
        answer = recorder.run("doctor").stdout

        assert "last complete listing: 3.1 days ago; the org forgets" in answer
        demo_org.advance(timedelta(days=3, hours=1))
        recorder.run("load", SOURCES__SALESFORCE__JOB_TYPE="V2Query")
        assert "3.1 days ago" in recorder.run("doctor").stdout  # a filtered listing proves nothing about the org


@pytest.mark.slow
@pytest.mark.parametrize("percent", ["-5", "0", "900", "nan", "much"])
def test_an_invalid_share_of_the_budget_is_refused(recorder: Recorder, percent: str) -> None:
    """Both by a load and by the doctor."""
    for command in ("load", "doctor"):
        run = recorder.run(command, SOURCES__SALESFORCE__API_BUDGET_PERCENT=percent)
        assert run.returncode == 78, run.stdout + run.stderr
        assert "api_budget_percent" in run.stdout + run.stderr
