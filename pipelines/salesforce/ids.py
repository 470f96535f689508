"""Salesforce record ids: 15 case-sensitive characters, or 18 with a suffix that encodes their case."""

import re
from typing import Any, Final

ID_LENGTHS: Final = (15, 18)
_SHORT: Final = re.compile(r"[0-9A-Za-z]{15}", re.ASCII)
_SUFFIX: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def full_id(given: Any) -> Any:
    """The 18-character form of a 15-character id; anything else unchanged.

    Each character of the suffix encodes five of the id, one bit per capital letter, the first one lowest:
    https://help.salesforce.com/s/articleView?id=000385585
    """
    if not isinstance(given, str) or not _SHORT.fullmatch(given):
        return given
    fives = (given[at : at + 5] for at in (0, 5, 10))
    return given + "".join(_SUFFIX[sum(c.isupper() << bit for bit, c in enumerate(five))] for five in fives)


def same_id(one: str, other: str) -> bool:
    """Whether two ids, of 15 or 18 characters, identify the same record."""
    return one == other or (len(one) in ID_LENGTHS and len(other) in ID_LENGTHS and one[:15] == other[:15])
