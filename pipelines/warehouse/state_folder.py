"""The folder beside the loader's file, `<file>.state`: what has to be known, or kept, while the file cannot be opened.

    identity        the file's own identity (see `file_identity.py`), to be read while somebody holds the file
    published.json  what was published last, and where (see `publish.py`)
    kept/           listings that were made while the file was held (see `kept_listings.py`)
    set_aside/      such as cannot be read, or do not fit
    temporary/      temporary files of the load that runs
    work/           the working folder of the load that runs, or of one that was killed

Only a load that holds the lock of the loader's file writes here.
"""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.warehouse.atomic_file import leftovers, replacing
from pipelines.warehouse.dlt_packages import PIPELINE, packages_in, temporary_files_in

FILES: Final = ("identity", "published.json", "taken_from_dlts_home")
PROVISIONAL: Final = "provisional"  # beside an identity that is not inside the file yet: the file was held


@dataclass(frozen=True)
class StateFolder:
    """The folder beside one loader's file."""

    loader_file: Path

    @property
    def path(self) -> Path:
        return self.loader_file.with_name(self.loader_file.name + ".state")

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
        """Makes the folder, and has temporary files made in it. The working folder stays only if a listing is in it
        that was not loaded: the next load takes that up."""
        self.make(self.path)
        shutil.rmtree(self.temporary, ignore_errors=True)  # left by a load that was killed
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

    def make(self, folder: Path) -> None:
        """Makes a folder that whoever may use the loader's file may use."""
        if not folder.is_dir():
            folder.mkdir()
            self.share(folder)

    def share(self, path: Path) -> None:
        """Gives a file or folder the mode of the loader's file: users of one group may share that."""
        with suppress(OSError):  # it is another user's, who has done so, or there is no file yet
            mode = self.loader_file.stat().st_mode & 0o777
            path.chmod(mode | (mode & 0o444) >> 2 if path.is_dir() else mode)

    def write(self, name: str, text: str) -> None:
        """Replaces a file of this folder in one step."""
        file = self.path / name
        for left in leftovers(file):  # by a load that was killed, or met a full disk
            left.unlink(missing_ok=True)
        with replacing(file) as new:
            new.write_text(text, encoding="utf-8")
            self.share(new)

    def read(self, name: str) -> str | None:
        """What a file of this folder holds; None if it is not there, or cannot be read."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def read_json(self, name: str) -> dict[str, Any]:
        """The JSON object in a file of this folder; an empty one if it has none."""
        try:
            found = json.loads(self.read(name) or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def identity(self) -> str | None:
        """The identity of the file as it was last opened, or as it is to be; None if neither is known."""
        return next(iter((self.read("identity") or "").split()), None)

    @property
    def is_provisional(self) -> bool:
        """Whether that identity is not inside the file yet."""
        return (self.read("identity") or "").split()[1:] == [PROVISIONAL]

    def note_identity(self, identity: str, *, provisional: bool = False) -> str:
        """Remembers the identity of the file, and gives it back."""
        text = f"{identity} {PROVISIONAL}\n" if provisional else f"{identity}\n"
        if self.read("identity") != text:
            self.write("identity", text)
        return identity

    def remove(self) -> None:
        """Removes all of the above. What others have put there stays, and the folder with it."""
        for folder in (self.kept, self.set_aside, self.temporary, self.work):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (*self.path.glob(".*.new"), *(self.path / name for name in FILES)):
            file.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def working_folder(self, identity: str) -> Path:
        """A new folder for dlt to work in. Its name says for which file: a load that is killed leaves it behind."""
        folder = self.work / f"{identity}.{uuid.uuid4().hex[:8]}"
        self.make(self.work)
        self.make(folder)
        return folder
