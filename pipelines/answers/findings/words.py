"""Numbers, times and jobs in words."""

from datetime import datetime, timedelta

from pipelines.plural import counted
from pipelines.warehouse.reader import Row


def when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def sentence(text: str) -> str:
    """With a full stop, unless what it quotes ends with one, or was shortened."""
    return text if text.endswith((".", "…", "!", "?")) else f"{text}."


def duration(time: timedelta) -> str:
    """In the largest unit that fits: '45 seconds', '7 minutes', '1 hour', '71 hours', '3.0 days'."""
    for unit, size, end in (("second", 1, 60), ("minute", 60, 60), ("hour", 3_600, 72)):
        number = round(time.total_seconds() / size)
        if number < end:
            return counted(number, unit)
    return f"{time / timedelta(days=1):,.1f} days"


def percent(share: float) -> str:
    """Rounded, but 100 % only if it is all."""
    return f"{99 if 99 < share < 100 else round(share):,} %"


def precise_percent(share: float) -> str:
    """With two digits if it is small: 0.18 % is not 0 %."""
    return percent(share) if share >= 10 else f"{share:.2g} %"


def known(name: str | None) -> str:
    return "?" if name is None else name


def jobs_are(alike: Row, one_is: str = "is", more_are: str = "are") -> str:
    """How many jobs of one user, operation and object, as the beginning of a sentence."""
    jobs = counted(alike["jobs"], f"{known(alike['operation'])} job")
    return f"{jobs} of {known(alike['created_by'])} on {known(alike['object'])} " + (
        one_is if alike["jobs"] == 1 else more_are
    )


def series_name(row: Row) -> str:
    """A series of jobs: 'query of Lead (V2Query) by Data Warehouse'."""
    return (
        f"{known(row['operation'])} of {known(row['object'])} ({known(row['job_type'])}) by {known(row['created_by'])}"
    )
