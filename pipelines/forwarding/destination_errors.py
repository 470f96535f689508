"""What a destination refuses, in words, with what to do.

The messages of drivers contain the host and the user of the connection, and dlt's contain whole URLs. So these texts
are ours; where a destination's own text is shown, secrets, host and user are removed from it.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import DestinationTransientException
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.exceptions import DestinationConnectionError

from pipelines.config.dlt_context import active, config_error, place_of
from pipelines.config.project import INSTALLED
from pipelines.errors import (
    AccessDenied,
    ConfigError,
    RecorderError,
    TemporaryError,
    disk_full_error,
    exception_chain,
    unwrap_error,
)
from pipelines.forwarding.lake_errors import explain_lake
from pipelines.forwarding.settings import ForwardSettings
from pipelines.interrupts import causing_signal
from pipelines.salesforce.redaction import redact

AGAIN: Final = "Nothing is marked as sent; the next forward tries again."
SECRET_KEY: Final = re.compile("pass|secret|token|key", re.IGNORECASE)
PARAMETER: Final = re.compile("[a-zA-Z_]+")  # what is none is a part of a password with a question mark
SHORTEST_LINE: Final = 16  # of a private key, whose lines a driver may show one by one
SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}")
# https://www.postgresql.org/docs/current/errcodes-appendix.html. A refused connection has only its text.
UNAVAILABLE: Final = ("08", "53", "57P", "58")
INVISIBLE: Final = "42P06"  # a schema that is there, and that this user does not see
CONFLICT: Final = ("40", "55P03", "42P07", INVISIBLE, "42701", "42710", "23505", "XX000")
REFUSED: Final = ("password authentication failed", "no pg_hba.conf entry", "authentication failed", "is not permitted")
# How libpq says that `sslmode` or `sslrootcert` is wrong, or that the server's certificate is: no later run succeeds.
TLS: Final = (
    "does not support SSL", "invalid sslmode", "root certificate file", "certificate verify failed",
    "does not match host name",
)  # fmt: skip
INSISTS: Final = "dlt requires a password, even if the server does not (peer, trust, .pgpass): then any text will do."
NO_DRIVER: Final[dict[str, str]] = (
    {} if INSTALLED else {"postgres": "make setup-postgres", "filesystem": "make setup-lake"}
)


class Credentials:
    """What must not be shown of a destination's settings."""

    def __init__(self, configuration: Any = None) -> None:
        self.values: tuple[str, ...] = ()
        self.database = "<database>"
        if configuration is not None:
            self.read(configuration)

    def read(self, configuration: Any) -> None:
        """Takes in the secrets of a resolved configuration, and its host and user."""
        found = getattr(configuration, "credentials", None)
        keys: dict[str, Any] = getattr(found, "get_resolvable_fields", dict)()
        hidden = [key for key in keys if not key.startswith(("drivername", "database", "port", "connect_", "query"))]
        values = [getattr(found, key, None) for key in hidden]
        query: dict[str, Any] = getattr(found, "query", None) or {}  # of a URL
        for key, value in query.items():
            values += [value] if SECRET_KEY.search(key) else [] if PARAMETER.fullmatch(key) else [key, value]
        texts = [value for value in values if isinstance(value, str)]
        lines = [line for text in texts for line in text.splitlines() if len(line) >= SHORTEST_LINE]
        self.values = tuple(sorted(filter(None, {*texts, *lines}), key=len, reverse=True))
        self.database = getattr(found, "database", None) or self.database

    def removed_from(self, text: object) -> str:
        """A text of a driver or of dlt, without them."""
        first_line = next((line for line in str(text).splitlines() if line.strip()), "no message")
        return redact(first_line, 300, *self.values)


def check_url(credentials: Any, settings: ForwardSettings) -> None:
    """Raises ConfigError if a password's @ has become a part of the host: dlt ends the password at the first one."""
    host, database = (str(getattr(credentials, key, None) or "") for key in ("host", "database"))
    if "@" in host or "@" in database:
        section = f"destination.{settings.destination}.credentials"
        raise ConfigError(
            f"{place_of(section, '`credentials`')} is a URL with more than one @: the first one ends the password.",
            "In a URL, write @ as %40 and % as %25; or write host, user and password as keys of their own section.",
        )


@contextmanager
def explained(settings: ForwardSettings, staging: str, hidden: Credentials) -> Iterator[None]:
    """Turns whatever a destination or its driver raises into a RecorderError. Keeps all logs free of secrets, too."""

    def is_no_job_error(entry: logging.LogRecord) -> bool:
        return not entry.exc_info and "with message" not in entry.getMessage()  # an error of a job is raised, too

    def without_secrets(entry: logging.LogRecord) -> bool:
        if entry.exc_info:
            entry.msg, entry.args = f"{entry.getMessage()} {logging.Formatter().formatException(entry.exc_info)}", ()
            entry.exc_info = entry.exc_text = None
        entry.msg, entry.args = redact(entry.getMessage(), 2_000, *hidden.values), ()
        return True

    dlts = logging.getLogger("dlt")
    before = dlts.filters[:]
    dlts.filters[:0] = [is_no_job_error, without_secrets]  # before the one that prints it in our own format
    handlers = logging.getLogger().handlers[:]
    for handler in handlers:  # drivers have logs of their own
        handler.addFilter(without_secrets)
    try:
        yield
    except Exception as error:
        if causing_signal(exception_chain(error)):
            raise
        raise explain(error, settings, staging, hidden) from None
    finally:
        dlts.filters[:] = before
        for handler in handlers:
            handler.removeFilter(without_secrets)


def explain(error: Exception, settings: ForwardSettings, staging: str, hidden: Credentials) -> RecorderError:
    """The RecorderError that says what a destination has refused, or what it lacks."""
    chain = list(exception_chain(error))
    known = unwrap_error(error) or next(filter(None, map(disk_full_error, chain)), None)
    known = known or _of_set_up(chain, settings) or (explain_lake(chain) if settings.is_lake else None)
    return known or _of_destination(chain, settings, staging, hidden)


def _of_set_up(chain: list[BaseException], settings: ForwardSettings) -> ConfigError | None:
    for cause in chain:
        if isinstance(cause, ConfigurationException):
            return _setting(cause, settings)
        if isinstance(cause, MissingDependencyException | ModuleNotFoundError):
            return _no_driver(cause, settings)
    return None


def _of_destination(  # noqa: PLR0911 - one for each kind of refusal
    chain: list[BaseException], settings: ForwardSettings, staging: str, hidden: Credentials
) -> RecorderError:
    state, said = _state_of(chain), str(chain[-1])
    where = place_of(f"destination.{settings.destination}.credentials", f"the destination {settings.destination}")
    where = where[0].upper() + where[1:]
    text = hidden.removed_from(said).rstrip(".") + "."
    if any(words in said for words in REFUSED) or state.startswith("28") or ('role "' in said and "not exist" in said):
        return AccessDenied(
            f"{where} refused the sign-in.",
            f"Check user name and password under [destination.{settings.destination}.credentials], and that the server "
            "lets this user and machine in.",
        )
    if 'database "' in said and "does not exist" in said:
        return ConfigError(
            f"{where} has no database {hidden.database}.",
            f"Create it (create database {hidden.database}), or correct `database`.",
        )
    if state in ("42501", INVISIBLE):
        said = f"for schema {settings.dataset}" if state == INVISIBLE else said
        return AccessDenied(f"{where} denies this user a right: {text}", _grants(said, settings, staging, hidden))
    if state == "25006":
        return ConfigError(f"{where} is read-only, such as a replica.", "Forward to the server that accepts changes.")
    if not state and any(words in said for words in TLS):
        section = f"destination.{settings.destination}.credentials.query"
        return ConfigError(
            f"{where} cannot be reached with these TLS settings: {text}",
            f"Correct `sslmode` and `sslrootcert` under [{section}], or in the URL, or turn on TLS on the server.",
        )
    if state.startswith(CONFLICT):
        return TemporaryError(f"{where} is busy with another forward or program: {text}", AGAIN)
    if state.startswith(UNAVAILABLE) or _is_transient(chain, state):
        return TemporaryError(f"{where} cannot be reached, or ended the connection: {text}", AGAIN)
    return RecorderError(f"{where} refused what was sent: {type(chain[-1]).__name__}: {text}", AGAIN)


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a driver's error, here or in the chain of its causes; empty if it has none."""
    return _state_of(list(exception_chain(error)))


def _state_of(chain: list[BaseException]) -> str:
    for cause in reversed(chain):
        for name in ("pgcode", "sqlstate"):
            found = getattr(cause, name, None)
            if isinstance(found, str) and SQLSTATE.fullmatch(found):
                return found
    return ""


def _is_transient(chain: list[BaseException], state: str) -> bool:
    connecting = any(isinstance(cause, DestinationConnectionError | ConnectionError | TimeoutError) for cause in chain)
    transient = any(
        isinstance(cause, DestinationTransientException) or type(cause).__name__ == "OperationalError"
        for cause in chain
    )
    return connecting or (transient and not state)


def _setting(error: ConfigurationException, settings: ForwardSettings) -> ConfigError:
    section = f"destination.{settings.destination}.credentials"
    given = active().settings.find(tuple(section.split(".")), secret=True)
    as_text = given is not None and isinstance(given.value, str)
    if as_text or "cannot parse" in str(error):  # dlt's message may show the URL
        return ConfigError(
            f"{place_of(section, '`credentials`')} cannot be read, or is incomplete.",
            f"It must be a URL such as postgresql://user:password@host:5432/database, or a section. {INSISTS}",
        )
    if not isinstance(error, ConfigFieldMissingException):
        return config_error(error)
    if settings.is_lake and "bucket_url" in error.fields:
        return ConfigError(
            "`forward` does not know where the lake is: bucket_url under [destination.filesystem] is not set.",
            "Set it in .dlt/config.toml to a folder or bucket, such as /srv/lake or s3://bucket/path, or in the "
            "environment as DESTINATION__FILESYSTEM__BUCKET_URL.",
        )
    missing = _missing_keys(error, settings, section)
    return ConfigError(
        f"`forward` lacks settings of the destination {settings.destination}: {', '.join(missing)}.",
        f"Set them under [{section}] in .dlt/secrets.toml, or in the environment as "
        f"{section.upper().replace('.', '__')}__<KEY>. {INSISTS if 'password' in missing else ''}".strip(),
    )


def _missing_keys(error: ConfigFieldMissingException, settings: ForwardSettings, section: str) -> list[str]:
    """dlt says only that there are no credentials if one key of them is missing; this asks for each."""
    destination: Any = Destination.from_reference(f"dlt.destinations.{settings.destination}")
    wanted = destination.spec.get_resolvable_fields().get("credentials")
    if list(error.fields) == ["credentials"] and isinstance(wanted, type) and issubclass(wanted, BaseConfiguration):
        try:
            resolve_configuration(wanted(), sections=tuple(section.split(".")))
        except ConfigFieldMissingException as missing:
            return list(missing.fields)
    fields = [field for field in error.fields if field != "local_dir"]  # which dlt sets by itself
    if fields == ["credentials"]:  # a lake's, of a kind that depends on its URL
        fields = [key for trace in error.traces["credentials"] for key in getattr(trace, "traces", {})] or fields
    return fields


def _no_driver(error: BaseException, settings: ForwardSettings) -> ConfigError:
    wanted = getattr(error, "dependencies", None) or [getattr(error, "name", "")]
    install = NO_DRIVER.get(settings.destination, f"pip install {' '.join(map(repr, wanted))}")
    return ConfigError(
        f"A package for the destination {settings.destination} is not installed.", f"Install it: {install}"
    )


def _grants(said: str, settings: ForwardSettings, staging: str, hidden: Credentials) -> str:
    dataset = settings.dataset
    if "for database" in said:
        return (
            f"Either: grant create on database {hidden.database} to <user>; or create both schemas for it: "
            f"create schema {dataset} authorization <user>; create schema {staging} authorization <user>; "
            f"(the first one, if it is there: grant usage, create on schema {dataset} to <user>;)"
        )
    if "for schema" in said:
        return (
            f"Grant it: grant usage, create on schema {dataset} to <user>; "
            f"and let it own the other: create schema {staging} authorization <user>;"
        )
    if "must be owner of" in said:
        return (
            "Only its owner may do this: let all recorders sign in as one user, or grant each the role that "
            f"owns the tables of {dataset}: grant <owner> to <user>;"
        )
    return (
        f"Grant it: grant select, insert, update, delete, truncate on all tables in schema {dataset} to <user>; "
        "or let all recorders sign in as one user."
    )
