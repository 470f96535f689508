"""Our own settings and where they are set: in the environment, two files of the project and two of the user.

Only full names count: a bare variable, or a key at a file's top level, belongs to some other program.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pipelines.config.project import INSTALLED
from pipelines.config.toml_files import read_toml
from pipelines.errors import ConfigError

FOLDER: Final = ".dlt"
SECRETS, CONFIG = "secrets.toml", "config.toml"
NAMES: Final = (SECRETS, CONFIG)
DOCKER_SECRETS: Final = Path("/run/secrets")  # where Docker and Kubernetes mount them

SettingPath = tuple[str, ...]  # sections and key
# The path of the primary database, as text or as `database`. dlt gets a connection, and never sees this setting.
PRIMARY_FILE: Final[SettingPath] = ("destination", "duckdb", "credentials")
SOURCE: Final[SettingPath] = ("sources", "salesforce")
CREDENTIALS: Final[SettingPath] = (*SOURCE, "credentials")  # may be one variable, too
ORGS: Final = "orgs"  # [orgs.NAME] has the keys of SOURCE, [orgs.NAME.credentials] those of CREDENTIALS

# The keys of each of our sections; `dlt_context.section` adds those of our specifications.
KEYS: Final[dict[str, frozenset[str]]] = {
    "runtime": frozenset({
        "request_timeout", "request_max_attempts", "request_backoff_factor", "request_max_retry_delay",
        "log_level", "log_format",
    }),
    ".".join(PRIMARY_FILE[:-1]): frozenset({PRIMARY_FILE[-1]}),
    ".".join(PRIMARY_FILE): frozenset({"database"}),
}  # fmt: skip
# Renamed settings, old -> new. The old name works until the next major version; if both are set, the new one counts.
# `doctor` reports old names.
RENAMED: Final[dict[SettingPath, SettingPath]] = {
    ("query_jobs", "extras"): ("query_jobs", "fetch_org_metadata"),
    ("check", "known_findings"): ("check", "muted_findings"),
}
# A project belongs to this recorder if it has [query_jobs], or one of our keys in these sections.
IDENTIFYING_SECTIONS: Final = (SOURCE, CREDENTIALS)


def section_like(sections: SettingPath) -> SettingPath:
    """The section that has the same keys: of an org's section, that of the single org; of any other, itself."""
    if len(sections) in (2, 3) and sections[0] == ORGS and sections[2:] in ((), CREDENTIALS[-1:]):
        return (*SOURCE, *sections[2:])
    return sections


def keys_of(sections: SettingPath) -> frozenset[str] | None:
    """The keys of one of our sections; None if it is not ours."""
    return KEYS.get(".".join(section_like(sections)))


def is_credentials(sections: SettingPath) -> bool:
    """Whether this is the section of an org's credentials."""
    return section_like(sections) == CREDENTIALS


@dataclass(frozen=True)
class Found:
    """A setting's value, the file or variable that sets it, and the name used there if it is an old one."""

    value: Any
    place: Path | str
    old_name: str = ""

    def __str__(self) -> str:
        if isinstance(self.place, Path):
            return f"{f'as `{self.old_name}` ' if self.old_name else ''}in {self.place}"
        return f"variable {self.place}"


class OwnSettings:
    """The settings of a project. Files are read once, here; the environment at each lookup.

    Raises ConfigError if a file cannot be read.
    """

    def __init__(self, project: Path) -> None:
        self.revealed: set[SettingPath] = set()
        self.files: dict[Path, dict[str, Any]] = {}  # the first file that has a setting wins
        self.not_ours: list[Path] = []  # the user's files that others could have written
        users = users_folder()
        own = {name: read_toml(project / FOLDER / name, ours=not INSTALLED) for name in NAMES}
        another_programs = INSTALLED and not any(map(_is_recorders, own.values()))
        for name in NAMES:
            if not another_programs:
                self.files[project / FOLDER / name] = own[name]
            if users is None or not (users / name).is_file():
                continue
            if _only_ours(users) and _only_ours(users / name):
                self.files[users / name] = read_toml(users / name)
            else:
                self.not_ours.append(users / name)

    def reveal(self, section: SettingPath) -> None:
        """Lets dlt see all settings in this section from now on: a destination's, which only dlt knows."""
        self.revealed.add(section)

    def is_revealed(self, path: SettingPath) -> bool:
        """Whether a setting is in one of these sections."""
        return any(path[: len(section)] == section for section in self.revealed)

    def find(self, path: SettingPath, secret: bool = False) -> Found | None:
        """The setting, wherever it is set. With `secret`, also looks among a container's secrets."""
        old = next((old for old, new in RENAMED.items() if new == path), None)
        found = next(self.places(path, secret), None)
        if (
            found is None and len(path) == 3 and path[0] == ORGS and not is_credentials(path)
        ):  # what [orgs.NAME] does not set, all orgs share
            found = next(self.places((*SOURCE, path[-1])), None)
            return replace(found, old_name=".".join((*SOURCE, path[-1]))) if found else None
        return found or (next(self.places(old, secret), None) if old else None)

    def places(self, path: SettingPath, secret: bool = False) -> Iterator[Found]:
        """Every place that sets it by this name, in order of precedence."""
        named_there = variable(path)
        old_name = ".".join(path) if path in RENAMED else ""
        if secret and (value := _docker_secret(named_there)) is not None:
            yield Found(value, f"{DOCKER_SECRETS}/{_docker_name(named_there)}", old_name)
        if named_there in os.environ:
            yield Found(os.environ[named_there], named_there, old_name)
        for file, settings in self.files.items():
            if (value := _at(settings, path)) is not None:
                yield Found(value, file, old_name)

    def org_names(self) -> list[str]:
        """The name of each [orgs.NAME], in the order of the settings. In the environment, case does not count, and `_`
        stands for `-`; an org that only the environment knows has its name from there, in lower case.

        Raises ConfigError if the files write a name in two ways."""
        names: dict[str, tuple[str, Path]] = {}
        for file, settings in self.files.items():
            for name in _orgs_of(settings):
                known, there = names.setdefault(folded(name), (name, file))
                if known != name:
                    raise ConfigError(
                        f"[{ORGS}.{known}] in {there} and [{ORGS}.{name}] in {file} are one name, written in two ways.",
                        "Write it the same in both, or give one of the orgs another name.",
                    )
        elsewhere = {folded(name): name for name in (*_orgs_of_environment(), *_orgs_of_docker())}
        return [name for name, _ in names.values()] + [elsewhere[key] for key in sorted(elsewhere.keys() - names)]


class GivenSettings(OwnSettings):
    """Reads nothing: every setting has its default, unless it is given, as the contents of files."""

    def __init__(self, files: dict[Path, dict[str, Any]]) -> None:
        self.files, self.not_ours, self.revealed = files, [], set()

    def places(self, path: SettingPath, secret: bool = False) -> Iterator[Found]:
        for file, settings in self.files.items():
            if (value := _at(settings, path)) is not None:
                yield Found(value, file)

    def org_names(self) -> list[str]:
        return [name for settings in self.files.values() for name in _orgs_of(settings)]


def named_project() -> Path | None:
    """The folder that DLT_PROJECT_DIR names, if it has settings of a recorder; otherwise the variable is meant for
    another program. Raises ConfigError if it has, and they cannot be read."""
    given = os.environ.get("DLT_PROJECT_DIR")
    if not given:
        return None
    folder = Path(os.path.abspath(given))
    found = [read_toml(folder / FOLDER / name) for name in (CONFIG, SECRETS)]
    return folder if any(map(_is_recorders, found)) else None


def _is_recorders(settings: dict[str, Any]) -> bool:
    def has_key_of_ours(sections: SettingPath) -> bool:
        found = _at(settings, sections)
        return isinstance(found, dict) and bool((keys_of(sections) or frozenset()) & found.keys())

    of_orgs = [(ORGS, name, *more) for name in _orgs_of(settings) for more in ((), CREDENTIALS[-1:])]
    return isinstance(settings.get("query_jobs"), dict) or any(map(has_key_of_ours, (*IDENTIFYING_SECTIONS, *of_orgs)))


def _orgs_of(settings: dict[str, Any]) -> list[str]:
    orgs = settings.get(ORGS)
    return [name for name, found in orgs.items() if isinstance(found, dict)] if isinstance(orgs, dict) else []


def _orgs_of_environment() -> Iterator[str]:
    for variable in sorted(os.environ):
        path = tuple(variable.lower().split("__"))
        if len(path) > 2 and path[0] == ORGS and (path[-1] in (keys_of(path[:-1]) or ()) or is_credentials(path)):
            yield path[1]


def _orgs_of_docker() -> Iterator[str]:
    for file in sorted(DOCKER_SECRETS.glob(f"{ORGS}--*--{CREDENTIALS[-1]}*")):
        yield file.name.split("--")[1]


def folded(org: str) -> str:
    """An org's name as it is compared with others."""
    return org.lower().replace("-", "_")


def variable(path: SettingPath) -> str:
    """The environment variable of a setting. That of an org has `_` for `-`, which no shell allows in a name."""
    parts = (path[0], folded(path[1]), *path[2:]) if path[0] == ORGS and len(path) > 2 else path
    return "__".join(parts).upper()


def _at(settings: dict[str, Any], path: SettingPath) -> Any:
    node: Any = settings
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
    return node


def user_id() -> int | None:
    """The current user's id; None on Windows."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def users_folder() -> Path | None:
    """The folder of the user's settings for all projects, where dlt has it: `dlt` in XDG_DATA_HOME, or `~/.dlt`; for
    root /var/dlt. Never /tmp/dlt, which dlt falls back to: any user could have created that."""
    usual = Path("/var/dlt") if user_id() == 0 else Path(os.path.expanduser("~")) / FOLDER
    other = Path(os.environ.get("XDG_DATA_HOME", "")) / "dlt"
    # dlt ignores XDG_DATA_HOME for root. It still counts here, but second.
    first = (other, usual) if user_id() == 0 else (usual, other)
    return next((folder for folder in first if folder.is_absolute() and folder.is_dir()), None)


def _only_ours(file: Path) -> bool:
    """Whether only this user and root could have written it."""
    try:
        found = file.stat()
    except OSError:
        return False
    return found.st_uid in (0, user_id()) and not found.st_mode & stat.S_IWOTH


def _docker_name(variable: str) -> str:
    return variable.lower().replace("_", "-")


def _docker_secret(variable: str) -> str | None:
    """Docker mounts a secret as a file, Kubernetes as a directory that contains a file of the same name."""
    name = _docker_name(variable)
    for file in (DOCKER_SECRETS / name, DOCKER_SECRETS / name / name):
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
    return None
