"""Warns of what a run could not fetch in addition to the listing."""

import logging

logger = logging.getLogger(__name__)


def warn_incomplete(note: str, setting: str) -> None:
    """`note` begins with the name of the table that lacks rows; `setting` is what stops the run from asking."""
    logger.warning("The jobs are recorded, but not all of %s (To stop asking: %s under [query_jobs].)", note, setting)
