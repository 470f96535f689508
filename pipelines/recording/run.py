"""What one run did with one org."""

from dataclasses import dataclass

from pipelines.config.project import shown_path
from pipelines.config.settings import Settings
from pipelines.errors import RecorderError
from pipelines.plural import counted
from pipelines.recording.job_details import DetailsOutcome
from pipelines.recording.job_results import ResultsOutcome
from pipelines.recording.listing_row import all_notes
from pipelines.recording.listings import Listings
from pipelines.recording.org_metadata import Metadata
from pipelines.recording.snapshot import Snapshot


@dataclass(frozen=True)
class Run:
    """What one run did; as text, the line that it prints."""

    listings: Listings
    metadata: Metadata
    details: DetailsOutcome | None  # None: no job was waiting for details
    results: ResultsOutcome | None  # None: the results of no load were waiting to be read
    resumed: int  # kept listings of earlier runs, which this run loaded first
    seconds: float
    settings: Settings

    @property
    def snapshot(self) -> Snapshot:
        """The first listing: of /jobs/query, if that is recorded and was complete."""
        return self.listings.first

    @property
    def jobs_changed(self) -> int:
        """Jobs that are new or different, of all listings."""
        return sum(snapshot.jobs_changed for snapshot in self.listings.snapshots)

    @property
    def failure(self) -> RecorderError | None:
        """The error to end with, if a listing failed while another one was recorded."""
        return self.listings.failure

    @property
    def notes(self) -> tuple[str, ...]:
        """As the first row of `listings` has them."""
        return all_notes(self.listings, self.metadata, self.details, self.results)

    def __str__(self) -> str:
        return f"{self.summary} · {self.seconds:.1f} s → {shown_path(self.settings.warehouse)}"

    @property
    def summary(self) -> str:
        """What was read and what changed."""
        snapshots, filters = self.listings.snapshots, self.snapshot.filters
        pages, jobs = sum(one.shown.pages for one in snapshots), sum(one.jobs for one in snapshots)
        changed, rejected = self.jobs_changed, sum(len(one.rejected) for one in snapshots)
        usage, details = self.snapshot.org.budget.usage, self.details or DetailsOutcome(asked=0, left=0)
        results = self.results or ResultsOutcome(read=0, left=0)
        parts = [
            counted(pages, "page"),
            counted(jobs, "job"),
            f"{changed:,} changed",
            f"/{self.snapshot.feed.path} filtered by {self.snapshot.filters_text}" if filters else "",
            f"{rejected:,} rejected" if rejected else "",
            self._of_details(details) if details.asked or details.left else "",
            self._of_results(results) if results.read or results.left else "",
            f"{counted(self.resumed, 'kept listing')} loaded" if self.resumed else "",
            f"{usage[1] - usage[0]:,} of {usage[1]:,} API calls left" if usage else "",
        ]
        return " · ".join(part for part in parts if part)

    def _of_details(self, details: DetailsOutcome) -> str:
        """How many of the finished jobs that were waiting for their details have them now."""
        jobs, left = details.asked + details.left, details.left
        if not left:
            return f"error details fetched for {counted(jobs, 'finished job')}"
        runs = more_runs(left, self.settings)
        return f"error details fetched for {details.asked:,} of {jobs:,} finished jobs; {runs}"

    @staticmethod
    def _of_results(results: ResultsOutcome) -> str:
        """Of how many loads the reasons of failed records are read now, and how many wait for a later run."""
        loads = results.read + results.left
        of = f" of {loads:,}" if results.left else ""
        return f"reasons read for {results.read:,}{of} {'load' if loads == 1 else 'loads'} with failed records"


def more_runs(left: int, settings: Settings) -> str:
    """How many runs it takes to fetch the details that are left."""
    runs = -(-left // max(settings.details_per_run, 1))
    return f"about {counted(runs, 'more run')}"
