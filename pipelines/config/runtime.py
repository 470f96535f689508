"""The settings of `[runtime]`, which dlt uses as they are: checked before it does."""

import logging
from collections.abc import Callable
from typing import Final

from dlt.common.configuration.specs import RuntimeConfiguration

from pipelines.errors import ConfigError, sanitize

DAY: Final = 86_400
# Each setting's least value, and whether that itself is allowed; all are numbers of seconds, but for one.
LEAST: Final = {
    "request_timeout": (0, False),
    "request_max_attempts": (1, True),
    "request_backoff_factor": (0, True),
    "request_max_retry_delay": (0, True),
}


def check_runtime(runtime: RuntimeConfiguration, named: Callable[[str], str]) -> None:
    """Raises ConfigError for a value that dlt, or the HTTP library, could not use. `named` says where it is set."""
    for key, (least, allowed) in LEAST.items():
        value = getattr(runtime, key)
        if not ((value >= least if allowed else value > least) and value <= DAY):  # nor is NaN
            what = "number of attempts" if key == "request_max_attempts" else "number of seconds"
            raise ConfigError(
                f"{named(f'runtime.{key}')} is {f'{value:g}' if isinstance(value, float) else sanitize(value, 60)}.",
                f"It must be a {what}, {'from' if allowed else 'above'} {least}, at most {DAY:,}.",
            )
    if str(runtime.log_level) not in logging.getLevelNamesMapping():
        raise ConfigError(
            f"{named('runtime.log_level')} is {sanitize(repr(runtime.log_level), 60)}.",
            "It must be one of DEBUG, INFO, WARNING, ERROR and CRITICAL.",
        )
    if runtime.log_format != "JSON" and not _is_format(str(runtime.log_format)):
        raise ConfigError(
            f"{named('runtime.log_format')} is {sanitize(repr(runtime.log_format), 60)}.",
            "It must be a format of Python's logging with {fields}, such as {message}, or JSON.",
        )


def _is_format(text: str) -> bool:
    try:
        logging.Formatter(text, style="{")
    except (ValueError, KeyError):
        return False
    return True
