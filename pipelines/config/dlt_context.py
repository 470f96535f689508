"""Which settings dlt gets to see: only our own, by their full names.

dlt looks up every field of its configuration in the environment and in files: under all its sections, then under fewer
of them, and finally by its bare name. A variable REFRESH, or a `[load]` section meant for another project, could so
destroy the history. Here dlt gets a value only if sections and key are exactly those of one of our settings, or in
the section of the destination that jobs are forwarded to; everything else stays at its default. How dlt looks: https://dlthub.com/docs/general-usage/credentials/setup
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from dlt.common.configuration import is_secret_hint
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigurationException, ConfigValueCannotBeCoercedException
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration, RuntimeConfiguration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.runtime.run_context import RunContext

from pipelines.config.interpreter import check_interpreter
from pipelines.config.own_settings import (
    CONFIG,
    CREDENTIALS,
    FOLDER,
    KEYS,
    PRIMARY_FILE,
    SECRETS,
    NoSettings,
    OwnSettings,
    SettingPath,
    named_project,
)
from pipelines.config.project import PROJECT
from pipelines.errors import ConfigError, sanitize

Spec = TypeVar("Spec", bound=BaseConfiguration)

SEE: Final = "See .dlt/config.toml and .dlt/secrets.example.toml."
KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number", list: "a list"}
DEFAULTS: Final[Mapping[SettingPath, Any]] = {
    ("runtime", "request_max_retry_delay"): 60.0,  # even if Retry-After asks for more; dlt's own default is 300
}
PINNED: Final[Mapping[SettingPath, Any]] = {
    # Otherwise the file keeps a second copy of the last load, and dlt's working folder a third.
    ("load", "truncate_staging_dataset"): True,
    ("load", "delete_completed_jobs"): True,
    ("runtime", "dlthub_telemetry"): False,
    # If Airflow is installed, dlt would also read settings from Airflow's variables.
    ("providers", "enable_airflow_secrets"): False,
}


def section(name: str) -> Callable[[type[Spec]], type[Spec]]:
    """Registers the fields of a specification as our settings: `key` under [name] in the files, NAME__KEY in the
    environment."""

    def register(spec: type[Spec]) -> type[Spec]:
        KEYS[name] = frozenset(spec().get_resolvable_fields())
        return spec

    return register


class Answers(ConfigProvider):
    """The only configuration provider that dlt has."""

    def __init__(self, settings: OwnSettings) -> None:
        self.settings = settings

    def get_value(self, key: str, hint: Any, pipeline_name: str | None, *sections: str) -> tuple[Any | None, str]:
        path = (*sections, key)
        name = ".".join(path)
        if pipeline_name:
            return None, name
        if path in PINNED:
            return PINNED[path], name
        of_dlts_interest = path[: len(PRIMARY_FILE) - 1] != PRIMARY_FILE[:-1]
        revealed = of_dlts_interest and self.settings.is_revealed(path)
        if not (path == CREDENTIALS or revealed or (of_dlts_interest and key in KEYS.get(".".join(sections), ()))):
            return None, name
        found = self.settings.find(path, secret=is_secret_hint(hint))
        whole = path == CREDENTIALS or (revealed and key == CREDENTIALS[-1])
        if found is None or (whole and isinstance(found.value, dict)):  # dlt then asks for each key
            return DEFAULTS.get(path), name
        if is_secret_hint(hint) and isinstance(found.place, Path) and found.place.name == CONFIG:
            raise ConfigError(
                f"`{name}` is a secret, but is set in {found.place}.",
                f"Move it to {found.place.with_name(SECRETS)}, and run chmod 600 on that file.",
            )
        return found.value, name

    @property
    def name(self) -> str:
        return "settings of the recorder"

    @property
    def supports_secrets(self) -> bool:
        return True

    @property
    def supports_sections(self) -> bool:
        return True


class RecorderContext(RunContext):
    """Where dlt works, and the settings it gets: those of `project`, unless others are given.

    `data_dir` is where dlt keeps its working folders; set it before a pipeline is created.
    """

    def __init__(self, project: Path, data_dir: Path | None = None, settings: OwnSettings | None = None) -> None:
        super().__init__(str(project))
        self.project = str(project)
        self.settings = settings or OwnSettings(project)
        self._folder = data_dir
        self._initialized = False

    @property
    def run_dir(self) -> str:
        return self.project

    @property
    def local_dir(self) -> str:
        return self.project

    @property
    def settings_dir(self) -> str:
        return os.path.join(self.project, FOLDER)

    @property
    def data_dir(self) -> str:
        if self._folder is None:
            raise RuntimeError("data_dir is not set: a load must set it before it uses dlt")
        return str(self._folder)

    @data_dir.setter
    def data_dir(self, folder: Path) -> None:
        self._folder = folder

    @property
    def global_dir(self) -> str:
        return self.data_dir

    @property
    def module(self) -> ModuleType | None:
        return None  # dlt would import any module named like the project's folder

    def initial_providers(self) -> list[ConfigProvider]:
        return [Answers(self.settings)]

    def initialize_runtime(self, runtime_config: RuntimeConfiguration | None = None) -> None:
        if runtime_config is None and self._initialized:
            return  # dlt calls this twice per context
        self._initialized = True
        super().initialize_runtime(runtime_config or _resolved(RuntimeConfiguration(), "runtime"))


def use(context: RecorderContext) -> RecorderContext:
    """Makes this dlt's context, in all threads, until another one is used."""
    # Set directly: dlt's own switch would first create a default context, with the working directory's settings.
    Container()[PluggableRunContext] = PluggableRunContext(context)
    return context


def use_project() -> RecorderContext:
    """Uses this project's settings, whatever the working directory; or those of DLT_PROJECT_DIR, if that is a project
    of this recorder. Reads its files again. Raises ConfigError if one cannot be read, or if another copy's Python
    runs this code."""
    check_interpreter()
    return use(RecorderContext(named_project() or PROJECT))


def use_no_settings(folder: Path, data_dir: Path) -> RecorderContext:
    """Makes dlt work in a folder, with every setting at its default."""
    return use(RecorderContext(folder, data_dir, NoSettings()))


def active() -> RecorderContext:
    """dlt's current context; if that is not one of ours yet, switches to this project's."""
    container = Container()
    context = container[PluggableRunContext].context if PluggableRunContext in container else None
    return context if isinstance(context, RecorderContext) else use_project()


def resolved(spec: Spec, name: str) -> Spec:
    """The specification, filled with a section's settings. Raises ConfigError with the key and where it is set."""
    active()
    return _resolved(spec, name)


def _resolved(spec: Spec, name: str) -> Spec:
    try:
        return resolve_configuration(spec, sections=tuple(name.split(".")))
    except ConfigurationException as error:
        raise config_error(error) from None


def config_error(error: ConfigurationException) -> ConfigError:
    """dlt's configuration error as one sentence: which setting is wrong, and where it is set."""
    if isinstance(error, ConfigValueCannotBeCoercedException):
        key, value = error.field_name, error.field_value
        for name in [name for name, keys in KEYS.items() if key in keys]:
            found = active().settings.find((*name.split("."), key))
            if found and found.value == value:
                shown = "" if name == ".".join(CREDENTIALS) else f"{sanitize(repr(value), 100)}, "
                kind = KINDS.get(getattr(error.hint, "__origin__", error.hint), "text")
                return ConfigError(f"{named(f'{name}.{key}')} is {shown}not {kind}.", SEE)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ConfigError(" ".join(lines[:3])[:400], SEE)


def named(setting: str) -> str:
    """A setting as messages show it, with where it is set: `check.unusual_jobs` (variable CHECK__UNUSUAL_JOBS)."""
    return place_of(setting, f"`{setting}`")


def place_of(setting: str, shown: str) -> str:
    """Like `named`, but shows the setting by another name."""
    path, find = tuple(setting.split(".")), active().settings.find
    found = find(path, secret=path[:3] == CREDENTIALS)
    if found is None and path[:-1] == CREDENTIALS:
        found = find(CREDENTIALS, secret=True)  # all keys at once
        found = found if found and isinstance(found.value, str) else None
    return f"{shown} ({found})" if found else shown
