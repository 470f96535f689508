"""Channels: wherever Apprise can send to, by URL. Nothing of a URL is shown but its schema and, if that is no secret,
its host."""

import hashlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pipelines.alerts.messages import Message
from pipelines.errors import ConfigError, describe_unexpected

PATIENCE: Final = 30.0  # seconds for one message: a channel may drip its answer
# Of these the host is one. Elsewhere a token may stand in its place, as in slack://token/…
WITH_HOST: Final = frozenset(
    {"json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "gotify", "gotifys"}
)
HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}")
MAX_TITLE, MIN_ROOM = 250, 100
SCHEMA: Final = re.compile(r"[a-z][a-z0-9+.-]{0,19}")
# What Apprise logs of a failure, which may quote the URL, in words that do not.
CAUSES: Final = {
    r"ProxyError": "the proxy failed",
    r"NameResolution|getaddrinfo|Name or service not known|Temporary failure in name": "its host is not found",
    r"Connection refused": "connection refused",
    r"CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted",
    r"SSLError|SSL:|WRONG_VERSION_NUMBER": "TLS failed",
    r"[Tt]imed out|[Tt]imeout|did not finish within": "no answer in time",
    r"SMTPAuthentication|\(535,": "the mail server refused the sign-in",
    r"\berror=(\d{3})\b": "HTTP {}",
    r"[Cc]onnection (?:error|aborted|reset)|Socket Exception": "the connection failed",
}
OURS: Final = frozenset({"pipelines", "__main__", "root", "dlt"})


@dataclass(frozen=True)
class Channel:
    """One of the URLs; `name` is how messages show it."""

    url: str
    name: str
    service: Any

    @property
    def room(self) -> int:
        """How many characters the body of a message can have."""
        in_body = 0 if self.service.title_maxlen else MAX_TITLE  # some services have no title of their own
        return max(int(self.service.body_maxlen) - in_body, MIN_ROOM)

    def send(self, message: Message) -> str | None:
        """None if the channel took it, else why not, as far as that is known."""
        from apprise import Apprise, NotifyFormat, NotifyType  # noqa: PLC0415 - a third of a second

        one_incident = bool(message.thread) and getattr(self.service, "dedup", "") is None  # PagerDuty: of each finding
        try:
            if one_incident:
                self.service.dedup = hashlib.sha256(message.thread.encode()).hexdigest()[:32]
            with _silenced(), _logged() as lines:
                sender = Apprise(asset=self.service.asset)
                sender.add(self.service)
                level = NotifyType(message.level)
                taken = sender.notify(message.body, message.title, level, body_format=NotifyFormat.TEXT)
            return None if taken else _cause(lines)
        except Exception as error:  # of any of its hundred services; it may quote the URL
            return describe_unexpected(error)
        finally:
            if one_incident:
                self.service.dedup = None


def open_channels(urls: Sequence[str]) -> list[Channel]:
    """The channels. Raises ConfigError, by number, if one of the URLs is none."""
    from apprise import Apprise, AppriseAsset, OverflowMode, PersistentStoreMode  # noqa: PLC0415

    for handler in logging.getLogger().handlers:  # other programs' log messages may quote a URL
        handler.addFilter(_is_ours)
    asset = AppriseAsset(
        app_id="bulk-jobs",
        app_desc="Flight recorder for Salesforce's Bulk API",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        image_path_mask=False,
        async_mode=False,
        storage_mode=PersistentStoreMode.MEMORY,
        pgp_autogen=False,
        pem_autogen=False,
        service_timeout=PATIENCE,
    )
    found: list[Channel] = []
    for number, url in enumerate(urls, 1):
        if url in urls[: number - 1]:
            continue
        try:
            with _silenced():
                service = Apprise.instantiate(url, asset=asset)
        except Exception:
            service = None
        if service is None:
            known = "" if "://" in url else ": it has no scheme, such as slack://"
            raise ConfigError(
                f"Number {number} of `urls` under [alerts] is not a URL that Apprise supports{known}.",
                "Each service has its own form: see docs/alerts.md and https://appriseit.com/services/.",
            )
        if "overflow=" not in url:  # what is too long for a service would be refused for good
            service.overflow_mode = OverflowMode.TRUNCATE
        found.append(Channel(url, f"number {number} of `urls` ({_shown(url, service)})", service))
    return found


def _shown(url: str, service: Any) -> str:
    schema = url.partition("://")[0].lower()
    if schema in ("http", "https"):  # a webhook as the service itself shows it
        own = service.secure_protocol or service.protocol
        schema = own if isinstance(own, str) else next(iter(own), "")
    shown = schema if SCHEMA.fullmatch(schema) else "?"
    with suppress(ValueError):
        host = urlsplit(url).hostname or ""
        if schema in WITH_HOST and host == service.host and HOST.fullmatch(host) and "@" not in urlsplit(url).path:
            return f"{shown}, {host}"
    return shown


@contextmanager
def _silenced() -> Iterator[None]:
    """Lets nothing that Apprise or a library below it prints or warns of reach the terminal."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What Apprise logs of failures in this block, without the URLs that requests puts before the cause."""
    lines: list[str] = []
    log, handler = logging.getLogger("apprise"), logging.Handler()

    def keep(entry: logging.LogRecord) -> None:
        text = entry.getMessage()
        if entry.levelno >= logging.WARNING or text.startswith("Socket Exception"):
            lines.append(text.rpartition("Caused by")[2])

    handler.emit = keep  # type: ignore[assignment, method-assign]
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        log.setLevel(level)
        log.removeHandler(handler)


def _cause(lines: Sequence[str]) -> str:
    for pattern, words in CAUSES.items():
        for line in lines:
            if found := re.search(pattern, line):
                return words.format(*found.groups())
    return "it did not take the message"


def _is_ours(entry: logging.LogRecord) -> bool:
    return entry.name.partition(".")[0] in OURS
