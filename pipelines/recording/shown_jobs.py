"""What the pages of a listing have shown so far: how much, which jobs, and whose."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from pipelines.recording.records import Rejected


@dataclass
class ShownJobs:
    """Counts and ids from the pages read so far. A listing that restarts begins with an empty one."""

    pages: int = 0
    jobs: int = 0
    creators: dict[Any, datetime | None] = field(default_factory=dict)  # created_by_id -> creation of their newest job
    ids: list[pa.Array] = field(default_factory=list)
    keyless: set[str] = field(default_factory=set)  # ids of records without a usable key

    @property
    def all_ids(self) -> pa.ChunkedArray:
        """The ids of all jobs that exist: a record without a usable key still shows that its job does."""
        return pa.chunked_array([*self.ids, pa.array(self.keyless, pa.string())])

    def add(self, listed: pa.Table, rejected: list[Rejected]) -> None:
        """Adds a page's jobs, and its records without a usable key."""
        self.pages += 1
        self.jobs += listed.num_rows + len(rejected)
        self.keyless |= {r.job_id for r in rejected if r.job_id}
        self.ids += listed["id"].chunks
        newest = listed.group_by("created_by_id", use_threads=False).aggregate([("created_date", "max")]).to_pydict()
        for creator, created in zip(newest["created_by_id"], newest["created_date_max"], strict=True):
            known = self.creators.get(creator)
            self.creators[creator] = max(created, known) if created and known else created or known
