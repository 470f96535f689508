"""Salesforce record ids: 15 case-sensitive characters, and the 3 that make them safe to compare without case.

SOURCE: https://help.salesforce.com/s/articleView?id=000385585 (how the 18-character form is made from the
15-character one); held to ids from recorded answers in tests/demo_org/test_demo_org.py.
"""

from __future__ import annotations

# Salesforce counts in this order: digits, capitals, small letters.
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
# To each character one bit: 1 for a capital letter
_CAPITALS = {ord(char): "01"[char.isupper()] for char in BASE62}
INSTANCE = "Dm0"  # positions 4 to 6 name the instance that made the record; any value does here


def salesforce_id(prefix: str, number: int) -> str:
    """Return the 18-character id of the number-th record of a kind: "750" jobs, "005" users, "00D" orgs.

    Neighbouring numbers may differ by the case of one letter only, as in a real org.
    Raises ValueError: the prefix is not three characters long, or the number needs more than nine places.
    """
    if len(prefix) != 3 or not 0 <= number < 62**9:
        raise ValueError(f"no id for prefix {prefix!r} and number {number}")
    places = ""
    for _ in range(9):
        number, digit = divmod(number, 62)
        places = BASE62[digit] + places
    return eighteen(prefix + INSTANCE + places)


def eighteen(id15: str) -> str:
    """Return the 18-character form of a 15-character id; anything else comes back as it is.

    Each suffix character stands for five characters, one bit for each capital, the first one lowest.
    """
    if len(id15) != 15 or not (id15.isascii() and id15.isalnum()):
        return id15
    capitals = id15.translate(_CAPITALS)[::-1]
    return id15 + "".join(CHECKSUM[int(capitals[end - 5 : end], 2)] for end in (15, 10, 5))
