"""The credentials. The keys that are set decide which of four sign-in methods is used (`.dlt/secrets.example.toml`)."""

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson
from dlt.common.configuration import configspec
from dlt.common.configuration.specs import CredentialsConfiguration
from dlt.common.typing import TSecretStrValue

from pipelines.config.dlt_context import active, named, place_of, section
from pipelines.config.own_settings import CREDENTIALS, Found, variable
from pipelines.config.project import command_for
from pipelines.errors import ConfigError

SECTION: Final = ".".join(CREDENTIALS)
METHODS: Final = {
    "client credentials": ("instance_url", "client_id", "client_secret"),
    "JWT bearer": ("instance_url", "client_id", "username", "private_key"),
    "sf CLI": ("sf_cli_org",),
    "access token": ("instance_url", "access_token"),
}
ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]{1,253}|\[::1\])(:(?P<port>[0-9]{1,5}))?(?=[/?#]|$)", re.ASCII
)
# What `sf org display` shows instead of a token since @salesforce/cli 2.136.8 (forcedotcom/cli#3560).
REDACTED: Final = "[REDACTED]"
TOKEN: Final = re.compile(r"00D[A-Za-z0-9]{12,15}![^\s\"'<>&]+")  # what an access token looks like
LOGIN_HOSTS: Final = ("login.salesforce.com", "test.salesforce.com", "login.salesforce.mil", "test.salesforce.mil")
# Hosts of the same org that people copy from the browser, but that do not serve the API.
# https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_client_credentials_flow.htm
BROWSER_HOSTS: Final = (".lightning.force.com", ".salesforce-setup.com", ".lightning.crmforce.mil")
MAX_DOMAIN: Final = 63  # characters between two dots of a host name
PLACEHOLDER: Final = "yourdomain"  # in .dlt/secrets.example.toml, the My Domain


@section(SECTION)
@configspec
class SalesforceCredentials(CredentialsConfiguration):
    """How to sign in: one complete set of keys in `METHODS`, from secrets.toml or the environment."""

    instance_url: str | None = None
    access_token: TSecretStrValue | None = None
    client_id: str | None = None
    client_secret: TSecretStrValue | None = None
    username: str | None = None
    private_key: TSecretStrValue | None = None
    login_url: str = "https://login.salesforce.com"
    sf_cli_org: str | None = None

    section: ClassVar[str] = SECTION  # where the keys are set; an instance may have its own, see `set_in`

    def set_in(self, section: str) -> "SalesforceCredentials":
        """Says that the keys are set in another section, for messages. Returns itself."""
        vars(self)["section"] = section
        return self

    @property
    def settings_section(self) -> str:
        """The section with the org's other settings."""
        return self.section.rpartition(".")[0]

    @property
    def method(self) -> str:
        """The one of `METHODS` whose keys are all set. Raises ConfigError if none is complete, or more than one."""
        given = {key for keys in METHODS.values() for key in keys if getattr(self, key)}
        complete = [way for way, keys in METHODS.items() if given.issuperset(keys)]
        if len(complete) == 1:
            spare = given - set(METHODS[complete[0]]) - {"instance_url"}
            if not spare:
                return complete[0]
            raise ConfigError(
                f"The sign-in is ambiguous: [{self.section}] has all keys for the {complete[0]} sign-in, "
                f"and also {_listed(spare)}.",
                f"Keep the keys of one method only. {self._set_where(given)}",
            )
        if complete:
            raise ConfigError(
                f"The sign-in is ambiguous: all keys for {' and '.join(complete)} are set.",
                f"Keep the keys of one method only. {self._set_where(given)}",
            )
        ways = "\n".join(f"  {way}: {', '.join(keys)}" for way, keys in METHODS.items())
        if not given:
            where = "" if self.section == SECTION else f" under [{self.section}]"
            init = command_for("init") if self.section == SECTION else f"`init --org {self.section.split('.')[1]}`"
            raise ConfigError(
                f"No Salesforce credentials are set{where}.{self._empty()}",
                f"Enter them with {init}, or set all keys for one of these sign-in methods:\n{ways}\n"
                f"{self._where()}\nTo try it without an org: {command_for('demo')}",
            )
        there = given | {key for keys in METHODS.values() for key in keys if self._place(key)}  # perhaps empty
        closest = min(METHODS.values(), key=lambda keys: (-len(there & set(keys)), len(set(keys) - there)))
        missing = set(closest) - there
        raise ConfigError(
            f"The sign-in is incomplete. It has {_listed(given)}."
            f"{f' Missing: {_listed(missing)}.' if missing else ''}{self._empty(closest)}{self._placeholder()}",
            f"Set all keys for one of these sign-in methods:\n{ways}\n{self._set_where(given)}\n{self._where()}",
        )

    @property
    def key_file(self) -> Path | None:
        """The file that `private_key` names, relative to the project; None if it is the PEM text itself."""
        if not self.private_key or "-----BEGIN" in self.private_key:
            return None
        # os.path's expanduser, unlike Path's, never raises.
        return Path(active().local_dir) / os.path.expanduser(self.private_key)

    def _named(self, key: str) -> str:
        return named(f"{self.section}.{key}")

    def _place(self, key: str) -> Found | None:
        return active().settings.find((*self.section.split("."), key), secret=True)

    def _empty(self, keys: Collection[str] = ()) -> str:
        """Which keys are there, but without a value, and where; of these keys, if any are given."""
        keys = keys or [key for keys in METHODS.values() for key in keys]
        empty = [key for key in dict.fromkeys(keys) if not getattr(self, key) and self._place(key)]
        return f" Empty: {', '.join(place_of(f'{self.section}.{key}', key) for key in empty)}." if empty else ""

    def _placeholder(self) -> str:
        """A sentence about instance_url, if that is still the example's."""
        if not _is_placeholder(self.instance_url):
            return ""
        return f" {self._named('instance_url')} is the placeholder of .dlt/secrets.example.toml."

    def _set_where(self, given: set[str]) -> str:
        return f"Set already: {', '.join(place_of(f'{self.section}.{key}', key) for key in sorted(given))}."

    def _where(self) -> str:
        return (
            f"Put them into .dlt/secrets.toml under [{self.section}] (see .dlt/secrets.example.toml), "
            f"or into the environment as {variable(tuple(self.section.split('.')))}__<KEY>."
        )

    def parse_native_representation(self, native_value: Any) -> None:
        """All keys at once, from one environment variable that contains a JSON object."""
        try:
            keys = orjson.loads(native_value)
        except (orjson.JSONDecodeError, TypeError):
            keys = None
        if not isinstance(keys, dict) or not keys.keys() <= set(self.get_resolvable_fields()):
            raise ConfigError(
                f"{named(self.section)} is not a JSON object with keys of {', '.join(self.get_resolvable_fields())}; "
                "its value may be a secret, and is not shown.",
                self._where(),
            )
        for key, value in keys.items():
            setattr(self, key, value)

    def on_resolved(self) -> None:
        for key in self.get_resolvable_fields():  # a secret read from a file often ends with a newline
            if isinstance(value := getattr(self, key), str):
                setattr(self, key, value.strip())
        self.method  # noqa: B018 - raises before the first request
        if (self.access_token or "").startswith(REDACTED):
            raise ConfigError(
                f"{self._named('access_token')} is the [REDACTED] placeholder that `sf org display` prints, "
                "not a token.",
                "Get the token with: sf org auth show-access-token --target-org <alias> "
                "- or set sf_cli_org instead, which gets it at each run.",
            )
        # `sf` would accept a token, but every user of the machine can see its arguments.
        if TOKEN.match(self.sf_cli_org or ""):
            raise ConfigError(
                f"{self._named('sf_cli_org')} is an access token.",
                "Set it to an alias or username from `sf org list`, or set access_token and instance_url instead.",
            )
        for key in ("instance_url", "login_url"):
            if getattr(self, key):
                setattr(self, key, https_origin(self._named(key), getattr(self, key)))
        if _is_placeholder(self.instance_url):
            raise ConfigError(
                self._placeholder().strip(),
                "Set it to your org's My Domain, https://<name>.my.salesforce.com (Setup, My Domain).",
            )
        host = urlsplit(self.instance_url or "").hostname or ""
        if host in LOGIN_HOSTS or host.endswith(BROWSER_HOSTS):
            raise ConfigError(
                f"{self._named('instance_url')} is {self.instance_url}, which does not serve the API.",
                "Use the org's My Domain, https://<name>.my.salesforce.com "
                "(Setup, My Domain; a sandbox: https://<name>--<sandbox>.sandbox.my.salesforce.com).",
            )


def _is_placeholder(url: str | None) -> bool:
    """Whether an address is the example's, as it stands there or for a sandbox."""
    found = ORIGIN.match(url if "://" in (url or "") else f"https://{url}") if url else None
    labels = found["host"].lower().rstrip(".").split(".") if found else []
    return len(labels) > 2 and labels[0].partition("--")[0] == PLACEHOLDER


def https_origin(name: str, url: Any) -> str:
    """`https://host[:port]` of a URL, or of a bare host name.

    http is allowed for loopback only, so that a token is never sent unencrypted. Raises ConfigError.
    """
    text = str(url).strip()
    found = ORIGIN.match(text if "://" in text else f"https://{text}")
    loopback = found is not None and found["host"] in ("localhost", "127.0.0.1", "[::1]")
    no_domain = found is not None and not loopback and not re.search(r"[.:]", found["host"].rstrip("."))
    wrong_scheme = found is not None and not (found["scheme"] == "https" or loopback)
    if found is None or no_domain or wrong_scheme or int(found["port"] or 0) > 65535:
        # Not a password, a token, or a client secret that stands in the wrong place: no name of a domain is that long.
        may_be_secret = "@" in text or "!" in text or max(map(len, re.split(r"[./:]", text))) > MAX_DOMAIN
        shown = "" if may_be_secret else f"; it is {text[:100]!r}"
        raise ConfigError(
            f"{name} must be an https:// address of an org{shown}.", "Example: https://yourdomain.my.salesforce.com"
        )
    host = found["host"].rstrip(".")  # a dot at its end is valid, but is in no certificate
    return f"{found['scheme']}://{host}{':' + found['port'] if found['port'] else ''}"


def _listed(keys: set[str]) -> str:
    return ", ".join(sorted(keys))
