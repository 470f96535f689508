"""What earlier runs tell this one, in the folder beside the primary database: which hosts have answered, and since when
runs fail temporarily. With `--quiet`, a temporary failure is worth a mail only once it has lasted."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipelines.errors import LastingFailure, RecorderError, TemporaryError
from pipelines.plural import counted
from pipelines.salesforce.reached_hosts import reached_hosts, remember
from pipelines.warehouse.state_folder import StateFolder

HOSTS: Final = "reached.json"
FAILING: Final = "failing.json"


@dataclass(frozen=True)
class EarlierRuns:
    """What is remembered of the runs into one primary database."""

    primary_file: Path

    @property
    def _folder(self) -> StateFolder:
        return StateFolder(self.primary_file)

    def recall_hosts(self) -> None:
        """Takes the hosts that answered earlier runs as reached."""
        hosts = self._folder.read_json(HOSTS).get("hosts")
        if isinstance(hosts, list):
            remember(host for host in hosts if isinstance(host, str))

    @contextmanager
    def remembering_hosts(self) -> Iterator[None]:
        """Recalls the hosts, and adds those that answer in this block, however it ends."""
        self.recall_hosts()
        before = reached_hosts()
        try:
            yield
        finally:
            if reached_hosts() != before:
                self._write(HOSTS, {"hosts": sorted(reached_hosts())})

    def to_report(
        self, outcomes: Mapping[str, RecorderError | None], quiet_hours: float | None
    ) -> dict[str, RecorderError]:
        """The failures to report, by what failed; notes since when each fails temporarily. A success ends that.

        With `quiet_hours`, a temporary failure is left out until it has lasted that long, and then is a
        `LastingFailure`. Without, all are reported as they are."""
        now = datetime.now(UTC)
        noted = self._folder.read_json(FAILING)
        since = {name: _time(text, now) for name, text in noted.items()}
        reported: dict[str, RecorderError] = {}
        for name, failure in outcomes.items():
            if failure is None:
                since.pop(name, None)
                continue
            if isinstance(failure, TemporaryError):
                began = since.setdefault(name, now)
                if quiet_hours is not None:
                    if now - began >= timedelta(hours=quiet_hours):
                        reported[name] = _lasting(failure, began, now - began)
                    continue
            reported[name] = failure
        now_noted = {name: began.isoformat() for name, began in since.items()}
        if now_noted != noted:
            self._write(FAILING, now_noted)
        return reported

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        """Without the lock of the database, which may be what the run failed for. No run fails because it cannot be
        remembered."""
        with suppress(OSError):
            self._folder.make(self._folder.path)
            self._folder.write_json(name, content)


def _time(text: object, now: datetime) -> datetime:
    """A time that was noted. One that cannot be, such as of a clock that was ahead, counts as now."""
    try:
        return min(datetime.fromisoformat(str(text)).astimezone(UTC), now)
    except (ValueError, OverflowError):
        return now


def _lasting(failure: RecorderError, began: datetime, lasted: timedelta) -> LastingFailure:
    hours = lasted // timedelta(hours=1)
    shown = f" ({counted(hours, 'hour')})" if hours else ""
    return LastingFailure(f"Since {began:%Y-%m-%d %H:%M} UTC{shown}: {failure.message}", failure.remedy)
