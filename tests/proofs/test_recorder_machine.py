"""A recorder, two orgs and time, driven at random: jobs, faults, locks and losses in any order."""

import os
import random
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, ClassVar
from unittest.mock import patch

import dlt
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from misfortunes import change, fault, feed, trouble
from processes import holding
from recorders import NOON, Recorder
from truth import Truth

from pipelines.config.settings import read_settings
from pipelines.demo.command import credentials_for
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import unwrap_error
from pipelines.recording import load as run
from pipelines.recording.listings import Listings

SECOND = timedelta(seconds=1)


class RecorderMachine(RuleBasedStateMachine):
    """After one quiet load, whatever came before it, the warehouse is what `Truth` says."""

    recorder_of: ClassVar[Callable[..., Recorder]]
    tally: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        self.orgs: list[DemoOrg] = []
        self.truths: list[Truth] = []
        self.observed: dict[Any, Any] = {}
        self.loads = 0  # since the last quiet one
        self.folder_lost = False  # since the last load that succeeded

    @initialize(
        paging=st.sampled_from(["snapshot", "live"]),
        order=st.sampled_from(["shuffled", "newest", "oldest"]),
        page_size=st.integers(2, 6),
        jobs=st.integers(0, 15),
        lists_loads=st.booleans(),
    )
    def found(self, paging: Any, order: Any, page_size: int, jobs: int, lists_loads: bool) -> None:
        for number in range(2):
            org = DemoOrg(
                now=NOON, page_size=page_size, paging=paging, order=order, seed=number, lists_loads=lists_loads
            )
            self.closing.enter_context(serving(org))
            org.add_user("Somebody Else", f"else{number}@demo-org.example")
            for n in range(jobs if not number else 3):
                org.add_job(jobType=("V2Query", "V2Ingest", "Classic")[n % 3])
            self.orgs.append(org)
            self.truths.append(Truth(org))
        self.recorder = type(self).recorder_of(self.orgs[0], uuid.uuid4().hex)
        os.environ["SOURCES__SALESFORCE__FEEDS"] = '["query", "ingest"]'  # until the fixture undoes its own

    def teardown(self) -> None:
        try:
            if self.orgs:
                self.quiet_load()
        finally:
            self.closing.close()

    # --- what happens in the orgs ---

    @rule(which=st.integers(0, 1), changes=st.lists(change, min_size=1, max_size=6))
    def live(self, which: int, changes: list[Any]) -> None:
        for one in changes:
            self.happen(self.orgs[which], one)

    @rule(
        days=st.sampled_from([0.1, 0.5, 1, 3, 6.9, 8, 20]),
        permission=st.sampled_from([(), (), (), (0,), (1,), (0, 1)]),
        loss=st.sampled_from([None, None, None, None, "the folder beside it", "the primary database"]),
    )
    def time_passes(self, days: float, permission: tuple[int, ...], loss: str | None) -> None:
        """And now and then the recorder's user may no longer see others' jobs, or may again, or files are lost."""
        for org in self.orgs:
            org.advance(timedelta(days=days))
        for which in permission:
            self.orgs[which].sees_all = not self.orgs[which].sees_all
        if loss == "the folder beside it":  # what is needed comes back from the file; listings kept in it do not
            shutil.rmtree(self.recorder.state_folder, ignore_errors=True)
            for truth in self.truths:
                truth.kept, truth.unpublished = [], []
            self.folder_lost = True
            self.count("folders lost")
        # Restored as docs/operations.md says: a log that a killed load has left goes with the file that it belongs to.
        if loss == "the primary database" and self.recorder.warehouse.exists():
            self.recorder.primary_file.with_name("loader.duckdb.wal").unlink(missing_ok=True)
            shutil.copyfile(self.recorder.warehouse, self.recorder.primary_file)
            for truth in self.truths:
                truth.unpublished = []
            self.count("files restored")

    def happen(self, org: DemoOrg, one: Any) -> None:
        what, *how = one
        jobs = sorted([*org.jobs, *org.ingest_jobs])
        job = jobs[how[0] % len(jobs)] if jobs and how and isinstance(how[0], int) else None
        if what == "add":
            others = [user for user in org.users if user != org.integration_user_id]
            org.add_job(jobType=how[0], createdById=others[0] if how[1] else org.integration_user_id)
        elif what == "raw":
            org.add_raw(*how)
        elif what == "lose locators":
            org.lose_locators()
        elif what == "advance":
            org.advance(timedelta(seconds=how[0]))
        elif job and what == "move":
            # A stamp may be from before now, and even from before the one that the job had.
            stamps = {
                "moves": True,
                "stands still": False,
                "late": org.now - 3 * SECOND,
                "back": NOON - timedelta(days=1),
            }
            org.move_job(job, how[1], stamp=stamps[how[2]])
        elif job and what == "edit":
            org.edit_job(job, **{how[1]: how[2] if how[1] == "apiVersion" else str(how[2])})
        elif job and what == "delete":
            org.delete_job(job)

    # --- what the recorder does ---

    @rule(
        which=st.integers(0, 1),
        meanwhile=st.lists(st.tuples(feed, st.integers(1, 5), change), max_size=6),
        fault=fault,
        job_type=st.sampled_from([None, None, None, "V2Query", "Classic"]),
        version=st.sampled_from(["68.0", "68.0", "58.0"]),
        besides=st.booleans(),
        locked=st.sampled_from([False, False, False, True]),
    )
    def load(
        self, which: int, meanwhile: Any, fault: Any, job_type: Any, version: str, besides: bool, locked: bool
    ) -> None:
        """One load that may fail: at any request, at any step, at any statement, or because the file is held."""
        org, truth = self.orgs[which], self.truths[which]
        # Kept without the folder that says for which file, a listing of an org that this file does not know stays there.
        locked = locked and (not self.folder_lost or bool(truth.loaded))
        self.count("loads")
        self.loads += 1

        def events(*page: Any) -> None:
            for *at, one in meanwhile:
                if tuple(at) == page:
                    self.happen(org, one)

        truth.meanwhile = events
        environment = {
            "SOURCES__SALESFORCE__API_VERSION": version,
            "QUERY_JOBS__FETCH_ORG_METADATA": str(besides).lower(),
            "QUERY_JOBS__DETAILS_PER_RUN": "3" if besides else "0",
            "RUNTIME__LOG_LEVEL": "CRITICAL",
        } | ({"SOURCES__SALESFORCE__JOB_TYPE": job_type} if job_type else {})
        try:
            with ExitStack() as scene:
                scene.enter_context(patch.dict(os.environ, environment))
                if locked:
                    scene.enter_context(
                        holding(self.recorder.primary_file, read_only=self.recorder.primary_file.exists())
                    )
                scene.enter_context(trouble(org, fault))
                self.attempt(truth, f'{{"jobType":"{job_type}"}}' if job_type else "{}", locked)
        except Exception as error:
            if not (unwrap_error(error) or fault):
                raise
            self.count(f"loads that failed: {fault[0] if fault else 'locked'}")
        finally:
            truth.meanwhile = lambda feed, page: None
            org.faults.clear()

    def attempt(self, truth: Truth, filters: str, locked: bool = False) -> None:
        for org in self.orgs:
            org.advance(SECOND)  # no two listings start at one moment
        reading = truth.begin(filters)
        extract, source, complete, listed = dlt.Pipeline.extract, run.salesforce, [], []

        def both(*given: Any, on_listed: Any, **options: Any) -> Any:
            def noted(listings: Listings, metadata: Any) -> None:
                complete.extend(reading[snapshot.feed.name] for snapshot in listings.snapshots)
                on_listed(listings, metadata)

            return source(*given, on_listed=noted, **options)

        def extracted(*given: Any, **options: Any) -> Any:
            result = extract(*given, **options)
            listed[:] = complete  # empty: it was a listing kept from before, and this one may never begin
            return result

        try:
            with patch.object(dlt.Pipeline, "extract", extracted), patch.object(run, "salesforce", both):
                done = run.record(read_settings(), credentials_for(truth.org))
        except BaseException:
            truth.kept += listed
            if not locked:
                for each in self.truths:  # beside the file, or in it already: either loss may be theirs
                    each.unpublished += each.kept
                    each.kept = []
            raise
        self.folder_lost = False
        assert (done.failure is None) == (len(complete) == len(reading))
        self.count("loads of one listing", len(complete) < len(reading))
        truth.loaded += complete
        for each in self.truths:
            each.loaded += each.kept + each.unpublished
            each.kept, each.unpublished = [], []

    @precondition(lambda self: self.loads > 2)
    @rule()
    def quiet_load(self) -> None:
        """Both orgs, undisturbed; then everything must be right."""
        for truth in self.truths:
            truth.meanwhile = lambda feed, page: None
            truth.org.faults.clear()
            self.attempt(truth, "{}")
        self.count("quiet loads", 2)
        rows = self.recorder.rows
        for truth in self.truths:
            truth.check(rows)
        states = "from query_job_states union all from ingest_job_states"
        keys = f"select org_id, id, system_modstamp, state, observed_at from ({states})"
        observed = {row[:-1]: row[-1] for row in rows(keys)}
        assert self.observed.items() <= observed.items()
        self.observed = observed
        self.loads = 0

    def count(self, what: str, by: int = 1) -> None:
        self.tally[what] = self.tally.get(what, 0) + by


@pytest.mark.slow
def test_after_a_quiet_load_nothing_is_lost_doubled_or_moved(
    recorder_of: Callable[..., Recorder], capsys: Any, pytestconfig: pytest.Config
) -> None:
    """MACHINE_SECONDS of it; MACHINE_SEED repeats what a failure printed. Without either, always the same, or as seeded."""
    RecorderMachine.recorder_of = staticmethod(recorder_of)
    with capsys.disabled():
        live(RecorderMachine, pytestconfig)
    assert RecorderMachine.tally["quiet loads"] > 1


def live(machine: type[RecorderMachine], pytestconfig: pytest.Config) -> None:
    """Random histories of a machine, until the time is up. Prints how many, and what happened in them."""
    given = os.environ.get("MACHINE_SEED") or pytestconfig.getoption("--hypothesis-seed")
    any_seed = "MACHINE_SECONDS" in os.environ or not settings.default.derandomize
    first = drawn = int(given or (random.randrange(10**6) if any_seed else 1))
    until = time.monotonic() + float(os.environ.get("MACHINE_SECONDS", "60"))
    machine.tally = {}
    quick = settings(
        max_examples=3,  # the first is always the smallest there is
        stateful_step_count=20,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        print_blob=False,
    )
    while time.monotonic() < until:
        try:
            run_state_machine_as_test(seed(drawn)(machine), settings=quick)
        except BaseException as error:
            error.add_note(f"MACHINE_SEED={drawn} repeats it, after {drawn - first}: {machine.tally}")
            raise
        drawn += 1
    print(f"\nMACHINE_SEED={first}, {drawn - first} histories of {machine.__name__}: {machine.tally}")
