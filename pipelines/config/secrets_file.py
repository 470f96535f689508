"""Puts an org's keys into the text of a secrets.toml, and leaves everything else in it as it is."""

from collections.abc import Mapping
from typing import Any, Final

import tomlkit
from tomlkit.items import AbstractTable

from pipelines.config.credentials import METHODS, PLACEHOLDER
from pipelines.config.own_settings import CREDENTIALS, ORGS, SettingPath

HEADER: Final = "# Keys of the recorder. Keep them to yourself: chmod 600. Made by `init`; see docs/setup.md.\n\n"
OF_CREDENTIALS: Final = frozenset(key for keys in METHODS.values() for key in keys) | {"login_url"}


def section_of(org: str) -> SettingPath:
    """Where the keys of [orgs.NAME] are; without a name, those of the single org."""
    return (ORGS, org, CREDENTIALS[-1]) if org else CREDENTIALS


def keys_there(settings: Mapping[str, Any], section: SettingPath) -> list[str]:
    """The credentials that a section has; the example file's empty keys and its placeholder do not count."""
    found: Any = settings
    for part in section:
        found = found.get(part) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        return [section[-1]] if found else []
    return [key for key in found if key in OF_CREDENTIALS and found[key] and PLACEHOLDER not in str(found[key])]


def with_keys(text: str, section: SettingPath, keys: Mapping[str, str]) -> str:
    """The file's text with these keys in the section, instead of any other credentials that it has there. Raises
    ValueError if it is not TOML."""
    document = tomlkit.parse(text or HEADER)
    table: Any = document
    for place, part in enumerate(section):
        if not isinstance(table.get(part), AbstractTable):
            table[part] = tomlkit.table(is_super_table=place < len(section) - 1)
        table = table[part]
    for key in OF_CREDENTIALS & set(table):
        del table[key]
    for key, value in keys.items():
        table[key] = value
    return tomlkit.dumps(document)
