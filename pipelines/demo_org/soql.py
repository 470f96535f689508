"""A little SOQL: fields of User or Organization, by Id or all of them.

SOURCE: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm
(the shape of the answer) and https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/ (the
language, of which this is a corner).
"""

from __future__ import annotations

import re
from typing import Any

from pipelines.demo_org.answers import Answer, answer, refusal
from pipelines.demo_org.ids import eighteen, salesforce_id
from pipelines.demo_org.org import DemoOrg

SMALLEST, LARGEST = 200, 2_000  # records of a page
OPEN_QUERIES = 10  # kept at once: a user of Salesforce may have as many cursors open
_QUERY = re.compile(
    r"""\s*select\s+(?P<fields>[\w.]+(?:\s*,\s*[\w.]+)*)
        \s+from\s+(?P<object>\w+)
        (?:\s+where\s+id\s*(?:=\s*(?P<id>'[^']*')|in\s*\(\s*(?P<ids>'[^']*'(?:\s*,\s*'[^']*')*)\s*\)))?
        (?:\s+limit\s+(?P<limit>\d+))?\s*""",
    re.IGNORECASE | re.VERBOSE,
)


def batch_size(options: str) -> int:
    """Return the records of a page, as the header Sforce-Query-Options asks for: batchSize=200 to 2000.

    SOURCE: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_queryoptions.htm
    """
    asked = re.search(r"batchSize\s*=\s*(\d+)", options, re.IGNORECASE)
    return min(max(int(asked[1]), SMALLEST), LARGEST) if asked else LARGEST


def query(org: DemoOrg, version: str, soql: str, size: int) -> Answer:
    """Answer a SOQL query with {totalSize, done, records}, or 400 and why it cannot be answered."""
    found = _QUERY.fullmatch(soql)
    if found is None:
        return refusal(400, "MALFORMED_QUERY", f"\n{soql}\n^\nunexpected token, or more SOQL than the demo org reads")
    tables = {"user": ("User", _users(org)), "organization": ("Organization", _organization(org))}
    if found["object"].lower() not in tables:
        message = f"sObject type '{found['object']}' is not supported."
        return refusal(400, "INVALID_TYPE", message)
    name, rows = tables[found["object"].lower()]
    columns = {column.lower(): column for column in rows[0]}
    asked = [field.strip() for field in found["fields"].split(",")]
    for field in asked:
        if field.lower() not in columns:
            message = f"\n{soql}\n^\nNo such column '{field}' on entity '{name}'."
            return refusal(400, "INVALID_FIELD", message)
    wanted = found["id"] or found["ids"]
    if wanted is not None:
        ids = {eighteen(each) for each in re.findall(r"'([^']*)'", wanted)}
        rows = [row for row in rows if row["Id"] in ids]
    if found["limit"] is not None:
        rows = rows[: int(found["limit"])]
    records = [
        {
            "attributes": {"type": name, "url": f"/services/data/v{version}/sobjects/{name}/{row['Id']}"},
            **{columns[field.lower()]: row[columns[field.lower()]] for field in asked},
        }
        for row in rows
    ]
    if len(records) <= size:
        return answer(200, {"totalSize": len(records), "done": True, "records": records})
    org.found_count += 1
    locator = salesforce_id("01g", 62**3 + org.found_count)
    org.found[locator] = records
    if len(org.found) > OPEN_QUERIES:
        del org.found[next(iter(org.found))]
    return more(org, version, f"{locator}-0", size)


def more(org: DemoOrg, version: str, query_locator: str, size: int) -> Answer:
    """Answer a further page of what a query found.

    SOURCE: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query_more_results.htm
    """
    locator, _, offset = query_locator.rpartition("-")
    records = org.found.get(locator)
    if records is None or not (offset.isascii() and offset.isdigit()):
        return refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    end = int(offset) + size
    body = {"totalSize": len(records), "done": end >= len(records), "records": records[int(offset) : end]}
    if end < len(records):
        body["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{end}"
    return answer(200, body)


def _users(org: DemoOrg) -> list[dict[str, Any]]:
    return [
        {
            "Id": user.id,
            "Name": user.name,
            "Username": user.username,
            "Email": user.username,
            "IsActive": user.active,
            "UserType": "Standard",
        }
        for user in org.users.values()
    ]


def _organization(org: DemoOrg) -> list[dict[str, Any]]:
    return [
        {
            "Id": org.org_id,
            "Name": org.name,
            "IsSandbox": org.is_sandbox,
            "OrganizationType": "Enterprise Edition",
            "InstanceName": "DM0",
            "NamespacePrefix": None,
            "TimeZoneSidKey": "GMT",
        }
    ]
