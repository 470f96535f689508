"""A recorder whose loads are stopped, by a signal at any moment, and what has to be right after each of them."""

import random
import signal
import subprocess
import sys
from datetime import timedelta

from recorders import Recorder
from truth import Truth

HOUR = timedelta(hours=1)
TYPES = ("V2Query", "V2Ingest", "Classic")
FAILED_RECORDS = [
    ("REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --", {"Name": "Anna"}),
    ("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--", {"Name": "Bo"}),
]
EVERYTHING = {  # that a load can do
    "QUERY_JOBS__DETAILS_PER_RUN": "500",
    "QUERY_JOBS__FETCH_ORG_METADATA": "true",
    "QUERY_JOBS__RECORD_ERRORS": "true",
    "SOURCES__SALESFORCE__FEEDS": '["query", "ingest"]',
}
SAID = {
    signal.SIGKILL: (-signal.SIGKILL, ""),
    signal.SIGTERM: (143, "Terminated. The next load picks up where this one stopped.\n"),
    signal.SIGINT: (130, "Interrupted. The next load picks up where this one stopped.\n"),
}


class Stopped:
    """A recorder whose loads are stopped, one after another, while its org keeps changing."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder, self.org, self.truth = recorder, recorder.org, Truth(recorder.org)
        self.org.page_size = 20
        self.dice = random.Random(20261102)
        for n in range(50):
            self.org.add_job(state=self.dice.choice(["InProgress", "JobComplete"]), jobType=TYPES[n % 3])
        self.newest = self.org.now
        self.stopped = 0
        self.first_load()

    def first_load(self) -> None:
        self.finish(self.start())

    def live(self) -> None:
        self.org.advance(HOUR)
        for job in self.dice.sample(self.jobs, 12):
            state = self.dice.choice(["InProgress", "JobComplete", "Failed"])
            self.org.move_job(job, state, stamp=self.dice.random() < 0.8)
        for n in range(6):
            self.org.add_job(jobType=TYPES[n % 3])
        self.org.fail_records(self.org.add_job(jobType="V2Ingest", state="JobComplete"), FAILED_RECORDS)
        self.org.delete_job(self.dice.choice(self.jobs))

    @property
    def jobs(self) -> list[str]:
        return sorted([*self.org.jobs, *self.org.ingest_jobs])

    def start(self, *command: object) -> subprocess.Popen[str]:
        """A load after further changes: with the command line, or another command."""
        self.truth.begin("{}")
        if not command:
            return self.recorder.start("load", "--quiet")
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=self.recorder.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, load: subprocess.Popen[str], number: int = 0) -> str:
        """Waits for a load, and judges it."""
        output, errors = load.communicate(timeout=120)
        self.ended(load.returncode, errors, number)
        return output

    def ended(self, code: int, errors: str, number: int = 0) -> None:
        """A load was ended by the signal, as it should be, or completed; in either case, the published copy is intact,
        and is the old or the new one."""
        listings = self.truth.readings[-1].values()
        if code == 0:
            assert errors == ""
            self.truth.loaded += listings
        else:
            assert (code, errors.partition(" ERROR: ")[2]) == SAID[signal.Signals(number)]
            self.stopped += 1
        (newest,) = self.recorder.rows("select max(started_at) from listings")[0] if self.published else (None,)
        starts = {start for listing in listings for start in listing.starts}
        assert newest in (starts | {self.newest} if code else starts)
        self.newest = newest

    @property
    def published(self) -> bool:
        return self.recorder.warehouse.exists()

    def all_is_right(self) -> None:
        """One undisturbed load."""
        self.org.advance(HOUR)
        self.finish(self.start())
        self.check()

    def check(self) -> None:
        """After an undisturbed load."""
        self.truth.check(self.recorder.rows)
        finished = "select id from all_jobs where state in ('JobComplete', 'Failed')"
        gone = "select id from unlisted_jobs where listed_again_at is null"
        assert self.recorder.rows(f"{finished} except select id from job_details except {gone}") == []
        failed = "select id from job_details where number_records_failed = 2"
        assert self.recorder.rows(f"{failed} except select id from record_errors except {gone}") == []
        once = "select id, count(*), sum(records) from record_errors group by all having count(*) <> 2 or sum(records) <> 2"
        assert self.recorder.rows(once) == []
