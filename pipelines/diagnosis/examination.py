"""What the doctor has found, and how it prints that."""

from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import RecorderError
from pipelines.salesforce.job_pages import Record


@dataclass
class Diagnosis:
    """The findings: lines to read, and an exit code for scripts."""

    exit_code: int = 0
    page: list[Record] = field(default_factory=list)  # the first page of the listing
    job: Record | None = None  # one finished job's own answer
    filters: dict[str, str] = field(default_factory=dict)  # of the listing
    warehouse: Path | None = None  # the published one

    def good(self, what: str) -> None:
        print(f"  ok    {what}")

    def note(self, what: str) -> None:
        print(f"  note  {what}")

    def bad(self, failure: RecorderError) -> None:
        self.exit_code = self.exit_code or failure.exit_code
        lines = str(failure).splitlines()
        print(f"  BAD   {lines[0]}", *lines[1:], sep="\n        ")
