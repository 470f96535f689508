"""Ctrl-C and SIGTERM: remembered from the moment they come, for DuckDB may put an error of its own in their place."""

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
    """From here on SIGTERM and Ctrl-C raise Interrupted, unless whoever started us has Ctrl-C ignored (nohup)."""
    _received.clear()
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _received.append(number)
    raise Interrupted(number)


def raise_if_interrupted(error: BaseException) -> None:
    """Raises Interrupted where a signal is behind an error of DuckDB's: the first thing in whatever catches one."""
    number = causing_signal([error])
    if number:
        raise Interrupted(number) from None


def causing_signal(errors: Iterable[BaseException]) -> int:
    """The signal that one of the errors comes from; 0 where none does.

    DuckDB stops a query at a signal by an InterruptException or by RuntimeError("Query interrupted"). DuckDB 1.5 keeps
    the handler's own exception as the cause, 2.0 does not.
    """
    for error in errors:
        if isinstance(error, KeyboardInterrupt):
            return int(getattr(error, "signal_code", signal.SIGINT))
        if isinstance(error, duckdb.InterruptException) or str(error) == "Query interrupted":
            return _received[0] if _received else signal.SIGINT
    return _received[0] if _received else 0
