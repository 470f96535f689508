"""What can go wrong, as four exceptions that cron can tell apart by their exit code.

The codes are those of sysexits.h, which cron wrappers and systemd know.
"""

import errno
import os
from collections.abc import Iterator

import duckdb


class Failure(Exception):
    """Something that ends the run. `message` says what happened, `remedy` what to do next."""

    exit_code = os.EX_SOFTWARE  # 70
    # What `from None` hides may quote a secret: a key taken for a file's name, a proxy's password. dlt writes the
    # context of an error into its trace.pickle all the same, so a Failure has none.
    __context__ = None

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class Unreadable(Failure):
    """An answer that is not what Salesforce documents: a proxy or a maintenance page may have given it."""


class TryLater(Failure):
    """Nothing is wrong with the set-up: locked, busy, quota spent, Salesforce or the network down."""

    exit_code = os.EX_TEMPFAIL  # 75


class NoAnswer(TryLater):
    """One request got no answer: not in time, broken off, or the host could not be reached."""


class NotPermitted(Failure):
    """Salesforce refused the sign-in, or the user behind it may not do this."""

    exit_code = os.EX_NOPERM  # 77


class Misconfigured(Failure):
    """A setting is missing or wrong: no later try helps until somebody changes it."""

    exit_code = os.EX_CONFIG  # 78


def sanitize(text: object, at_most: int = 300) -> str:
    """What somebody else wrote, fit to stand in a message: on one line, cut off, and without a character that a
    terminal would obey instead of showing (escape sequences, bidirectional marks)."""
    line = " ".join(str(text)[: 4 * at_most].split())[:at_most]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def exception_chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what is behind it, outermost first: dlt wraps what happens inside a step in errors of its own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def unwrap_error(error: BaseException) -> Failure | None:
    """The `Failure` that an error wraps, if there is one."""
    return next((cause for cause in exception_chain(error) if isinstance(cause, Failure)), None)


def disk_full_error(error: BaseException) -> Failure | None:
    """What to say where an error means that there is no room."""
    if _means(error, errno.EFBIG):
        return Failure(
            "A file reached its size limit: this user's (ulimit -f shows it), or the file system's.",
            "Raise the limit and run this again. What was recorded before stays.",
        )
    if _means(error, errno.ENOSPC, errno.EDQUOT):
        return Failure("The disk is full.", "Free some space and run this again. What was recorded before stays.")
    return None


def is_permission_error(error: BaseException) -> bool:
    """Whether an error means that something may not be written, or not be read."""
    return _means(error, errno.EACCES, errno.EPERM, errno.EROFS)


def _means(error: BaseException, *numbers: int) -> bool:
    """Whether it is one of these errors of the system: by its number, or by the text that DuckDB gives in its own."""
    if isinstance(error, OSError):
        return error.errno in numbers
    return isinstance(error, duckdb.Error) and any(os.strerror(number) in str(error) for number in numbers)
