"""What a bucket or a folder refuses, in words. The drivers' own texts can contain addresses: these are ours."""

import re
from collections.abc import Sequence
from typing import Final

from pipelines.errors import (
    AccessDenied,
    ConfigError,
    RecorderError,
    TemporaryError,
    disk_full_error,
    is_long_name,
    is_permission_error,
    sanitize,
)
from pipelines.tables import TABLES

PLACE: Final = "the lake at bucket_url under [destination.filesystem]"
# Codes of S3, and words of the libraries that talk to it
NO_BUCKET: Final = ("NoSuchBucket", "The specified bucket does not exist")
DENIED: Final = (
    "AccessDenied", "Access Denied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
    "Unable to locate credentials", "NoCredentialsError",
)  # fmt: skip
UNREACHABLE: Final = (
    "EndpointConnectionError", "Could not connect to the endpoint", "ConnectTimeout", "ClientConnectorError",
    "Connection refused", "error sending request", "SlowDown", "ServiceUnavailable", "ConnectionClosed",
)  # fmt: skip
RUST_ERROR: Final = re.compile(r"\(os error (\d+)\)")  # how Delta's library tells of an error of the system
# Of Delta's library: a log that cannot be read, or a file that it names and that is not there
DAMAGED: Final = re.compile(
    "Kernel error|No table metadata|TableNotFoundError|DeltaProtocolError|Object at location .* not found"
)
OTHERS: Final = ("CommitFailedError", "concurrent transaction")


def explain_lake(chain: Sequence[BaseException]) -> RecorderError | None:
    """The RecorderError for an error of a lake's driver; None if it is unknown."""
    said = " ".join(
        f"{type(cause).__name__}: {' '.join([str(cause), *getattr(cause, '__notes__', ())])}" for cause in chain
    )
    of_rust = [OSError(int(number), said) for number in RUST_ERROR.findall(said)]
    if full := next(filter(None, map(disk_full_error, of_rust)), None):
        return full
    if any(word in said for word in NO_BUCKET):
        return ConfigError(f"There is no bucket for {PLACE}.", "Create it, or correct bucket_url.")
    if any(word in said for word in DENIED) or any(map(is_permission_error, (*chain, *of_rust))):
        return AccessDenied(
            f"Access to {PLACE} was denied.",
            "The user needs the rights to list, read, write and delete there: check the keys, or the folder's owner.",
        )
    wrong_kinds = NotADirectoryError | FileExistsError | IsADirectoryError
    unusable = (error for error in (*chain, *of_rust) if isinstance(error, wrong_kinds) or is_long_name(error))
    if wrong := next(unusable, None):
        which = f": {sanitize(str(wrong.filename), 200)}" if isinstance(wrong, OSError) and wrong.filename else ""
        is_long = is_long_name(wrong)
        what = (
            "A name is too long for the file system"
            if is_long
            else "Something else is in the place of a file or folder"
        )
        remedy = "Shorten" if is_long else "Move it away, or correct"
        return ConfigError(f"{what} of {PLACE}{which}.", f"{remedy} bucket_url; then forward again.")
    if any(word in said for word in (*UNREACHABLE, *OTHERS)):
        return TemporaryError(
            f"Cannot reach {PLACE}, or another recorder interfered.",
            "Nothing is marked as sent; the next forward tries again.",
        )
    return _damaged_delta(said, chain[-1])


def _damaged_delta(said: str, error: BaseException) -> ConfigError | None:
    if not DAMAGED.search(said.replace("\n", " ")) or "Generic S3 error" in said:  # of S3, it may be the connection
        return None
    which = next((f"The Delta table {table.name}" for table in TABLES if f"/{table.name}/" in said), "A Delta table")
    return ConfigError(
        f"{which} of {PLACE} is damaged: {sanitize(error, 200).rstrip('.')}.",
        "Restore its folder, for example from an earlier version that the bucket has kept. If that is not possible, "
        "remove the folder of this table: the next forward creates it again, and sends everything.",
    )
