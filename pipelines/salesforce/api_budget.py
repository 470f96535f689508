"""How many of the org's daily API calls a run may take, by what the org's answers say of those that are used."""

import re
from typing import Final

from pipelines.config.dlt_context import named
from pipelines.errors import Misconfigured, TryLater

# Per-app usage may follow, so the pattern is not anchored: api-usage=18/5000; per-app-api-usage=17/250(appName=x)
API_USAGE: Final = re.compile(r"(?<![\w-])api-usage=(\d{1,15})/(\d{1,15})(?!\d)", re.ASCII)


class ApiBudget:
    """`usage` is (used, allowed), None until an answer has told; `percent` the share of them at which a run stops.

    Raises Misconfigured where that is no share.
    """

    def __init__(self, percent: float) -> None:
        if not 0 < percent <= 100:
            raise Misconfigured(
                f"{named('sources.salesforce.api_budget_percent')} is {percent:g}.",
                "It must be a number above 0, and 100 at the most: the share of its daily API calls that an org may "
                "have used when a run stops.",
            )
        self.percent = percent
        self.usage: tuple[int, int] | None = None

    def read(self, limit_info: str) -> None:
        """Notes what an answer's header Sforce-Limit-Info says, if it has one."""
        if usage := API_USAGE.search(limit_info):
            self.usage = int(usage[1]), int(usage[2])

    @property
    def calls_left(self) -> int | None:
        """How many calls more take the org to `percent`; None as long as no answer has told."""
        used, allowed = self.usage or (0, 0)
        return max(0, int(allowed * self.percent / 100) - used) if allowed else None

    @property
    def is_spent(self) -> bool:
        """Whether one call more would take the org past `percent`, as far as its answers have told."""
        return self.calls_left == 0

    def check(self) -> None:
        """Raises TryLater where the budget is spent."""
        if self.usage and self.is_spent:
            used, allowed = self.usage
            raise TryLater(
                f"The org has used {used:,} of its {allowed:,} daily API calls; "
                f"this run stops at {self.percent:g} %, before it takes the last ones.",
                "Nothing was changed. Try again later, list less often, or raise api_budget_percent.",
            )
