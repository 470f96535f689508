"""What the doctor has found, and how it prints that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import RecorderError
from pipelines.recording.feeds import Feed
from pipelines.salesforce.job_pages import Record


@dataclass
class Diagnosis:
    """The findings: lines to read, and an exit code for scripts."""

    exit_code: int = 0
    org: str = ""  # the name of the org that it is about, if there are several
    org_id: str = ""  # once it is known
    say: Callable[[str], None] = print
    feeds: list[Feed] = field(default_factory=list)  # the listings that are recorded
    pages: dict[Feed, list[Record]] = field(default_factory=dict)  # the first page of each
    job: Record | None = None  # one finished job's own answer
    answers: list[tuple[str, str]] = field(default_factory=list)  # to open questions
    filters: dict[Feed, dict[str, str]] = field(default_factory=dict)
    warehouse: Path | None = None  # the published one
    verbose: bool = False  # also answer what the documentation leaves open, with a few more calls
    reported: set[str] = field(default_factory=set)  # what is wrong

    @property
    def page(self) -> list[Record]:
        """The records of all first pages."""
        return [record for page in self.pages.values() for record in page]

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """What is wrong in this block is reported, and ends the block only."""
        try:
            yield
        except RecorderError as failure:
            self.bad(failure)

    def title(self, title: str) -> None:
        self.say(title)

    def good(self, what: str) -> None:
        self.say(f"  ok    {what}")

    def note(self, what: str) -> None:
        self.say(f"  note  {what}")

    def bad(self, failure: RecorderError) -> None:
        self.exit_code = self.exit_code or failure.exit_code
        if str(failure) in self.reported:  # one fault can stop several checks
            return
        self.reported.add(str(failure))
        lines = str(failure).splitlines()
        self.say("\n        ".join([f"  BAD   {lines[0]}", *lines[1:]]))
