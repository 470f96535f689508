"""The Bulk API 2.0 loads of the simulated org, on a day; the query listing does not have them.

Every figure comes from dice of its own, so that the rest of the life (`cast.py`) does not depend on them. What is
planted for the last days before the story ends is fixed, whatever the dice say.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from pipelines.demo_org import reasons
from pipelines.demo_org.plans import Move, Plan, Reasons, Records

DAY, HOUR, MINUTE = 86_400, 3_600, 60  # seconds
MARKETING, SUPPORT = "Marketing Sync", "Support Import"
BILLING, PERSON, WAREHOUSE = "Billing Loader", "Amara Osei", "Data Warehouse"
WAVE_DAYS = (2, 5)  # of each seven before the end, on which records are locked by another process
GROWN_DAYS = 5  # for which a reason costs ten times what it did
NEW_NIGHTS = 3  # for which a reason has been new
TIMED_OUT = "Timeout : The batches of the job took too long, and were retried as often as they may be"
RULE = "01QDm000000CaseAAA"  # an assignment rule for cases

LEAD = {"Lead_Key__c": "L-{n}", "LastName": "Lead of row {n}", "Email": "lead{n}@example", "LeadSource": "Fair {n}"}
MEMBER = {"Member_Key__c": "M-{n}", "CampaignId": "701Dm000000{n}AAA", "Status": "Sent"}
CASE = {"Subject": "Question of customer {n}", "Origin": "Email", "Priority": ""}
INVOICE = {"Id": "a01Dm000000{n}AAA", "External_Ref__c": "INV-2026-{n}-of-the-new-numbering-scheme"}
ACCOUNT = {"ERP_Id__c": "C-{n}", "Name": "Account of row {n}"}
CONTACT = {"Id": "003Dm000000{n}AAA", "Phone": "+49 30 {n}"}


def loads_of(day: int, seed: int, until: int) -> Iterator[Plan]:
    """Return the loads started on a day (days since 1970), unordered, other than the Billing Loader's accounts."""
    dice = Random(f"{seed}/{day}/loads")
    left = until // DAY - day  # days to the day on which the story ends
    start = day * DAY
    yield from _leads(start, left, dice)
    yield from _members(start, left, dice)
    yield from _cases(start, left, dice)
    yield from _invoices(start, left, dice)
    big: dict[str, Any] = {"jobType": "BigObjectIngest", "operation": "insert", "object": "Reading__b"}
    yield _load(
        start + 4 * HOUR + 30 * MINUTE, WAREHOUSE, big, dice, lasts=600, row={}, rows=dice.randint(4_000, 9_000)
    )
    yield Plan(  # begun minutes before the story ends on its last day, and still open then
        start + until % DAY - 10 * MINUTE,
        MARKETING,
        _fields("Lead", "upsert", state="Open", externalIdFieldName="Lead_Key__c"),
        _moves(11 * MINUTE, 12 * MINUTE, {"numberRecordsProcessed": 400}, Records(LEAD, saved=400)),
        apart=True,
    )
    if left == 2:  # results that cannot be read
        contacts = _fields("Contact", "update", apiVersion=66.0)
        failed = ((reasons.CONTACT_LOCKED, 41),)
        yield _load(
            start + 16 * HOUR + 50 * MINUTE,
            PERSON,
            contacts,
            dice,
            lasts=90,
            row=CONTACT,
            rows=320,
            failed=failed,
            refused=True,
        )


def account_reasons(rows: int, day: int, until: int, dice: Random) -> Reasons:
    """Return why records of one of the Billing Loader's account loads failed: on wave days many are locked."""
    failed: dict[str, int] = {}
    if (until // DAY - day) % 7 in WAVE_DAYS:
        failed[reasons.LOCKED] = dice.randint(60, 160)
    elif dice.random() < 0.3:
        failed[reasons.LOCKED] = dice.randint(1, 4)
    if dice.random() < 0.25:
        failed[reasons.NAME_MISSING] = dice.randint(2, 9)
    return tuple((reason, count) for reason, count in failed.items() if count < rows // 4)


def _leads(start: int, left: int, dice: Random) -> Iterator[Plan]:
    """Three times a day. The values of a restricted picklist are wrong in a few records, and lately in many."""
    fields = _fields("Lead", "upsert", externalIdFieldName="Lead_Key__c", columnDelimiter="SEMICOLON")
    for begins in (HOUR, 4 * HOUR, 16 * HOUR + 40 * MINUTE):
        wrong = dice.randint(30, 36) if left <= GROWN_DAYS else dice.randint(2, 4)
        failed = (
            (reasons.LEAD_SOURCE, wrong),
            (reasons.DUPLICATES, dice.randint(12, 18)),
            (reasons.EMAIL, dice.randint(3, 6)),
            (reasons.COMPANY_MISSING, dice.randint(4, 7)),
        )
        at = start + begins + dice.randint(0, 20 * MINUTE)
        yield _load(at, MARKETING, fields, dice, lasts=300, row=LEAD, rows=dice.randint(900, 2_400), failed=failed)


def _members(start: int, left: int, dice: Random) -> Iterator[Plan]:
    """Twice a day; on the last whole day one of them fails, and records are left over."""
    fields = _fields("CampaignMember", "insert", lineEnding="CRLF")
    for place in range(2):
        failed = ((reasons.MEMBER_TWICE, dice.randint(10, 14)), (reasons.MEMBER_GONE, dice.randint(2, 4)))
        at = start + (9 + 7 * place) * HOUR + dice.randint(0, 20 * MINUTE)
        rows = dice.randint(3_000, 8_000)
        if left == 1 and place:
            counts = {"numberRecordsProcessed": 20_000, "numberRecordsFailed": 12, "retries": 20}
            records = Records(MEMBER, ((reasons.MEMBER_TWICE, 12),), saved=19_988, unprocessed=11_500)
            moves = _moves(HOUR, HOUR + 90 * MINUTE, counts | {"errorMessage": TIMED_OUT}, records, end="Failed")
            yield Plan(start + 16 * HOUR + 30 * MINUTE, MARKETING, fields, moves, apart=True)
        else:
            yield _load(at, MARKETING, fields, dice, lasts=500, row=MEMBER, rows=rows, failed=failed)


def _cases(start: int, left: int, dice: Random) -> Iterator[Plan]:
    """Four times a day, and once a week from a queue whose owner is missing: at last every record of it failed."""
    fields = _fields("Case", "insert", columnDelimiter="TAB", apiVersion=58.0, assignmentRuleId=RULE)
    for place in range(4):
        failed = ((reasons.OWN_RULE, dice.randint(4, 8)),) if dice.random() < 0.5 else ()
        at = start + (6 + 4 * place) * HOUR + dice.randint(0, 30 * MINUTE)
        yield _load(at, SUPPORT, fields, dice, lasts=120, row=CASE, rows=dice.randint(80, 300), failed=failed)
    if left % 7 == 1:
        ownerless = 870 if left == 1 else dice.randint(850, 890)
        rows, failed = ownerless if left == 1 else 2_400, ((reasons.OWNER_BLANK, ownerless),)
        at = start + 5 * HOUR + 20 * MINUTE
        yield _load(at, SUPPORT, fields, dice, lasts=400, row=CASE, rows=rows, failed=failed)


def _invoices(start: int, left: int, dice: Random) -> Iterator[Plan]:
    """Each night, many records in several internal batches; in the last nights their references are too long."""
    fields = _fields("Invoice__c", "update", apiVersion=60.0)
    failed: Reasons = ((reasons.TOO_MANY_RETRIES, dice.randint(20, 30)),)
    if 1 <= left <= NEW_NIGHTS:
        failed += ((reasons.REFERENCE_TOO_LONG, 125 + 15 * (NEW_NIGHTS + 1 - left)),)  # 140, 155, 170
    rows = dice.randint(22_000, 38_000)
    yield _load(start + 23 * HOUR, BILLING, fields, dice, lasts=1_500, row=INVOICE, rows=rows, failed=failed)


def _fields(name: str, operation: str, **more: Any) -> dict[str, Any]:
    return {"jobType": "V2Ingest", "object": name, "operation": operation, "apiVersion": 62.0, "state": "Open", **more}


def _load(
    at: int,
    user: str,
    fields: dict[str, Any],
    dice: Random,
    *,
    lasts: int,
    row: dict[str, str],
    rows: int,
    failed: Reasons = (),
    refused: bool = False,
) -> Plan:
    """Plan a load that ends as JobComplete after about so many seconds."""
    count = sum(number for _, number in failed)
    worked = rows * dice.randint(3, 9)  # ms
    details = {
        "numberRecordsProcessed": rows,
        "numberRecordsFailed": count,
        "totalProcessingTime": worked,
        "apiActiveProcessingTime": worked * 2 // 3,
        "apexProcessingTime": worked // 3,
    }
    sf_id = "001Dm0000000001AAA" if fields["operation"] == "update" else ""
    records = Records(row, failed, rows - count, sf_id=sf_id)
    upload = dice.randint(5, 50)
    moves = _moves(upload, upload + lasts + dice.randint(0, lasts), details, records)
    return Plan(at, user, fields, moves, refused=refused, apart=True)


def _moves(
    upload: int, end_after: int, details: dict[str, Any], records: Records, end: str = "JobComplete"
) -> tuple[Move, ...]:
    return (
        Move(upload, "UploadComplete"),
        Move(upload + 3, "InProgress"),
        Move(end_after, end, details=details, records=records),
    )
