"""Whether a forward would get through: settings, driver, sign-in, rights and version, without changing anything."""

import tempfile
from pathlib import Path
from typing import Any, Final

from pipelines.config.dlt_context import active
from pipelines.config.settings import Settings
from pipelines.errors import AccessDenied
from pipelines.forwarding.database import POSTGRES
from pipelines.forwarding.delivery import Delivery, place_of_data, sql_client_of
from pipelines.forwarding.destination_errors import Credentials, explained
from pipelines.forwarding.lake_files import LakeFiles
from pipelines.forwarding.settings import ForwardSettings
from pipelines.warehouse.dlt_packages import temporary_files_in
from pipelines.warehouse.state_folder import StateFolder

# Of a schema: whether it is there, and may be used; null where it is missing
RIGHTS: Final = """
select
    current_setting('server_version'),
    has_database_privilege(current_database(), 'create'),
    (select has_schema_privilege(oid, 'usage, create') from pg_namespace where nspname = %s),
    (select has_schema_privilege(oid, 'usage, create') from pg_namespace where nspname = %s),
    pg_is_in_recovery()
"""


def examine(settings: Settings, forwarding: ForwardSettings) -> str:
    """What was found, in a line. Raises a RecorderError that says what to do."""
    hidden = Credentials()
    recorder = forwarding.recorder or StateFolder(settings.primary_file).identity or "unknown"
    with tempfile.TemporaryDirectory(prefix="examined_") as folder:
        active().data_dir = Path(folder)
        with explained(forwarding, "", hidden), temporary_files_in(Path(folder)):
            place_of_data(forwarding, hidden)
            delivery = Delivery(forwarding, recorder, Path(folder))
            with explained(forwarding, delivery.staging, hidden), delivery.connected([]) as client:
                if forwarding.is_lake:
                    LakeFiles(client).check_place()  # type: ignore[arg-type] # the client of a lake
                    return f"{forwarding.destination}, dataset {forwarding.dataset}: reached"
                sql = sql_client_of(client)
                if sql is None or delivery.dialect != POSTGRES:
                    return f"{forwarding.destination}, dataset {forwarding.dataset}: reached"
                version = _postgres(sql, forwarding, delivery.staging, hidden)
    return f"Postgres {version}, dataset {forwarding.dataset}: reached, with the rights that a forward needs"


def _postgres(sql: Any, forwarding: ForwardSettings, staging: str, hidden: Credentials) -> str:
    ((version, may_create, dataset, stage, is_replica),) = sql.execute_sql(RIGHTS, forwarding.dataset, staging)
    lacking = [name for name, right in ((forwarding.dataset, dataset), (staging, stage)) if right is False]
    missing = [name for name, right in ((forwarding.dataset, dataset), (staging, stage)) if right is None]
    if is_replica:
        raise AccessDenied("The Postgres server is a replica, which is read-only.", "Forward to its primary server.")
    if lacking:
        grants = " ".join(f"grant usage, create on schema {name} to <user>;" for name in lacking)
        raise AccessDenied(f"The user may not create tables in {' and '.join(lacking)}.", f"Grant it: {grants}")
    if missing and not may_create:
        schemas = " ".join(f"create schema {name} authorization <user>;" for name in missing)
        raise AccessDenied(
            f"The user may not create the schemas {' and '.join(missing)} in {hidden.database}.",
            f"Either: grant create on database {hidden.database} to <user>; or: {schemas}",
        )
    return str(version).split()[0]
