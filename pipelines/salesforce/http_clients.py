"""HTTP clients: dlt's, which retries, and one that does not; and how requests are authenticated.

Retries are dlt's (429 with Retry-After, 5xx, broken connections), limited by `[runtime]`; added here is what is
specific to Salesforce.
"""

from collections.abc import Callable
from typing import Final

from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers import requests
from dlt.sources.helpers.requests.retry import DEFAULT_RETRY_EXCEPTIONS, DEFAULT_RETRY_STATUS
from requests import PreparedRequest
from requests.auth import AuthBase
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from requests.exceptions import ConnectionError as BrokenConnection

from pipelines.salesforce.api_errors import is_transient
from pipelines.salesforce.transport import Limits, session_attributes

JSON: Final = "application/json"
CLASSIC: Final = "/services/async/"  # path of the Classic API
# Salesforce Edge, the network in front of the orgs, sends 420.
RETRY_STATUS: Final = (420, *DEFAULT_RETRY_STATUS)
RETRY_EXCEPTIONS: Final = (*DEFAULT_RETRY_EXCEPTIONS, ContentDecodingError)


class _Bearer(AuthBase):
    """Authenticates each request: an entry in ~/.netrc would override a header of the HTTP session."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class _ClassicSession(_Bearer):
    """Authenticates Classic API requests, which use another header, and asks for JSON: the default is XML."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers.update({"X-SFDC-Session": self.token, "Accept": JSON, "Content-Type": JSON})
        return request


class _SingleTry(requests.Client):
    """Does not wait: error responses are returned, and a broken connection is retried once, immediately (the org may
    have closed a kept-alive connection)."""

    def update_from_config(self, config: RuntimeConfiguration) -> None:
        once = config.copy()
        once.request_max_attempts, once.request_backoff_factor = 2, 0
        super().update_from_config(once)


def retrying_client(on_answer: Callable[..., None]) -> requests.Client:
    """A client that retries, and honours Retry-After; `on_answer` gets every response, including retried ones."""
    client = requests.Client(
        raise_for_status=False,
        status_codes=RETRY_STATUS,
        exceptions=RETRY_EXCEPTIONS,
        retry_condition=is_transient,
        session_attrs=session_attributes(on_answer),
    )
    client.configure()  # timeout, attempts and backoff of [runtime]
    return client


def single_try_client(on_answer: Callable[..., None], limits: Limits | None = None) -> requests.Client:
    """Like `retrying_client`, but returns error responses at once; with `limits`, before their bodies are read."""
    client = _SingleTry(
        raise_for_status=False,
        status_codes=(),
        exceptions=(BrokenConnection, ChunkedEncodingError),
        session_attrs=session_attributes(on_answer, limits=limits),
    )
    client.configure()
    return client


def signed(path: str, token: str) -> AuthBase:
    """The authentication for a request to this path: the Classic API has its own."""
    return _ClassicSession(token) if path.startswith(CLASSIC) else _Bearer(token)
