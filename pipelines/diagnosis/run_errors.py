"""Turns any exception that ends a run into a Failure that says what happened and what to do."""

from dlt.common.configuration.exceptions import ConfigurationException

from pipelines.config.dlt_context import misconfigured
from pipelines.errors import (
    Failure,
    Misconfigured,
    disk_full_error,
    exception_chain,
    is_permission_error,
    sanitize,
    unwrap_error,
)


def failure_of(error: BaseException) -> Failure:
    """The Failure inside an error; for any other error, a Failure that describes it."""
    if failure := unwrap_error(error):
        return failure
    chain = list(exception_chain(error))
    wrong_setting = next((cause for cause in chain if isinstance(cause, ConfigurationException)), None)
    full = next(filter(None, map(disk_full_error, chain)), None)  # not necessarily the root cause
    return misconfigured(wrong_setting) if wrong_setting else full or _unexpected(chain[-1])


def _unexpected(error: BaseException) -> Failure:
    first_line, *_ = str(error).strip().splitlines() or ["no message"]
    places = PermissionError | NotADirectoryError | FileNotFoundError | FileExistsError
    if isinstance(error, places) or (isinstance(error, OSError) and is_permission_error(error)):
        if error.filename is None:
            return Misconfigured(
                f"Cannot use a file: {sanitize(first_line)}.", "Check whether another run uses the same files."
            )
        return Misconfigured(
            f"Cannot use {error.filename}: {error.strerror}.",
            "Let this user read and write there. Everything recorded before is safe.",
        )
    from pipelines.warehouse.damage import is_damage  # noqa: PLC0415 - a load has imported it

    if is_damage(error):  # although every checksum is right
        return Failure(
            f"DuckDB cannot read a file: {sanitize(first_line)}",
            "If the next load fails the same way, back up the primary database and restore an earlier copy "
            "(docs/operations.md, Restore).",
        )
    return Failure(
        f"Unexpected {type(error).__name__}: {sanitize(first_line)}",
        "Everything recorded before is safe. The next load tries again; --verbose shows the traceback.",
    )
