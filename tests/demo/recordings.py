"""Recordings of the demo and of other orgs, as found in a folder."""

import os
import shutil
import stat
from pathlib import Path

import duckdb
from planted import NOW, plant

from pipelines.demo_org.org import DemoOrg
from pipelines.warehouse.file_identity import new_identity, write_identity

DEMO_ORG = DemoOrg().org_id


def recording(
    file: Path,
    *,
    demo: bool | None = True,
    org: str = DEMO_ORG,
    also: str = "select 1",
    copy: bool = True,
    alone: bool = False,
) -> Path:
    """A recording of one job and one listing; with `demo` None: without an identity, as version 0.1.0 made it; with or
    without its published copy."""
    file.parent.mkdir(parents=True, exist_ok=True)
    plant(file, alone=alone, query_jobs=[{"org_id": org}], listings=[{"org_id": org, "started_at": NOW}])
    with duckdb.connect(file) as connection:
        if demo is not None:
            write_identity(connection, new_identity(demo=demo))
        connection.execute(also)
    if copy:
        shutil.copy(file, file.with_name("warehouse.duckdb"))
    return file


def everything(folder: Path) -> dict[str, object]:
    """Each path in a folder: its type and content."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IFMT(path.lstat().st_mode),
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None,
        )
        for path in folder.rglob("*")
    }
