"""`show VIEW`: any view as a table, or in a file, without SQL."""

import csv
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from recorders import Recorder

from pipelines.answers.output_file import check_output, write_output
from pipelines.answers.show import TIMES, Shown, chosen_name, known_names, list_of_views
from pipelines.config.settings import Settings
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import ConfigError, RecorderError
from pipelines.query_jobs import main
from pipelines.warehouse.reader import Warehouse, opened


@pytest.fixture(scope="module")
def file(filled: Settings) -> Iterator[Warehouse]:
    with opened(filled.warehouse) as open_file:
        yield open_file


def of(file: Warehouse, sql: str) -> list[tuple]:
    return file.connection.execute(sql).fetchall()


@pytest.mark.slow_cases
@pytest.mark.parametrize("name", known_names())
def test_every_view_and_table_is_shown_in_full(file: Warehouse, name: str, tmp_path: Path) -> None:
    ((rows,),) = of(file, f"select count(*) from {name}")
    shown = Shown(file, name)
    assert shown.write("csv", tmp_path / "a.csv") == rows
    assert next(csv.reader((tmp_path / "a.csv").open())) == list(shown.types)
    if shown._time:
        ((old,),) = of(file, f"select count(*) from {name} as shown where {shown._time} is null")
        assert Shown(file, name, days=40).write("csv", tmp_path / "b.csv") == rows - old


def test_times_name_columns_that_exist(file: Warehouse) -> None:
    for name, time in TIMES.items():
        file.connection.execute(f"select {time} from {name} limit 0")


def test_the_list_has_each_name_once_with_a_line_of_its_own() -> None:
    lines = [line.split()[0] for line in list_of_views().splitlines() if line.startswith("  ")]
    assert sorted(lines) == sorted(known_names())


@pytest.mark.parametrize(
    ("given", "near"),
    [("failure", "failures"), ("failurs", "failures"), ("jobs_per_day", "jobs_by_day"), ("FAIL", "failure_rates")],
)
def test_a_wrong_name_suggests_near_ones(given: str, near: str) -> None:
    with pytest.raises(ConfigError) as raised:
        chosen_name(given)
    assert near in raised.value.remedy


def test_names_may_be_written_as_in_sql_or_as_options_are() -> None:
    assert {chosen_name(name) for name in ("jobs_by_day", "salesforce.jobs_by_day", "Jobs-By-Day")} == {"jobs_by_day"}


def test_days_are_those_up_to_the_last_load(file: Warehouse, tmp_path: Path) -> None:
    Shown(file, "jobs_by_day", days=2).write("csv", tmp_path / "days.csv")
    days = {row["day"] for row in csv.DictReader((tmp_path / "days.csv").open())}
    assert days == {str(day) for (day,) in of(file, "select unnest([as_of::date, as_of::date - 1]) from recorded_orgs")}


def test_a_view_without_times_or_orgs_says_so(file: Warehouse) -> None:
    with pytest.raises(ConfigError, match="no time"):
        Shown(file, "fleet", days=3)
    with pytest.raises(ConfigError, match="not about an org"):
        Shown(file, "numbers", orgs=["Demo Org"])
    with pytest.raises(ConfigError, match="no org of this name"):
        Shown(file, "failures", orgs=["nobody"])


def test_files_keep_every_digit_and_say_utc(file: Warehouse, tmp_path: Path) -> None:
    for kind in ("csv", "json", "parquet"):
        Shown(file, "limits_ahead").write(kind, tmp_path / f"l.{kind}")
    stored = dict(of(file, "select limit_name, used_percent from limits_ahead"))
    of_csv = {row["limit_name"]: row for row in csv.DictReader((tmp_path / "l.csv").open())}
    assert {name: float(row["used_percent"]) for name, row in of_csv.items()} == stored
    assert all(row["read_at"].endswith("Z") for row in of_csv.values())
    of_json = json.loads((tmp_path / "l.json").read_text())
    assert {row["limit_name"]: row["used_percent"] for row in of_json} == stored
    assert {row["read_at"] for row in of_json} == {row["read_at"] for row in of_csv.values()}
    there = duckdb.sql(f"select limit_name, used_percent, read_at from '{tmp_path}/l.parquet'").fetchall()
    assert sorted(there) == sorted(of(file, "select limit_name, used_percent, read_at from limits_ahead"))


def test_a_table_to_read_is_rounded_and_newest_first(file: Warehouse) -> None:
    table = Shown(file, "limits_ahead").as_table()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if line.startswith("│")]
    assert "org_id" not in cells[0]  # there is one org
    used = [row[cells[0].index("used_percent")] for row in cells[2:]]
    stored = [float(value) for (value,) in of(file, "select used_percent from limits_ahead")]
    assert max(len(value.partition(".")[2]) for value in used) <= 4 < max(len(str(value)) for value in stored)
    assert all(
        (float(value) == 0) == (exact == 0)
        for value, exact in zip(sorted(map(float, used)), sorted(stored), strict=True)
    )
    days = Shown(file, "jobs_by_day", columns=["day"]).as_table().split("│")[5::2]
    assert [d for d in days if "-" in d] == sorted((d for d in days if "-" in d), reverse=True)


def test_recorded_text_cannot_control_a_terminal(org: DemoOrg, recorder: Recorder) -> None:
    org.add_job(object="A\x1b[31m\u202eB\nC")
    recorder.load()
    with opened(recorder.warehouse) as file:
        table = Shown(file, "jobs", columns=["object"]).as_table()
    assert "A\ufffd[31m\ufffdB\ufffdC" in table


def test_no_other_file_is_replaced(file: Warehouse, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("name,phone\n")
    for kind in ("csv", "json", "parquet"):
        with pytest.raises(ConfigError, match="would be replaced"):
            Shown(file, "failures").write(kind, mine)
    assert mine.read_text() == "name,phone\n"
    again = tmp_path / "again.parquet"
    assert Shown(file, "failures").write("parquet", again) == Shown(file, "failures").write("parquet", again)
    assert os.listdir(tmp_path) == ["mine.csv", "again.parquet"] or len(os.listdir(tmp_path)) == 2


def test_the_command_line(filled: Settings, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    warehouse = ("--warehouse", str(filled.warehouse))
    assert main(["show", *warehouse]) == 0
    assert "failure_streaks" in capfd.readouterr().out
    assert main(["show", "failurs", *warehouse]) == 2
    assert "Did you mean" in capfd.readouterr().err
    assert main(["show", "--csv", *warehouse]) == 2
    assert "of which view" in capfd.readouterr().err
    for arguments in (["failures", "--csv"], ["--csv", "failures"], ["failures", "--csv", "-"]):
        assert main(["show", *arguments, *warehouse]) == 0
        assert capfd.readouterr().out.startswith("org_id,id,kind")
    assert main(["show", "failures", "--json", str(tmp_path / "f.json"), *warehouse]) == 0
    rows = len(json.loads((tmp_path / "f.json").read_text()))
    assert f"Wrote {rows:,} rows of failures" in capfd.readouterr().out
    assert main(["show", "failures", "--columns", "id,objct", *warehouse]) == 2
    assert "object" in capfd.readouterr().err


@pytest.mark.slow
def test_in_a_terminal_it_is_as_wide_as_that_and_says_what_is_hidden(filled: Settings) -> None:
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "pipelines.query_jobs", "show", "failures", "--warehouse", str(filled.warehouse)]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=os.environ | {"COLUMNS": "100"}):
        os.close(terminal)
        said = b""
        try:
            while part := os.read(master, 65_536):
                said += part
        except OSError:  # the end of a terminal
            pass
    lines = said.decode().splitlines()
    assert max(map(len, lines)) <= 100
    below = " ".join(lines[next(number for number, line in enumerate(lines) if " shown)" in line) + 1 :])
    assert "less -S" in below
    assert "created_by, created_date, ended_by, outcome" in below  # names for --columns


def test_a_missing_folder_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the folder .*reports does not exist") as raised:
        check_output(tmp_path / "reports" / "page.html", "--output", "page", b"<")
    assert raised.value.remedy == "Create it, or name another file: --output."


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_no_wrong_setting() -> None:
    """Its exit code is that of any full disk."""
    with pytest.raises(RecorderError, match="Cannot write /dev/full: No space left") as raised:
        write_output(Path("/dev/full"), "--csv", "x")

    assert raised.value.exit_code == 70


def test_the_most_similar_name_is_suggested_first() -> None:
    with pytest.raises(ConfigError, match="Did you mean failures or "):
        chosen_name("failurs")
