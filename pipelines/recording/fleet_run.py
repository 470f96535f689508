"""What one run did with several orgs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.config.project import shown_path
from pipelines.config.settings import Settings
from pipelines.errors import TemporaryError
from pipelines.plural import counted
from pipelines.recording.job_details import DetailsOutcome
from pipelines.recording.job_results import ResultsOutcome
from pipelines.recording.listings import Listings
from pipelines.recording.org_metadata import Metadata
from pipelines.recording.run import Run


@dataclass
class Recorded:
    """What is recorded of one org, so far."""

    listings: Listings
    metadata: Metadata
    details: DetailsOutcome | None = None
    results: ResultsOutcome | None = None


@dataclass
class FleetRun:
    """What one run did with each org: what it recorded, or why it could not; by name, in the order of the settings."""

    settings: Settings
    names: tuple[str, ...]
    recorded: dict[str, Recorded] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    stopped: BaseException | None = None  # why the run ended before its end: a signal, or the locked file
    resumed: int = 0
    seconds: float = 0.0

    def run(self, name: str) -> Run:
        """What was done with one org, as a run of its own would have it."""
        one = self.recorded[name]
        return Run(one.listings, one.metadata, one.details, one.results, 0, self.seconds, self.settings)

    @property
    def errors(self) -> Mapping[str, Exception]:
        """Why each org that counts as failed does, in the order of the settings: an org of which one listing could not
        be read is among them, although the other one is recorded."""
        partly = {name: one.listings.failure for name, one in self.recorded.items()}
        both = {name: self.failures.get(name) or partly.get(name) for name in self.names}
        return {name: error for name, error in both.items() if error}

    @property
    def not_reached(self) -> tuple[str, ...]:
        """The orgs that the run had not come to when it was stopped."""
        return tuple(name for name in self.names if name not in self.recorded and name not in self.failures)

    def __str__(self) -> str:
        runs = [self.run(name) for name in self.recorded]
        done = len(self.names) - len(self.errors) - len(self.not_reached)
        jobs = sum(run.listings.jobs for run in runs)
        orgs = "org" if len(self.names) == 1 else "orgs"
        kept = isinstance(self.stopped, TemporaryError)  # while the file was locked
        parts = [
            f"{done:,} of {len(self.names):,} {orgs} {'listed, and kept for the next load' if kept else 'recorded'}",
            f"{len(self.errors):,} failed" if self.errors else "",
            counted(jobs, "job"),
            f"{sum(run.jobs_changed for run in runs):,} changed",
            f"{counted(self.resumed, 'kept listing')} loaded" if self.resumed else "",
            f"{self.seconds:.1f} s → {shown_path(self.settings.warehouse)}",
        ]
        return " · ".join(part for part in parts if part)
