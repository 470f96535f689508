"""Whatever the environment or files contain for other programs, what is recorded is the same."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from foreign_settings import as_toml, as_variables, foreign_settings, is_ours, own_variables
from processes import holding
from recorders import KEYS, NOON

from pipelines.config.project import PROJECT
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.demo_org.usage import Usage
from pipelines.warehouse.dlt_packages import PIPELINE

HOUR = timedelta(hours=1)
Contents = dict[str, list[tuple[Any, ...]]]
# What differs between two runs of the same story: generated ids, and the port of the org.
BY_CHANCE = {"listing_id", "_dlt_load_id", "_dlt_id", "instance_url"}


class SteadyUsage(Usage):
    """The same in every answer. Both listings are read at the same time, and how many of the calls an answer counts
    depends on which of them is faster."""

    def calls(self, now: datetime) -> int:
        return 50


@dataclass(frozen=True)
class Place:
    """A project of its own, a copy of this one, and its user's home."""

    project: Path
    environment: dict[str, str]

    @property
    def config(self) -> Path:
        return self.project / ".dlt" / "config.toml"

    @property
    def users_folders(self) -> list[Path]:
        """For any user; root's dlt home is /var/dlt, which a test must not write to."""
        return [Path(self.environment["HOME"]) / ".dlt", Path(self.environment["XDG_DATA_HOME"]) / "dlt"]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.project / ".venv" / "bin" / "python"), "-m", "pipelines.query_jobs", *(arguments or ("load",))],
            env=self.environment,
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def place_of(folder: Path, org: DemoOrg) -> Place:
    """A recorder of the org, configured only by its environment."""
    project = folder / "project"
    shutil.copytree(PROJECT / "pipelines", project / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    (project / ".venv").symlink_to(sys.prefix)  # by its full name, or it would be this project's
    (project / ".dlt").mkdir()
    shutil.copy(PROJECT / ".dlt" / "config.toml", project / ".dlt")
    own = {
        "HOME": str(folder / "user"),
        "XDG_DATA_HOME": str(folder / "user" / "data"),
        "DLT_DATA_DIR": str(folder / "working"),
        "QUERY_JOBS__LOCK_WAIT": "0",
        "QUERY_JOBS__CLOCK_TOLERANCE_HOURS": "0",
        "QUERY_JOBS__KEEP_COPIES": "0",
        "RUNTIME__REQUEST_BACKOFF_FACTOR": "0.01",
        KEYS + "INSTANCE_URL": org.instance_url,
        KEYS + "CLIENT_ID": org.client_id,
        KEYS + "CLIENT_SECRET": org.client_secret,
    }
    place = Place(project, {name: value for name, value in os.environ.items() if not name.startswith("DLT_")} | own)
    for users in place.users_folders:
        users.mkdir(parents=True)
    return place


def story(folder: Path, meddle: Callable[[Place], None]) -> dict[str, Contents]:
    """Thirty jobs are recorded, twenty of them forgotten, a listing is kept while the file is locked, and then loaded:
    the contents of both files."""
    org = DemoOrg(now=NOON)
    org.usage = SteadyUsage()
    with serving(org):
        place = place_of(folder, org)
        meddle(place)
        jobs = [org.add_job(state="JobComplete", jobType=("V2Query", "Classic")[n % 2]) for n in range(30)]
        assert_done(place.run(), 0)
        for job in jobs[:20]:
            org.delete_job(job)
        org.advance(HOUR)
        org.move_job(jobs[25], "Failed")
        assert_done(place.run(), 0)
        with holding(place.project / "query_jobs.duckdb"):
            org.advance(HOUR)
            short_lived = org.add_job(object="Lead")
            assert_done(place.run(), 75)
        org.delete_job(short_lived)
        org.advance(HOUR)
        assert_done(place.run(), 0)
    names = {"query_jobs.duckdb", "warehouse.duckdb"}
    assert {file.name for file in place.project.rglob("*.duckdb")} == names
    return {name: contents(place.project / name) for name in names}


def assert_done(run: subprocess.CompletedProcess[str], code: int) -> None:
    assert run.returncode == code, run.stdout + run.stderr
    assert "s3cret" not in run.stdout + run.stderr


def contents(file: Path) -> Contents:
    """All tables of all schemas: their columns with types, and the rows of ours."""
    with duckdb.connect(file, read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        columns = connection.execute(
            "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns() "
            "where not internal order by all"
        ).fetchall()
        found: Contents = {"columns": columns}
        for table in sorted({table for table, *_ in columns if "._dlt_" not in table}):
            kept = [name for of, name, _ in columns if of == table and name not in BY_CHANCE]
            found[table] = connection.execute(f"select {', '.join(kept)} from {table} order by all").fetchall()
    return found


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Contents]:
    """What the story records without any other settings."""
    recorded = story(tmp_path_factory.mktemp("clean"), lambda place: None)
    assert len(recorded["warehouse.duckdb"]["salesforce.query_jobs"]) == 31
    assert len(recorded["warehouse.duckdb"]["salesforce.listings"]) == 8  # four runs, two listings each
    return recorded


def variables(place: Place) -> None:
    """Bare, below sections, and below the pipeline's name, where dlt looks first."""
    settings = foreign_settings()
    harm = as_variables(settings)
    assert {
        "REFRESH",
        "DEV_MODE",
        "CREDENTIALS",
        "FETCH_ORG_METADATA",
        "JOB_TYPE",
        "WAREHOUSE",
        "NAMING",
    } <= harm.keys()
    assert len(harm) > 1_000
    of_pipeline = {(PIPELINE, *path): value for path, value in settings.items() if not is_ours((PIPELINE, *path))}
    place.environment.update(as_variables(of_pipeline))
    place.environment.update(harm)


def users_files(place: Place) -> None:
    """At the top level and in sections."""
    for folder in place.users_folders:
        for name in ("config.toml", "secrets.toml"):
            (folder / name).write_text(as_toml(foreign_settings()))


def other_sections_of_the_project(place: Place) -> None:
    """In both of its files."""
    text = as_toml(foreign_settings())
    place.config.write_text(text)
    secrets = place.config.with_name("secrets.toml")
    secrets.write_text(text)
    secrets.chmod(0o600)


def dlts_own_ways(place: Place) -> None:
    """Variables that are not settings, and another project of dlt's."""
    other = place.project.parent / "other"
    (other / ".dlt").mkdir(parents=True)
    settings = {path: value for path, value in foreign_settings().items() if path[0] not in ("query_jobs", "sources")}
    (other / ".dlt" / "config.toml").write_text(as_toml(settings))
    (place.project / "elsewhere").mkdir()  # a possible value of DLT_CONFIG_FOLDER
    place.environment.update(own_variables() | {"DLT_PROJECT_DIR": str(other), "DLT_LOCAL_DIR": str(other)})


def packages_beside_dlt(place: Place) -> None:
    """A dlt plug-in, and an Airflow with settings for dlt and an interval for the run."""
    packages = place.project.parent / "packages"
    (packages / "airflow" / "operators").mkdir(parents=True)
    for name, code in {
        "airflow/__init__.py": "",
        "airflow/operators/__init__.py": "",
        "airflow/models.py": f"""
class Variable:
    get = staticmethod(lambda name, default_var=None: {as_toml(foreign_settings())!r})
class TaskInstance: ...
""",
        "airflow/operators/python.py": """
from datetime import UTC, datetime
def get_current_context():
    return {"data_interval_start": datetime(2001, 1, 1, tzinfo=UTC), "data_interval_end": datetime(2001, 1, 2, tzinfo=UTC)}
""",
        "plug.py": """
from dlt.common.configuration.plugins import hookimpl
@hookimpl(specname="plug_run_context", tryfirst=True)
def plug(run_dir, runtime_kwargs): raise RuntimeError("plugged in")
""",
        "plug-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n",
        "plug-1.0.dist-info/entry_points.txt": "[dlt]\nplug = plug\n",
    }.items():
        (packages / name).parent.mkdir(exist_ok=True)
        (packages / name).write_text(code)
    place.environment.update({"PYTHONPATH": str(packages), "DLT_ALLOW_EXTERNAL_SCHEDULERS": "true"})


PLACES = [variables, users_files, other_sections_of_the_project, dlts_own_ways, packages_beside_dlt]


@pytest.mark.slow
@pytest.mark.parametrize("meddle", PLACES, ids=lambda place: place.__name__)
def test_what_is_recorded_is_the_same(tmp_path: Path, clean: dict[str, Contents], meddle) -> None:
    """Row by row, in the primary database and in the published copy."""
    recorded = story(tmp_path, meddle)

    for file, tables in clean.items():
        assert recorded[file].keys() == tables.keys()
        for table, rows in tables.items():
            assert recorded[file][table] == rows, f"{file}: {table}"
