"""The org's clock, read off the `Date` of its answers: whether it can be believed, and what it says."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from pipelines.errors import TryLater

JUMP: Final = timedelta(hours=1)  # that the org's clock may gain or lose on this machine's within one run
BACKWARDS: Final = timedelta(minutes=1)  # that it may be behind the newest listing: an org's servers differ by seconds
YEARS: Final = range(2020, 2200)  # what is calculated from any other would leave the calendar
SET_CLOCK: Final = "If this machine's clock is wrong, set it (timedatectl set-ntp true)."


class OrgClock:
    """Reads the clock of one org during one run.

    `now` is the time of the newest believed answer; `tolerance` how far it may differ from this machine's clock
    (None: any). An answer whose Date is missing or unreadable counts as given the seconds after the answer before it
    that went by here.
    """

    def __init__(self, tolerance: timedelta | None = None) -> None:
        self.tolerance = tolerance
        self.now = datetime.now(UTC)
        self.refused: TryLater | None = None  # why the newest answer's Date was not believed
        self._first: tuple[datetime, float] | None = None  # the first Date that was, and time.monotonic() then

    @property
    def known(self) -> bool:
        """Whether an answer has shown it yet."""
        return self._first is not None or self.refused is not None

    def read(self, header: str | None) -> None:
        """Takes in the Date header of an answer."""
        at = time.monotonic()
        date = _date(header)
        self.refused = self._reason_to_refuse(date, at) if date else None
        if self.refused:
            return
        if date:
            self._first = self._first or (date, at)
            self.now = date
        elif self._first:
            self.now = max(self.now, self._first[0] + timedelta(seconds=int(at - self._first[1])))
        else:
            self.now = datetime.now(UTC)

    def check(self, header: str | None) -> None:
        """Raises TryLater where an answer with this Date header is not to be believed."""
        date = _date(header)
        if date and (reason := self._reason_to_refuse(date, time.monotonic())):
            raise reason

    def check_against(self, newest: datetime | None, org_id: str) -> None:
        """Raises TryLater where the clock was not believed, or is behind the newest listing recorded of the org."""
        if self.refused:
            raise self.refused
        if newest and self.known and self.now < newest - BACKWARDS:
            raise TryLater(
                f"The org's clock says {_at(self.now)}, but the newest recorded listing of org {org_id} is later, of "
                f"{_at(newest)}; this machine's clock says {_at(datetime.now(UTC))}.",
                "Nothing was recorded. Try again later. If a wrong clock recorded that listing, restore a copy from "
                "before it (docs/operations.md, Restore).",
            )

    def _reason_to_refuse(self, date: datetime, at: float) -> TryLater | None:
        here = datetime.now(UTC)
        both = f"The org's clock says {_at(date)}, this machine's {_at(here)}"
        if date.year not in YEARS:
            return TryLater(f"{both}: the org's cannot be right.", f"Nothing was recorded. {SET_CLOCK}")
        if self._first:
            expected = self._first[0] + timedelta(seconds=at - self._first[1])
            if abs(date - expected) > JUMP:
                return TryLater(
                    f"{both}: the org's jumped; {at - self._first[1]:,.0f} seconds ago it said {_at(self._first[0])}.",
                    "Nothing was recorded. Try again later; a proxy may be answering instead of Salesforce.",
                )
        if self.tolerance is not None and abs(date - here) > self.tolerance:
            apart = abs(date - here) / timedelta(hours=1)
            limit = self.tolerance / timedelta(hours=1)
            return TryLater(
                f"{both}: they are {apart:,.1f} hours apart, and clock_tolerance_hours is {limit:g}.",
                f"Nothing was recorded. {SET_CLOCK} Otherwise a proxy may be answering instead of Salesforce; "
                "clock_tolerance_hours = 0 under [query_jobs] accepts any clock.",
            )
        return None


def _date(header: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(header or "")
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
