"""Counts the failed rows of one load by reason. Of a row with several errors, the first one counts."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pipelines.recording.failure_reasons import Reason, reason_of
from pipelines.recording.record_error_text import errors_of
from pipelines.recording.result_rows import FailedRow

MAX_REASONS: Final = 1_000  # of one load: beyond them, rows are counted by their code alone, then together
REMEMBERED: Final = 5_000  # rows whose reasons need not be worked out again
LONG: Final = 1_000  # characters of a row that is not worth remembering
# Words that are ids or numbers: no reason has them, and without them, most rows are the same, which is faster.
_ID_OR_NUMBER: Final = re.compile(r"\b(?:\d+|(?=[A-Za-z]*\d)[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?)\b", re.ASCII)


@dataclass
class ReasonTally:
    """`records` add up to `rows`; `further` are rows in which an error came after another one."""

    keep_messages: bool
    rows: int = 0
    records: Counter[Reason] = field(default_factory=Counter)
    further: Counter[Reason] = field(default_factory=Counter)
    batches: Counter[Reason] = field(default_factory=Counter)
    _known: dict[FailedRow, tuple[Reason, ...]] = field(default_factory=dict)

    def add(self, row: FailedRow) -> None:
        reasons = self._known.get(row) or self._remembered(row)
        self.rows += 1
        self.records[reasons[0]] += 1
        for reason in reasons[1:]:
            self.further[reason] += 1

    def add_whole(self, reason: Reason) -> None:
        """A batch or a job that failed as a whole."""
        self.batches[self._placed(reason)] += 1

    def _remembered(self, row: FailedRow) -> tuple[Reason, ...]:
        without = _ID_OR_NUMBER.sub("0", row) if isinstance(row, str) else row
        reasons = self._known.get(without) or self._reasons(without)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        if sum(len(part) for part in ((row,) if isinstance(row, str) else (one.message for one in row))) <= LONG:
            self._known[row] = self._known[without] = reasons
        return reasons

    def _reasons(self, row: FailedRow) -> tuple[Reason, ...]:
        errors = errors_of(row) if isinstance(row, str) else row
        reasons = [self._placed(reason_of(error, keep_messages=self.keep_messages)) for error in errors]
        return tuple(dict.fromkeys(reasons))

    def _placed(self, reason: Reason) -> Reason:
        for one in (reason, Reason(reason.level, reason.code, None, None)):
            known = one in self.records or one in self.further or one in self.batches
            many = len(self.records) + len(self.further) + len(self.batches)
            if known or many < (MAX_REASONS if one is reason else 2 * MAX_REASONS):
                return one
        return Reason(reason.level, None, None, None)
