"""Why a run ended: whatever was raised, as a sentence that says what happened and what to do."""

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
    """The Failure that an error is, or is caused by; one that says what kind of error it was where that is unknown."""
    if failure := unwrap_error(error):
        return failure
    behind = list(exception_chain(error))
    wrong_setting = next((cause for cause in behind if isinstance(cause, ConfigurationException)), None)
    full = next(filter(None, map(disk_full_error, behind)), None)  # what led to it may be another error
    return misconfigured(wrong_setting) if wrong_setting else full or _unexpected(behind[-1])


def _unexpected(error: BaseException) -> Failure:
    first_line, *_ = str(error).strip().splitlines() or ["no message"]
    places = PermissionError | NotADirectoryError | FileNotFoundError | FileExistsError
    if isinstance(error, places) or (isinstance(error, OSError) and is_permission_error(error)):
        if error.filename is None:
            return Misconfigured(
                f"A file cannot be used: {sanitize(first_line)}.", "Does another run use the same files?"
            )
        return Misconfigured(
            f"Cannot use {error.filename}: {error.strerror}.",
            "Let this user read and write there. What was recorded before stays.",
        )
    from pipelines.warehouse.damage import is_damage  # noqa: PLC0415 - a load has it

    if is_damage(error):  # yet no checksum is wrong
        return Failure(
            f"DuckDB cannot read a file: {sanitize(first_line)}",
            "If the next load ends the same way, save the loader's file elsewhere and restore it from an earlier copy "
            "(docs/operations.md, Restore).",
        )
    return Failure(
        f"Unexpected {type(error).__name__}: {sanitize(first_line)}",
        "What was recorded before stays. The next load tries again; --verbose shows where it happened.",
    )
