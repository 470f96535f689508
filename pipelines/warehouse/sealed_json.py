"""JSON objects with a checksum of the rest, so that damage is noticed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

CHECKSUM: Final = "(checksum)"  # beside keys that may be names of orgs, which have no parentheses


class DamagedText(ValueError):
    """Not a JSON object, or its checksum is wrong."""


def seal(content: Mapping[str, Any]) -> str:
    """The text to write."""
    return json.dumps({**content, CHECKSUM: _checksum(content)}, indent=1)


def unseal(text: str | bytes) -> dict[str, Any]:
    """What was written. Earlier versions wrote no checksum. Raises DamagedText."""
    try:
        found = json.loads(text)
        sealed = found.pop(CHECKSUM, None)
        whole = sealed is None or sealed == _checksum(found)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise DamagedText from None
    if not whole or not isinstance(found, dict):
        raise DamagedText
    return found


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
