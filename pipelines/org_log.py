"""Whose org a log line is about, if a run records several: its name precedes the message."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, Final

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


def prefix(entry: logging.LogRecord) -> bool:
    """A logging filter that gives each entry the attribute `org`."""
    entry.org = f"{org_in_turn()}: " if org_in_turn() else ""
    return True
