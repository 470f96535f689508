"""Settings that are meant for something else: one for each field of every specification of dlt's and ours that takes
part in a load, with a value of its type that would do harm. They are read off the specifications themselves, so that a
field of a later dlt is among them.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import tomlkit
from dlt.common import known_env
from dlt.common.configuration.specs.base_configuration import (
    extract_inner_hint,
    is_base_configuration_inner_hint,
    is_secret_hint,
)

import pipelines.diagnosis.doctor  # noqa: F401 - brings all that a load and the other commands import
from pipelines.config.own_settings import CREDENTIALS, KEYS, SettingPath
from pipelines.diagnosis.ignored_settings import specifications

# Where dlt looks for a field beside its own section: those in which a load asks, and fewer of them.
SECTIONS: list[SettingPath] = [
    (), ("sources",), ("sources", "salesforce"), ("sources", "salesforce", "query_jobs"),
    ("sources", "salesforce", "query_jobs", "modified"), ("sources", "salesforce", "salesforce"),
    ("sources", "salesforce", "schema"), ("destination",), ("destination", "duckdb"),
    ("destination", "duckdb", "credentials"), ("runtime",), ("load",), ("normalize",), ("normalize", "data_writer"),
    ("extract",), ("schema",), ("data_writer",), ("pipeline",), ("query_jobs",), ("query_jobs", "load"), ("providers",),
]  # fmt: skip
# Text that does more harm than a meaningless word.
HARM: dict[str, Any] = {
    "naming": "direct", "refresh": "drop_data", "dev_mode": True, "dataset_name": "elsewhere",
    "dataset_name_layout": "x_%s", "write_disposition": "replace", "schema_contract": "freeze", "job_type": "batch",
    "warehouse": "COMPUTE_WH", "pool_type": "none", "start_method": "spawn", "end_value": "2001-01-01T00:00:00Z",
    "initial_value": "2050-01-01T00:00:00Z", "restore_from_destination": False, "read_only": True,
    "staging_dataset_name_layout": "%s", "max_rows": 1, "file_max_items": 1, "buffer_max_items": 1,
    "truncate_tables_on_staging_destination_before_load": False, "raise_on_failed_jobs": False,
}  # fmt: skip


def foreign_settings() -> dict[SettingPath, Any]:
    """Path -> value, without our own settings."""
    found: dict[SettingPath, Any] = {}
    for spec in specifications():
        own = (spec.__section__,) if spec.__section__ else ()
        for field, hint in spec.get_resolvable_fields().items():
            for section in (*SECTIONS, own):
                found[(*section, field)] = _harmful(field, hint)
    return {path: value for path, value in found.items() if not is_ours(path)}


def is_ours(path: SettingPath) -> bool:
    return path[-1] in KEYS.get(".".join(path[:-1]), ()) or path == CREDENTIALS


def _harmful(field: str, hint: Any) -> Any:
    if field in HARM:
        return HARM[field]
    if is_secret_hint(hint):
        return "s3cret"
    inner = extract_inner_hint(hint)
    if is_base_configuration_inner_hint(inner):
        return "x"
    if get_origin(inner) is Literal:
        return get_args(inner)[-1]
    kinds: dict[Any, Any] = {bool: True, int: 1, float: 0.5, list: ["x"], dict: {"x": "y"}}
    return kinds.get(get_origin(inner) or inner, "elsewhere")


def as_variables(settings: Mapping[SettingPath, Any]) -> dict[str, str]:
    """As environment variables."""
    texts = {path: value if isinstance(value, str) else json.dumps(value) for path, value in settings.items()}
    return {"__".join(path).upper(): text for path, text in texts.items()}


def as_toml(settings: Mapping[SettingPath, Any]) -> str:
    """As file contents; if one has the name of a section, the section wins."""
    document: dict[str, Any] = {}
    for path, value in sorted(settings.items(), key=lambda item: -len(item[0])):
        node = document
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node.setdefault(path[-1], value)
    return tomlkit.dumps(document)


def own_variables() -> dict[str, str]:
    """The variables that dlt reads outside its settings, except the two that matter here."""
    harm = {
        "DLT_JSON_TYPED_PUA_START": "no number",
        "DLT_DLT_ID_LENGTH_BYTES": "no number",
        "DLT_USE_JSON": "simplejson",
        "DLT_DEFAULT_NAMING_MODULE": "direct",
        "DLT_INTERVAL_START": "2001-01-01T00:00:00Z",
        "DLT_INTERVAL_END": "2001-01-02T00:00:00Z",
        "DLT_INTERVAL_TIMEZONE": "Mars/Olympus",
        "DLT_ALLOW_EXTERNAL_SCHEDULERS": "true",
    }
    names = {value for name, value in vars(known_env).items() if name.startswith("DLT_")}
    return {name: harm.get(name, "elsewhere") for name in _without_ours(names)}


def _without_ours(names: set[str]) -> Iterator[str]:
    yield from sorted(names - {"DLT_PROJECT_DIR", "DLT_DATA_DIR"})
