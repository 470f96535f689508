"""The project as a package: what is in a wheel, and what the installed command does without a checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from projects import in_folder, point_at
from recorders import NOON

from pipelines.config.project import PROJECT
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving

VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]


def pip(*arguments: object, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, timeout=300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, because setuptools builds in the source folder; without network access."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder)
    shutil.copytree(PROJECT / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist", ".", cwd=folder)
    (built,) = folder.glob("dist/*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel installed; other packages come from the test environment."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    pip("--python", place / "bin" / "python", "install", "--no-deps", "--no-index", wheel, cwd=place)
    (site,) = place.glob("lib/python*/site-packages")
    (site / "packages_of_the_tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return place / "bin"


def test_a_wheel_contains_all_source_files(wheel: Path) -> None:
    files = {path for path in (PROJECT / "pipelines").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    sources = {path.relative_to(PROJECT).as_posix() for path in files}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == sources


@pytest.mark.slow
def test_the_command_prints_its_version_and_name(installed: Path, tmp_path: Path) -> None:
    said = in_folder(tmp_path, str(installed / "bulk-jobs"), "--version")
    assert (said.returncode, said.stdout) == (0, f"bulk-jobs {VERSION}\n"), said.stderr
    helped = in_folder(tmp_path, str(installed / "bulk-jobs"), "--help")
    assert helped.stdout.startswith("usage: bulk-jobs ")
    of_the_sources = in_folder(PROJECT, sys.executable, "-m", "pipelines.query_jobs", "--version")
    assert of_the_sources.stdout == said.stdout


@pytest.mark.slow
def test_the_demo_runs_from_an_installed_package(installed: Path, tmp_path: Path) -> None:
    """Its views and the page of the report come from the wheel; nothing is written next to the code."""
    before = {path for path in installed.parent.rglob("*") if path.suffix != ".pyc" and "__pycache__" not in path.parts}
    ran = in_folder(tmp_path, str(installed / "bulk-jobs"), "demo", "--days", "3", "--home", "here")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("and with your own org:\n  bulk-jobs init\n  bulk-jobs load\n")
    assert "make" not in ran.stdout
    report = in_folder(
        tmp_path,
        str(installed / "bulk-jobs"),
        "report",
        "--warehouse",
        "here/warehouse.duckdb",
        "--output",
        "page.html",
    )
    assert report.returncode == 0, report.stderr
    assert (tmp_path / "page.html").stat().st_size > 10_000
    after = {path for path in installed.parent.rglob("*") if path.suffix != ".pyc" and "__pycache__" not in path.parts}
    assert after == before


@pytest.mark.slow
def test_an_installed_recorder_has_its_settings_and_files_in_the_working_directory(
    installed: Path, tmp_path: Path
) -> None:
    mine, named, another = tmp_path / "mine", tmp_path / "named", tmp_path / "another"
    org = DemoOrg(now=NOON)
    org.add_job()
    with serving(org):
        for folder in (mine, named):
            (folder / ".dlt").mkdir(parents=True)
            shutil.copy(PROJECT / ".dlt" / "config.toml", folder / ".dlt")
            point_at(folder, org)
        for folder, variables in ((mine, {}), (another, {"DLT_PROJECT_DIR": str(named)})):
            folder.mkdir(exist_ok=True)
            ran = in_folder(folder, str(installed / "bulk-jobs"), "load", **variables)
            assert ran.returncode == 0, ran.stderr
    assert (mine / "warehouse.duckdb").is_file()
    assert (named / "warehouse.duckdb").is_file()
    assert os.listdir(another) == []


@pytest.mark.slow
def test_an_installed_recorder_is_set_up_loads_and_checks_in_its_working_folder(
    installed: Path, tmp_path: Path
) -> None:
    command, folder, secret = str(installed / "bulk-jobs"), tmp_path / "mine", tmp_path / "secret"
    before = {path for path in installed.parent.rglob("*") if "__pycache__" not in path.parts}
    folder.mkdir()
    org = DemoOrg()
    org.add_job()
    secret.write_text(org.client_secret)
    with serving(org):
        keys = ("--instance-url", org.instance_url, "--client-id", org.client_id, "--secret-file", str(secret))
        ran = in_folder(folder, command, "init", *keys)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert f"* cd {folder} && " in ran.stdout
        assert (folder / ".dlt" / "secrets.toml").stat().st_mode & 0o777 == 0o600
        assert in_folder(folder, command, "load").returncode == 0
    checked = in_folder(folder, command, "check")
    assert (checked.returncode, checked.stderr) in ((0, ""), (1, ""))
    assert len(in_folder(folder, command, "show", "jobs", "--csv").stdout.splitlines()) == 2
    assert {"query_jobs.duckdb", "warehouse.duckdb"} <= set(os.listdir(folder))
    assert {path for path in installed.parent.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.slow
def test_init_leaves_the_folder_of_another_program_alone(installed: Path, tmp_path: Path) -> None:
    """With our keys beside them, its settings would become ours."""
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text("[destination.duckdb]\ncredentials = 'theirs.duckdb'\n")
    ran = in_folder(tmp_path, str(installed / "bulk-jobs"), "init", "--sf-cli-org", "mine")
    assert ran.returncode == 78
    assert "another program" in ran.stderr
    assert not (tmp_path / ".dlt" / "secrets.toml").exists()


@pytest.mark.slow
def test_the_dlt_folder_of_another_program_is_ignored(installed: Path, tmp_path: Path) -> None:
    """Its `[destination.duckdb]` names that program's file, which our loads must not write to."""
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text("[destination.duckdb]\ncredentials = 'theirs.duckdb'\n")
    keys = {"INSTANCE_URL": "https://x.my.salesforce.com", "CLIENT_ID": "id", "CLIENT_SECRET": "secret"}
    variables = {f"SOURCES__SALESFORCE__CREDENTIALS__{key}": value for key, value in keys.items()}
    found = in_folder(tmp_path, str(installed / "bulk-jobs"), "doctor", **variables)
    assert "theirs.duckdb" not in found.stdout + found.stderr
    (tmp_path / ".dlt" / "config.toml").write_text("[query_jobs]\n[destination.duckdb]\ncredentials = 'mine.duckdb'\n")
    found = in_folder(tmp_path, str(installed / "bulk-jobs"), "doctor", **variables)
    assert f"{tmp_path / 'mine.duckdb'}" in found.stdout
