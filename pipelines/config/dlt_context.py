"""Which settings dlt gets to see: only our own, by their full names.

dlt looks up every field of its configuration in the environment and in files: under all its sections, then under fewer
of them, and finally by its bare name. A variable REFRESH, or a `[load]` section meant for another project, could so
destroy the history. Here dlt gets a value only if sections and key are exactly those of one of our settings, or in
the section of the destination that jobs are forwarded to; everything else stays at its default. How dlt looks: https://dlthub.com/docs/general-usage/credentials/setup
"""

import os
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar, get_args, get_origin

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
    ORGS,
    PRIMARY_FILE,
    SECRETS,
    GivenSettings,
    OwnSettings,
    SettingPath,
    is_credentials,
    keys_of,
    named_project,
)
from pipelines.config.project import PROJECT
from pipelines.config.runtime import check_runtime
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
        all_keys = is_credentials(path)
        if not (all_keys or revealed or (of_dlts_interest and key in (keys_of(sections) or ()))):
            return None, name
        found = self.settings.find(path, secret=is_secret_hint(hint))
        whole = all_keys or (revealed and key == CREDENTIALS[-1])
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
        if runtime_config is None:
            runtime_config = _resolved(RuntimeConfiguration(), "runtime")
            check_runtime(runtime_config, named)
        super().initialize_runtime(runtime_config)


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


def use_given_settings(folder: Path, data_dir: Path, secrets: dict[str, Any] | None = None) -> RecorderContext:
    """Makes dlt work in a folder, with every setting at its default but these, as secrets.toml would have them."""
    files = {folder / FOLDER / SECRETS: secrets} if secrets else {}
    return use(RecorderContext(folder, data_dir, GivenSettings(files)))


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
        found = resolve_configuration(spec, sections=tuple(name.split(".")))
    except ConfigurationException as error:
        raise config_error(error) from None
    for key in found.get_resolvable_fields():
        if problem := _problem_of_text(found[key]):
            raise ConfigError(f"{named(f'{name}.{key}')} {problem}.", SEE)
    return found


def _problem_of_text(value: Any) -> str:
    """What is wrong with a text, or with a list, of which dlt does not check the members; "" if nothing is."""
    if isinstance(value, list):
        return "is not a list of texts" if not all(isinstance(one, str) for one in value) else ""
    try:
        (value if isinstance(value, str) else "").encode()
    except UnicodeEncodeError:  # the environment has bytes; Python keeps those it cannot decode
        return "contains a character that is not UTF-8"
    return ""


def config_error(error: ConfigurationException) -> ConfigError:
    """dlt's configuration error as one sentence: which setting is wrong, and where it is set."""
    if isinstance(error, ConfigValueCannotBeCoercedException):
        key, value = error.field_name, error.field_value
        kind = _kind_of(error.hint)
        orgs = (f"{ORGS}.{org}" for org in active().settings.org_names())
        for name in [name for name in (*KEYS, *orgs) if key in (keys_of(tuple(name.split("."))) or ())]:
            found = active().settings.find((*name.split("."), key))
            if found and (found.value == value or repr(found.value) == repr(value)):  # nan differs from itself
                shown = "" if is_credentials(tuple(name.split("."))) else f"{_as_written(value)}, "
                return ConfigError(f"{named(f'{name}.{key}')} is {shown}not {kind}.", SEE)
        return ConfigError(f"The setting `{sanitize(key, 80)}` is not {kind}.", SEE)
    said = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return ConfigError(f"A setting cannot be used: {sanitize(said)}", SEE)


def _kind_of(hint: Any) -> str:
    """What a setting of this type must be."""
    kinds = [KINDS.get(get_origin(one) or one) for one in (hint, *get_args(hint))]
    return next(filter(None, kinds), "text")


def _as_written(value: Any) -> str:
    """A value as the user may have written it in a file of settings."""
    shown = str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, date) else repr(value)
    return sanitize(shown, 100)


def named(setting: str) -> str:
    """A setting as messages show it, with where it is set: `check.unusual_jobs` (variable CHECK__UNUSUAL_JOBS)."""
    return place_of(setting, f"`{setting}`")


def place_of(setting: str, shown: str) -> str:
    """Like `named`, but shows the setting by another name."""
    path, find = tuple(setting.split(".")), active().settings.find
    found = find(path, secret=is_credentials(path) or is_credentials(path[:-1]))
    if found is None and is_credentials(path[:-1]):
        found = find(path[:-1], secret=True)  # all keys at once
        found = found if found and isinstance(found.value, str) else None
    return f"{shown} ({found})" if found else shown
