"""What goes over the line, and what never does: secrets, values of records, messages of libraries."""

import json
import re
import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from planted import DAY, HOUR, NOW, plant
from receivers import mail, web
from recorders import Recorder
from situations import notify, publish, use_channels

from pipelines.alerts import channels
from pipelines.alerts.events import Problem
from pipelines.alerts.messages import Message
from pipelines.answers.check import Thresholds, check
from pipelines.config.dlt_context import use_project


def test_a_mail(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a real mail server: subject, sender, recipients and text, in both forms that a mail has."""
    with mail() as server:
        address = f"mailto://127.0.0.1:{server.port}?from=bulk-jobs@example.com&to=ada@example.com,grace@example.com"
        use_channels(monkeypatch, address)
        publish(recorder, "Lead")
        assert notify() == (1, "")
    first = server.mails[0]
    assert isinstance(first, EmailMessage)
    assert first["Subject"] == "UNFINISHED in Acme"
    assert "bulk-jobs@example.com" in first["From"]
    assert {one["To"].addresses[0].addr_spec for one in server.mails} == {"ada@example.com", "grace@example.com"}
    text = first.get_body(("plain", "html")).get_content()
    assert "1 query job of 005A on Lead is still InProgress" in text
    assert "github" not in first.as_string()  # no picture from elsewhere


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ("[]", "No channel to notify is set"),
        ("", "No channel to notify is set"),
        ('["json://127.0.0.1:1/", "nonsense://s3cret@host"]', "Number 2 of `urls` under [alerts] is not a URL that Apprise"),
        ('["s3cret"]', "Number 1 of `urls` under [alerts] is not a URL that Apprise supports: it has no scheme"),
        ('["slack://s3cret"]', "Number 1 of `urls` under [alerts] is not a URL that Apprise supports."),
        ('["json://127.0.0.1:1/", 3]', "Number 2 of `urls` under [alerts] (variable ALERTS__URLS) is not a URL."),
        ("[s3cret", "`urls` under [alerts] (variable ALERTS__URLS) is not a list."),
    ],
)  # fmt: skip
def test_wrong_urls(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, urls: str, said: str) -> None:
    """By their number, without a part of them, and before anything is looked at or sent."""
    monkeypatch.setenv("ALERTS__URLS", urls)
    publish(recorder, "Lead")
    code, text = notify()
    assert code == 78
    assert text.startswith(said)
    assert "s3cret" not in text
    assert not recorder.state_folder.exists()


@pytest.mark.parametrize("hours", ["-1", "soon", "nan", "1e9", "true"])
def test_wrong_reminders(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, hours: str) -> None:
    use_channels(monkeypatch, "json://127.0.0.1:1/")
    monkeypatch.setenv("ALERTS__REMIND_AFTER_HOURS", hours)
    code, text = notify()
    assert code == 78
    assert text.startswith("`remind_after_hours` under [alerts] (variable ALERTS__REMIND_AFTER_HOURS) is not a number")


def test_reminders_after_more_hours_than_a_number_can_be(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    use_channels(monkeypatch, "json://127.0.0.1:1/")
    (recorder.home / ".dlt" / "config.toml").write_text(f"[query_jobs]\n[alerts]\nremind_after_hours = {10**400}\n")
    use_project()
    code, text = notify()
    assert (code, "is not a number of hours from 0 to 1,000,000" in text) == (78, True)


def test_a_secret_in_the_file_that_anyone_may_read_is_refused(recorder: Recorder) -> None:
    file = recorder.home / ".dlt" / "config.toml"
    file.write_text(file.read_text().replace("[alerts]", '[alerts]\nurls = ["json://127.0.0.1/s3cret"]\n#'))
    run = recorder.run("check", "--notify")
    assert run.returncode == 78
    assert "`alerts.urls` is a secret, but is set in" in run.stderr
    assert "s3cret" not in run.stderr


@pytest.mark.parametrize("option", ["--notify", "--verbose"])
def test_no_secret_in_what_is_said_or_kept(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    """Whatever fails: a host that is not there, one that refuses, a web service of which all parts are tokens; also
    with --verbose."""
    with web() as refusing:
        refusing.status = 403
        urls = [
            f"json://user:s3cret@{refusing.host}/s3cret?-s3cret=s3cret",
            "json://127.0.0.1:9/s3cret",
            "mailto://user:s3cret@127.0.0.1:9?from=a@example.com&to=b@example.com",
            "slack://TS3CRET00/BS3CRET00/s3cret000000000000000000",
        ]
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing leaves this machine
        use_channels(monkeypatch, *urls)
        publish(recorder, "Lead")
        run = recorder.run("check", "--notify", option)
    assert run.returncode == 75
    said = run.stderr.lower()
    assert "4 of 4 channels could not be notified: number 1 of `urls` (json, 127.0.0.1): http 403; number 2" in said
    assert "unfinished in acme: 1 query job" in run.stdout.lower()
    kept = b"".join(path.read_bytes() for path in recorder.state_folder.rglob("*") if path.is_file()).decode()
    for text in (said, run.stdout.lower(), kept.lower()):
        assert "s3cret" not in text
    assert "number 2 of `urls` (json, 127.0.0.1): connection refused; " in said
    assert "number 3 of `urls` (mailto, 127.0.0.1): connection refused; " in said
    assert "number 4 of `urls` (slack): the proxy failed." in said


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("json://does-not-exist.invalid/x", "its host is not found"),
        ("jsons://{host}/timeout", "TLS failed"),
        ("json://{host}/", "no answer in time"),
    ],
)
def test_why_a_channel_was_not_reached_is_said(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    """Without its URL, of which a part may be like one of these causes."""
    monkeypatch.setattr(channels, "PATIENCE", 0.5)
    with web() as server:
        server.on_request = lambda: time.sleep(2)
        use_channels(monkeypatch, url.format(host=server.host))
        publish(recorder, "Lead")
        code, said = notify()
    assert (code, said.splitlines()[0].rpartition("): ")[2]) == (75, f"{why}.")


def test_an_unexpected_error_of_a_service_is_shown_by_its_place() -> None:
    """And not in its own words, which may quote the URL."""
    channel = channels.Channel("json://s3cret", "number 1 of `urls` (json)", "s3cret")
    said = channel.send(Message("title", "body", "warning", ""))
    assert said is not None
    assert re.fullmatch(r"unexpected AttributeError in pipelines\.alerts\.channels, line \d+", said)


def test_a_message_quotes_no_value_of_a_record(tmp_path: Path) -> None:
    """What `check` prints of an error is sent as its template, and so is a reason that the org's own words give."""
    secret = "Müller & Söhne 4711"
    jobs = [
        {"object": "Lead", "state": "Failed", "created_date": NOW - n * DAY - HOUR, "id": f"750{n:012}AAA"}
        for n in range(4)
    ]
    error = f"InvalidBatch : Failed to process query: no rows for '{secret}'"
    loads = [{"state": "JobComplete", "id": f"7501{1:011}AAA", "created_date": NOW - DAY}]
    counts = {"number_records_processed": 5, "number_records_failed": 5, "results_outcome": "read"}
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=jobs,
        ingest_jobs=loads,
        listings=[{"feed": feed} for feed in ("query", "ingest")],
        job_details=[{"id": jobs[0]["id"], "error_message": error}, {"id": loads[0]["id"], **counts}],
        record_errors=[
            {"id": loads[0]["id"], "reason": "a", "level": "record", "records": 5, "read_at": NOW,
             "error_code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": f"Call '{secret}' first"},
        ],
    )  # fmt: skip
    found = check(file, Thresholds(), now=NOW)
    quoting = [one for one in found if secret in one.message]
    assert {one.kind for one in quoting} == {"failing", "closed but failed"}
    for one in quoting:
        told = Problem.of(one, NOW)
        assert secret not in json.dumps(vars(told), ensure_ascii=False)
        assert re.search("no rows for …|Call … first", told.text)
