"""Passes the changed jobs of one listing on to dlt in batches, deduplicated: each job as it was last shown."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.columns import TIME
from pipelines.recording.changes import CURRENT, POSITION, changes
from pipelines.recording.feeds import Feed
from pipelines.recording.history import History


class ChangedJobs:
    """What a listing adds or changes in the tables of its feed.

    `count` is the number of these jobs, `late` how many of them have a system_modstamp before the listing's `since`.
    """

    def __init__(self, history: History, feed: Feed, since: datetime | None) -> None:
        self._history, self._feed, self._since = history, feed, since
        self._jobs_shown = 0  # records with a key, including those read before the listing had to restart
        self._pages: list[pa.Table] = []  # still to be compared
        self.bytes_to_compare = 0  # their size
        self._changed: list[pa.Table] = []  # changed jobs not yet passed to dlt
        self._shown: list[pa.Table] = []  # ids of all jobs shown since the first of these
        self._handed_over: list[pa.ChunkedArray] = []  # ids of the jobs passed to dlt, one array per batch
        self.count_from_zero()

    def count_from_zero(self) -> None:
        """Restarts the counts, leaving out everything shown so far."""
        self.count = self.late = 0
        self._counted_from = self._jobs_shown

    @property
    def bytes_kept(self) -> int:
        """The size of the changed jobs not yet handed over."""
        return sum(table.nbytes for table in self._changed)

    def add(self, listed: pa.Table) -> None:
        """Adds the jobs of a page."""
        positions = pa.array(range(self._jobs_shown, self._jobs_shown + listed.num_rows), pa.int64())
        self._jobs_shown += listed.num_rows
        listed = listed.append_column(POSITION, positions)
        self._shown.append(listed.select(["id", POSITION]))
        self._pages.append(listed)
        self.bytes_to_compare += listed.nbytes

    def compare(self, started_at: datetime) -> pa.Table | None:
        """Compares the pages with what is recorded and keeps the jobs that are new or different. Returns the states
        that were not observed before, if any."""
        if not self._pages:
            return None
        pages, self._pages = pa.concat_tables(self._pages, promote_options="default"), []
        self.bytes_to_compare = 0
        jobs, states = changes(self._history, self._feed, pages, started_at, self._handed_over)
        if jobs.num_rows:
            self._changed.append(jobs)
        elif not self._changed:
            self._shown = []
        return states if states.num_rows else None

    def hand_over(self) -> pa.Table:
        """The jobs kept so far; of a job shown twice, only the later row. system_modstamp does not tell which that is,
        and dlt would take either. If the row shown last equals what is stored, there is nothing to pass on."""
        if not self._changed:
            return self._feed.jobs.schema.empty_table()
        jobs = pa.concat_tables(self._changed, promote_options="default")
        shown = pa.concat_tables(self._shown)
        self._changed, self._shown = [], []
        if pc.count_distinct(shown["id"]).as_py() < shown.num_rows:
            last = shown.group_by("id").aggregate([(POSITION, "max")])
            jobs = jobs.filter(pc.is_in(jobs[POSITION], value_set=last[f"{POSITION}_max"]))
        if self._handed_over:  # an earlier batch may have the same job: dlt keeps the row with the later current_since
            later = pa.scalar(timedelta(microseconds=len(self._handed_over)), pa.duration("us"))
            at = jobs.schema.get_field_index(CURRENT)
            jobs = jobs.set_column(at, jobs.schema.field(at), pc.add(jobs[CURRENT], later))
        self._handed_over.append(jobs["id"])
        counted = pc.greater_equal(jobs[POSITION], self._counted_from)
        self.count += pc.sum(counted).as_py() or 0
        if self._since:
            late = pc.and_(counted, pc.less(jobs["system_modstamp"], pa.scalar(self._since, TIME)))
            self.late += pc.sum(late).as_py() or 0
        return jobs.drop_columns(POSITION)
