"""No value of a record is in any file that a run leaves, nor in what it prints: planted in all shapes of errors, in
fields, ids and e-mails, in other languages, V2 and Classic, in every form."""

import csv
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from demo_org_client import FIXTURES
from leaks import SHORTEST, files, forms, leaks
from processes import holding
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.recording.status_codes import KNOWN_CODES

# Each at least 12 characters, so that none is found by chance; none of them has a digit run or an @ that would be cut
# anyway, but for those that are about these.
SECRETS = {
    "a name": "AnnaKareninaOblonskaya",
    "a name of two words": "Konstantin Dmitritsch Ljewin",
    "an id": "001Zz00000Karen1",
    "an id of a custom object": "a0BZz0000Karen1AAC",
    "an e-mail": "anna.karenina@bahnhof.example",
    "a number": "470811471147",
    "another script": "アンナ・カレーニナとその夫",
    "with signs": 'Oblonskij; "Stiwa" | & O\'Blonskij',
    "an end": "Wronskij Graf:--Alexej Wronskij --and more Wronskij",
    "a code": "Schtscherbazkaja --UNABLE_TO_LOCK_ROW:Kitty Schtscherbazkaja",
    "a field": "Betsy_Twerskaja__c, Betsy Twerskaja",
}
PARTS = re.compile(r"\w{12,}|[\w.]+@[\w.]+")
VALUES = {
    part: forms(part)
    for secret in SECRETS.values()
    for part in {secret, *PARTS.findall(secret)}
    if len(part.encode()) >= SHORTEST and part not in KNOWN_CODES
}
# What stands in the fixture for a value of a record, or for a text of the org's own.
REPLACED = ("REDACTED-VALUE-0001", "Redacted&#39;s", "REDACTED", "0000000001", "someone@example", "123456", "250.0", "001000000000003", "001000000000001AAA", "005000000000001", "Some Flow", "Close date must be after start date: check both, please")  # fmt: skip
OTHERS = (
    "STRING_TOO_LONG:Nachname: Datenwert zu groß: {} (maximale Länge=80):LastName --",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Étape: valeur incorrecte pour le champ de liste de sélection restreinte : {}:StageName --",
    "DUPLICATE_VALUE:値が重複しています: {} が ID: {} のレコードの値と重複しています:--",
    "DELETE_FAILED:Your attempt to delete {} could not be completed because it is associated with the following opportunities.: {}:--",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION:{} is not a customer of {}:OwnerId --",
    "DUPLICATES_DETECTED:You are creating a duplicate of {}:--",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:T: execution of BeforeInsert\n\ncaused by: System.DmlException: Insert failed. First exception on row 0; first error: DUPLICATE_VALUE, {}: []\n\n(ns)\n:--",
    "A_CODE_OF_TOMORROW:{}:--",
    "INVALID_EMAIL_ADDRESS:Email: invalid email address: {}",
    "{}",
    "{}:{}:{} --",
    "MALFORMED_ID:Contact ID: id value of incorrect type: {}:Id --UNABLE_TO_LOCK_ROW:{}:--",
)


def shapes() -> Iterator[str]:
    """All shapes of the fixture, and others, with each secret in the place of each value."""
    with (FIXTURES / "i_failed_54_error_shapes.csv").open(newline="", encoding="utf-8") as file:
        texts = [row["sf__Error"] for row in csv.DictReader(file)]
    for secret in SECRETS.values():
        for text in texts:
            yield re.sub("|".join(map(re.escape, REPLACED)), lambda _, given=secret: given, text)
        for text in OTHERS:
            yield text.replace("{}", secret)


def rows_of() -> list[tuple[str, dict[str, str], str]]:
    about = {
        "Name": SECRETS["a name"],
        "Email": SECRETS["an e-mail"],
        "Text": SECRETS["with signs"] + "\n" + SECRETS["an end"],
    }
    return [(text, about | {"Key__c": SECRETS["an id"]}, SECRETS["an id"]) for text in shapes()]


@pytest.fixture
def planted(org: DemoOrg, monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> list[str]:
    """Loads of both APIs, in all forms, whose errors and rows are full of secrets."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')
    ids = []
    for delimiter in ("COMMA", "TAB"):
        job = org.add_job(jobType="V2Ingest", operation="insert", state="Aborted", columnDelimiter=delimiter)
        org.fail_records(job, rows_of())
        org.leave_unprocessed(job, [row for _, row, _ in rows_of()])
        ids.append(job)
    for form in ("CSV", "JSON", "XML"):
        job = org.add_job(jobType="Classic", operation="insert", state="Closed", contentType=form)
        org.add_batch(job, records=2 * len(rows_of()), failures=[[text] for text in shapes()])
        org.add_batch(job, state="Failed", message=f"InvalidBatch : Field name not found : {SECRETS['a name']}")
        ids.append(job)
    return ids


def found_in(recorder: Recorder, *outputs: str) -> list[str]:
    return leaks(VALUES, [*files(recorder.home), *((f"output {n}", text.encode()) for n, text in enumerate(outputs))])


def test_no_value_of_a_record_is_in_any_file_or_output(org: DemoOrg, recorder: Recorder, planted: list[str]) -> None:
    run = recorder.run("load", "--verbose")
    assert run.returncode == 0, run.stderr
    assert found_in(recorder, run.stdout, run.stderr) == []

    # The search finds what is there: all were read, and a value that is planted is found.
    read = dict(recorder.rows("select id, sum(records) from record_errors where level = 'record' group by id"))
    assert read == dict.fromkeys(planted, len(rows_of()))
    assert recorder.rows("select count(*) from record_errors where message is not null") > [(50,)]
    rows = recorder.rows("select id, records_unprocessed from job_details where records_unprocessed is not null")
    assert dict(rows) == dict.fromkeys(planted[:2], len(rows_of()))
    (recorder.home / "planted.txt").write_text(SECRETS["another script"])
    assert found_in(recorder) == [f"{SECRETS['another script']} in planted.txt"]


@pytest.mark.slow
def test_no_value_is_in_the_working_folders_while_results_are_read(
    org: DemoOrg, recorder: Recorder, planted: list[str], tmp_path: Path
) -> None:
    """Copied again and again during the load, dlt's folders and DuckDB's log included."""
    copies, done = tmp_path / "copies", threading.Event()

    def copy() -> None:
        for number in count(1):
            with suppress(shutil.Error):  # some files are gone before they are copied
                shutil.copytree(recorder.home, copies / str(number), copy_function=_copy)
            if done.wait(0.05):
                return

    copying = threading.Thread(target=copy)
    copying.start()
    try:
        run = recorder.run()
    finally:
        done.set()
        copying.join()
    assert run.returncode == 0, run.stderr
    looked_at = [(str(file.relative_to(copies)), _content(file)) for file in copies.rglob("*") if file.is_file()]
    assert any("work" in Path(name).parent.parts and "record_errors" in name for name, _ in looked_at)
    assert leaks(VALUES, looked_at) == []


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    with suppress(pa.ArrowException):  # of Parquet, half a file may have been copied
        content += str(pq.read_table(file).to_pylist()).encode() if content[:4] == b"PAR1" else b""
    return content


def _copy(source: str, target: str) -> str:
    try:
        return shutil.copyfile(source, target)
    except OSError:  # gone already
        return target


@pytest.mark.slow
def test_nor_in_what_is_kept_while_the_file_is_held(org: DemoOrg, recorder: Recorder, planted: list[str]) -> None:
    with holding(_empty(recorder)):
        run = recorder.run()
    assert run.returncode == os.EX_TEMPFAIL
    assert found_in(recorder, run.stdout, run.stderr) == []
    org.advance(timedelta(minutes=1))
    assert recorder.run().returncode == 0
    assert found_in(recorder) == []
    assert recorder.rows("select count(distinct id) from record_errors") == [(len(planted),)]


def _empty(recorder: Recorder) -> Path:
    duckdb.connect(recorder.primary_file).close()
    return recorder.primary_file


@pytest.mark.slow
def test_with_messages_allowed_what_looks_like_a_value_is_still_cut(
    org: DemoOrg, recorder: Recorder, planted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, e-mails, numbers, quoted text, and every value in the places that are known; a name in the org's own words
    is what the setting is about."""
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERROR_MESSAGES", "true")
    recorder.load()
    cut = ("an id", "an e-mail", "a number")
    assert leaks({name: forms(SECRETS[name]) for name in cut}, files(recorder.home)) == []
    own = ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "DUPLICATES_DETECTED", "A_CODE_OF_TOMORROW", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER", "UNKNOWN_EXCEPTION")  # fmt: skip
    rows = recorder.rows(
        f"select error_code, message, fields from record_errors where level = 'record' and error_code not in {own}"
    )
    assert leaks(VALUES, [(str(row), str(row).encode()) for row in rows]) == []


@pytest.mark.slow
def test_a_load_killed_while_results_arrive_writes_nothing_of_them(
    org: DemoOrg, recorder: Recorder, planted: list[str]
) -> None:
    org.results.pause = 0.05  # seconds between two rows
    running = recorder.start()
    _wait(
        lambda: (
            any("failedResults" in request.path or "unprocessed" in request.path for request in org.requests)
            or bool(running.poll())
        )
    )
    time.sleep(0.5)
    running.kill()
    outputs = running.communicate()
    assert found_in(recorder, *outputs) == []
    org.results.pause = 0.0
    org.advance(timedelta(minutes=1))
    assert recorder.run().returncode == 0
    read = dict(recorder.rows("select id, sum(records) from record_errors where level = 'record' group by id"))
    assert read == dict.fromkeys(planted, len(rows_of()))


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_secrets_are_planted() -> None:
    """In every shape that has a value."""
    texts = list(shapes())
    assert len(texts) == len(SECRETS) * (29 + len(OTHERS))
    for secret in SECRETS.values():
        assert sum(secret in text for text in texts) >= 20
