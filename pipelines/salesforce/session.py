"""The result of a sign-in: a token, the org's host and, if the sign-in tells them, the org and the user."""

from dataclasses import dataclass
from typing import Final

from pipelines.errors import AccessDenied
from pipelines.salesforce.ids import full_id

TOKEN_LENGTH: Final = 8_192  # characters: more than most servers accept in a header, and twenty times a real token


@dataclass(frozen=True)
class Session:
    """A signed-in session: host, token and user."""

    instance_url: str
    access_token: str
    org_id: str = ""  # 18 characters; "" if the sign-in does not tell it
    user_id: str = ""  # likewise
    username: str = ""  # if the sign-in tells this instead

    def __post_init__(self) -> None:
        for name in ("org_id", "user_id"):
            object.__setattr__(self, name, full_id(getattr(self, name)))
        token = self.access_token
        if not (token.isascii() and token.isprintable() and " " not in token and len(token) <= TOKEN_LENGTH):
            raise AccessDenied(
                "The access token is not valid: it is too long, or contains spaces, line breaks or other characters "
                "that tokens do not have.",
                "Copy it again, in full and on one line.",
            )

    def __repr__(self) -> str:
        return f"Session({self.instance_url}, org {self.org_id or 'unknown'})"  # never the token
