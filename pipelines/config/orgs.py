"""The orgs to record: the one of `[sources.salesforce]`, or all of `[orgs.*]`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.config.credentials import SECTION, SalesforceCredentials
from pipelines.config.dlt_context import active, named, resolved
from pipelines.config.own_settings import CREDENTIALS, ORGS, SOURCE, folded, keys_of
from pipelines.config.settings import SourceConfiguration, read_credentials, read_feeds, warn
from pipelines.errors import ConfigError, RecorderError, UsageError, sanitize

# A name begins the lines of an org's messages and is part of variables, where a double underscore ends it.
NAME: Final = re.compile(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*", re.ASCII)
MAX_NAME: Final = 40


@dataclass(frozen=True)
class ConfiguredOrg:
    """One org of the settings. `name` is "" for the single org, which has none.

    `problem` is why it cannot be recorded; then it has no credentials."""

    name: str
    source: SourceConfiguration
    feeds: tuple[str, ...]
    credentials: SalesforceCredentials | None = None
    problem: RecorderError | None = None

    @property
    def usable_credentials(self) -> SalesforceCredentials:
        """Raises its problem."""
        if self.credentials is None:
            raise self.problem or ConfigError(f"[{self.section}] has no credentials.")
        return self.credentials

    @property
    def section(self) -> str:
        """Where its settings are."""
        return f"{ORGS}.{self.name}" if self.name else ".".join(SOURCE)


def org_names() -> list[str]:
    """The names of all orgs in the settings; none if these have the single org.

    Raises ConfigError for a name that cannot be one, and if both are set."""
    names = active().settings.org_names()
    for name in names:
        if not NAME.fullmatch(name) or len(name) > MAX_NAME:
            raise ConfigError(
                f"[{ORGS}.{sanitize(name, 60)}]: an org cannot have this name.",
                f"Use letters and digits, with single `-` or `_` between them, at most {MAX_NAME} characters.",
            )
    if names and (single := _single_orgs()):
        raise ConfigError(
            f"[{ORGS}.{names[0]}] is set, and also the credentials of a single org: {single}.",
            f"Move those to [{ORGS}.NAME.credentials], with a name for that org, or remove [{ORGS}.*].",
        )
    return names


def read_orgs(wanted: Sequence[str] = (), on_exposed: Callable[[RecorderError], None] = warn) -> list[ConfiguredOrg]:
    """The orgs to record, in the order of the settings; those named in `wanted`, if any.

    What is wrong with one org's settings is its `problem`: the others can be recorded. Raises UsageError for a name
    that there is not, ConfigError if the credentials of the single org are incomplete."""
    names = org_names()
    chosen = {folded(name) for name in wanted}
    unknown = [sanitize(name, 60) for name in wanted if folded(name) not in map(folded, names)]
    if unknown:
        there = f"There are: {', '.join(names)}." if names else f"They have no [{ORGS}.NAME] at all: leave out --org."
        raise UsageError(f"There is no org {' or '.join(unknown)} in the settings.", there)
    if not names:
        source = ".".join(SOURCE)
        credentials = read_credentials(on_exposed)
        return [ConfiguredOrg("", resolved(SourceConfiguration(), source), read_feeds(source), credentials)]
    warned: set[str] = set()

    def once(exposed: RecorderError) -> None:  # the orgs share their files
        if str(exposed) not in warned:
            warned.add(str(exposed))
            on_exposed(exposed)

    return [_read(name, once) for name in names if folded(name) in chosen or not wanted]


def _read(name: str, on_exposed: Callable[[RecorderError], None]) -> ConfiguredOrg:
    section = f"{ORGS}.{name}"
    try:
        _check_keys(name)
        source = resolved(SourceConfiguration(), section)
        feeds = read_feeds(section)
        credentials = read_credentials(on_exposed, f"{section}.{CREDENTIALS[-1]}")
    except RecorderError as problem:
        return ConfiguredOrg(name, SourceConfiguration(), (), problem=problem)
    return ConfiguredOrg(name, source, feeds, credentials)


def _check_keys(name: str) -> None:
    """A misspelt setting of an org would let it be recorded otherwise than meant."""
    for file, settings in active().settings.files.items():
        found = settings.get(ORGS, {}).get(name) if isinstance(settings.get(ORGS), dict) else None
        for path, keys in _sections(name, found):
            known = keys_of(path) or frozenset()
            unknown = sorted(keys.keys() - known - ({CREDENTIALS[-1]} if len(path) == 2 else set()))
            if unknown:
                raise ConfigError(
                    f"`{'.'.join((*path, unknown[0]))}` in {_shown(file)} is an unknown setting.",
                    f"[{'.'.join(path)}] has the keys of [{'.'.join((*SOURCE, *path[2:]))}]: "
                    f"{', '.join(sorted(known))}.",
                )


def _sections(name: str, found: Any) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    if not isinstance(found, dict):
        return []
    credentials = found.get(CREDENTIALS[-1])
    own: list[tuple[tuple[str, ...], dict[str, Any]]] = [((ORGS, name), found)]
    if isinstance(credentials, dict):
        own.append(((ORGS, name, CREDENTIALS[-1]), credentials))
    return own


def _shown(file: Path) -> str:
    return f".dlt/{file.name}" if file.parent == Path(active().settings_dir) else str(file)


def _single_orgs() -> str:
    """Where keys of the single org's credentials are set; "" if nowhere."""
    settings = active().settings
    keys = [key for key in sorted(keys_of(CREDENTIALS) or ()) if settings.find((*CREDENTIALS, key), secret=True)]
    if keys:
        return named(f"{SECTION}.{keys[0]}")
    whole = settings.find(CREDENTIALS, secret=True)
    return named(SECTION) if whole and not isinstance(whole.value, dict) else ""
