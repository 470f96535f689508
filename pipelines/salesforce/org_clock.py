"""The org's clock, from the `Date` header of its responses, and whether it can be trusted."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from pipelines.errors import TemporaryError

JUMP: Final = timedelta(hours=1)  # by which the org's clock may drift from this machine's during one run
# By which it may be behind the newest listing: an org's servers differ by seconds
BACKWARDS: Final = timedelta(minutes=1)
YEARS: Final = range(2020, 2200)  # other years would lead to dates outside the calendar
SET_CLOCK: Final = "If this machine's clock is wrong, set it (timedatectl set-ntp true)."


class OrgClock:
    """Reads the clock of one org during one run.

    `now` is the time of the newest trusted response; `tolerance` how far it may differ from this machine's clock
    (None: any). Without a readable Date, a response gets the time of the one before plus the seconds since then.
    """

    def __init__(self, tolerance: timedelta | None = None) -> None:
        self.tolerance = tolerance
        self.now = datetime.now(UTC)
        self.refused: TemporaryError | None = None  # why the newest response's Date is not trusted
        self._first: tuple[datetime, float] | None = None  # the first trusted Date, and time.monotonic() then

    @property
    def known(self) -> bool:
        """Whether any response had a Date."""
        return self._first is not None or self.refused is not None

    def read(self, header: str | None) -> None:
        """Reads the Date header of a response."""
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
        """Raises TemporaryError if a response with this Date header cannot be trusted."""
        date = _date(header)
        if date and (reason := self._reason_to_refuse(date, time.monotonic())):
            raise reason

    def check_against(self, newest: datetime | None, org_id: str) -> None:
        """Raises TemporaryError if the clock is behind the org's newest recorded listing."""
        if newest and self.known and self.now < newest - BACKWARDS:
            raise TemporaryError(
                f"The org's clock says {_at(self.now)}, which is before the newest recorded listing of org {org_id} "
                f"({_at(newest)}); this machine's clock says {_at(datetime.now(UTC))}.",
                "Nothing was recorded. Try again later. If that listing was recorded with a wrong clock, restore an "
                "earlier copy (docs/operations.md, Restore).",
            )

    def _reason_to_refuse(self, date: datetime, at: float) -> TemporaryError | None:
        here = datetime.now(UTC)
        both = f"The org's clock says {_at(date)}, this machine's {_at(here)}"
        if date.year not in YEARS:
            return TemporaryError(f"{both}: the org's is implausible.", f"Nothing was recorded. {SET_CLOCK}")
        if self._first:
            expected = self._first[0] + timedelta(seconds=at - self._first[1])
            if abs(date - expected) > JUMP:
                return TemporaryError(
                    f"{both}: the org's has jumped; {at - self._first[1]:,.0f} s ago it was {_at(self._first[0])}.",
                    "Nothing was recorded. Try again later. Perhaps a proxy answers instead of Salesforce.",
                )
        if self.tolerance is not None and abs(date - here) > self.tolerance:
            apart = abs(date - here) / timedelta(hours=1)
            limit = self.tolerance / timedelta(hours=1)
            return TemporaryError(
                f"{both}: they are {apart:,.1f} hours apart, and clock_tolerance_hours is {limit:g}.",
                f"Nothing was recorded. {SET_CLOCK} Otherwise perhaps a proxy answers instead of Salesforce; "
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
