"""The messages that Salesforce itself gives records, by code, in English: only what is among them is kept by default.

Anything else may contain values of records: texts of the org's own (validation rules, triggers, flows, duplicate
alerts), other languages, unknown codes. A message is kept only if all of it is one of these, with its values
replaced. They were collected from public results and forums, as were the fixtures of the tests.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from pipelines.recording.field_names import field_names, is_field_name
from pipelines.recording.message_templates import ESCAPED_TIMES, MARK, message_template

# What a slot in braces stands for, and whether it is kept:
#   value   anything: replaced by a mark
#   label   a field's label, before any value: kept, but without ids, numbers, quoted text and the like
#   name    API name of a field, object or trigger: kept
#   custom  API name of a custom field: kept
#   names   API names, separated by commas: kept
#   event   what a trigger was doing: kept
_SLOTS: Final = {
    "value": r".*",
    "label": r"[^:\n…]{1,80}?",
    "name": r"[A-Za-z][A-Za-z0-9_.]{0,119}|<unknown>",
    "custom": r"[A-Za-z][A-Za-z0-9_.]{0,119}__[a-z]{1,3}",
    "names": r"[A-Za-z][A-Za-z0-9_.]{0,119}(?:, ?[A-Za-z][A-Za-z0-9_.]{0,119}){0,29}",
    "event": r"(?:Before|After)(?:Insert|Update|Delete|Undelete)",
}
_APEX_LIMITS: Final = tuple(
    f"{{name}}: System.LimitException: {what}"
    for space in ("", "{name}:")
    for what in (
        *(f"{space}Too many {many}: {{value}}" for many in (
            "SOQL queries", "query rows", "DML statements", "DML rows", "SOSL queries", "callouts", "future calls",
            "queueable jobs added to the queue", "Email Invocations",
        )),
        f"{space}Apex CPU time limit exceeded", f"{space}Apex heap size too large: {{value}}",
    )
)  # fmt: skip
_NESTED_LOCK: Final = (
    "{value}UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record{value}",
    "{value}System.QueryException: Record Currently Unavailable{value}",
)
MESSAGES: Final[dict[str, tuple[str, ...]]] = {
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": (
        "Record rolled back because not all records were valid and the request was using AllOrNone header",
    ),
    "CANNOT_EXECUTE_FLOW_TRIGGER": (
        "We can't save this record because the {value} process failed. Give your Salesforce admin these details."
        "{value}",
    ),
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": (
        "Too many retries of batch save in the presence of Apex triggers with failures",
        "Too many retries of batch save in the presence of Apex triggers with failures: {value}",
        *_APEX_LIMITS,
        *(f"{{name}}: execution of {{event}}{nested}" for nested in _NESTED_LOCK),
    ),
    "CANNOT_UPDATE_CONVERTED_LEAD": ("cannot reference converted lead",),
    "DUPLICATES_DETECTED": ("Use one of these records?",),
    "DUPLICATE_EXTERNAL_ID": (
        "{label}: more than one record found for external id field: [{value}]",
        "{label}: more than one record found for external id field: {value}",
        "Duplicate external id specified: {value}",
    ),
    "DUPLICATE_VALUE": (
        "duplicate value found: {name} duplicates value on record with id: {value}",
        "duplicate value found: {value}",
    ),
    "ENTITY_IS_DELETED": ("entity is deleted",),
    "ENTITY_IS_LOCKED": (
        "the entity is locked for editing", "This record is locked. If you need to edit it, contact your admin.",
    ),
    "FIELD_FILTER_VALIDATION_EXCEPTION": ("Value does not exist or does not match filter criteria.",),
    "FIELD_INTEGRITY_EXCEPTION": (
        "A country/territory must be specified before specifying a state value for field: {label}",
        "There's a problem with this country, even though it may appear correct. Please select a country/territory "
        "from the list of valid countries.: {label}",
        "There's a problem with this state, even though it may appear correct. Please select a state from the list of "
        "valid states.: {label}",
    ),
    "INACTIVE_OWNER_OR_USER": (
        "operation performed with inactive user [{value}] as owner of {name}",
        "operation performed with inactive user {value}",
        "operation performed with inactive user",
    ),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": (
        "insufficient access rights on cross-reference id", "insufficient access rights on cross-reference id: {value}",
    ),
    "INSUFFICIENT_ACCESS_OR_READONLY": (
        "insufficient access rights on object id", "insufficient access rights on object id: {value}",
    ),
    "INVALID_CROSS_REFERENCE_KEY": (
        "invalid cross reference id",
        "invalid cross reference id: {value}",
        "owner cannot be blank",
        "{label}: owner cannot be blank",
        "{label}: this ID value isn't valid for the user: {value}",
    ),
    "INVALID_EMAIL_ADDRESS": ("{label}: invalid email address: {value}",),
    "INVALID_FIELD": (
        "Foreign key external ID: {value} not found for field {name} in entity {name}",
        "Unexpected JsonMappingException: No such column '{name}' on sobject of type {name}",
        "No such column '{name}' on sobject of type {name}",
    ),
    "INVALID_FIELD_FOR_INSERT_UPDATE": (
        "Unable to create/update fields: {names}. Please check the security settings of this field and verify that it "
        "is read/write for your profile or permission set.",
        "{label}: bad field names on insert/update call: {names}",
        "bad field names on insert/update call: {names}",
        "Attempting to update parent field {name} with new value {value}",
    ),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": (
        "{label}: bad value for restricted picklist field: {value}",
        "bad value for restricted picklist field: {value}",
    ),
    "INVALID_TYPE_ON_FIELD_IN_RECORD": ("{label}: value not of required type: {value}",),
    "MALFORMED_ID": ("malformed id", "malformed id {value}", "{label}: id value of incorrect type: {value}"),
    "MISSING_ARGUMENT": ("{name} not specified", "Id not specified in an update call"),
    "NUMBER_OUTSIDE_VALID_RANGE": ("{label}: value outside of valid range on numeric field: {value}",),
    "QUERY_TIMEOUT": ("Your query request was running for too long.",),
    "REQUEST_RUNNING_TOO_LONG": (
        "Your request was running for too long, and has been stopped.", "Your request was running for too long.",
    ),
    "REQUIRED_FIELD_MISSING": ("Required fields are missing: [{names}]",),
    "SERVER_UNAVAILABLE": ("The server is temporarily unavailable. Please try again.",),
    "STORAGE_LIMIT_EXCEEDED": ("storage limit exceeded",),
    "STRING_TOO_LONG": ("{label}: data value too large: {value} (max length={value})",),
    "UNABLE_TO_LOCK_ROW": (
        "unable to obtain exclusive access to this record",
        "unable to obtain exclusive access to this record or {value} records",
        "unable to obtain exclusive access to this record or {value} records: {value}",
        "unable to obtain exclusive access to this record: {value}",
    ),
    "UNKNOWN_EXCEPTION": (
        "An unexpected error occurred. Please include this ErrorId if you contact support: {value}",
    ),
}  # fmt: skip

# With these, the org's own words are in the message. With other codes that have a value above, a message that is not
# there has it somewhere, in another language.
OWN_WORDS: Final = ("CANNOT_EXECUTE_FLOW_TRIGGER", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "UNKNOWN_EXCEPTION")
VALUE_CODES: Final = {
    code for code, messages in MESSAGES.items() if code not in OWN_WORDS and any("{value}" in one for one in messages)
} | {"DELETE_FAILED", "DEPENDENCY_EXISTS"}

# Of batches and jobs as a whole: the header of an upload without one is its first record.
BATCH_MESSAGES: Final = (
    "Field name not found : {custom}",
    "Field name not found : {value}",
    "Field name provided, {value} does not match an External ID, Salesforce Id, or indexed field for {name}",
    "Failed to parse CSV{value}",
    "Failed to read request. Exceeded max size limit{value}",
    "Failed to process query: {value}",
    "Records not found",
    "Records not processed",
    "Too many lock failure{value}",
    "Failed to write query result{value}",
    "Max processing time exceeded{value}",
    "Unable to find object: {value}",
    "Exceeded the maximum number of retries{value}",
)
RETRYABLE_MESSAGES: Final = re.compile(
    "Too many retries of batch save|UNABLE_TO_LOCK_ROW|Record Currently Unavailable|Too many lock failure"
    "|Max processing time exceeded|Records not processed"
)


@dataclass(frozen=True)
class Recognized:
    """A message in Salesforce's own words, without its values."""

    template: str
    has_value: bool  # whether something was replaced
    bare: str  # without names and labels, too: for a text that is not complete


def recognized(code: str | None, message: str) -> Recognized | None:
    """The message as one of Salesforce's own; None if it is none of them."""
    return _first(_of_code(code), message) if code in MESSAGES else None


def recognized_batch(message: str) -> Recognized | None:
    """What a batch or a job says, likewise."""
    return _first(_of_batches(), message)


def _first(patterns: tuple["_Pattern", ...], message: str) -> Recognized | None:
    line = plain(message)
    return next((found for pattern in patterns if (found := pattern.read(line))), None)


def plain(message: str) -> str:
    """On one line, unescaped from HTML, without a colon at its end."""
    for _ in range(ESCAPED_TIMES if "&" in message else 0):
        message = html.unescape(message)
    return " ".join(message.split()).rstrip(": ")


@dataclass(frozen=True)
class _Pattern:
    literals: tuple[str, ...]  # one more than slots
    slots: tuple[str, ...]
    matching: re.Pattern[str]

    def read(self, line: str) -> Recognized | None:
        found = self.matching.fullmatch(line)
        if not found:
            return None
        kept = [_KEEP[slot](text) for slot, text in zip(self.slots, found.groups(), strict=True)]
        return Recognized(self._filled(kept), "value" in self.slots, self._filled([MARK] * len(kept)))

    def _filled(self, texts: list[str]) -> str:
        parts = [self.literals[0]]
        for text, literal in zip(texts, self.literals[1:], strict=True):
            parts += [text, literal]
        return "".join(parts)


_KEEP: Final[dict[str, Callable[[str], str]]] = {
    "value": lambda text: MARK,
    "label": message_template,
    "name": lambda text: text if text == "<unknown>" or is_field_name(text) else MARK,
    "custom": str,
    "names": lambda text: ", ".join(field_names(text)) or MARK,
    "event": str,
}


def _pattern(text: str) -> _Pattern:
    pieces = re.split(r"\{(\w+)\}", text)
    literals, slots = pieces[::2], pieces[1::2]
    source = "".join(
        re.escape(literal) + (f"({_SLOTS[slots[at]]})" if at < len(slots) else "")
        for at, literal in enumerate(literals)
    )
    return _Pattern(tuple(literals), tuple(slots), re.compile(source, re.IGNORECASE))


@cache
def _of_code(code: str | None) -> tuple[_Pattern, ...]:
    return tuple(map(_pattern, MESSAGES[code or ""]))


@cache
def _of_batches() -> tuple[_Pattern, ...]:
    return tuple(map(_pattern, BATCH_MESSAGES))
