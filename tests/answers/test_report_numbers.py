"""The numbers of the report match the planted rows, and the summaries contain no others."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import report_truth_limits
import report_truth_reasons
import report_truth_times
from planted import DAY, plant
from planted_orgs import WAREHOUSES, Tables
from recorders import Recorder
from report_truth import OrgTruth

from pipelines.answers.pictures import PICTURES, pictures
from pipelines.answers.report import write_report
from pipelines.answers.selection import orgs, select
from pipelines.errors import ConfigError

Output = dict[str, Any]
# Numerals that are not numbers of an org: they are part of the wording.
PHRASES = (
    "V2", "24 hours", "36 hours", "last 7 days", "80 %", "last 7 whole days", "in the 7 before", "last 30 whole days",
    "in the 30 before", "of 7 days", "of 30 days",
)  # fmt: skip


pytestmark = pytest.mark.slow_cases


@pytest.fixture(scope="module", params=WAREHOUSES)
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tables]:
    tables = WAREHOUSES[request.param]()
    return plant(tmp_path_factory.mktemp("numbers") / "w.duckdb", **tables), tables


@pytest.fixture(scope="module")
def output(planted: tuple[Path, Tables]) -> Output:
    """What `report --numbers` writes about it."""
    file, _ = planted
    write_report(file, file.with_name("page.html"), 30, file.with_name("numbers.json"))
    read: Output = json.loads(file.with_name("numbers.json").read_text(encoding="utf-8"))
    return read


def as_json(value: Any) -> Any:
    """A value as read from JSON, with floats rounded for comparison."""
    match value:
        case dict():
            return {name: as_json(one) for name, one in value.items()}
        case list():
            return [as_json(one) for one in value]
        case date():  # and datetime
            return value.isoformat()
        case float():
            return pytest.approx(value, rel=1e-9)
    return value


def truths(org: OrgTruth) -> dict[str, Callable[[], tuple[Output, list[Output]]]]:
    """Picture -> its numbers and rows, from methods or from functions of a module beside."""

    def own(name: str) -> Callable[[], tuple[Output, list[Output]]]:
        module = next(
            (one for one in (report_truth_limits, report_truth_reasons, report_truth_times) if hasattr(one, name)), None
        )
        return partial(getattr(module, name), org) if module else getattr(org, name)

    return {make.__name__: own(make.__name__) for make in PICTURES}


@pytest.mark.parametrize("picture", [make.__name__ for make in PICTURES])
def test_every_number_matches_the_rows(planted: tuple[Path, Tables], output: Output, picture: str) -> None:
    """Counted by hand, org by org; tables have the same rows, with ties in any order."""
    _, tables = planted
    for section in output["orgs"]:
        numbers, rows = truths(OrgTruth(tables, section["org_id"], 30))[picture]()
        shown = section["pictures"][picture]
        assert shown["numbers"] == as_json(numbers)
        assert in_order(shown["table"]) == as_json(in_order(rows))


def in_order(rows: list[Output]) -> list[Output]:
    """Everything but floats; times as text."""
    return sorted(rows, key=lambda row: [str(as_json(value)) for value in row.values() if not isinstance(value, float)])


def test_the_header_matches_the_rows(planted: tuple[Path, Tables], output: Output) -> None:
    """Each org with its days, and as of when it is recorded."""
    _, tables = planted
    ids = sorted({row["org_id"] for row in tables["listings"]})
    assert [section["org_id"] for section in output["orgs"]] == ids
    for section in output["orgs"]:
        truth = OrgTruth(tables, section["org_id"], 30)
        assert [section[name] for name in ("as_of", "since", "until")] == [
            as_json(one) for one in (truth.as_of, truth.since, truth.until)
        ]


@pytest.mark.slow
def test_every_numeral_in_a_summary_is_one_of_its_numbers(planted: tuple[Path, Tables]) -> None:
    """As formatted in text: with commas, rounded, as a date. So no sentence counts for itself."""
    file, _ = planted
    for org in orgs(file):
        for picture in pictures(select(file, org, 30)):
            words = picture.summary
            texts, numerals = written(picture.numbers)
            for text in sorted({*texts, *PHRASES}, key=len, reverse=True):
                words = words.replace(text, "")
            left = re.findall(r"\d[\d.,:-]*\d|\d", words)
            assert not set(left) - numerals, (picture.name, picture.summary)


def written(value: Any) -> tuple[set[str], set[str]]:  # noqa: PLR0911 - one a type
    """Names and times as text, and numerals, of everything in a picture's numbers."""
    match value:
        case dict() | list():
            parts = [written(one) for one in (value.values() if isinstance(value, dict) else value)]
            return set().union(*(texts for texts, _ in parts)), set().union(*(numerals for _, numerals in parts))
        case str():
            return ({value} if len(value) > 1 else set()), set()
        case datetime():
            return {f"{value:%Y-%m-%d %H:%M}", f"{value:%-d %B %Y}"}, set()
        case date():
            return {f"{value:%-d %B %Y}", f"{value:%A, %-d %B}"}, set()
        case int():
            return set(), {f"{value:,}", f"{value:02}:00"}
        case float():
            units = [abs(value), 60 * value, value / 24]  # hours, as minutes or days
            return set(), {f"{one:,.{n}f}" for one in units for n in (0, 1)} | {
                f"{value:.2g}",
                f"{int(10 * value) / 10:.1f}",
                str(int(value)),
            }
    return set(), set()


def test_findings_and_pictures_report_the_same_peak(planted: tuple[Path, Tables], output: Output) -> None:
    """If the finding's peak is the page's: it looks at three days, and the page at thirty."""
    for section in output["orgs"]:
        numbers = section["pictures"]["allowance"]["numbers"]
        assert numbers["peak_used"] == section["pictures"]["users"]["numbers"]["peak_used"]
        assert numbers["peak_at"] == section["pictures"]["users"]["numbers"]["peak_at"]
        for finding in section["findings"]:
            if finding["kind"] == "allowance" and finding["numbers"].get("peak_at") == numbers["peak_at"]:
                assert finding["numbers"]["used"] == numbers["peak_used"]
                assert finding["numbers"]["share_percent"] == numbers["peak_share_percent"]


@pytest.mark.slow
def test_the_page_is_written_beside_its_numbers(recorder: Recorder, planted: tuple[Path, Tables]) -> None:
    """Both to files, which newer ones replace; or one of them to stdout, with nothing else there."""
    file, _ = planted
    for _ in range(2):
        run = recorder.run("report", "--warehouse", str(file), "--numbers", "numbers.json")
        assert (run.returncode, run.stderr) == (0, "")
        assert "Wrote report.html" in run.stdout
        assert "Wrote numbers.json" in run.stdout
    output = json.loads((recorder.home / "numbers.json").read_text())
    assert (output["warehouse"], output["demo"]) == (str(file), False)
    out = recorder.run("report", "--warehouse", str(file), "--numbers", "-")
    assert json.loads(out.stdout)["orgs"][0].keys() == output["orgs"][0].keys()
    page = recorder.run("report", "--warehouse", str(file), "--output", "-", "--numbers", "numbers.json")
    assert page.stdout.startswith("<!doctype html>")
    assert not list(recorder.home.glob(".*.new"))


def test_the_page_as_of_an_earlier_time(recorder: Recorder, planted: tuple[Path, Tables]) -> None:
    """Its numbers end there, and so does the clock of its findings; the page's header says so."""
    file, tables = planted
    at = max(row["finished_at"] for row in tables["listings"]) - 10 * DAY
    run = recorder.run(
        "report", "--warehouse", str(file), "--as-of", at.isoformat(), "--output", "then.html", "--numbers", "then.json"
    )
    assert (run.returncode, run.stderr) == (0, "")
    output = json.loads((recorder.home / "then.json").read_text())
    assert output["as_of"] == at.isoformat()
    for section in output["orgs"]:
        listed = [row for row in tables["listings"] if row["org_id"] == section["org_id"] and row["finished_at"] <= at]
        newest = max(row.get("restarted_at") or row["started_at"] for row in listed)
        assert section["as_of"] == newest.isoformat()
        assert section["until"] == newest.date().isoformat()
        assert f'as of\n<span class="whole">{newest:%Y-%m-%d %H:%M}</span>' in (recorder.home / "then.html").read_text()
        compared = section["pictures"]["volume"]["numbers"].get("jobs_last_7_whole_days")
        midnight = datetime.combine(newest.date(), datetime.min.time(), UTC)
        if compared is not None:
            # As far as they had been shown by then
            assert compared == sum(
                midnight - 7 * DAY <= row["created_date"] < midnight and row["observed_at"] <= newest
                for row in tables["query_jobs"]
                if row["org_id"] == section["org_id"]
            )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ("w.duckdb", "is not a file of numbers"),
        ("page.html", "cannot both go to"),
        ("no/such/place.json", "Cannot write"),
        (".", "Cannot write"),
    ],
)
def test_numbers_replace_numbers_and_nothing_else(tmp_path: Path, numbers: str, why: str) -> None:
    """Neither a warehouse nor the page; the message names the option."""
    file = plant(tmp_path / "w.duckdb")
    before = file.read_bytes()
    with pytest.raises(ConfigError, match=why) as raised:
        write_report(file, tmp_path / "page.html", 30, tmp_path / numbers)

    assert "--numbers" in raised.value.remedy
    assert file.read_bytes() == before
