"""`metrics`: the file for node_exporter, read by Prometheus' own tools, and the dashboard's queries on it."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from planted import DAY, HOUR, NOW, ORG, plant
from prometheus_client.parser import text_string_to_metric_families
from recorders import Recorder

from pipelines.alerts.metrics import MAX_SAMPLES, as_text, write_metrics
from pipelines.answers.check import Thresholds, check
from pipelines.config.project import PROJECT
from pipelines.errors import ConfigError
from pipelines.warehouse.reader import opened

DASHBOARD = json.loads((PROJECT / "pipelines" / "alerts" / "grafana.json").read_text())
QUERIES = [target["expr"].replace("$org", ".*") for panel in DASHBOARD["panels"] for target in panel["targets"]]
ALERTS = re.findall(r"expr: (.+)", (PROJECT / "docs" / "alerts.md").read_text())


def test_the_dashboard_warns_when_an_alert_begins() -> None:
    """Of an age: it turned orange an hour before Prometheus alerted."""
    begins = dict(re.findall(r"(\w+_timestamp_seconds)\b[^>]* > (\d+)", "\n".join(ALERTS)))
    turns = {
        metric: str(panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"])
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
        if "time()" in target["expr"]
        for metric in re.findall(r"\w+_timestamp_seconds", target["expr"])
    }

    assert len(begins) == 2
    assert turns == begins


def prometheus(program: str) -> str:
    """A program of Debian's package `prometheus`."""
    found = shutil.which(program)
    if not found and os.environ.get("CI"):
        pytest.fail(f"{program} is missing: apt-get install prometheus")
    return found or pytest.skip(f"{program} is missing: apt-get install prometheus")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An org whose name needs quoting, with six queries and two loads, some of which failed, and its limits."""
    jobs = [{"state": "Failed" if n < 2 else "JobComplete", "created_date": NOW - n * HOUR} for n in range(1, 7)]
    old = [{"state": "Failed", "created_date": NOW - 2 * DAY, "object": "Lead"}]
    limits = [
        {"listing_id": "listing 0", "limit_name": name, "max": 15_000, "remaining": 3_000, "app": app}
        for name, app in (("DailyApiRequests", ""), ("DailyBulkApiBatches", ""), ("DailyApiRequests", "An app"))
    ]
    return plant(
        tmp_path_factory.mktemp("metrics") / "warehouse.duckdb",
        query_jobs=[*jobs, *old],
        ingest_jobs=[{"created_date": NOW - HOUR, "state": "Aborted"}, {"created_date": NOW - 2 * HOUR}],
        orgs=[{"name": 'Acme "EMEA" \\ 1'}],
        org_limits=limits,
        listings=[
            {
                "feed": feed,
                "started_at": NOW - age,
                "finished_at": NOW - age + 7 * HOUR / 3_600,
                "listing_id": f"{feed} {age}",
            }
            for feed in ("query", "ingest")
            for age in (DAY, 0 * DAY)
        ],
    )


def written(warehouse: Path, file: Path) -> dict[tuple[str, tuple[str, ...]], float]:
    """What the file says: (family, values of its labels but the org's) -> value."""
    with opened(warehouse) as opened_file:
        write_metrics(opened_file, check(opened_file, Thresholds()), file, ())
    return {
        (
            sample.name,
            tuple(value for label, value in sorted(sample.labels.items()) if label not in ("org", "org_id")),
        ): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }


def test_the_numbers(warehouse: Path, tmp_path: Path) -> None:
    found = written(warehouse, tmp_path / "bulk_jobs.prom")
    counts = {
        (kind, family): found[f"bulk_jobs_{family}_last_24h", (kind,)]
        for kind in ("query", "load")
        for family in ("jobs", "failures")
    }
    assert counts == {("query", "jobs"): 6, ("query", "failures"): 1, ("load", "jobs"): 2, ("load", "failures"): 1}
    assert found["bulk_jobs_last_complete_listing_timestamp_seconds", ("ingest",)] == NOW.timestamp()
    age = time.time() - NOW.timestamp()
    assert found["bulk_jobs_last_complete_listing_age_seconds", ("query",)] == pytest.approx(age, abs=300)
    assert found["bulk_jobs_load_duration_seconds", ("query",)] == 7
    assert found["bulk_jobs_limit_used", ("DailyApiRequests",)] == 12_000
    assert found["bulk_jobs_limit_max", ("DailyBulkApiBatches",)] == 15_000
    assert found["bulk_jobs_findings", ("api limit",)] == 3
    assert found["bulk_jobs_findings_open", ()] == len(check(warehouse, Thresholds()))
    assert found["bulk_jobs_findings_urgent", ()] == sum(one.urgent for one in check(warehouse, Thresholds()))
    assert found["bulk_jobs_samples_left_out", ()] == 0
    assert 'org="Acme \\"EMEA\\" \\\\ 1"' in (tmp_path / "bulk_jobs.prom").read_text()


def test_the_file(warehouse: Path, tmp_path: Path) -> None:
    """Others can read it, whatever the umask or its mode were; it is replaced in one step, and nothing else is."""
    file = tmp_path / "bulk_jobs.prom"
    before = os.umask(0o077)
    try:
        written(warehouse, file)
        assert file.stat().st_mode & 0o777 == 0o644
        file.chmod(0o600)
        with file.open() as reader:
            written(warehouse, file)
            assert reader.read().endswith("\n")  # of the old one, whole
        assert file.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["bulk_jobs.prom"]
    file.write_text("something else\n")
    with pytest.raises(ConfigError, match="is not a file of these metrics"):
        written(warehouse, file)


def test_there_are_never_more_than_500_samples(tmp_path: Path) -> None:
    """What is left out is counted; the most important families are there for all orgs."""
    ids = [f"00DDm0000{n:06}MAA" for n in range(120)]
    file = plant(tmp_path / "many.duckdb", listings=[{"org_id": one, "started_at": NOW} for one in ids])
    with opened(file) as warehouse:
        text, samples = as_text(warehouse, [], ())
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == samples == MAX_SAMPLES
    assert sum(line.startswith("bulk_jobs_last_complete_listing_timestamp_seconds{") for line in lines) == 120
    (left_out,) = (line for line in lines if line.startswith("bulk_jobs_samples_left_out"))
    assert float(left_out.split()[1]) > 100


def test_on_the_command_line(recorder: Recorder, warehouse: Path, tmp_path: Path) -> None:
    """Findings are no failure. Without a record of one's own there is nothing to write: the demo is not meant."""
    file = tmp_path / "bulk_jobs.prom"
    run = recorder.run("metrics", "--output", str(file), "--warehouse", str(warehouse))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert f'org_id="{ORG}"' in file.read_text()
    assert "750" not in file.read_text()
    assert recorder.run("metrics", "--output", str(file)).returncode == 78


def test_prometheus_accepts_file_and_queries(warehouse: Path, tmp_path: Path) -> None:
    promtool = prometheus("promtool")
    file, rules = tmp_path / "bulk_jobs.prom", tmp_path / "rules.yml"
    written(warehouse, file)
    checked = subprocess.run(
        [promtool, "check", "metrics"], stdin=file.open(), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert QUERIES
    assert ALERTS
    exprs = [{"record": f"query_{n}", "expr": expr} for n, expr in enumerate([*QUERIES, *ALERTS])]
    rules.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": exprs}]}))  # JSON is YAML
    checked = subprocess.run([promtool, "check", "rules", rules], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_each_query_of_the_dashboard_has_an_answer(warehouse: Path, tmp_path: Path) -> None:
    """From a real Prometheus that has scraped the file."""
    file = tmp_path / "www" / "bulk_jobs.prom"
    file.parent.mkdir()
    written(warehouse, file)
    with scraped(file.parent, "/bulk_jobs.prom", tmp_path) as address:
        for query in QUERIES:
            asked = [prometheus("promtool"), "query", "instant", address, query]
            answer = subprocess.run(asked, capture_output=True, text=True, check=False)
            assert answer.returncode == 0, answer.stderr
            assert answer.stdout.strip(), query


@contextmanager
def scraped(folder: Path, path: str, home: Path) -> Iterator[str]:
    """The address of a Prometheus that has read this path of a web server on this folder."""
    program = prometheus("prometheus")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as unused:
        port = unused.server_port
    target = {
        "job_name": "file",
        "metrics_path": path,
        "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}],
    }
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [target]}
    (home / "prometheus.yml").write_text(json.dumps(config))
    address = f"http://127.0.0.1:{port}"
    running = subprocess.Popen(
        [
            program,
            f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={home}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        give_up = time.monotonic() + 60
        ask = [prometheus("promtool"), "query", "instant", address, "bulk_jobs_info"]
        while not (answer := subprocess.run(ask, capture_output=True, text=True, check=False)).stdout.strip():
            assert time.monotonic() < give_up, answer.stderr
            time.sleep(0.5)
        yield address
    finally:
        running.terminate()
        running.wait(30)
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
