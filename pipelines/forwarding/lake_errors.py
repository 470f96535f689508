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
    is_permission_error,
)

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
OTHERS: Final = ("CommitFailedError", "concurrent transaction")


def explain_lake(chain: Sequence[BaseException]) -> RecorderError | None:
    """The RecorderError for an error of a lake's driver; None if it is unknown."""
    said = " ".join(f"{type(cause).__name__}: {cause}" for cause in chain)
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
    if any(isinstance(cause, NotADirectoryError | FileExistsError) for cause in chain):
        return ConfigError(
            f"A folder of {PLACE} cannot be created: a file has its name.", "Remove it, or correct bucket_url."
        )
    if any(word in said for word in (*UNREACHABLE, *OTHERS)):
        return TemporaryError(
            f"Cannot reach {PLACE}, or another recorder interfered.",
            "Nothing is marked as sent; the next forward tries again.",
        )
    return None
