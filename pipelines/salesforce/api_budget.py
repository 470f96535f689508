"""The API budget: how many of the org's daily API calls a run may use, judged by the usage that responses report."""

import re
from typing import Final

from pipelines.config.dlt_context import named
from pipelines.errors import ConfigError, TemporaryError

# Per-app usage may follow, so the pattern is not anchored: api-usage=18/5000; per-app-api-usage=17/250(appName=x)
# A number may have separators of thousands: 5,000.
NUMBER: Final = r"(\d{1,3}(?:,\d{3}){1,4}|\d{1,15})"
API_USAGE: Final = re.compile(rf"(?<![\w-])api-usage={NUMBER}/{NUMBER}(?!,?\d)", re.ASCII)


class ApiBudget:
    """`usage` is (used, allowed), None until a response has reported it; a run stops when `percent` of them are used.

    Raises ConfigError if that is not a percentage.
    """

    def __init__(self, percent: float, section: str = "sources.salesforce") -> None:
        if not 0 < percent <= 100:
            raise ConfigError(
                f"{named(f'{section}.api_budget_percent')} is {percent:g}.",
                "It must be above 0 and at most 100: a run stops when the org has used this share of its daily calls.",
            )
        self.percent = percent
        self.usage: tuple[int, int] | None = None

    def read(self, limit_info: str) -> None:
        """Reads the usage from a response's Sforce-Limit-Info header, if it has one."""
        if usage := API_USAGE.search(limit_info):
            used, allowed = (int(number.replace(",", "")) for number in usage.groups())
            self.usage = used, allowed

    @property
    def calls_left(self) -> int | None:
        """How many more calls the budget allows; None until a response has reported the usage."""
        used, allowed = self.usage or (0, 0)
        return max(0, int(allowed * self.percent / 100) - used) if allowed else None

    @property
    def is_spent(self) -> bool:
        """Whether one more call would exceed the budget, as far as is known."""
        return self.calls_left == 0

    def check(self) -> None:
        """Raises TemporaryError if the budget is spent."""
        if self.usage and self.is_spent:
            used, allowed = self.usage
            raise TemporaryError(
                f"Stopped: the org has used {used:,} of its {allowed:,} daily API calls; "
                f"the limit for this tool is {self.percent:g} %.",
                "Nothing was written; the next run tries again. To avoid this, load less often or raise "
                "api_budget_percent.",
            )
