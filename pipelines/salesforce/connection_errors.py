"""Errors without a response (connection, proxy, certificate), explained to the user."""

import ssl
from typing import Final

from dlt.sources.helpers import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, InvalidURL, SSLError
from urllib3.exceptions import NameResolutionError, ProtocolError, ReadTimeoutError

from pipelines.errors import ConfigError, NoResponse, RecorderError, TemporaryError, exception_chain, sanitize

BUNDLE: Final = "Set REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) to a file of certificates in PEM format."


def _tls(host: str, error: ssl.SSLError) -> RecorderError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigError(
            f"TLS certificate verification failed for {host}: {sanitize(error.verify_message, 120)}.",
            "Behind a company proxy, set REQUESTS_CA_BUNDLE to the proxy's certificate file.",
        )
    if error.library == "X509":
        return ConfigError("The file of trusted certificates contains no readable certificate.", BUNDLE)
    return TemporaryError(
        f"TLS with {host} failed ({error.reason or 'no reason given'}).",
        "Try again later. If it keeps failing, check instance_url, the network and its proxy.",
    )


BROKEN: Final = (ChunkedEncodingError, ContentDecodingError, OverflowError, ValueError)


def unreachable(host: str, error: Exception) -> RecorderError:
    """The RecorderError for a connection error. Its own text is left out, because it contains URLs with parameters."""
    if not isinstance(error, requests.RequestException) and isinstance(error, OSError):
        return ConfigError(sanitize(error), BUNDLE)
    if isinstance(error, SSLError):
        tls_errors = (cause for cause in exception_chain(error) if isinstance(cause, ssl.SSLError))
        return _tls(host, next(tls_errors, ssl.SSLError()))
    kind = "could not be reached"
    behind = error.args[0] if error.args else None
    if isinstance(error, requests.Timeout) or isinstance(behind, ReadTimeoutError):
        kind = "did not answer in time"
    elif (isinstance(error, BROKEN) and not isinstance(error, InvalidURL)) or isinstance(behind, ProtocolError):
        kind = "closed the connection or sent an invalid HTTP response"
    elif isinstance(getattr(behind, "reason", None), NameResolutionError):
        kind = "could not be found: its name has no address"
    return NoResponse(
        f"{host} {kind} ({type(error).__name__}).",
        "Try again later. If it keeps failing, check instance_url, the network and its proxy.",
    )
