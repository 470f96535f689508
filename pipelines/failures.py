"""What can go wrong, as four exceptions that cron can tell apart by their exit code.

The codes are those of sysexits.h, which cron wrappers and systemd know.
"""

import errno
import os
from collections.abc import Iterator


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


class NotPermitted(Failure):
    """Salesforce refused the sign-in, or the user behind it may not do this."""

    exit_code = os.EX_NOPERM  # 77


class Misconfigured(Failure):
    """A setting is missing or wrong: no later try helps until somebody changes it."""

    exit_code = os.EX_CONFIG  # 78


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what is behind it, outermost first: dlt wraps what happens inside a step in errors of its own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def failure_behind(error: BaseException) -> Failure | None:
    """The `Failure` that an error wraps, if there is one."""
    return next((cause for cause in causes(error) if isinstance(cause, Failure)), None)


def full_disk(error: BaseException) -> Failure | None:
    """What to say where an error means that there is no room: errno tells, or the text of DuckDB's own errors."""
    code, text = getattr(error, "errno", None), str(error)

    def means(*numbers: int) -> bool:
        return code in numbers or any(os.strerror(number) in text for number in numbers)

    if means(errno.EFBIG):
        return Failure(
            "A file may not grow any further: this user's processes may not write larger ones, or the file system.",
            "Raise the limit (ulimit -f shows it). Nothing is lost: the next load makes it good.",
        )
    if means(errno.ENOSPC, errno.EDQUOT):
        return Failure("The disk is full.", "Make room. Nothing is lost: the next load makes it good.")
    return None
