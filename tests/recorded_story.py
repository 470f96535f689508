"""The story that the recordings in tests/fixtures/upgrade were made of, and how they are packed.

Two orgs live it the same way every time, so that a test takes them to where a recording ends, and goes on from there.
It stays as it is: a recording of an earlier version cannot be made anew with another story.
"""

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.dlt_context import use_given_settings, use_project
from pipelines.config.settings import Settings
from pipelines.demo.command import credentials_for
from pipelines.demo_org.org import DemoOrg

HERE: Final = Path(__file__).parent / "fixtures" / "upgrade"
BEGIN: Final = datetime(2026, 11, 2, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
# dlt's name for its working folder and the state depends on the path of the primary database. Relative to the working
# directory, that path is the same where a recording is made and where it is unpacked: same path, new code, as in an
# upgrade.
# The story's Classic loads have failures and no batches, of which no org would have a reason to tell.
FILES: Final = Settings(
    Path("query_jobs.duckdb"), Path("warehouse.duckdb"), 0.0, clock_tolerance_hours=0, record_errors=False
)
HOME: Final = "/srv/bulk-jobs"  # stands in a packed state.json for the directory in which it was made
# What dlt does not need: packages already loaded, and the trace of the last run, a pickle of dlt's and Python's
# versions.
LEFT_OUT: Final = ("trace.pickle", "loaded", "query_jobs.duckdb.lock")


class Story:
    """The two orgs, and chapters to call in order, with loads between them."""

    def __init__(self) -> None:
        self.org, self.sandbox = DemoOrg(now=BEGIN), DemoOrg(now=BEGIN, seed=7, is_sandbox=True)
        self.jobs: list[str] = []

    def begin(self) -> None:
        """Thirty-six jobs of three users, one record without an id, one undocumented field; a sandbox with three
        jobs."""
        org = self.org
        users = [org.add_user(name, f"{name.lower()}@example.com") for name in ("Amara", "Billing", "Kiran")]
        for n in range(24):
            state = ("JobComplete", "InProgress", "Failed", "UploadComplete")[n % 4]
            failure = {"errorMessage": "InvalidBatch : Field name not found"} if state == "Failed" else {}
            created = BEGIN - timedelta(hours=n)
            job = org.add_job(
                object=("Account", "Lead")[n % 2], state=state, createdById=users[n % 3], createdDate=created,
                systemModstamp=created + timedelta(minutes=5), numberRecordsProcessed=100 * n, retries=n % 2, **failure,
            )  # fmt: skip
            self.jobs.append(job)
        for n in range(12):
            fields = {"jobType": "Classic", "operation": "upsert", "object": "Invoice__c", "apiVersion": "52.0"}
            state = ("Open", "Closed")[n % 2]
            job = org.add_job(
                state=state, createdById=users[1], contentType="CSV", concurrencyMode="Serial", **fields,
                numberRecordsProcessed=10 * n, numberRecordsFailed=n, numberBatchesTotal=1, numberBatchesCompleted=1,
                numberBatchesFailed=0,
            )  # fmt: skip
            self.jobs.append(job)
        org.edit_job(self.jobs[0], ofTomorrow="known since the first load")
        org.add_raw({"object": "Account", "state": "JobComplete"})
        for n in range(3):
            self.sandbox.add_job(state=("JobComplete", "InProgress", "Failed")[n])

    def move(self) -> None:
        """An hour later: one state moves with its stamp, one without; one job is deleted, four are new."""
        self._advance(1)
        self.org.move_job(self.jobs[1], "JobComplete", numberRecordsProcessed=77)
        self.org.move_job(self.jobs[24], "Closed", stamp=False)
        self.org.delete_job(self.jobs[2])
        self.jobs += [self.org.add_job(object="Contact", isPkChunkingEnabled=True) for _ in range(4)]

    def expire(self) -> None:
        """Six days later: a job fails, and the org has forgotten the oldest ones."""
        self._advance(150)
        self.org.move_job(self.jobs[5], "Failed", errorMessage="Timeout")
        self.jobs += [self.org.add_job(object="Order", state="JobComplete", numberRecordsProcessed=5)]

    def be_locked_out(self) -> None:
        """An hour later, while the primary database is locked: a job that no later listing shows."""
        self._advance(1)
        self.org.move_job(self.jobs[9], "JobComplete")
        self.jobs += [self.org.add_job(object="Case", state="JobComplete")]

    def go_on(self) -> None:
        """What happens after the recording: that job is gone, one continues, one is deleted, two are new."""
        self._advance(1)
        self.org.delete_job(self.jobs[-1])
        self.org.delete_job(self.jobs[4])
        self.org.move_job(self.jobs[13], "Failed", errorMessage="After the upgrade")
        self.jobs += [self.org.add_job(object="Task"), self.org.add_job(object="Task", state="JobComplete")]

    def end(self) -> None:
        """Another hour, in which one more job is deleted."""
        self._advance(1)
        self.org.delete_job(self.jobs[-1])

    def _advance(self, hours: int) -> None:
        self.org.advance(hours * HOUR)
        self.sandbox.advance(hours * HOUR)


@contextmanager
def working_in(home: Path) -> Iterator[None]:
    """`home` is the working directory, and has its own dlt home; nothing of the user's is read or written."""
    was_in, dlts_home = Path.cwd(), os.environ.get("DLT_DATA_DIR")
    os.chdir(home)
    os.environ["DLT_DATA_DIR"] = str(home / "dlt")  # where version 0.1.0 kept listings
    use_given_settings(home, data_dir=home / "dlt")
    try:
        yield
    finally:
        os.chdir(was_in)
        if dlts_home is None:
            del os.environ["DLT_DATA_DIR"]
        else:
            os.environ["DLT_DATA_DIR"] = dlts_home
        use_project()


def credentials(org: DemoOrg) -> SalesforceCredentials:
    """The parameters that the org accepts."""
    return credentials_for(org)


def pack(home: Path, archive: Path) -> None:
    """The files of `home` as an archive without any path of this machine; the same bytes for everyone who packs
    them."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for path in sorted(home.rglob("*")):
            name = path.relative_to(home)
            if any(part in LEFT_OUT for part in name.parts):
                continue
            entry, data = tarfile.TarInfo(name.as_posix()), b""
            if path.is_dir():  # including empty folders: dlt expects them
                entry.type, entry.mode = tarfile.DIRTYPE, 0o700
            else:
                data = path.read_bytes()
                if name.name == "state.json":
                    data = data.replace(str(home).encode(), HOME.encode())
                entry.size, entry.mode = len(data), 0o600
            packed.addfile(entry, io.BytesIO(data))


def unpack(archive: Path, home: Path) -> None:
    """The recording, unpacked in a directory of its own."""
    with tarfile.open(archive) as packed:
        packed.extractall(home, filter="data")
    for file in home.rglob("state.json"):
        file.write_bytes(file.read_bytes().replace(HOME.encode(), str(home).encode()))
