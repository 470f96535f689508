"""What is said on stdout and stderr, and about which org, if a run records several: its name precedes the message.

A terminal shows it as it is. Elsewhere each message is one line, with time, program and level before it, or one JSON
object, for a collector of logs.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from typing import Any, Final

PROGRAM: Final = "bulk-jobs"
_NAME: Final = ContextVar("org", default="")


def org_in_turn() -> str:
    """The name of the org that this thread works for; "" for the only one."""
    return _NAME.get()


@contextmanager
def for_org(name: str) -> Iterator[None]:
    """What this thread logs in this block is about this org."""
    token = _NAME.set(name)
    try:
        yield
    finally:
        _NAME.reset(token)


def for_same_org(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same function for another thread, which works for the org that this one works for."""
    context = copy_context()
    return lambda *given: context.copy().run(work, *given)


def set_up(level: int, log_format: str) -> None:
    """Formats all messages from now on: as text or as JSON."""
    _NOW["form"] = AsJson() if log_format == "json" else None if _in_terminal() else AsLine()
    handler = logging.StreamHandler()
    handler.setFormatter(_NOW["form"] or logging.Formatter("%(levelname)s: %(org)s%(message)s"))
    handler.addFilter(prefix)
    logging.basicConfig(level=level, handlers=[handler])


def take_over(name: str, wanted: Callable[[logging.LogRecord], bool]) -> None:
    """What a library's logger says, if it is wanted, is said like the rest, not in its own format and twice."""

    def said_here(entry: logging.LogRecord) -> bool:
        if not wanted(entry):
            return False
        if _NOW["form"]:
            logging.getLogger().handle(entry)
        return _NOW["form"] is None

    logging.getLogger(name).addFilter(said_here)


def say(*lines: object, sep: str = "\n") -> None:
    """Prints. A reader that has closed the pipe is no error: the work is done, and the exit code tells the result."""
    try:
        print(*lines, sep=sep, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - to the end of the process


def say_failure(failure: object, exit_code: int | None = None, org: str = "") -> None:
    """Says why a run, or the recording of one org, has failed."""
    if _NOW["form"]:
        sys.stderr.write(f"{_formatted(_NOW['form'], logging.ERROR, failure, org, exit_code)}\n")
    else:
        sys.stderr.write(f"{f'{org}: ' if org else ''}{failure}\n")


def as_said(result: object, org: str = "") -> str:
    """A line about what a run did: as it is, or as JSON like all messages."""
    form = _NOW["form"]
    if isinstance(form, AsJson):
        return _formatted(form, logging.INFO, result, org, None)
    return f"{f'{org}: ' if org else ''}{result}"


def _formatted(form: logging.Formatter, level: int, message: object, org: str, exit_code: int | None) -> str:
    entry = logging.LogRecord(PROGRAM, level, "", 0, "%s", (message,), None)
    entry.exit_code = exit_code
    with for_org(org):
        prefix(entry)
    return form.format(entry)


class AsLine(logging.Formatter):
    """`2026-11-16T06:00:00Z bulk-jobs ERROR: org: message`"""

    def format(self, entry: logging.LogRecord) -> str:
        traceback = f"\n{self.formatException(entry.exc_info)}" if entry.exc_info else ""
        org = vars(entry).get("org", "")
        return f"{_time(entry)} {PROGRAM} {entry.levelname}: {org}{_in_one_line(entry)}{traceback}"


class AsJson(logging.Formatter):
    """{"time": …, "program": …, "org": …, "level": …, "message": …}, with the exit code and traceback if there are."""

    def format(self, entry: logging.LogRecord) -> str:
        said = {
            "time": _time(entry),
            "program": PROGRAM,
            "org": vars(entry).get("org", "").removesuffix(": "),
            "level": entry.levelname,
            "message": _in_one_line(entry),
            "exit_code": vars(entry).get("exit_code"),
            "traceback": self.formatException(entry.exc_info) if entry.exc_info else None,
        }
        return json.dumps({key: value for key, value in said.items() if value is not None}, ensure_ascii=False)


_NOW: Final[dict[str, logging.Formatter | None]] = {"form": None}  # None: as it is, for a terminal


def _in_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _time(entry: logging.LogRecord) -> str:
    return f"{datetime.fromtimestamp(entry.created, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _in_one_line(entry: logging.LogRecord) -> str:
    """Its lines, with a semicolon after each that ends without punctuation: it does no harm after a command, either."""
    lines = [" ".join(line.split()) for line in entry.getMessage().splitlines() if line.strip()]
    return " ".join([*(line if line[-1] in ".,:;!?…" else f"{line};" for line in lines[:-1]), *lines[-1:]])


def prefix(entry: logging.LogRecord) -> bool:
    """A logging filter that gives each entry the attribute `org`."""
    entry.org = f"{org_in_turn()}: " if org_in_turn() else ""
    return True
