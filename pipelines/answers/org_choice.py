"""`--org NAME`: which of the recorded orgs are meant."""

from collections.abc import Sequence
from typing import Final

from pipelines.errors import UsageError, sanitize
from pipelines.salesforce.ids import full_id
from pipelines.warehouse.reader import Warehouse

NAMES: Final = """
select r.org_id, r.display_name, r.configured_name, r.name, o.name as own_name
from recorded_orgs as r
left join orgs as o on o.org_id = r.org_id
order by r.display_name, r.org_id
"""


def chosen_orgs(file: Warehouse, names: Sequence[str]) -> list[str]:
    """The ids of the recorded orgs that have one of these names, in the order in which they are shown; without names,
    of all. A name is the one in the settings, the company's, the one that is shown, or the org's id of 15 or 18
    characters; one that several orgs have means all of them.

    Raises UsageError for a name that none of them has.
    """
    recorded = file.rows(NAMES)
    if not names:
        return [org["org_id"] for org in recorded]
    called = {
        org["org_id"]: {org[name] for name in ("org_id", "display_name", "configured_name", "name", "own_name")}
        for org in recorded
    }
    for name in names:
        if not any({name, full_id(name)} & known for known in called.values()):
            there = ", ".join(org["configured_name"] or org["display_name"] for org in recorded)
            raise UsageError(
                f"--org {sanitize(name, 60)}: {file.path} has no org of this name.",
                f"It has: {there}." if there else "Nothing is recorded in it yet.",
            )
    asked = {*names, *(str(full_id(name)) for name in names)}
    return [org_id for org_id, known in called.items() if asked & known]
