"""Project folders as a user has them, each with its own Makefile, environment and settings."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from pipelines.config.project import PROJECT
from pipelines.demo_org.org import DemoOrg

RECORDED = {"query_jobs.duckdb", "warehouse.duckdb"}


def in_folder(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder, with only the variables that a command needs, and those given."""
    plain = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "LANG": "C.UTF-8",
        "QUERY_JOBS__CLOCK_TOLERANCE_HOURS": "0",  # the demo org has a simulated clock
    }
    return subprocess.run(
        command, cwd=folder, env=plain | environment, capture_output=True, text=True, timeout=300, check=False
    )


def make_project(folder: Path) -> Path:
    """The project with its own .venv, made as a user makes it, but from requirements without any package: its Python
    finds the packages of this environment."""
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder)
    for name in ("pipelines", "notebooks"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "__marimo__"))
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).touch()
    (folder / ".dlt").mkdir()
    shutil.copy(PROJECT / ".dlt" / "config.toml", folder / ".dlt")
    made = in_folder(folder, "make", "setup")
    assert made.returncode == 0, made.stderr
    lend_packages(folder)
    return folder


def lend_packages(folder: Path) -> None:
    (site,) = folder.glob(".venv/lib/python*/site-packages")
    (site / "packages_of_the_tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")


def point_at(folder: Path, org: DemoOrg) -> None:
    """Makes a project record an org."""
    secrets = folder / ".dlt" / "secrets.toml"
    secrets.write_text(
        f"[sources.salesforce.credentials]\ninstance_url = '{org.instance_url}'\n"
        f"client_id = '{org.client_id}'\nclient_secret = '{org.client_secret}'\n"
    )
    secrets.chmod(0o600)


def run(folder: Path, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """The README's cron line, run from another working directory."""
    python = folder / ".venv" / "bin" / "python"
    return in_folder(cwd or folder.parent, str(python), "-m", "pipelines.query_jobs", *arguments, **environment)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.duckdb")}
