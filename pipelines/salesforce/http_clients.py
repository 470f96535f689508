"""How a request is signed and sent: dlt's client, which asks again where that may help, and one that waits for nothing.

The retries are dlt's (429 with Retry-After, 5xx, cut connections), bounded by `[runtime]`; added here are what
only Salesforce does.
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
from pipelines.salesforce.transport import session_attributes

JSON: Final = "application/json"
CLASSIC: Final = "/services/async/"  # where the Classic API lives
# 420 comes from Salesforce Edge, the network in front of the orgs.
RETRY_STATUS: Final = (420, *DEFAULT_RETRY_STATUS)
RETRY_EXCEPTIONS: Final = (*DEFAULT_RETRY_EXCEPTIONS, ContentDecodingError)


class _Bearer(AuthBase):
    """Signs each request by itself: a header of the session would lose to an entry in ~/.netrc."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class _ClassicSession(_Bearer):
    """Signs a request of the Classic API, which has a header of its own, and asks for JSON: its default is XML."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers.update({"X-SFDC-Session": self.token, "Accept": JSON, "Content-Type": JSON})
        return request


class _SingleTry(requests.Client):
    """Waits for nothing: an error answer is an answer, and a connection that broke is tried once more, at once (the org
    may have closed one that was kept)."""

    def update_from_config(self, config: RuntimeConfiguration) -> None:
        once = config.copy()
        once.request_max_attempts, once.request_backoff_factor = 2, 0
        super().update_from_config(once)


def retrying_client(on_answer: Callable[..., None]) -> requests.Client:
    """A client that asks again, and waits as it is asked to; `on_answer` hears of every answer, retried ones too."""
    client = requests.Client(
        raise_for_status=False,
        status_codes=RETRY_STATUS,
        exceptions=RETRY_EXCEPTIONS,
        retry_condition=is_transient,
        session_attrs=session_attributes(on_answer),
    )
    client.configure()  # timeout, attempts and backoff of [runtime]
    return client


def single_try_client(on_answer: Callable[..., None]) -> requests.Client:
    """As `retrying_client`, but an error answer is an answer."""
    client = _SingleTry(
        raise_for_status=False,
        status_codes=(),
        exceptions=(BrokenConnection, ChunkedEncodingError),
        session_attrs=session_attributes(on_answer),
    )
    client.configure()
    return client


def signed(path: str, token: str) -> AuthBase:
    """The signature of a request for a path, as the API that lives there takes it."""
    return _ClassicSession(token) if path.startswith(CLASSIC) else _Bearer(token)
