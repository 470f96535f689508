"""Ctrl-C and SIGTERM: remembered when they arrive, because DuckDB may raise an error of its own instead."""

import signal
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn

import duckdb

_received: list[int] = []


class Interrupted(KeyboardInterrupt):
    """A signal that ends the run. `signal_code` is its number, as in dlt's own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal_code = number


def end_on_signals() -> None:
    """From now on SIGTERM and Ctrl-C raise Interrupted, unless the parent process set Ctrl-C to be ignored (nohup)."""
    _received.clear()
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _received.append(number)
    raise Interrupted(number)


def raise_if_interrupted(error: BaseException) -> None:
    """Raises Interrupted if a signal caused this DuckDB error. Call it first in every handler of DuckDB errors."""
    number = causing_signal([error])
    if number:
        raise Interrupted(number) from None


def causing_signal(errors: Iterable[BaseException]) -> int:
    """The signal that caused one of the errors, or 0.

    When a signal stops a query, DuckDB raises InterruptException or RuntimeError("Query interrupted"). DuckDB 1.5 keeps
    the handler's exception as the cause, 2.0 does not.
    """
    for error in errors:
        if isinstance(error, KeyboardInterrupt):
            return int(getattr(error, "signal_code", signal.SIGINT))
        if isinstance(error, duckdb.InterruptException) or str(error) == "Query interrupted":
            return _received[0] if _received else signal.SIGINT
    return _received[0] if _received else 0


def set_aside_signal() -> int:
    """The signal that has ended the run, or 0; from now on nothing is attributed to it, so that the run can still put
    away what it has."""
    number = causing_signal(())
    _received.clear()
    return number
