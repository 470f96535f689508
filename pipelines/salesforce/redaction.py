"""What others said, without the secrets that it may quote."""

from pipelines.config.credentials import REDACTED, TOKEN
from pipelines.errors import sanitize


def redact(text: object, longest: int, *secrets: str | None) -> str:
    """What an org, a proxy or the sf CLI said, to be shown or kept; without the secrets, should it quote them."""
    said = str(text)
    for secret in filter(None, secrets):
        said = said.replace(secret, REDACTED)
    return sanitize(TOKEN.sub(REDACTED, said), longest)
