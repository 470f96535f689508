"""When everything is sent again: may it replace all rows of the recorder's orgs at the destination?"""

import logging

from pipelines.forwarding.database import Database
from pipelines.forwarding.differences import Differences
from pipelines.forwarding.lake import Lake
from pipelines.forwarding.registry import Registry
from pipelines.plural import counted

Place = Database | Lake
Recorders = Registry | Lake

logger = logging.getLogger(__name__)


def may_replace(
    place: Place,
    recorders: Recorders,
    orgs: frozenset[str],
    found: Differences,
    *,
    full: bool,
    was_sent: bool,
    was_compared: bool,
) -> bool:
    """Whether these orgs' rows may be replaced by those of the file, so that what it has moved or merged is not there
    twice: if `--full` asks for it, or the file still has each listing that is there; never those that other recorders
    forward, too. Warns of what stays there, unless that is found by comparing with the copy last sent."""
    if shared := orgs & recorders.orgs_of_others():
        if full:
            logger.warning(
                "Other recorders forward %s, too: everything was sent, and nothing removed there.",
                ", ".join(sorted(shared)),
            )
        return False
    if full:
        return True
    if not was_sent:
        return False
    lacking = place.listings(orgs) - found.listings
    if lacking and not was_compared:
        logger.warning(
            "The destination has %s that the published copy lacks: an older file was restored, or a new one begun. "
            "What they recorded stays there; to remove it: forward --full",
            counted(len(lacking), "listing"),
        )
    return not lacking
