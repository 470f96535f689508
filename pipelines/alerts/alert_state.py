"""What each channel has got and is still to get: `alerts.json` in the folder beside the primary database.

An outbox for each channel: a run first writes down what is new, then sends, and after each answer writes that it was
sent. A kill between the answer and that note sends a message twice; nothing that was written down is ever lost.
Channels are known by a salted, slow hash of their URL: the file has no secret.
"""

import hashlib
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from pipelines.alerts.events import Event, Problem
from pipelines.errors import ConfigError, TemporaryError
from pipelines.regular_files import check_place
from pipelines.warehouse.file_locks import lock_alone, open_lock
from pipelines.warehouse.sealed_json import unseal
from pipelines.warehouse.state_folder import StateFolder

VERSION: Final = 1
LOCK_PATIENCE: Final = 60.0  # seconds to wait for another run: it waits for slow channels

logger = logging.getLogger(__name__)


@dataclass
class Mailbox:
    """One channel: what it is still to get, when it last got a message on each open finding (seconds since 1970), and
    whether it was added later, and gets all of that as one."""

    outbox: list[Event] = field(default_factory=list)
    told_at: dict[str, float] = field(default_factory=dict)
    is_new: bool = False


class AlertState:
    """The contents of the file. `write` replaces it atomically."""

    def __init__(self, state: StateFolder, name: str) -> None:
        self.state, self.name = state, name
        self.salt = secrets.token_hex(16)
        self.open: dict[str, Problem] = {}
        self.mailboxes: dict[str, Mailbox] = {}
        self.is_first = False  # nothing was sent yet, or it is not known what
        self._read()

    @property
    def path(self) -> Path:
        return self.state.path / self.name

    def _read(self) -> None:
        check_place(self.path)
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            self.is_first = True
            return
        try:
            found = unseal(text)
            newer = isinstance(found["version"], int) and found["version"] > VERSION
            if not newer:
                self._take(found)
        except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError):
            damaged = self.path.with_name(f"{self.name}.damaged")
            check_place(damaged)
            self.path.replace(damaged)
            self.open, self.mailboxes = {}, {}
            logger.warning("%s is damaged; it is now %s. Every channel gets what is open.", self.path, damaged.name)
            return
        if newer:
            raise ConfigError(
                f"{self.path} was written by a newer version, so it is not known what was sent.",
                "Run that version, or delete the file: then every channel gets what is open.",
            )

    def _take(self, found: dict[str, Any]) -> None:
        bytes.fromhex(found["salt"])
        self.salt = found["salt"]
        self.open = {key: Problem.from_json(problem) for key, problem in found["open"].items()}
        self.mailboxes = {
            digest: Mailbox(
                [Event.from_json(event) for event in one["outbox"]],
                {key: float(at) for key, at in one["told_at"].items()},
                bool(one["is_new"]),
            )
            for digest, one in found["channels"].items()
        }

    def write(self) -> None:
        self.state.write_json(
            self.name,
            {
                "version": VERSION,
                "salt": self.salt,
                "open": {key: asdict(problem) for key, problem in self.open.items()},
                "channels": {digest: asdict(one) for digest, one in self.mailboxes.items()},
            },
        )

    def digest(self, url: str) -> str:
        """What stands for a channel."""
        salt = bytes.fromhex(self.salt)
        return hashlib.scrypt(url.encode("utf-8", "surrogatepass"), salt=salt, n=2**14, r=8, p=1, dklen=16).hex()


@contextmanager
def exclusive_alert_state(primary_file: Path, name: str) -> Iterator[AlertState]:
    """The file, for one run at a time: a second one waits. Raises TemporaryError if that takes too long."""
    state = StateFolder(primary_file)
    check_place(state.path, folder=True)
    try:
        state.make(state.path)
        lock = open_lock(state.path / "alerts.lock")
    except OSError as error:
        raise ConfigError(
            f"Cannot write in {state.path}, which keeps what was sent: {error.strerror}.",
            "Let this user write there, or run it as another user.",
        ) from None
    with lock:
        lock_alone(
            lock,
            primary_file,
            lambda: TemporaryError(
                "Another `check --notify` is still sending.", "The next one sends what is new by then."
            ),
            LOCK_PATIENCE,
        )
        with suppress(OSError):
            state.share(state.path / "alerts.lock")
        yield AlertState(state, name)
