"""The users of the simulated org, and the jobs each of them runs on a day.

Times are UTC. With the same seed, a day is always the same, whenever the simulation started. Invented, but modelled on
public reports: a nightly job that failed unnoticed for three weeks, a connector that deletes its jobs as soon as they
are done, jobs stuck in progress for days, loads that are Closed and fail hours later, or that lost every record.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from pipelines.demo_org.counts import BATCH, batches_of, chunks_of, extracted, finished, unfinished
from pipelines.demo_org.load_cast import ACCOUNT, MARKETING, SUPPORT, account_reasons, loads_of
from pipelines.demo_org.plans import BatchPlan, Move, Plan, Records
from pipelines.demo_org.reasons import shared

DAY, HOUR, MINUTE = 86_400, 3_600, 60  # seconds
FAILING_NIGHTS = 21
NEWCOMER_DAYS = 4
STUCK_DAYS = 5

WAREHOUSE, ORDERS, CONNECTOR = "Data Warehouse", "Order Sync", "Cloud Connector"
BILLING, LEGACY, PERSON, NEWCOMER = "Billing Loader", "Legacy Export", "Amara Osei", "Kiran Vale"
PEOPLE = (WAREHOUSE, ORDERS, CONNECTOR, BILLING, LEGACY, PERSON, MARKETING, SUPPORT)  # the newcomer comes later

NIGHTLY = (
    *("Account", "Contact", "Lead", "Opportunity", "OpportunityLineItem", "Case", "Product2", "PricebookEntry"),
    *("Campaign", "CampaignMember", "Contract", "Asset", "Invoice__c", "Task", "EmailMessage"),
)
FAILING, FAILING_AT = "Lead", HOUR + 10 * MINUTE  # the extract that fails, at ten past one
FIELD_GONE = "InvalidBatch : Field name not found : Legacy_Score__c"
HOURLY = ("Account", "Contact", "Opportunity", "Case", "Order", "Invoice__c")
CONNECTED = ("Account", "Contact", "Lead", "Opportunity", "User", "Case", "Task", "Event")
TROUBLES = (
    "Timeout : Query exceeded the time it may take, and was retried as often as it may be",
    "ExceededQuota : The results are larger than what may be stored in 24 hours",
    "InvalidUser : The user may no longer read this object",
)
LOAD_TROUBLE = "TooManyLockFailure : Too many records of this batch were locked by others"
LEFT_OVER = "Records not processed"  # of a batch that was queued when its job was aborted
CHUNKS = 3  # of a Classic query with PK chunking
CLASSIC_FORMATS = ("CSV", "CSV", "XML", "XML", "JSON", "ZIP_CSV")


def day_of(day: int, seed: int, until: int) -> Iterator[Plan]:
    """Return the jobs started on a day (days since 1970), unordered; the story is arranged to end at `until`."""
    dice, counts = Random(f"{seed}/{day}"), Random(f"{seed}/{day}/counts")
    weekday = (day + 3) % 7  # the first day of 1970 was a Thursday; Monday is 0
    start = day * DAY
    yield from _warehouse(start, dice, until)
    yield from _orders(start, weekday, dice)
    yield from _connector(start, dice)
    why = Random(f"{seed}/{day}/reasons")
    yield from _loads(start, weekday, dice, counts, why, lost=day == _lost_day(until))
    yield from _account_loads(start, dice, why, until)
    if weekday < 5:
        yield from _person(start, dice)
    if until - NEWCOMER_DAYS * DAY <= start:
        yield from _newcomer(start, dice)
    yield from loads_of(day, seed, until)


def _query(at: int, user: str, name: str, lasts: int, dice: Random, **fields: Any) -> Plan:
    """Plan a V2 query: some start as UploadComplete, one in two hundred fails."""
    waits = dice.randint(2, 40) if lasts > 90 else 0
    first = (Move(waits, "InProgress"),) if waits else ()
    if dice.random() < 0.005:
        end = Move(waits + lasts, "Failed", details={"errorMessage": dice.choice(TROUBLES), "retries": 15})
    else:
        end = Move(waits + lasts, "JobComplete", details=_counted(lasts, dice))
    fields = {"object": name, "state": "UploadComplete" if waits else "InProgress", **fields}
    return Plan(at, user, fields, (*first, end))


def _counted(lasts: int, dice: Random) -> dict[str, Any]:
    rows = int(lasts * 10 ** dice.uniform(0, 3))
    # Chunks run side by side: their times add up to more than what the clock shows
    return {"numberRecordsProcessed": rows, "totalProcessingTime": int(lasts * dice.uniform(150, 2_400))}


def _warehouse(start: int, dice: Random, until: int) -> Iterator[Plan]:
    for place, name in enumerate(NIGHTLY):
        at = start + HOUR + place * 5 * MINUTE + dice.randint(0, 40)
        if name == FAILING:
            at = start + FAILING_AT
            if until - FAILING_NIGHTS * DAY < at:
                failed = Move(dice.randint(20, 50), "Failed", details={"errorMessage": FIELD_GONE})
                yield Plan(at, WAREHOUSE, {"object": name, "state": "InProgress"}, (failed,))
                continue
            done = Move(dice.randint(300, 900), "JobComplete", details=_counted(600, dice))
            yield Plan(at, WAREHOUSE, {"object": name, "state": "InProgress"}, (done,))
            continue
        big = name in NIGHTLY[-2:]
        lasts = dice.randint(2 * HOUR, 5 * HOUR) if big else dice.randint(MINUTE, 25 * MINUTE)
        yield _query(at + (2 * HOUR if big else 0), WAREHOUSE, name, lasts, dice)
    for hour in range(24):
        for place, name in enumerate(HOURLY):
            at = start + hour * HOUR + 50 * MINUTE + place * 45 + dice.randint(0, 30)
            yield _query(at, WAREHOUSE, name, dice.randint(30, 25 * MINUTE), dice)
    if start <= until - STUCK_DAYS * DAY < start + DAY:
        begun = (Move(30, "InProgress"),)
        yield Plan(until - STUCK_DAYS * DAY, WAREHOUSE, {"object": "Case", "state": "UploadComplete"}, begun)


def _orders(start: int, weekday: int, dice: Random) -> Iterator[Plan]:
    """The chatty one: one object, from 6:00 to 20:00, busiest on Tuesdays and Thursdays, rarely at weekends."""
    at = start + 6 * HOUR
    gap = 360 if weekday > 4 else 66 if weekday in (1, 3) else 76
    while at < start + 20 * HOUR:
        lasts = dice.randint(4, 80) if dice.random() < 0.98 else dice.randint(10 * MINUTE, 40 * MINUTE)
        yield _query(at, ORDERS, "Order", lasts, dice, apiVersion=57.0)
        at += gap + dice.randint(-12, 12)


def _connector(start: int, dice: Random) -> Iterator[Plan]:
    """The tidy one: deletes each job within minutes of its end."""
    for place in range(40):
        at = start + place * 36 * MINUTE + dice.randint(0, 9 * MINUTE)
        plan = _query(at, CONNECTOR, CONNECTED[place % 8], dice.randint(30, 15 * MINUTE), dice, apiVersion=62.0)
        gone = plan.moves[-1].after + dice.randint(20, 5 * MINUTE)
        yield Plan(plan.at, plan.user, plan.fields, plan.moves, deleted_after=gone)


def _lost_day(until: int) -> int:
    """Return the day of the story's last week on which a load is Closed and every record of it has failed.

    A working day, with loads enough for one of them to be Closed and to stay so.
    """
    day = until // DAY - 2
    return day - max(0, (day + 3) % 7 - 4)


def _loads(start: int, weekday: int, dice: Random, counts: Random, why: Random, *, lost: bool) -> Iterator[Plan]:
    """Classic loads, which end as Closed, and Classic queries.

    `lost`: the first of the Classic loads that stay Closed has had every record fail.
    """
    for _ in range(4 if weekday > 4 else 30):
        at = start + 6 * HOUR + dice.randint(0, 12 * HOUR)
        operation = dice.choices(("upsert", "insert", "delete"), (12, 5, 3))[0]
        lasts = dice.randint(20, 20 * MINUTE)
        worked = lasts * dice.randint(100, 900)  # ms
        times = {"totalProcessingTime": worked, "apiActiveProcessingTime": worked, "apexProcessingTime": worked // 2}
        luck = dice.random()
        if luck < 0.05:  # Closed says nothing about the batches still to come
            later = lasts + dice.randint(HOUR, 7 * HOUR)
            early, complete = unfinished(counts)
            failed = Move(
                later,
                "Failed",
                details={"errorMessage": LOAD_TROUBLE, **complete},
                batches=batches_of(complete, message=LOAD_TROUBLE),
            )
            moves = [Move(lasts, "Closed", details=times | early, batches=batches_of(early)), failed]
        elif luck < 0.07:  # left open, with batches waiting for others, and aborted later
            moves = [
                Move(MINUTE, "Open", stamp=False, batches=_waiting("Queued")),
                Move(dice.randint(20 * HOUR, 50 * HOUR), "Aborted", batches=_waiting("NotProcessed", LEFT_OVER)),
            ]
        else:
            counted = finished(counts, lost=lost)
            batches = batches_of(counted, shared(counted["numberRecordsFailed"], why))
            moves = [Move(lasts, "Closed", details=times | counted, batches=batches)]
            lost = False
        fields: dict[str, Any] = {
            "jobType": "Classic",
            "operation": operation,
            "object": dice.choice(("Invoice__c", "Account")),
        }
        fields |= {"contentType": dice.choice(CLASSIC_FORMATS), "apiVersion": "52.0"}
        yield Plan(at, BILLING, fields | {"concurrencyMode": dice.choice(("Parallel", "Serial"))}, tuple(moves))
    for place in range(3):  # a recorded Classic query ended with its stamp unmoved: tests/fixtures/c_one_17
        at = start + (5 + place * 6) * HOUR + dice.randint(0, HOUR)
        fields = {"jobType": "Classic", "object": "Lead", "contentType": "CSV", "apiVersion": 45}
        extract = extracted(counts, chunks=CHUNKS if place == 2 else 0)
        counted = {"totalProcessingTime": 0, **extract}
        closed = Move(dice.randint(60, HOUR), "Closed", stamp=False, details=counted, batches=chunks_of(extract))
        yield Plan(at, LEGACY, fields | {"isPkChunkingEnabled": place == 2}, (closed,))


def _waiting(state: str, message: str | None = None) -> tuple[BatchPlan, ...]:
    """A batch that was saved, and two more."""
    return (BatchPlan("Completed", BATCH), *(BatchPlan(state, message=message) for _ in range(2)))


def _account_loads(start: int, dice: Random, why: Random, until: int) -> Iterator[Plan]:
    for _ in range(12):
        at = start + dice.randint(0, DAY - 1)
        lasts = dice.randint(20, HOUR)
        fields = {"jobType": "V2Ingest", "operation": "upsert", "object": "Account", "apiVersion": 62.0}
        counted = _counted(lasts, dice)
        rows = counted["numberRecordsProcessed"]
        failed = account_reasons(rows, start // DAY, until, why)
        records = Records(ACCOUNT, failed, rows - sum(count for _, count in failed))
        counted["numberRecordsFailed"] = rows - records.saved
        done = Move(lasts, "JobComplete", details=counted, records=records)
        yield Plan(at, BILLING, fields | {"externalIdFieldName": "ERP_Id__c"}, (done,))


def _person(start: int, dice: Random) -> Iterator[Plan]:
    for _ in range(dice.randint(3, 8)):
        at = start + 8 * HOUR + dice.randint(0, 9 * HOUR)
        fields = {"operation": dice.choice(("query", "query", "queryAll")), "apiVersion": 66.0}
        plan = _query(at, PERSON, dice.choice(NIGHTLY), dice.randint(MINUTE, 3 * HOUR), dice, **fields)
        if dice.random() < 0.1:
            yield Plan(plan.at, plan.user, plan.fields, (Move(plan.moves[-1].after, "Aborted"),))
        else:
            yield plan


def _newcomer(start: int, dice: Random) -> Iterator[Plan]:
    for _ in range(6):
        at = start + dice.randint(0, 4 * HOUR)
        lasts = dice.randint(5 * MINUTE, 50 * MINUTE)
        yield _query(at, NEWCOMER, "Contact", lasts, dice, operation="queryAll", apiVersion=50.0)
