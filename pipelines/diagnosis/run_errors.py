"""Turns any exception that ends a run into a RecorderError that says what happened and what to do."""

from dlt.common.configuration.exceptions import ConfigurationException

from pipelines.config.dlt_context import config_error
from pipelines.errors import (
    ConfigError,
    RecorderError,
    disk_full_error,
    exception_chain,
    is_long_name,
    is_permission_error,
    sanitize,
    unwrap_error,
)


def failure_of(error: BaseException) -> RecorderError:
    """The RecorderError inside an error; for any other error, a RecorderError that describes it."""
    if failure := unwrap_error(error):
        return failure
    chain = list(exception_chain(error))
    wrong_setting = next((cause for cause in chain if isinstance(cause, ConfigurationException)), None)
    full = next(filter(None, map(disk_full_error, chain)), None)  # not necessarily the root cause
    return config_error(wrong_setting) if wrong_setting else full or _unexpected(chain[-1])


def _unexpected(error: BaseException) -> RecorderError:
    first_line, *_ = str(error).strip().splitlines() or ["no message"]
    wrong_kinds = NotADirectoryError | FileExistsError | IsADirectoryError
    places = PermissionError | FileNotFoundError | wrong_kinds
    if isinstance(error, places) or (isinstance(error, OSError) and is_permission_error(error)):
        if error.filename is None:
            return ConfigError(
                f"Cannot use a file: {sanitize(first_line)}.", "Check whether another run uses the same files."
            )
        remedy = "Let this user read and write there"
        if isinstance(error, wrong_kinds):
            remedy = "Something else is in the place of a file or a folder: move it away, then run this again"
        return ConfigError(
            f"Cannot use {error.filename2 or error.filename}: {error.strerror}.",
            f"{remedy}. Everything recorded before is safe.",
        )
    if is_long_name(error):
        return ConfigError(
            f"A path is too long for the file system: {sanitize(first_line)}",
            "Choose a shorter one. The names of files that the recorder puts beside a database are a little longer.",
        )
    from pipelines.warehouse.damage import is_damage  # noqa: PLC0415 - a load has imported it

    if is_damage(error):  # although every checksum is right
        return RecorderError(
            f"DuckDB cannot read a file: {sanitize(first_line)}",
            "If the next load fails the same way, back up the primary database and restore an earlier copy "
            "(docs/operations.md, Restore).",
        )
    return RecorderError(
        f"Unexpected {type(error).__name__}: {sanitize(first_line)}",
        "Everything recorded before is safe. The next load tries again; --verbose shows the traceback.",
    )
