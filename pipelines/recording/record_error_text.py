"""The text that says why a record failed (`sf__Error`, or `Error` in the Classic API's CSV), taken apart.

`CODE:message:field, field --`, and without fields `CODE:message:--`, as in published results; the grammar is not
documented. The message may contain values of the record, so may contain anything, colons, codes and ` --` included.
Therefore, fields are taken only from before the ` --` at the very end, and a text is split into several errors only
at a known code. Behind an error whose message may contain a value, that value could have imitated everything but the
end, so nothing is taken from there except the codes.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from pipelines.recording.field_names import field_names
from pipelines.recording.salesforce_messages import recognized
from pipelines.recording.status_codes import KNOWN_CODES

LONGEST: Final = 10_000  # characters read of a text; Salesforce's are of 50 to 500
MAX_CODE: Final = 80

_CODE: Final = re.compile(r"([A-Z]+(?:_[A-Z]+)*):", re.ASCII)
# Without a space behind the colon, unlike in "bad value for restricted picklist field: Gold --".
_END: Final = re.compile(r":(?P<fields>(?:[^\s:,]+(?:, ?[^\s:,]+)*)?) ?--\s*\Z")
_NEXT: Final = re.compile(rf"(?<=--)[\s;,]*(?=(?:{'|'.join(sorted(KNOWN_CODES, key=len, reverse=True))}):)")


@dataclass(frozen=True)
class RecordError:
    """One error of a record, as sent: `message` may contain values of the record, the others do not."""

    code: str | None
    message: str
    fields: tuple[str, ...] = ()
    whole: bool = True  # whether the text was complete, so that its parts are where they belong


def is_code(text: str) -> bool:
    """Whether a text that stands in a code's place is one, known or not."""
    return text in KNOWN_CODES or (len(text) <= MAX_CODE and "_" in text and bool(_CODE.fullmatch(f"{text}:")))


def errors_of(text: str) -> list[RecordError]:
    """The errors that a record's text tells of, at least one. Only the first one has a message and fields, unless what
    comes before the others cannot contain a value."""
    if len(text) > LONGEST:  # its end is missing, and a value may decide where it was cut
        return [replace(_error_of(text[:LONGEST]), fields=(), whole=False)]
    parts = _NEXT.split(text.strip())
    errors = [_error_of(part) for part in parts]
    if len(parts) == 1:
        return errors
    for at, error in enumerate(errors):
        own_words = recognized(error.code, error.message)
        if not own_words or own_words.has_value:
            first = replace(error, fields=(), whole=False)
            return [*errors[:at], first, *(RecordError(later.code, "", (), False) for later in errors[at + 1 :])]
    return errors


def _error_of(text: str) -> RecordError:
    end = _END.search(text)
    code = _CODE.match(text[: MAX_CODE + 1])
    # A code that is not known is one only if the text has the whole form: a mere word could be anything.
    if not code or not (code[1] in KNOWN_CODES or (end and "_" in code[1])):
        return RecordError(None, text, (), whole=False)
    if end and end.start() >= code.end() - 1:
        return RecordError(code[1], text[code.end() : end.start()].strip(), field_names(end["fields"]))
    return RecordError(code[1], text[code.end() :].strip(), (), whole=False)
