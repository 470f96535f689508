"""Defaults of settings that more than one room names."""

from typing import Final

CURRENT_API_VERSION: Final = "68.0"  # Winter '27; a version is supported for three years at least
BUDGET_PERCENT: Final = 90.0  # of an org's daily API calls: a run stops before the org has used more
