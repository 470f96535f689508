"""Defaults of settings that more than one room uses."""

from typing import Final

CURRENT_API_VERSION: Final = "68.0"  # Winter '27; Salesforce supports a version for at least three years
FEEDS: Final = ("query", "ingest")  # the listings of an org's jobs
BUDGET_PERCENT: Final = 90.0  # of an org's daily API calls: a run stops before the org has used more
