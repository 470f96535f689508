"""What the demo org's life plants in its Bulk API 2.0 loads: the truth for whatever reads them."""

import csv
import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
import requests
from demo_org_client import INGEST

from pipelines.demo_org.life import live
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.records import Job
from pipelines.demo_org.server import serving

WEEK = timedelta(days=7)
UNTIL = datetime(2026, 11, 16, 6, tzinfo=UTC)  # a Monday; as in `make demo`


class Loads:
    """The loads of four weeks by id, looked at every day, with the reasons and counts of their failed records."""

    def __init__(self, until: datetime = UNTIL, seed: int = 0) -> None:
        self.org = org = DemoOrg(now=until - 4 * WEEK, seed=seed)
        live(org, until=until, seed=seed)
        self.until = until
        self.seen: dict[str, Job] = {}
        self.failed: dict[str, Counter[str]] = {}
        for _ in range(28):
            org.advance(timedelta(days=1))
            for key, job in org.ingest_jobs.items():
                self.seen[key] = {**job, **org.details_of(key), "by": org.users[job["createdById"]].name}
                self.failed[key] = Counter(code_of(row.error) for row in org.rows(key, "failed"))

    def of(self, **fields: Any) -> dict[str, Job]:
        return {key: job for key, job in self.seen.items() if fields.items() <= job.items()}

    def by_week(self, reason: str) -> list[int]:
        """How many records failed for a reason, the last week first."""
        weeks = [0] * 4
        for key, job in self.seen.items():
            age = self.until - datetime.fromisoformat(job["createdDate"])
            weeks[min(age // WEEK, 3)] += self.failed[key][reason]
        return weeks


def code_of(error: str) -> str:
    """Code and fields: LOCKED: or EMAIL:Email."""
    return f"{error.partition(':')[0]}:{error.rpartition(':')[2].removesuffix('--').strip()}"


@cache
def month() -> Loads:
    return Loads()


def lost_loads(loads: Loads) -> list[tuple[Any, ...]]:
    return [
        (job["by"], job["object"], job["numberRecordsFailed"])
        for job in loads.seen.values()
        if 0 < job.get("numberRecordsProcessed", 0) == job["numberRecordsFailed"]
    ]


def test_some_twenty_five_loads_a_day_and_most_lose_a_few_records() -> None:
    loads = month()
    assert 600 < len(loads.seen) < 800
    failing = [key for key, reasons in loads.failed.items() if reasons]
    assert 0.5 < len(failing) / len(loads.seen) < 0.75
    assert {loads.seen[key]["by"] for key in failing} == {
        *("Billing Loader", "Marketing Sync", "Support Import", "Amara Osei"),
    }  # fmt: skip
    assert {job["object"] for job in loads.seen.values()} == {
        *("Account", "Lead", "CampaignMember", "Case", "Invoice__c", "Contact", "Reading__b"),
    }  # fmt: skip
    assert len({reason for reasons in loads.failed.values() for reason in reasons}) == 12
    for key, reasons in loads.failed.items():
        assert reasons.total() == loads.seen[key].get("numberRecordsFailed", 0)


def test_a_load_of_the_last_day_has_every_record_failed_for_a_reason_well_known() -> None:
    assert lost_loads(month()) == [("Support Import", "Case", 870)]
    assert month().by_week("INVALID_CROSS_REFERENCE_KEY:OwnerId") == [870, 878, 868, 884]


def test_a_reason_is_new_in_the_last_three_nights() -> None:
    assert month().by_week("STRING_TOO_LONG:External_Ref__c") == [140 + 155 + 170, 0, 0, 0]


def test_a_reason_costs_ten_times_as_much_for_five_days() -> None:
    last, *before = month().by_week("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:LeadSource")
    assert last > 450
    assert all(50 < week < 80 for week in before)


def test_no_other_reason_is_new_or_grows() -> None:
    reasons = {reason for reasons in month().failed.values() for reason in reasons}
    for reason in reasons - {"STRING_TOO_LONG:External_Ref__c", "UNABLE_TO_LOCK_ROW:"}:
        if "LeadSource" not in reason:
            last, *before = month().by_week(reason)
            assert 0 < last < 1.5 * max(before), reason


def test_lock_errors_come_in_two_waves_a_week() -> None:
    days: Counter[str] = Counter()
    for key, job in month().of(by="Billing Loader", object="Account").items():
        days[job["createdDate"][:10]] += month().failed[key]["UNABLE_TO_LOCK_ROW:"]
    high = {day for day, count in days.items() if count > 500}
    assert {"2026-11-14", "2026-11-11", "2026-11-07", "2026-11-04"} <= high
    assert len(high) == 8
    assert all(count < 60 for day, count in days.items() if day not in high)


def test_the_results_of_one_load_are_refused() -> None:
    [refused] = month().org.refused
    job = month().seen[refused]
    assert (job["by"], job["object"], job["createdDate"][:10]) == ("Amara Osei", "Contact", "2026-11-14")
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (320, 41)


def test_one_load_failed_with_records_left_over() -> None:
    [(key, job)] = month().of(state="Failed").items()
    assert (job["by"], job["object"], job["createdDate"][:16]) == (
        *("Marketing Sync", "CampaignMember", "2026-11-15T16:30"),
    )  # fmt: skip
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"], job["retries"]) == (20_000, 12, 20)
    assert job["errorMessage"].startswith("Timeout : ")
    assert len(month().org.rows(key, "unprocessed")) == 11_500


def test_an_upload_is_open_at_the_end() -> None:
    [job] = month().of(state="Open").values()
    assert (job["object"], job["externalIdFieldName"]) == ("Lead", "Lead_Key__c")


def test_cases_have_an_assignment_rule_and_upserts_a_key() -> None:
    for job in month().seen.values():
        assert ("assignmentRuleId" in job) == (job["object"] == "Case")
        assert ("externalIdFieldName" in job) == (job["operation"] == "upsert")
    assert {job["columnDelimiter"] for job in month().seen.values()} == {"COMMA", "SEMICOLON", "TAB"}


def test_batches_cover_the_records_of_loads() -> None:
    """One for each 10,000 records at least."""
    org = month().org
    least = 0
    for key, job in org.ingest_jobs.items():
        if UNTIL - datetime.fromisoformat(job["createdDate"]) < timedelta(hours=12):
            least += -(-org.details_of(key).get("numberRecordsProcessed", 0) // 10_000)
    assert org.usage.batches(UNTIL) > least > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("days", range(7))
def test_the_plants_are_there_on_whatever_weekday_the_story_ends(seed: int, days: int) -> None:
    loads = Loads(UNTIL + timedelta(days=days), seed)
    assert lost_loads(loads) == [("Support Import", "Case", 870)]
    assert loads.by_week("STRING_TOO_LONG:External_Ref__c") == [465, 0, 0, 0]
    last, *before = loads.by_week("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:LeadSource")
    assert last > 5 * max(before)
    assert len(loads.of(state="Failed")) == len(loads.org.refused) == 1


def test_results_are_served_as_planted() -> None:
    org = month().org
    [lost] = [key for key in org.ingest_jobs if month().failed[key].total() == 870]
    with serving(org) as url:
        headers = {"Authorization": f"Bearer {org.access_token}"}
        answer = requests.get(f"{url}{INGEST}/{lost}/failedResults", headers=headers, timeout=10)
        rows = list(csv.DictReader(io.StringIO(answer.text), delimiter="\t"))
        [refused] = org.refused
        assert requests.get(f"{url}{INGEST}/{refused}/failedResults", headers=headers, timeout=10).status_code == 403
    assert len(rows) == 870
    assert rows[869]["Subject"] == "Question of customer 870"
    assert {row["sf__Error"] for row in rows} == {
        "INVALID_CROSS_REFERENCE_KEY:Owner ID: owner cannot be blank:OwnerId --"
    }
