"""Removes secrets from texts of others."""

import json
import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from pipelines.config.credentials import REDACTED, TOKEN
from pipelines.errors import sanitize

BLANKS: Final = r"(?:[ \t\r\n]|(?i:%20|%0[9ad])|\+|\\[nrt])+"  # however they are written, and folded or not


def redact(text: object, longest: int, *secrets: str | None) -> str:
    """A text of an org, a proxy, a database or the sf CLI, safe to show or store: without secrets."""
    redacted = str(text)
    for secret in (secret for secret in secrets if secret and secret.strip()):
        redacted = _any_form(secret).sub(REDACTED, redacted)
    return sanitize(TOKEN.sub(REDACTED, redacted), longest)


@lru_cache(maxsize=100)
def _any_form(secret: str) -> re.Pattern[str]:
    """A secret as it is, and as URLs, JSON and Python write it. Each character may be escaped in its own way: in a URL,
    people escape what they must, and libraries what they can."""
    parts = re.findall(r"[ \t\r\n]+|.", secret.strip(), re.DOTALL)
    return re.compile("".join(BLANKS if part[0] in " \t\r\n" else _escaped(part) for part in parts))


def _escaped(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    as_text = {character, f"\\{character}", json.dumps(character)[1:-1], repr(character)[1:-1]}
    ways = [rf"(?i:{re.escape(quote(character, safe='', errors='replace'))})", *map(re.escape, as_text)]
    return f"(?:{'|'.join(sorted(ways, key=len, reverse=True))})"
