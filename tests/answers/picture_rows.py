"""Jobs and selections for the pictures."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from planted import HOUR, NOW, ORG

from pipelines.answers import pictures
from pipelines.answers.pictures import Picture
from pipelines.answers.selection import Selection

MONTH = [{"started_at": NOW - 12 * n * HOUR} for n in range(80)]  # listings over forty days, without a gap
TODAY = NOW.date()


def job(at: datetime, **fields: Any) -> dict[str, Any]:
    """A finished query, ten minutes long."""
    return {"created_date": at, "system_modstamp": at + timedelta(minutes=10), "observed_at": at + HOUR, **fields}


def selection(file: Path, days: int = 30, **filters: tuple[str, ...]) -> Selection:
    return Selection(file, ORG, TODAY - timedelta(days=days - 1), TODAY, **filters)


def everything(file: Path, **rest: Any) -> list[Picture]:
    return list(pictures.pictures(selection(file, **rest)))
