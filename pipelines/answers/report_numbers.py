"""`report --numbers`: every number of the page, by name, as JSON."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from pipelines.answers.check import Finding
from pipelines.answers.fleet import Fleet
from pipelines.answers.pictures import Picture
from pipelines.answers.selection import Selection
from pipelines.warehouse.reader import Row, Warehouse

BEGINNING: Final = b'{\n  "warehouse": '  # of such a file: files that begin otherwise are not overwritten


@dataclass(frozen=True)
class Section:
    """An org's part of the page."""

    org: Row
    selection: Selection
    findings: list[Finding]
    pictures: list[Picture]
    headline: str


def numbers_as_json(warehouse: Warehouse, sections: list[Section], fleet: Fleet) -> str:
    """{"warehouse", "as_of", "demo", "orgs": [{"org_id", "name", "configured_name", "display_name", "as_of", "since",
    "until", "findings", "pictures"} for each org with charts],
    "fleet": [a row of the view `fleet` for each org, see `fleet.py`]}.

    The outer `as_of` is the page's present time (`Warehouse.clock`), that of an org its newest complete listing.
    `findings` are those of `check --json`; `pictures` has the `numbers` and the rows of the `table` of each, by name.
    Times are ISO 8601, UTC; shares are not rounded; null: not known.
    """
    content = {
        "warehouse": str(warehouse.path),
        "as_of": warehouse.clock,
        "demo": warehouse.is_demo,
        "orgs": [
            {
                "org_id": section.org["org_id"],
                "name": section.org["name"],
                "configured_name": section.org["configured_name"],
                "display_name": section.org["display_name"],
                "as_of": section.org["as_of"],
                "since": section.selection.since,
                "until": section.selection.until,
                "findings": [asdict(finding) for finding in section.findings],
                "pictures": {
                    picture.name: {"numbers": picture.numbers, "table": list(picture.table)}
                    for picture in section.pictures
                },
            }
            for section in sections
        ],
        "fleet": list(fleet.orgs),
    }
    return json.dumps(content, indent=2, ensure_ascii=False, default=_written) + "\n"


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return (
            value if value.tzinfo else value.replace(tzinfo=UTC)
        ).isoformat()  # hours in the views have no time zone
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as a number of the page")
