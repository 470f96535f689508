"""What a sign-in gives: a token, the org's own host, and as far as it says them the org and the user."""

from dataclasses import dataclass
from typing import Final

from pipelines.errors import NotPermitted
from pipelines.salesforce.ids import full_id

TOKEN_LENGTH: Final = 8_192  # characters: more than most servers take in a header, and twenty times what tokens have


@dataclass(frozen=True)
class Session:
    """A signed-in session: where to ask, with what, and as whom."""

    instance_url: str
    access_token: str
    org_id: str = ""  # 18 characters; "" where the sign-in does not tell
    user_id: str = ""  # as org_id
    username: str = ""  # where the sign-in tells this instead

    def __post_init__(self) -> None:
        for name in ("org_id", "user_id"):
            object.__setattr__(self, name, full_id(getattr(self, name)))
        token = self.access_token
        if not (token.isascii() and token.isprintable() and " " not in token and len(token) <= TOKEN_LENGTH):
            raise NotPermitted(
                "The access token is too long for one, or has characters in it that no token has: spaces, line ends "
                "or the like.",
                "Take it again, whole and on one line.",
            )

    def __repr__(self) -> str:
        return f"Session({self.instance_url}, org {self.org_id or 'unknown'})"  # never the token
