"""What the demo org accepts of the records that a client uploads: a few documented rules, and those of a test.

SOURCE: tests/fixtures/i_failed_54_error_shapes.csv, i_failed_52 and i_one_08 (the errors, and the one that ends a whole
job); https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/ (required fields);
datafiles_csv_field_values.htm (#N/A)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.demo_org.batches import Outcome
from pipelines.demo_org.ids import salesforce_id
from pipelines.demo_org.record_errors import RecordError, record_error
from pipelines.demo_org.records import Job

NULL = "#N/A"
PREFIXES = {"Account": "001", "Contact": "003", "Opportunity": "006", "Lead": "00Q", "Case": "500"}
OTHER_PREFIX = "a00"  # of custom objects, and of all that are not named here
SUFFIXED, PLAIN = 18, 15  # characters of an id

Record = Mapping[str, str]


class Rules:
    """The rules, and the keys of what has been saved by now; change `required`, `unknown_fields` and `bad_values`."""

    def __init__(self) -> None:
        self.required: dict[str, tuple[str, ...]] = {
            "Account": ("Name",),
            "Contact": ("LastName",),
            "Lead": ("LastName", "Company"),
            "Opportunity": ("Name", "StageName", "CloseDate"),
        }
        self.unknown_fields: set[str] = set()  # an upload with one of these fails as a whole
        self.bad_values: dict[tuple[str, str], str] = {}  # (field, value): the error that a record with it gets
        self._ids: dict[tuple[str, str, str], str] = {}  # of records by object, external id field and value
        self._count = 0

    def refuse_value(self, name: str, value: str, error: str) -> None:
        """Fail every record that has this value in this field, with an error such as CODE:message:field --"""
        self.bad_values[name, value] = error

    def batch_error(self, job: Job, columns: Sequence[str]) -> str | None:
        """Return why an upload with these columns fails as a whole, if it does."""
        operation = str(job.get("operation"))
        if operation in ("delete", "hardDelete") and [name.lower() for name in columns] != ["id"]:
            return f"InvalidBatch : The '{operation}' batch must contain only ids"
        unknown = [name for name in columns if name in self.unknown_fields]
        return f"InvalidBatch : Field name not found : {unknown[0]}" if unknown else None

    def outcome(self, job: Job, key_field: object, record: Record) -> Outcome:
        """Save a record, or return why not."""
        given = {name: value for name, value in record.items() if value not in ("", NULL)}
        for error in (self._missing(job, key_field, given), self._bad(given)):
            if error is not None:
                return Outcome(None, False, False, (error,))
        if job.get("operation") not in ("insert", "upsert"):
            return Outcome(given["Id"], True, False)
        known = (str(job.get("object")), str(key_field), given.get(str(key_field), ""))
        saved = self._ids.get(known) if job.get("operation") == "upsert" else None
        if saved is not None:
            return Outcome(saved, True, False)
        self._count += 1
        made = salesforce_id(PREFIXES.get(known[0], OTHER_PREFIX), 62**4 + self._count)
        if known[2]:
            self._ids[known] = made
        return Outcome(made, True, True)

    def _missing(self, job: Job, key_field: object, given: Record) -> RecordError | None:
        operation = str(job.get("operation"))
        if operation == "upsert" and str(key_field) not in given:
            return RecordError("MISSING_ARGUMENT", f"{key_field} not specified")
        if operation in ("insert", "upsert"):
            missing = tuple(name for name in self.required.get(str(job.get("object")), ()) if name not in given)
            text = f"Required fields are missing: [{', '.join(missing)}]"
            return RecordError("REQUIRED_FIELD_MISSING", text, missing) if missing else None
        if "Id" not in given:
            return RecordError("MISSING_ARGUMENT", "Id not specified in an update call")
        whole = len(given["Id"]) in (PLAIN, SUFFIXED) and given["Id"].isalnum()
        return None if whole else RecordError("MALFORMED_ID", f"malformed id {given['Id']}")

    def _bad(self, given: Record) -> RecordError | None:
        errors = (self.bad_values.get((name, value)) for name, value in given.items())
        return next((record_error(error) for error in errors if error is not None), None)


def flat(record: Mapping[str, Any]) -> dict[str, str]:
    """Return a record of JSON as one of CSV: relationships with a dot, nothing for null."""
    named: dict[str, str] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            named |= {f"{name}.{inner}": text for inner, text in flat(value).items()}
        elif name != "attributes":
            named[name] = "" if value is None else value if isinstance(value, str) else str(value)
    return named
