"""A load killed while it reads why records failed, or loads that: nothing is half written, and the next run has it all."""

import random
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("interrupted_load.py")
MISSING = "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
LOCKED = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"
KILLS = 8
WHOLE = """
    select id from salesforce.record_errors
    group by id having sum(records) <> 12 or count(*) <> 2 or any_value(rows_read) <> 12
"""


def failed_loads(org: DemoOrg) -> None:
    """A V2 load and a Classic one, of each of which 12 records failed for two reasons."""
    v2 = org.add_job(jobType="V2Ingest", operation="insert", state="JobComplete")
    org.fail_records(v2, [(MISSING, {"Name": "Anna"}), (LOCKED, {"Name": "Anna"})], times=6)
    classic = org.add_job(jobType="Classic", operation="insert", state="Closed", contentType="XML")
    for _ in range(3):
        org.add_batch(classic, records=9, failures=[[MISSING], [MISSING], [LOCKED], [LOCKED]])


def interrupted(recorder: Recorder, number: int, moment: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(number), str(moment)]
    return subprocess.run(command, cwd=recorder.home, capture_output=True, text=True, timeout=120, check=False)


def test_reasons_are_whole_or_not_there(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')
    failed_loads(org)
    counted = interrupted(recorder, 0, 0)
    assert counted.returncode == 0, counted.stderr
    moments = int(counted.stdout.split()[-1])
    dice, places = random.Random(17), set()
    for _ in range(KILLS):
        org.advance(timedelta(minutes=1))
        failed_loads(org)
        killed = interrupted(recorder, signal.SIGKILL, dice.randrange(moments // 2, moments))
        assert killed.returncode in (0, -signal.SIGKILL), killed.stderr
        places.add(killed.stdout.split(":")[0])
        with duckdb.connect(recorder.primary_file) as primary:
            assert primary.execute(WHOLE).fetchall() == []
    print(sorted(places))

    org.advance(timedelta(hours=13))
    recorder.load()
    assert recorder.rows(WHOLE) == []
    loads = 2 * (KILLS + 1)
    assert recorder.rows("select count(distinct id), count(*) from record_errors") == [(loads, 2 * loads)]
    assert recorder.rows("select count(*), count(distinct job_id) from job_batches") == [(3 * (KILLS + 1), KILLS + 1)]
    assert recorder.rows("select distinct results_outcome from job_details") == [("read",)]
