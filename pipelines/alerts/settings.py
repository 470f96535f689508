"""`[alerts]`: where notifications and pings go. Both are secrets: who has the URL can send there.

Read without dlt, which would keep a value that it resolved in its trace.
"""

import json
import math
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from pipelines.config.dlt_context import active
from pipelines.config.own_settings import CONFIG, KEYS, SECRETS, Found
from pipelines.errors import ConfigError

SECTION: Final = "alerts"
DEFAULT_REMIND_HOURS: Final = 24.0
MAX_REMIND_HOURS: Final = 1_000_000
KEYS[SECTION] = frozenset({"urls", "ping_url", "remind_after_hours"})

HOW: Final = 'List Apprise URLs in .dlt/secrets.toml, such as urls = ["slack://…"] under [alerts]: see docs/alerts.md.'


@dataclass(frozen=True)
class AlertSettings:
    """The channels' URLs, and after how long an open finding is sent again; None: never."""

    urls: tuple[str, ...]
    remind_after: timedelta | None


def read_alert_settings() -> AlertSettings:
    """The settings of `check --notify`. Raises ConfigError if no channel is set, or one is wrong; shows no URL."""
    found = _find("urls")
    urls = _listed(found.value) if found else ()
    if not urls:
        raise ConfigError(f"No channel to notify is set: `urls` under [{SECTION}] is missing or empty.", HOW)
    for number, url in enumerate(urls, 1):
        if not isinstance(url, str) or not url.strip():
            raise ConfigError(f"Number {number} of {_named('urls', found)} is not a URL.", HOW)
    return AlertSettings(tuple(url.strip() for url in urls), _remind_after())


def has_channels() -> bool:
    """Whether `urls` is set at all."""
    return _find("urls") is not None


def read_ping_url() -> str | None:
    """The URL to ping at the start and the end of a load; None if there is none."""
    found = _find("ping_url")
    url = found.value if found else None
    return url.strip() or None if isinstance(url, str) else None


def _find(key: str) -> Found | None:
    """A secret setting. Raises ConfigError if it is in the file that anyone may read."""
    found = active().settings.find((SECTION, key), secret=True)
    if found and isinstance(found.place, Path) and found.place.name == CONFIG:
        raise ConfigError(
            f"`{SECTION}.{key}` is a secret, but is set in {found.place}.",
            f"Move it to {found.place.with_name(SECRETS)}, and run chmod 600 on that file.",
        )
    return found


def _listed(given: Any) -> tuple[Any, ...]:
    """A list, or the text of one as a variable has it; or one URL a line."""
    if isinstance(given, str) and given.strip().startswith("["):
        try:
            given = json.loads(given)
        except ValueError:
            raise ConfigError(
                f"{_named('urls', _find('urls'))} is not a list.",
                'As text it must be JSON: ["slack://…", "mailtos://…"].',
            ) from None
    if isinstance(given, str):
        return tuple(filter(str.strip, given.splitlines()))
    return tuple(given) if isinstance(given, list) else (given,)


def _remind_after() -> timedelta | None:
    found = active().settings.find((SECTION, "remind_after_hours"))
    given = DEFAULT_REMIND_HOURS if found is None else found.value
    try:
        hours = math.nan if isinstance(given, bool) else float(given)
    except (ArithmeticError, TypeError, ValueError):
        hours = math.nan
    if not 0 <= hours <= MAX_REMIND_HOURS:
        raise ConfigError(
            f"{_named('remind_after_hours', found)} is not a number of hours from 0 to {MAX_REMIND_HOURS:,}.",
            f"0 means never; the default is {DEFAULT_REMIND_HOURS:g}.",
        )
    return timedelta(hours=hours) or None


def _named(key: str, found: Found | None) -> str:
    return f"`{key}` under [{SECTION}]" + (f" ({found})" if found else "")
