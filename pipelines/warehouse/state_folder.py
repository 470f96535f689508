"""The folder beside the primary database, `<file>.state`: what is needed while the database cannot be opened.

    identity        the database's identity (see `file_identity.py`), readable while it is locked
    published.json  what was last published, and where (see `publish.py`)
    alerts.json     what `check --notify` has sent, or is still to send (`alerts/alert_state.py`), under its own lock
    reached.json    hosts that have answered;  failing.json: since when runs fail (see `diagnosis/earlier_runs.py`)
    kept/           listings that were made while it was locked (see `kept_listings.py`)
    set_aside/      those that cannot be loaded
    temporary/      temporary files of the running load
    work/           dlt's working folder of the running load, or of a killed one

Only a load that holds the lock of the primary database writes here, except for `alerts.json`, `reached.json` and
`failing.json`.
"""

import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.regular_files import check_place
from pipelines.warehouse.atomic_file import leftovers, replacing
from pipelines.warehouse.dlt_packages import PIPELINE, packages_in, temporary_files_in
from pipelines.warehouse.sealed_json import DamagedText, seal, unseal

IDENTITY: Final = "identity"
FILES: Final = (IDENTITY, "published.json", "taken_from_dlts_home", "reached.json", "failing.json")
PROVISIONAL: Final = "provisional"  # marks an identity that is not in the database yet, because it was locked
PLAIN_IDENTITY: Final = re.compile(rf"([\w.-]+)( {PROVISIONAL})?\n?")  # as earlier versions wrote it


@dataclass(frozen=True)
class StateFolder:
    """The folder beside one primary database."""

    primary_file: Path

    @property
    def path(self) -> Path:
        return self.primary_file.with_name(self.primary_file.name + ".state")

    @property
    def kept(self) -> Path:
        return self.path / "kept"

    @property
    def set_aside(self) -> Path:
        return self.path / "set_aside"

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def temporary(self) -> Path:
        return self.path / "temporary"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Creates the folder, and has temporary files created in it. The working folder stays only if it contains a
        listing that was not loaded: the next load continues with that. Raises ConfigError like `check`."""
        self.check()
        self.make(self.path)
        shutil.rmtree(self.temporary, ignore_errors=True)  # left by a killed load
        self.make(self.temporary)
        try:
            with temporary_files_in(self.temporary):
                yield
        finally:
            shutil.rmtree(self.temporary, ignore_errors=True)
            for folder in self.work.glob("*/"):
                if not packages_in(folder / PIPELINE):
                    shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                self.work.rmdir()

    def check(self) -> None:
        """Raises ConfigError if something else is in the place of one of its files or folders. Where a failure is to
        be noted, that would keep `--quiet` from ever reporting it."""
        for folder in (self.path, self.kept, self.set_aside, self.temporary, self.work):
            check_place(folder, folder=True)
        for name in FILES:
            check_place(self.path / name)

    def make(self, folder: Path) -> None:
        """Creates a folder with access for everyone who has access to the primary database."""
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)  # another command may just have done so
            self.share(folder)

    def share(self, path: Path) -> None:
        """Gives a file or folder the mode of the primary database, which users of a group may share."""
        with suppress(OSError):  # another user owns it and has done so, or there is no database yet
            mode = self.primary_file.stat().st_mode & 0o777
            path.chmod(mode | (mode & 0o444) >> 2 if path.is_dir() else mode)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Replaces a JSON file of this folder atomically."""
        self.write(name, seal(content))

    def write(self, name: str, text: str) -> None:
        """Replaces a file of this folder atomically."""
        file = self.path / name
        for left in leftovers(file):  # by a load that was killed or ran out of disk space
            left.unlink(missing_ok=True)
        with replacing(file) as new:
            new.write_text(text, encoding="utf-8")
            self.share(new)

    def read(self, name: str) -> str | None:
        """The text of a file in this folder; None if it does not exist or cannot be read."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def read_json(self, name: str) -> dict[str, Any]:
        """The JSON object in a file of this folder; empty if there is none, or if it is damaged."""
        try:
            return unseal(self.read(name) or "{}")
        except DamagedText:
            return {}

    @property
    def identity(self) -> str | None:
        """The identity of the database when it was last opened, or a provisional one; None if there is neither."""
        return self._noted_identity()[0]

    @property
    def is_provisional(self) -> bool:
        """Whether that identity is not in the database yet."""
        return self._noted_identity()[1]

    def _noted_identity(self) -> tuple[str | None, bool]:
        text = self.read(IDENTITY) or ""
        if words := PLAIN_IDENTITY.fullmatch(text):
            return words[1], bool(words[2])
        found = self.read_json(IDENTITY)
        identity = found.get("identity")
        return (identity, found.get(PROVISIONAL) is True) if isinstance(identity, str) else (None, False)

    def note_identity(self, identity: str, *, provisional: bool = False) -> str:
        """Stores the identity of the database, and returns it."""
        text = seal({"identity": identity, PROVISIONAL: provisional})
        if self.read(IDENTITY) != text:
            self.write(IDENTITY, text)
        return identity

    def remove(self) -> None:
        """Removes all of the above. Foreign files stay, and then also the folder."""
        for folder in (self.kept, self.set_aside, self.temporary, self.work):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (*self.path.glob(".*.new"), *self.path.glob("alerts*"), *(self.path / name for name in FILES)):
            file.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def working_folder(self, identity: str) -> Path:
        """A new working folder for dlt. Its name contains the identity, for the case that the load is killed."""
        folder = self.work / f"{identity}.{uuid.uuid4().hex[:8]}"
        self.make(self.work)
        self.make(folder)
        return folder
