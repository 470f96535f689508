"""The copy of the warehouse that was last sent to a place, kept beside the primary database: what a forward compares
with.

    <primary>.sent/<place>/warehouse.duckdb   what the place has: the published copy that was last sent there
                           new.duckdb         the published copy that is being sent now
                           sent.json          what else is known of the last forward
                           lock               held by a running forward
                           work/              dlt's working folder of a running forward, or of a killed one

Nothing else is remembered, and no time: if a folder here is lost, everything is sent again, which changes nothing in
the destination.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.errors import ConfigError, TemporaryError
from pipelines.regular_files import check_place
from pipelines.warehouse.atomic_file import replacing
from pipelines.warehouse.copies import copy_bytes
from pipelines.warehouse.damage import fingerprint
from pipelines.warehouse.file_locks import holder, lock_alone, note_holder, open_lock
from pipelines.warehouse.sealed_json import DamagedText, seal, unseal
from pipelines.warehouse.state_folder import StateFolder

READABLE: Final = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class SentCopy:
    """The folder of one place: a destination, database and dataset."""

    primary_file: Path
    place: str  # as text, such as "postgres db.example.com:5432/analytics salesforce"
    table_format: str | None  # of a lake: what is there in another format is not read

    @property
    def folder(self) -> Path:
        readable = READABLE.sub("_", self.place.split()[0] + "_" + self.place.split()[-1])[:40]
        digest = hashlib.sha256(self.place.encode()).hexdigest()[:8]
        return self.primary_file.with_name(f"{self.primary_file.name}.sent") / f"{readable}-{digest}"

    @property
    def sent(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def new(self) -> Path:
        return self.folder / "new.duckdb"

    @property
    def notes(self) -> Path:
        return self.folder / "sent.json"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Creates the folder, and holds its lock. Raises TemporaryError at once if another forward holds it,
        and ConfigError if something else is in the place of one of its files."""
        state = StateFolder(self.primary_file)
        for folder in (self.folder.parent, self.folder):
            check_place(folder, folder=True)
        try:
            for folder in (self.folder.parent, self.folder):
                state.make(folder)
            lock = open_lock(self.folder / "lock")
        except OSError as error:
            raise ConfigError(
                f"Cannot write in {self.folder}: {error.strerror}.",
                "Let this user write there, or run it as another user.",
            ) from None
        with lock:
            for file in (self.sent, self.new, self.notes):
                check_place(file)
            lock_alone(
                lock,
                self.primary_file,
                lambda: TemporaryError(
                    f"Another forward from {self.primary_file.name} to the same place is running ({holder(lock)}).",
                    "This one sent nothing; the next one sends what is new by then.",
                ),
            )
            note_holder(lock)
            self._clear()
            try:
                yield
            finally:
                self._clear()

    def take(self, published: Path) -> None:
        """Copies the published copy as it is now, whatever is published meanwhile."""
        with published.open("rb") as current, self.new.open("wb") as copy:
            copy_bytes(current, copy)
        StateFolder(self.primary_file).share(self.new)

    def comparable(self, file: Path) -> Path | None:
        """The sent copy, to compare a file with. None if the place may have more than that: parts of another file, at
        which a forward was killed. Rows that are as they were sent may be different ones there. If what is known is
        lost, so is whether that happened. None as well if it was sent in another format."""
        mark = self.half_sent
        if not self.known or not self._has_format:
            return None
        return self.sent if mark is None or mark.get("fingerprint") == fingerprint(file) else None

    @property
    def half_sent(self) -> dict[str, Any] | None:
        """The mark of a forward that began to send, and did not end; None if there is none."""
        found = self.known.get("half_sent")
        return found if isinstance(found, dict) else None

    @property
    def half_sent_orgs(self) -> frozenset[str]:
        """The orgs of which that forward may have sent rows; none if they cannot be read."""
        orgs = (self.half_sent or {}).get("orgs")
        listed = orgs if isinstance(orgs, list) else ()
        return frozenset(org for org in listed if isinstance(org, str) and org.isprintable())

    def begin(self, orgs: Iterable[str]) -> None:
        """Sets that mark, before the first row of these orgs goes; `commit` removes it."""
        taken = fingerprint(self.new) if self.comparable(self.new) else None
        self.remember(half_sent={"fingerprint": taken, "orgs": sorted({*self.half_sent_orgs, *orgs})})

    def distrust(self) -> None:
        """Notes, until `commit`, that the place has lost rows: whatever else happens, all are sent again."""
        self.remember(half_sent={"fingerprint": None, "orgs": sorted(self.half_sent_orgs)})

    def commit(self, **known: Any) -> None:
        """What was taken is now what the place has."""
        was_sent = fingerprint(self.new)
        with self.new.open("rb") as copy:
            os.fsync(copy.fileno())
        self.new.replace(self.sent)
        self.remember(fingerprint=was_sent, half_sent=None, table_format=self.table_format, **known)

    def has(self, published: Path) -> bool:
        """Whether the published copy was sent as it is now."""
        is_whole = self.sent.is_file() and self.half_sent is None and self._has_format
        return is_whole and self.known.get("fingerprint") == fingerprint(published)

    @property
    def _has_format(self) -> bool:
        """Whether the copy was sent in this format. Earlier versions did not note it: then there was no other."""
        return bool(self.known.get("table_format", self.table_format) == self.table_format)

    @property
    def known(self) -> dict[str, Any]:
        """What was remembered of the last forward; empty if that is lost."""
        try:
            return unseal(self.notes.read_bytes())
        except (OSError, DamagedText):
            return {}

    def remember(self, **known: Any) -> None:
        """Adds to that."""
        with replacing(self.notes) as new:
            new.write_text(seal(self.known | known), encoding="utf-8")

    def _clear(self) -> None:
        """Removes what a forward needs only while it runs."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.new.unlink(missing_ok=True)
        for left in self.folder.glob(".*.new"):
            left.unlink(missing_ok=True)
