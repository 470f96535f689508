"""The demo org's time: a simulated clock that moves only on request, or the wall clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """The org's time, always in UTC, and the lock that everything in the org holds while it changes.

    `now`: where a simulated clock begins; None: the wall clock. Raises ValueError: `now` has no time zone.
    """

    def __init__(self, now: datetime | None) -> None:
        if now is not None and now.tzinfo is None:
            raise ValueError("now must have a time zone, such as datetime(2026, 11, 2, tzinfo=UTC)")
        self.lock = threading.RLock()
        self.on_time: Callable[[datetime], None] | None = None  # called with the time whenever the org reads it
        self._simulated = None if now is None else now.astimezone(UTC)
        self._shift = timedelta()
        self._held: datetime | None = None

    @property
    def now(self) -> datetime:
        """The org's time."""
        return self._held or self._simulated or datetime.now(UTC) + self._shift

    def advance(self, by: timedelta) -> None:
        """Move the clock ahead; what was to happen in between happens, and what has become too old goes.

        Raises ValueError: time does not run backwards.
        """
        if by < timedelta():
            raise ValueError("the clock moves ahead only")
        with self.lock:
            if self._simulated is not None:
                self._simulated += by
            else:
                self._shift += by
            self.tick()

    def hold(self, moment: datetime | None) -> None:
        """Hold the clock at the moment of an event that is being played; None lets it go."""
        self._held = moment

    def tick(self) -> None:
        """Bring everything up to the org's time; called before every answer."""
        with self.lock:
            if self.on_time is not None:
                self.on_time(self.now)
