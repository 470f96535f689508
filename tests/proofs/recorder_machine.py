"""A recorder, three orgs and time, driven at random: jobs, faults, locks and losses in any order; loads of one org, and
of all."""

import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from typing import Any, ClassVar
from unittest.mock import patch

import dlt
from fleet_loads import Complete, record_all, settings_of_load
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from misfortunes import change, fault, feed, happen, trouble
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
ORGS = 3
which = st.integers(0, ORGS - 1)
# Of a load of which two records failed, for a reason each, both reasons are there, or none
HALF_READ = "select id from record_errors group by org_id, id having count(*) <> 2 or sum(records) <> 2"


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
        for number in range(ORGS):
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
                self.quiet_load(together=bool(self.loads % 2))
        finally:
            self.closing.close()

    # --- what happens in the orgs ---

    @rule(which=which, changes=st.lists(change, min_size=1, max_size=6))
    def live(self, which: int, changes: list[Any]) -> None:
        for one in changes:
            happen(self.orgs[which], one)

    @rule(
        days=st.sampled_from([0.1, 0.5, 1, 3, 6.9, 8, 20]),
        permission=st.sampled_from([(), (), (), (), (0,), (1,), (2,), (0, 1), (0, 1, 2)]),
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

    # --- what the recorder does ---

    @rule(
        which=which,
        meanwhile=st.lists(st.tuples(feed, st.integers(1, 5), change), max_size=6),
        fault=fault,
        job_type=st.sampled_from([None, None, None, "V2Query", "Classic"]),
        version=st.sampled_from(["68.0", "68.0", "58.0"]),
        fetch_more=st.booleans(),
        locked=st.sampled_from([False, False, False, True]),
    )
    def load(
        self, which: int, meanwhile: Any, fault: Any, job_type: Any, version: str, fetch_more: bool, locked: bool
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
                    happen(org, one)

        truth.meanwhile = events
        environment = settings_of_load(fetch_more) | {"SOURCES__SALESFORCE__API_VERSION": version}
        environment |= {"SOURCES__SALESFORCE__JOB_TYPE": job_type} if job_type else {}
        try:
            with ExitStack() as scene:
                scene.enter_context(patch.dict(os.environ, environment))
                if locked:
                    scene.enter_context(self.held())
                scene.enter_context(trouble(org, fault))
                self.attempt(truth, f'{{"jobType":"{job_type}"}}' if job_type else "{}", locked)
        except Exception as error:
            if not (unwrap_error(error) or fault):
                raise
            self.count(f"loads that failed: {fault[0] if fault else 'locked'}")
        finally:
            truth.meanwhile = lambda feed, page: None
            org.faults.clear()

    @rule(
        which=which,
        meanwhile=st.lists(st.tuples(which, feed, st.integers(1, 5), change), max_size=6),
        fault=fault,
        fetch_more=st.booleans(),
        locked=st.sampled_from([False, False, False, True]),
    )
    def load_all(self, which: int, meanwhile: Any, fault: Any, fetch_more: bool, locked: bool) -> None:
        """One run that records all orgs, of which one may fail, or the run."""
        locked = locked and (not self.folder_lost or all(truth.loaded for truth in self.truths))
        self.count("loads of all")
        self.loads += 1
        for number, truth in enumerate(self.truths):

            def events(*page: Any, number: int = number, org: DemoOrg = truth.org) -> None:
                for of_org, *at, one in meanwhile:
                    if (of_org, *at) == (number, *page):
                        happen(org, one)

            truth.meanwhile = events
        try:
            with ExitStack() as scene:
                scene.enter_context(patch.dict(os.environ, settings_of_load(fetch_more)))
                if locked:
                    scene.enter_context(self.held())
                scene.enter_context(trouble(self.orgs[which], fault))
                self.attempt_all(bool(fault), locked)
        except Exception as error:
            if not (unwrap_error(error) or fault):
                raise
            self.count(f"loads of all that failed: {fault[0] if fault else 'locked'}")
        finally:
            for truth in self.truths:
                truth.meanwhile = lambda feed, page: None
                truth.org.faults.clear()

    def attempt_all(self, may_fail: bool = False, locked: bool = False) -> None:
        for org in self.orgs:
            org.advance(SECOND)
        complete: Complete = {}
        try:
            done = record_all({f"org{n}": truth for n, truth in enumerate(self.truths)}, complete)
        except BaseException:
            self.not_published(complete, locked)
            raise
        assert may_fail or not done.errors or all(map(unwrap_error, done.errors.values())), done.errors
        assert set(done.recorded) == set(complete)
        if done.stopped or not done.recorded:
            self.not_published(complete, locked)
            return
        self.folder_lost = False
        self.count("orgs that failed among others", len(done.failures))
        for number, truth in enumerate(self.truths):
            truth.loaded += complete.get(f"org{number}", [])
            truth.loaded += truth.kept + truth.unpublished
            truth.kept, truth.unpublished = [], []

    def not_published(self, complete: Complete, locked: bool) -> None:
        """These listings of a run are kept; of one that had the file, they may be in it already."""
        for number, truth in enumerate(self.truths):
            truth.kept += complete.get(f"org{number}", [])
            if not locked:
                truth.unpublished += truth.kept
                truth.kept = []

    def held(self) -> AbstractContextManager[Any]:
        return holding(self.recorder.primary_file, read_only=self.recorder.primary_file.exists())

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
    @rule(together=st.booleans())
    def quiet_load(self, together: bool) -> None:
        """All orgs, undisturbed, one by one or in one run; then everything must be right."""
        for truth in self.truths:
            truth.meanwhile = lambda feed, page: None
            truth.org.faults.clear()
            if not together:
                self.attempt(truth, "{}")
        if together:
            self.attempt_all()
        self.count("quiet loads")
        rows = self.recorder.rows
        for truth in self.truths:
            truth.check(rows)
        states = "from query_job_states union all from ingest_job_states"
        keys = f"select org_id, id, system_modstamp, state, observed_at from ({states})"
        observed = {row[:-1]: row[-1] for row in rows(keys)}
        assert self.observed.items() <= observed.items()
        self.observed = observed
        assert rows(HALF_READ) == []
        self.loads = 0

    def count(self, what: str, by: int = 1) -> None:
        self.tally[what] = self.tally.get(what, 0) + by
