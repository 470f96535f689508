"""Removes secrets from texts of others."""

from pipelines.config.credentials import REDACTED, TOKEN
from pipelines.errors import sanitize


def redact(text: object, longest: int, *secrets: str | None) -> str:
    """A text of an org, a proxy or the sf CLI, safe to show or store: without secrets."""
    redacted = str(text)
    for secret in filter(None, secrets):
        redacted = redacted.replace(secret, REDACTED)
    return sanitize(TOKEN.sub(REDACTED, redacted), longest)
