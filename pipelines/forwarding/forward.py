"""One forward: what changed in the published copy since the last one goes to the destination.

Only once all has arrived does the new copy take the place of the one last sent. Wherever a forward is killed, the next
one finds the same differences, and sends them again (see `sending.py`). If another file is published by then, it sends
everything, for a row of it that equals the one last sent may be a different one there.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from pipelines.config.project import command_for
from pipelines.config.settings import Settings
from pipelines.errors import ConfigError, exception_chain
from pipelines.forwarding.delivery import dialect_of, place_of_data
from pipelines.forwarding.destination_errors import Credentials, explained
from pipelines.forwarding.destination_views import fingerprint
from pipelines.forwarding.differences import Change, compared
from pipelines.forwarding.sending import Forwarded, Mode, Sending
from pipelines.forwarding.sent_copy import SentCopy
from pipelines.forwarding.settings import ForwardSettings
from pipelines.interrupts import causing_signal
from pipelines.regular_files import holds_something
from pipelines.warehouse.damage import damaged_part
from pipelines.warehouse.reader import opened

logger = logging.getLogger(__name__)


def forward(settings: Settings, forwarding: ForwardSettings, mode: Mode) -> Forwarded:
    """Sends what is new. Raises a RecorderError; whatever it was, the next forward sends what this one did not."""
    began = time.monotonic()
    copy, hidden = copy_sent_to(settings, forwarding)
    done = Forwarded(f"{forwarding.destination}, dataset {forwarding.dataset}", mode.init)
    with copy.exclusive(), _damage_named(settings.warehouse, copy.new):
        written = (dialect_of(forwarding), forwarding.dataset, forwarding.table_format)
        views = fingerprint(*written) if forwarding.views else None
        as_before = (copy.known.get("recorder"), copy.known.get("views")) == (forwarding.recorder, views)
        if not (as_before and mode == Mode() and copy.has(settings.warehouse)):
            copy.take(settings.warehouse)
            before = None if mode.full else copy.comparable(copy.new)
            if copy.sent.is_file() and not copy.known:
                logger.warning("What is known of the copy in %s is lost: everything is sent again.", copy.folder)
            with compared(copy.new, before, copy.folder / "spill") as found:
                if as_before and mode == Mode() and not any(found.changes) and copy.half_sent is None:
                    copy.commit()
                else:
                    Sending(settings, forwarding, mode, copy, views).connect(found, hidden, done)
    done.seconds = time.monotonic() - began
    return done


def differences(settings: Settings, forwarding: ForwardSettings, *, full: bool) -> dict[str, Change]:
    """By table, what a forward would send now. Nothing is written, there or here."""
    copy, _ = copy_sent_to(settings, forwarding)
    before, published = None, settings.warehouse
    if not full:
        before = published if copy.has(published) else copy.comparable(published)
    temporary = Path(f"{published}.tmp")
    with _damage_named(published, published), compared(published, before, temporary) as found:
        return {change.table.name: change for change in found.changes}


def copy_sent_to(settings: Settings, forwarding: ForwardSettings) -> tuple[SentCopy, Credentials]:
    """Where the copy last sent to this place is, and what of the destination's settings must not be shown. Raises
    ConfigError if these are incomplete, or if nothing was published yet."""
    hidden = Credentials()
    with explained(forwarding, "", hidden):
        place = place_of_data(forwarding, hidden)
    if not holds_something(settings.warehouse):
        raise ConfigError(
            f"There is nothing to forward: there is no warehouse at {settings.warehouse} yet.",
            f"The next load publishes it: {command_for('load')}.",
        )
    return SentCopy(settings.primary_file, place, forwarding.table_format), hidden


@contextmanager
def _damage_named(published: Path, taken: Path) -> Iterator[None]:
    """If the block fails because what was taken of the published copy is damaged, raises ConfigError that says so."""
    try:
        yield
    except Exception as error:
        if causing_signal(exception_chain(error)):
            raise
        part = None
        with suppress(OSError, duckdb.Error):
            part = damaged_part(taken)
        if part is None:
            if isinstance(error, duckdb.IOException):
                with opened(published):  # which says why it cannot be: a newer version's, or locked
                    pass
            raise
        raise ConfigError(
            f"The published copy {published} is damaged: {part}. Not everything was sent.",
            f"The next load publishes it again: {command_for('load')}. Then forward again.",
        ) from None
