"""Which environment variables affect make, and what a copied or moved project folder runs, with real folders."""

import hashlib
import shutil
import subprocess
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pages import MAKEFILE
from planted import plant
from projects import RECORDED, files, in_folder, lend_packages, make_project, point_at, run
from recorders import NOON

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project for tests to copy."""
    return make_project(tmp_path_factory.mktemp("made") / "template")


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    copy("-a", template, tmp_path / "prod")
    return tmp_path / "prod"


def copy(how: str, project: Path, to: Path) -> None:
    subprocess.run(["cp", how, project, to], check=True)


@pytest.fixture
def other() -> Iterator[DemoOrg]:
    with serving(other := DemoOrg(now=NOON)):
        yield other


@pytest.mark.slow
def test_a_copied_project_records_its_own_org(project: Path, org: DemoOrg, other: DemoOrg) -> None:
    """With the .venv that was copied with it, and with the one that `make setup` recreates."""
    sandbox = project.parent / "a sandbox"
    copy("-a", project, sandbox)
    point_at(project, org)
    point_at(sandbox, other)
    for _ in range(3):
        other.add_job()
    loaded = run(sandbox, "load")

    assert loaded.returncode == 0, loaded.stderr
    assert "3 jobs" in loaded.stdout
    scripts = [sandbox / ".venv" / "bin" / name for name in ("pip", "activate")]
    assert not any(str(sandbox) in script.read_text() for script in scripts)
    setup = in_folder(sandbox, "make", "setup")
    assert setup.returncode == 0, setup.stderr
    assert all(str(sandbox) in script.read_text() for script in scripts)
    lend_packages(sandbox)
    assert "3 jobs" in run(sandbox, "load").stdout
    assert (files(sandbox), files(project)) == (RECORDED, set())


@pytest.mark.slow
def test_a_moved_project_continues(project: Path, org: DemoOrg) -> None:
    """From cron and from make, which does not recreate .venv: there may be no network."""
    point_at(project, org)
    moved = project.rename(project.parent / "else where")
    loaded = run(moved, "load")

    assert loaded.returncode == 0, loaded.stderr
    assert in_folder(moved, "make", "load").returncode == 0
    assert files(moved) == RECORDED


@pytest.mark.slow
def test_make_recreates_the_environment_if_its_python_does_not_run(project: Path) -> None:
    """It was copied from another machine, or the machine's Python was replaced. An earlier version left an empty stamp,
    and `make setup` recreates that environment, too."""
    python = project / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    (project / ".venv" / "left").touch()
    made = in_folder(project, "make", ".venv/.loader")

    assert made.returncode == 0, made.stderr
    assert not (project / ".venv" / "left").exists()
    assert in_folder(project, str(python), "-c", "import pip, pipelines").returncode == 0
    (project / ".venv" / ".python").write_text("")
    assert "Creating .venv" in in_folder(project, "make", "setup").stdout
    assert in_folder(project, "make", "setup").stdout == ""


def install_by_absolute_path(project: Path) -> None:
    """As installed by earlier versions."""
    for link in project.glob(".venv/lib/python*/site-packages/this_project.pth"):
        link.unlink()
    pip = project / ".venv" / "bin" / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"
    # Older than the stamp of .venv, which is as old as its Python.
    setuptools = sysconfig.get_path("purelib")
    installed = in_folder(project, *map(str, pip), "-e", ".", PYTHONPATH=setuptools)
    assert installed.returncode == 0, installed.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["load", "doctor", "check", "report", "demo"])
def test_a_copys_python_never_runs_the_original(project: Path, command: str) -> None:
    """If it was installed by an absolute path, PYTHONPATH names the original, or that is the working directory.
    Settings and secrets are read from neither: they are broken here, without any error."""
    sandbox = project.parent / "sandbox"
    copy("-a", project, sandbox)
    for folder in (project, sandbox):
        (folder / ".dlt" / "secrets.toml").write_text("broken")
    before = sorted(path for path in project.parent.rglob("*") if "__pycache__" not in path.parts)
    runs = [run(sandbox, command, PYTHONPATH=str(project)), run(sandbox, command, cwd=project)]
    assert sorted(path for path in project.parent.rglob("*") if "__pycache__" not in path.parts) == before
    if command == "load":
        shutil.rmtree(sandbox)
        install_by_absolute_path(project)
        copy("-a", project, sandbox)
        runs.append(run(sandbox, command))

    for refused in runs:
        assert (refused.returncode, refused.stdout) == (78, "")
        assert f" ERROR: The Python of {sandbox} ({sandbox}/.venv) runs the code of {project}: " in refused.stderr
        assert "make setup" in refused.stderr


@pytest.mark.slow
def test_make_repairs_what_was_installed_by_an_absolute_path(project: Path, org: DemoOrg) -> None:
    """In place, with the first target of the new Makefile, and in a copy."""
    install_by_absolute_path(project)
    (project / "Makefile").touch()
    sandbox = project.parent / "sandbox"
    copy("-a", project, sandbox)
    point_at(sandbox, org)
    load = in_folder(sandbox, "make", "load")

    assert load.returncode == 0, load.stderr
    assert (files(sandbox), files(project)) == (RECORDED, set())
    assert not list(sandbox.glob(".venv/lib/python*/site-packages/__editable__*"))


@pytest.mark.slow
def test_an_environment_outside_any_project_may_run_one(project: Path, org: DemoOrg) -> None:
    """For example /opt/venv with the project's path in it, or a .venv that is a link to elsewhere."""
    point_at(project, org)
    elsewhere = project.parent / "opt" / "venv"
    elsewhere.parent.mkdir()
    (project / ".venv").rename(elsewhere)
    (project / ".venv").symlink_to(elsewhere)
    linked = run(project, "load")
    assert linked.returncode == 0, linked.stderr
    (project / ".venv").unlink()
    (site,) = elsewhere.glob("lib/python*/site-packages")
    (site / "this_project.pth").write_text(f"{project}\n")
    outside = in_folder(project.parent, str(elsewhere / "bin" / "python"), "-m", "pipelines.query_jobs", "load")
    assert outside.returncode == 0, outside.stderr
    assert files(project) == RECORDED


# DuckDB takes backslashes for slashes.
HOSTILE = [
    "a`touch here`$(touch here)$HOME ${x} \"b\" 'c';touch here;#%s*.duckdb",
    "a\ntouch here\n.duckdb",
    "-x.duckdb",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE, ids=["one line", "three lines", "an option"])
def test_file_names_are_never_interpreted(project: Path, name: str) -> None:
    """Whatever they contain: neither make nor the shell executes any part of them."""
    plant(project / "plain.duckdb").rename(project / name)
    report = in_folder(project, "make", "report", f"WAREHOUSE={name}")

    assert report.returncode == 0, report.stderr
    assert name in report.stdout
    assert not (project / "here").exists()


@pytest.mark.parametrize("options", [(), pytest.param(("-e",), marks=pytest.mark.slow)])
def test_variables_of_other_programs_change_nothing(project: Path, options: tuple[str, ...]) -> None:
    """Only the command line names a file to read; environment variables with the names of the Makefile's have no
    effect."""
    plant(project / "warehouse.duckdb")
    names = (
        "PYTHON",
        "VENV",
        "RUN",
        "READ",
        "FILE_TO_READ",
        "PIP",
        "INSTALL",
        "LOCK",
        "PIP_MAY_READ",
        "WAREHOUSE",
        "SEED",
    )
    foreign = dict.fromkeys(names, "COMPUTE_WH; touch here") | {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"}
    report = in_folder(project, "make", *options, "report", **foreign)

    assert report.returncode == 0, report.stderr
    assert "from warehouse.duckdb" in report.stdout
    assert not (project / "here").exists()
    assert in_folder(project, "make", *options, "setup", **foreign).returncode == 0


def require_one_package(project: Path) -> Path:
    """Makes a project require a package in a folder, which is returned: nothing is requested over a network."""
    wheels = project.parent / "wheels"
    wheels.mkdir()
    wheel = wheels / "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    hashed = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (project / "requirements.txt").write_text(f"tiny==1.0 --hash=sha256:{hashed}\n")
    return wheels


@pytest.mark.slow
@pytest.mark.parametrize(
    "foreign",
    [
        {"PIP_USER": "1"},
        {"PIP_TARGET": "astray"},
        {"PIP_PREFIX": "astray", "PIP_IGNORE_INSTALLED": "1"},
        {"PIP_ROOT": "astray", "PIP_NO_DEPS": "1", "PIP_ONLY_BINARY": ":none:", "PIP_NO_BINARY": ":all:"},
        {"PIP_DRY_RUN": "1", "PIP_PYTHON": "/nowhere", "PIP_CONSTRAINT": "/nowhere", "PIP_PLATFORM": "win32"},
        {"PYTHONHOME": "/nowhere", "PYTHONPATH": "astray", "PYTHONUSERBASE": "astray", "PYTHONINSPECT": "1"},
        "user = true",
        "target = astray",
        "prefix = astray",
    ],
    ids=str,
)  # fmt: skip
def test_packages_are_installed_into_the_environment(project: Path, foreign: Mapping[str, str] | str) -> None:
    """Whatever the environment variables or pip's own settings say about other installations. They do decide where
    packages come from: here, a folder."""
    wheels = require_one_package(project)
    (project / "astray").mkdir()
    (project / "astray" / "pip.py").write_text("raise SystemExit('another pip')")
    settings = project.parent / "pip.conf"
    settings.write_text(f"[install]\n{foreign}\n" if isinstance(foreign, str) else "")
    sources = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": str(settings)}
    setup = in_folder(project, "make", ".venv/.everything", **sources, **({} if isinstance(foreign, str) else foreign))

    assert setup.returncode == 0, setup.stderr
    assert len(list(project.glob(".venv/lib/python*/site-packages/tiny.py"))) == 1
    assert [path.name for path in (project / "astray").iterdir()] == ["pip.py"]


def test_make_clean_keeps_what_cannot_be_recreated(tmp_path: Path) -> None:
    """Primary database, warehouse, secrets, dlt's home and the demo's files stay; caches and .venv are removed."""
    (tmp_path / "Makefile").write_text(MAKEFILE)
    kept = [
        "query_jobs.duckdb",
        "query_jobs.duckdb.wal",
        "warehouse.duckdb",
        ".dlt/secrets.toml",
        "dlt/state.json",
        "demo/w.duckdb",
    ]
    gone = [
        ".venv/bin/python",
        ".pytest_cache/x",
        "pipelines/__pycache__/x.pyc",
        "tests/views/__pycache__/x.pyc",
        "notebooks/__marimo__/session/n.py.json",
        "notebooks/n.py",
    ]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)

    assert {name for name in kept + gone if (tmp_path / name).exists()} == {*kept, "notebooks/n.py"}
