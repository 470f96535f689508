"""What fails of one org costs that org; what fails of the file, or a signal, ends the run, and nothing is lost."""

import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta

import duckdb
import pytest
from fleets import Fleet, fleet_fixture  # noqa: F401
from processes import holding

from pipelines.demo_org.org import DemoOrg

LISTING = r"/jobs/query"
OTHERS = {"prod": 1, "dev": 1}


def errors(org: DemoOrg) -> None:
    org.fail_next(500, times=50, path=LISTING)


def late_error(org: DemoOrg) -> None:
    org.page_size = 1
    org.add_job()
    org.fail_next(500, times=50, after=1, path=LISTING)


def silence(org: DemoOrg) -> None:
    org.stall_next(3, times=50, path=LISTING)


def silence_at_sign_in(org: DemoOrg) -> None:
    org.stall_next(3, times=50, path="/oauth2/token")


def quota(org: DemoOrg) -> None:
    org.fail_next(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "spent"}], times=50)


def nonsense(org: DemoOrg) -> None:
    org.fail_next(200, {"records": "many", "done": True}, times=50, path=LISTING)


@pytest.mark.parametrize(
    ("fails", "code"),
    [
        (errors, 75),
        (late_error, 75),
        (silence, 75),
        (silence_at_sign_in, 75),
        (quota, 75),
        (nonsense, 70),
    ],
)
def test_one_of_three(fleet: Fleet, fails: Callable[[DemoOrg], None], code: int) -> None:
    fails(fleet.orgs["uat"])
    run = fleet.recorder.run("load", RUNTIME__REQUEST_TIMEOUT="1", RUNTIME__REQUEST_MAX_ATTEMPTS="2")
    assert run.returncode == code, run.stderr
    (line,) = run.stderr.splitlines()
    assert " ERROR: uat: " in line
    assert line.endswith(f"(exit code {code})")
    assert [line.split(":")[0] for line in run.stdout.splitlines()[:-1]] == ["prod", "dev"]
    assert fleet.listed() == OTHERS
    fleet.orgs["uat"].faults.clear()
    assert fleet.recorder.run("load").returncode == 0
    assert fleet.listed() == {"prod": 2, "uat": 1, "dev": 2}


def test_exit_code_is_of_the_first_lasting_failure(fleet: Fleet) -> None:
    errors(fleet.orgs["prod"])
    fleet.configure(uat={"client_secret": "wrong"}, dev={"instance_url": "https://yourdomain.my.salesforce.com"})
    run = fleet.recorder.run("load", RUNTIME__REQUEST_MAX_ATTEMPTS="1")
    assert run.returncode == 77
    assert [line.rpartition(" ")[2] for line in run.stderr.splitlines()] == ["75)", "77)", "78)"]
    assert run.stdout.splitlines()[0].startswith("0 of 3 orgs recorded · 3 failed")
    assert not fleet.recorder.warehouse.exists()


def test_one_listing_of_an_org_fails(fleet: Fleet) -> None:
    fleet.orgs["uat"].fail_next(403, [{"errorCode": "API_DISABLED_FOR_ORG", "message": "no"}], path="/jobs/ingest")
    run = fleet.recorder.run("load", SOURCES__SALESFORCE__FEEDS='["query", "ingest"]')
    assert run.returncode == 77
    (line,) = run.stderr.splitlines()
    assert "uat: /jobs/query is recorded, but /jobs/ingest could not be listed" in line
    assert "under [orgs.uat]" in line
    assert fleet.listed() == {"prod": 2, "uat": 1, "dev": 2}
    assert run.stdout.splitlines()[-1].startswith("2 of 3 orgs recorded · 1 failed")


def test_locked_file_keeps_each_orgs_listing(fleet: Fleet) -> None:
    assert fleet.recorder.run("load").returncode == 0
    for org in fleet.orgs.values():
        org.advance(timedelta(hours=1))
        org.add_job()
    fleet.configure(dev={"client_secret": "wrong"})
    with holding(fleet.recorder.primary_file):
        run = fleet.recorder.run("load")
        assert run.returncode == 75
        assert "The listings of prod, uat are kept" in run.stderr
        assert "dev: " in run.stderr
    assert len(list((fleet.recorder.state_folder / "kept").iterdir())) == 2
    damaged = sorted((fleet.recorder.state_folder / "kept").iterdir())[0]
    next(damaged.glob("query_jobs.*.parquet")).write_bytes(b"damaged")
    fleet.configure()
    run = fleet.recorder.run("load")
    assert run.returncode == 0, run.stderr
    assert "A kept listing could not be loaded" in run.stderr
    assert sorted(fleet.listed().values()) == [2, 2, 3]
    assert fleet.recorder.rows("select count(*) from query_jobs") == [(6,)]


def test_a_listing_that_cannot_be_loaded_once_the_file_is_free_again(fleet: Fleet) -> None:
    """Its org counts as failed, and nothing says that its jobs are recorded."""
    assert fleet.recorder.run("load").returncode == 0
    uat, dev = fleet.orgs["uat"], fleet.orgs["dev"]
    for org in (uat, dev):
        org.advance(timedelta(hours=1))
    missing = uat.add_job(state="JobComplete", newField="text")
    file = fleet.recorder.primary_file
    with holding(file) as holder:

        def freed(*_: object) -> None:
            dev.before_answer = None
            holder.kill()
            holder.wait()
            with duckdb.connect(file) as primary:
                primary.execute("alter table salesforce.query_jobs add column new_field bigint")

        dev.before_answer = freed
        run = fleet.recorder.run("load", "--org", "uat", "--org", "dev", QUERY_JOBS__DETAILS_PER_RUN="9")
    assert run.returncode == 75, run.stdout + run.stderr
    assert "A kept listing could not be loaded, and was moved to " in run.stderr
    assert "uat: The listing of 2 jobs, made while loader.duckdb was locked, could not be loaded" in run.stderr
    assert run.stdout.splitlines()[-1].startswith("1 of 2 orgs recorded · 1 failed")
    assert "kept listing" not in run.stdout
    assert fleet.listed() == {"prod": 1, "uat": 1, "dev": 2}
    with duckdb.connect(file) as primary:
        primary.execute("alter table salesforce.query_jobs alter new_field type varchar")
    assert fleet.recorder.run("load").returncode == 0
    assert fleet.recorder.rows(f"select count(*) from query_jobs where id = '{missing}'") == [(1,)]


def test_file_and_copy_are_replaced_while_the_file_is_locked(fleet: Fleet) -> None:
    """Nothing was recorded into what is there now."""
    assert fleet.recorder.run("load").returncode == 0
    dev = fleet.orgs["dev"]
    file, copy = fleet.recorder.primary_file, fleet.recorder.warehouse
    with holding(file) as holder:

        def moved(*_: object) -> None:
            dev.before_answer = None
            holder.kill()
            holder.wait()
            for one in (file, copy):
                one.rename(one.with_suffix(".away"))

        dev.before_answer = moved
        run = fleet.recorder.run("load")
    assert run.returncode == 75, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1].startswith("0 of 3 orgs recorded · 3 failed")
    assert not copy.exists()


def test_the_file_is_moved_away_while_it_is_locked(fleet: Fleet) -> None:
    """No empty one takes its place: what restores it is named."""
    assert fleet.recorder.run("load").returncode == 0
    dev, file = fleet.orgs["dev"], fleet.recorder.primary_file
    with holding(file) as holder:

        def moved(*_: object) -> None:
            dev.before_answer = None
            holder.kill()
            holder.wait()
            file.rename(file.with_suffix(".away"))

        dev.before_answer = moved
        for _ in range(2):
            run = fleet.recorder.run("load")
            assert run.returncode == 78, run.stdout + run.stderr
            assert f"The primary database {file} is missing" in run.stderr
    assert not file.exists()
    file.with_suffix(".away").rename(file)
    assert fleet.recorder.run("load").returncode == 0
    assert sorted(fleet.listed().values()) == [3, 3, 3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_publishes_what_is_done(fleet: Fleet, number: signal.Signals) -> None:
    fleet.orgs["uat"].stall_next(60, path=LISTING)
    run = started_until_others_are_recorded(fleet)
    run.send_signal(number)
    said, failed = run.communicate(timeout=60)
    assert run.returncode == 128 + number, failed
    assert fleet.listed() == OTHERS
    assert [line.split(":")[0] for line in said.splitlines()[:-1]] == ["prod", "dev"]
    assert fleet.recorder.run("load").returncode == 0
    assert fleet.listed() == {"prod": 2, "uat": 1, "dev": 2}


def test_killed_in_the_middle(fleet: Fleet) -> None:
    fleet.orgs["uat"].stall_next(60, path=LISTING)
    run = started_until_others_are_recorded(fleet)
    run.kill()
    run.communicate(timeout=60)
    fleet.orgs["uat"].faults.clear()
    done = fleet.recorder.run("load")
    assert done.returncode == 0, done.stderr
    assert fleet.listed() == {"prod": 2, "uat": 1, "dev": 2}
    assert fleet.recorder.rows("select count(*), count(distinct (org_id, id)) from query_jobs") == [(3, 3)]


def started_until_others_are_recorded(fleet: Fleet) -> subprocess.Popen[str]:
    run = fleet.recorder.start("load", "--verbose")
    assert run.stderr
    left = {"prod", "dev"}
    while left:
        line = run.stderr.readline()
        assert line, run.communicate()
        if "listing is recorded" in line:
            left.remove(line.split(": ")[1])
    return run
