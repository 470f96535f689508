"""The time that charts show: their common x axis, and which parts of it the record does not cover."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

import altair as alt


class Span:
    """The time that charts show, UTC, and the parts of it that the record does not cover, as (from, to)."""

    def __init__(self, since: date, until: date, unknown: Sequence[tuple[datetime, datetime]] = ()) -> None:
        """From the start of `since` to the end of `until`."""
        self.since = datetime(since.year, since.month, since.day, tzinfo=UTC)
        self.until = datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(days=1)
        self.unknown = [{"start": max(a, self.since), "end": min(b, self.until)} for a, b in unknown]

    def is_unknown(self, time: date) -> bool:
        """Whether the record does not cover this time; one without a zone is UTC."""
        at = datetime.fromtimestamp(milliseconds(time) / 1000, UTC)
        return any(part["start"] <= at < part["end"] for part in self.unknown)

    def axis(self, name: str, width: int, pixels: Sequence[int] = ()) -> alt.X:
        """The x axis, the same for all charts of this span and width: a tick a day, or every so many days or months.
        If it is only a part of the chart, from one pixel to another, it is not drawn."""
        days, most = (self.until - self.since).days, max(width // 75, 2)
        if days <= 120:
            step = -(-days // most)
            ticks = [self.since + timedelta(days=day) for day in range(0, days + 1, step)]
        else:
            step = -(-days // (30 * most))
            ticks = [
                datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
                for month in range(12 * self.since.year + self.since.month, 12 * self.until.year + self.until.month)
                if (month + 1) % step == 0
            ]
        text = "%-d %b" if days <= 120 else "%b %Y"
        axis = alt.Axis(format=text, values=[milliseconds(tick) for tick in ticks], labelFlush=False)
        scale = alt.Scale(
            type="utc", domain=[milliseconds(self.since), milliseconds(self.until)], nice=False, padding=0
        )
        if pixels:
            scale.range = list(pixels)
        return alt.X(f"{name}:T", title=None, scale=scale, axis=None if pixels else axis)


def merged(times: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The same times, in order, each of them once."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted(span for span in times if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def milliseconds(time: date) -> int:
    """Milliseconds since 1970, as in Vega; times without a zone are UTC."""
    if not isinstance(time, datetime):
        time = datetime(time.year, time.month, time.day, tzinfo=UTC)
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
