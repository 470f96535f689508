"""What can go wrong: exceptions with exit codes that cron and systemd can tell apart.

The exit codes are those of sysexits.h.
"""

import errno
import os
import traceback
from collections.abc import Iterator

import duckdb


class RecorderError(Exception):
    """Any error that ends the run. `message` says what happened, `remedy` what to do next."""

    exit_code = os.EX_SOFTWARE  # 70
    # The original exception may contain a secret (a key used as a file name, a proxy's password). `from None` hides it,
    # but dlt pickles an error's context into its trace.pickle regardless, so a RecorderError has no context.
    __context__ = None

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class InvalidResponse(RecorderError):
    """A response that is not what Salesforce documents; perhaps from a proxy or a maintenance page."""


class TemporaryError(RecorderError):
    """A temporary problem: a lock, a spent API budget, Salesforce or the network down."""

    exit_code = os.EX_TEMPFAIL  # 75


class LastingFailure(RecorderError):
    """A temporary problem that has lasted so long that someone should look at it."""

    exit_code = os.EX_UNAVAILABLE  # 69


class NoResponse(TemporaryError):
    """A request got no response: timed out, cut off, or the host was unreachable."""


class AccessDenied(RecorderError):
    """Salesforce refused the sign-in, or the user lacks a permission."""

    exit_code = os.EX_NOPERM  # 77


class ConfigError(RecorderError):
    """A setting is missing or wrong. Retrying does not help until it is changed."""

    exit_code = os.EX_CONFIG  # 78


class UsageError(ConfigError):
    """An argument of the command line is wrong, in a way that only its command can know: a view, a column, an org."""

    exit_code = 2  # as argparse ends for the others


def sanitize(text: object, at_most: int = 300) -> str:
    """Text from outside, made safe for a message: one line, shortened, and without characters that would control the
    terminal (escape sequences, bidirectional marks)."""
    line = " ".join(str(text)[: 4 * at_most].split())[:at_most]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def exception_chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, outermost first. dlt wraps errors inside a step in exceptions of its own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def describe_unexpected(error: BaseException) -> str:
    """An error without its own text, which may quote a secret or a value of a record: its type, what the system says,
    and the line of code that raised it."""
    system = f" ({os.strerror(error.errno)})" if isinstance(error, OSError) and error.errno else ""
    *_, (frame, line) = [(None, 0), *traceback.walk_tb(error.__traceback__)]
    place = f" in {frame.f_globals.get('__name__', '?')}, line {line}" if frame else ""
    return f"unexpected {type(error).__name__}{system}{place}"


def unwrap_error(error: BaseException) -> RecorderError | None:
    """The `RecorderError` inside an error, if there is one."""
    return next((cause for cause in exception_chain(error) if isinstance(cause, RecorderError)), None)


def disk_full_error(error: BaseException) -> RecorderError | None:
    """The RecorderError for an error that means a full disk or a file size limit; None for other errors."""
    if _has_errno(error, errno.EFBIG):
        return RecorderError(
            "File size limit reached: this user's (see ulimit -f) or the file system's.",
            "Raise the limit and run this again. Everything recorded before is safe.",
        )
    if _has_errno(error, errno.ENOSPC, errno.EDQUOT):
        return RecorderError(
            "The disk is full.", "Free some space and run this again. Everything recorded before is safe."
        )
    return None


def is_permission_error(error: BaseException) -> bool:
    """Whether an error means missing permission to read or write."""
    return _has_errno(error, errno.EACCES, errno.EPERM, errno.EROFS)


def is_long_name(error: BaseException) -> bool:
    """Whether an error means that a path is too long for the file system."""
    return _has_errno(error, errno.ENAMETOOLONG)


def _has_errno(error: BaseException, *numbers: int) -> bool:
    """Whether it is one of these system errors: by errno, or by its text inside a DuckDB error."""
    if isinstance(error, OSError):
        return error.errno in numbers
    return isinstance(error, duckdb.Error) and any(os.strerror(number) in str(error) for number in numbers)
