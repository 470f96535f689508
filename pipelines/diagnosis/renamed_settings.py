"""Settings that are set by an old name."""

from collections.abc import Iterator

from pipelines.config.dlt_context import active
from pipelines.config.own_settings import RENAMED


def renamed_settings() -> Iterator[str]:
    """A line for each place that uses an old name."""
    settings = active().settings
    for old, new in RENAMED.items():
        wins = next(settings.places(new), None)
        for found in settings.places(old):
            said = f"`{'.'.join(old)}` is now called `{'.'.join(new)}`"
            where = found.place if isinstance(found.place, str) else f"in {found.place}"
            if wins:
                yield f"{said}, which is also set ({wins}): remove the old name ({where}), it has no effect"
            else:
                yield f"{said} ({where}): the old name still works"
