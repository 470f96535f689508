"""Why records failed, as the rows of `record_errors` group it: code, fields and message, never a value of a record."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from pipelines.recording.message_templates import MARK, message_template
from pipelines.recording.record_error_text import RecordError
from pipelines.recording.salesforce_messages import (
    RETRYABLE_MESSAGES,
    VALUE_CODES,
    plain,
    recognized,
    recognized_batch,
)
from pipelines.recording.status_codes import BATCH_CODES, RETRYABLE_CODES

_BATCH_CODE: Final = re.compile(rf"(?:({'|'.join(sorted(BATCH_CODES))})\s*:\s*)+")


@dataclass(frozen=True)
class Reason:
    """One reason; records that fail for the same one have equal ones."""

    level: str  # record, batch or job
    code: str | None
    fields: str | None
    message: str | None

    @property
    def key(self) -> str:
        parts = "\0".join(part if part is not None else "\1" for part in self._parts)
        return hashlib.sha256(parts.encode()).hexdigest()[:32]

    @property
    def _parts(self) -> tuple[str | None, ...]:
        return self.level, self.code, self.fields, self.message

    @property
    def retryable(self) -> bool:
        """Whether sending the records again may succeed."""
        return self.code in RETRYABLE_CODES or bool(self.message and RETRYABLE_MESSAGES.search(self.message))


def reason_of(error: RecordError, *, keep_messages: bool) -> Reason:
    """The reason behind a record's error. A message that is not one of Salesforce's own is left out, or with
    `keep_messages`, kept without what looks like a value."""
    known = recognized(error.code, error.message)
    message = (known.template if error.whole or not known.has_value else known.bare) if known else None
    if message is None and keep_messages and error.code and error.code not in VALUE_CODES:
        message = _cut(error.code, error.message)
    return Reason("record", error.code, ",".join(error.fields) or None, message)


def whole_reason(level: str, text: str | None, *, keep_messages: bool) -> Reason:
    """The reason of a batch or a job that failed as a whole: `InvalidBatch : Field name not found : Name`."""
    line = plain(text or "")
    code = _BATCH_CODE.match(line)
    said = line[code.end() :] if code else line
    known = recognized_batch(said) if said else None
    message = (known.bare if known.has_value else known.template) if known else None
    if keep_messages and said:
        message = _cut(code[1] if code else None, said)
    return Reason(level, code[1] if code else None, None, message)


def _cut(code: str | None, message: str) -> str | None:
    # With its code, as that says where in the message a value stands
    template = message_template(f"{code}: {plain(message)}" if code else plain(message))
    cut = template.removeprefix(f"{code}:").strip() if code else template
    return cut if cut.strip(f"{MARK} :.,") else None
