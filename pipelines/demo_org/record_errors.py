"""An error of a record: text in the CSV forms, and code, message and fields apart in the others.

SOURCE: tests/fixtures/i_failed_54_error_shapes.csv (the text), c_result_59_two_errors.xml and
c_result_60_json_null_id.json (the same, taken apart)
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TEXT = re.compile(r"([A-Z][A-Z0-9_]*):(.*):([^:]*?) ?--", re.DOTALL)


class RecordError(NamedTuple):
    """Why a record was not saved."""

    code: str
    message: str
    fields: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The error as a CSV has it: CODE:message:field, field --"""
        fields = f"{', '.join(self.fields)} --" if self.fields else "--"
        return f"{self.code}:{self.message}:{fields}"


def record_error(text: str) -> RecordError:
    """Read an error from its text; one without code and tail is an UNKNOWN_EXCEPTION with this message."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return RecordError("UNKNOWN_EXCEPTION", text)
    fields = tuple(name.strip() for name in found[3].split(",")) if found[3].strip() else ()
    return RecordError(found[1], found[2], fields)
