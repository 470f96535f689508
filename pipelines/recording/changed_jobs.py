"""The changed jobs of one listing on their way to dlt: each once, as it was shown last, and a part at a time."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.recording.changes import CURRENT, POSITION, changes
from pipelines.recording.known_jobs import KnownJobs
from pipelines.tables import TIME


class ChangedJobs:
    """What a listing adds or changes in `query_jobs`, and in `query_job_states`: `states` dlt may have at once.

    `count` is how many jobs that are, `late` how many of these have a stamp from before the listing's `since`.
    """

    def __init__(self, known: KnownJobs) -> None:
        self.states: deque[pa.Table] = deque()
        self._known = known
        self._jobs_shown = 0  # records with a key, also those of a listing that had to start again
        self._changed: list[pa.Table] = []  # rows of `query_jobs` that dlt has not got yet
        self._shown: list[pa.Table] = []  # ids of all that was shown since the first of these
        self._handed_over: list[pa.ChunkedArray] = []  # ids of those that dlt has got, for each time
        self.count_from_zero()

    def count_from_zero(self) -> None:
        """Leaves what was shown before out of the counts."""
        self.count = self.late = 0
        self._counted_from = self._jobs_shown

    @property
    def nbytes(self) -> int:
        """The size of the rows that dlt has not got yet."""
        return sum(table.nbytes for table in self._changed)

    def numbered(self, listed: pa.Table) -> pa.Table:
        """The jobs of a page, with the POSITION of each in all that was shown."""
        positions = pa.array(range(self._jobs_shown, self._jobs_shown + listed.num_rows), pa.int64())
        self._jobs_shown += listed.num_rows
        listed = listed.append_column(POSITION, positions)
        self._shown.append(listed.select(["id", POSITION]))
        return listed

    def compare(self, pages: list[pa.Table], started_at: datetime) -> None:
        """Keeps what is new or different in some numbered pages."""
        if not pages:
            return
        jobs, states = changes(
            self._known, pa.concat_tables(pages, promote_options="default"), started_at, self._handed_over
        )
        if states.num_rows:
            self.states.append(states)
        if jobs.num_rows:
            self._changed.append(jobs)
        elif not self._changed:
            self._shown = []

    def hand_over(self, since: datetime | None) -> Iterator[pa.Table]:
        """What was kept, but of a job that was shown twice the later row alone: system_modstamp does not tell which
        that is, and dlt would take either. What was shown last may be what is stored."""
        if not self._changed:
            return
        jobs = pa.concat_tables(self._changed, promote_options="default")
        shown = pa.concat_tables(self._shown)
        self._changed, self._shown = [], []
        if pc.count_distinct(shown["id"]).as_py() < shown.num_rows:
            last = shown.group_by("id").aggregate([(POSITION, "max")])
            jobs = jobs.filter(pc.is_in(jobs[POSITION], value_set=last[f"{POSITION}_max"]))
        if self._handed_over:  # a job may have been among those before: dlt keeps the row that is current for longer
            later = pa.scalar(timedelta(microseconds=len(self._handed_over)), pa.duration("us"))
            at = jobs.schema.get_field_index(CURRENT)
            jobs = jobs.set_column(at, jobs.schema.field(at), pc.add(jobs[CURRENT], later))
        self._handed_over.append(jobs["id"])
        counted = pc.greater_equal(jobs[POSITION], self._counted_from)
        self.count += pc.sum(counted).as_py() or 0
        if since:
            late = pc.and_(counted, pc.less(jobs["system_modstamp"], pa.scalar(since, TIME)))
            self.late += pc.sum(late).as_py() or 0
        if jobs.num_rows:
            yield jobs.drop_columns(POSITION)
