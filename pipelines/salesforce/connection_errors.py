"""Errors without a response (name, connection, time-out, proxy, certificate), explained to the user."""

import re
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from dlt.sources.helpers import requests
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectTimeout,
    ContentDecodingError,
    InvalidSchema,
    InvalidURL,
    ProxyError,
    SSLError,
)
from urllib3.exceptions import ConnectTimeoutError, LocationValueError, ProtocolError, ReadTimeoutError

from pipelines.errors import ConfigError, NoResponse, RecorderError, TemporaryError, exception_chain, sanitize
from pipelines.salesforce.proxies import Proxy, proxy_of, tunnel_refused
from pipelines.salesforce.reached_hosts import has_answered

BUNDLE: Final = "Set REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) to a file of certificates in PEM format."
LATER: Final = "Try again later. If it keeps failing, check instance_url, the network and its proxy."
BROKEN: Final = (ChunkedEncodingError, ContentDecodingError, OverflowError, ValueError)
MALFORMED: Final = (InvalidURL, InvalidSchema, LocationValueError, UnicodeError)
# The name does not exist, or has no address. Any other error of the resolver means that it gave no answer.
NO_SUCH_NAME: Final = {getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")}
TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})")
CLOCK: Final = "expired", "not yet valid"


def unreachable(host: str, error: Exception) -> RecorderError:
    """The RecorderError for a connection error. Its own text is left out, because it contains URLs with parameters."""
    proxy = proxy_of(host)
    if isinstance(error, MALFORMED):
        return (proxy.problem if proxy else None) or ConfigError(
            f"{host} is not a valid address of a host.", "Check instance_url: https://<name>.my.salesforce.com."
        )
    if not isinstance(error, requests.RequestException) and isinstance(error, OSError):
        return ConfigError(sanitize(error), BUNDLE)
    if isinstance(error, ProxyError) and proxy:
        return _proxy_failed(proxy, host, error)
    if isinstance(error, SSLError):
        return _tls(host, error)
    return _name_error(host, urlsplit(host).netloc, error) or NoResponse(f"{host} {_what_failed(error)}.", LATER)


def _what_failed(error: Exception) -> str:
    chain = list(exception_chain(error))
    behind = error.args[0] if error.args else None
    if any(isinstance(one, ConnectionRefusedError) for one in chain):
        return "could not be reached: connection refused"
    if isinstance(error, ConnectTimeout) or any(type(one) is ConnectTimeoutError for one in chain):  # it has subclasses
        return "could not be reached: timed out, no connection was made in time"
    if isinstance(error, requests.Timeout) or isinstance(behind, ReadTimeoutError):
        return "timed out: it accepted the connection, but did not answer in time"
    if isinstance(error, BROKEN) or isinstance(behind, ProtocolError):
        return "closed the connection or sent an invalid HTTP response"
    reason = next((one.strerror for one in chain if isinstance(one, OSError) and one.errno and one.strerror), None)
    return f"could not be reached: {sanitize(reason, 80).lower()}" if reason else "could not be reached"


def _name_error(who: str, address: str, error: Exception) -> RecorderError | None:
    """The error for a name that could not be resolved; None if that is not the cause."""
    unresolved = next((one for one in exception_chain(error) if isinstance(one, socket.gaierror)), None)
    if unresolved is None:
        return None
    if unresolved.errno not in NO_SUCH_NAME:
        return NoResponse(f"{who} could not be found: the name server gave no answer.", LATER)
    said = f"{who} could not be found: its name does not exist, or has no address"
    if has_answered(address):
        return NoResponse(f"{said}; it has answered before.", LATER)
    return ConfigError(f"{said}.", "Check its spelling, and whether this machine is connected to a network.")


def _proxy_failed(proxy: Proxy, host: str, error: ProxyError) -> RecorderError:
    chain = list(exception_chain(error))
    if status := next((int(found[1]) for one in chain if (found := TUNNEL.search(str(one)))), None):
        return tunnel_refused(proxy, host, status) or NoResponse(
            f"{proxy} could not connect to {host} (HTTP {status}).", LATER
        )
    if any("only use HTTP and not HTTPS" in str(one) for one in chain):
        return ConfigError(
            f"{proxy} does not speak TLS.", f"Write its address with http:// in place of https:// in {proxy.variable}."
        )
    if any(isinstance(one, ssl.SSLError) for one in chain):
        return _tls(str(proxy), error)
    return _name_error(str(proxy), proxy.address, error) or NoResponse(f"{proxy} {_what_failed(error)}.", LATER)


def _tls(who: str, error: Exception) -> RecorderError:
    found = next((cause for cause in exception_chain(error) if isinstance(cause, ssl.SSLError)), ssl.SSLError())
    if isinstance(found, ssl.SSLCertVerificationError):
        clock = " Also check this machine's clock." if any(word in found.verify_message for word in CLOCK) else ""
        return ConfigError(
            f"TLS certificate verification failed for {who}: {sanitize(found.verify_message, 120)}.",
            f"Behind a company proxy, set REQUESTS_CA_BUNDLE to the proxy's certificate file.{clock}",
        )
    if found.library == "X509":
        return ConfigError("The file of trusted certificates contains no readable certificate.", BUNDLE)
    return TemporaryError(f"TLS with {who} failed ({found.reason or 'no reason given'}).", LATER)
