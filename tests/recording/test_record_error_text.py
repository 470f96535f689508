"""The text of a record's error, taken apart, and what of it is kept: codes, fields and Salesforce's own words."""

import csv

import pytest
from demo_org_client import FIXTURES
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.recording.failure_reasons import Reason, reason_of, whole_reason
from pipelines.recording.field_names import field_names
from pipelines.recording.message_templates import MARK
from pipelines.recording.record_error_text import LONGEST, RecordError, errors_of
from pipelines.recording.salesforce_messages import MESSAGES
from pipelines.recording.status_codes import KNOWN_CODES

with (FIXTURES / "i_failed_54_error_shapes.csv").open(newline="") as file:
    SHAPES = [row["sf__Error"] for row in csv.DictReader(file)]


def reasons(text: str, *, keep_messages: bool = False) -> list[Reason]:
    return [reason_of(error, keep_messages=keep_messages) for error in errors_of(text)]


def read(text: str, *, keep_messages: bool = False) -> tuple[str | None, ...]:
    """Code, fields and message of the first error."""
    first = reasons(text, keep_messages=keep_messages)[0]
    return first.code, first.fields, first.message


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        (SHAPES[0], "LastName", "Required fields are missing: [LastName]"),
        (SHAPES[1], None, "Required fields are missing: [Company]"),
        (SHAPES[3], None, "unable to obtain exclusive access to this record or … records: …"),
        (SHAPES[7], None, "duplicate value found: Record_Key__c duplicates value on record with id: …"),
        (SHAPES[8], None, "Account Number: more than one record found for external id field: […]"),
        (SHAPES[9], None, "Foreign key external ID: … not found for field Producer_BP_Id__c in entity Contact"),
        (SHAPES[11], "clientemployer__c", "Client/Employer: bad value for restricted picklist field: …"),
        (SHAPES[12], "profile_api__pc", None),  # Portuguese
        (SHAPES[13], "NumberOfEmployees", None),  # Japanese
        (SHAPES[14], None, "ProjectTrigger: System.LimitException: ns:Too many DML statements: …"),
        (SHAPES[16], None, "We can't save this record because the … process failed. Give your Salesforce admin these details.…"),
        (SHAPES[18], "Rating,Site", "Unable to create/update fields: Rating, Site. Please check the security settings of this field and verify that it is read/write for your profile or permission set."),
        (SHAPES[19], "CloseDate", None),  # the org's own words
        (SHAPES[21], "SAP_Batch_ID__c", "SAP Batch ID: data value too large: … (max length=…)"),
        (SHAPES[25], None, "operation performed with inactive user […] as owner of case"),
        ("DELETE_FAILED:Your attempt to delete Acme could not be completed because it is associated with: Smith:--", None, None),
        ("A_CODE_OF_TOMORROW:Anna Karenina is late:Name --", "Name", None),
    ],
)  # fmt: skip
def test_a_text_is_told_by_code_fields_and_known_words(text: str, fields: str | None, message: str | None) -> None:
    assert read(text) == (text.partition(":")[0], fields, message)


def test_texts_of_the_orgs_own_are_kept_only_if_allowed_and_cut_all_the_same() -> None:
    rule = "FIELD_CUSTOM_VALIDATION_EXCEPTION:Contract 4711 of anna@example.com ('Gold') has ended:EndDate --"
    assert read(rule) == ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "EndDate", None)
    assert read(rule, keep_messages=True) == (
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "EndDate",
        "Contract … of … has ended",
    )


@pytest.mark.parametrize(
    "text",
    [
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Perfil: valor incorreto para campo de lista de opções restrita: Karenina:P__c --",
        "STRING_TOO_LONG:Nachname: Datenwert zu groß: Karenina (maximale Länge=3):LastName --",
        "DELETE_FAILED:Your attempt to delete Karenina could not be completed because it is associated with: Karenina:--",
        "INVALID_FIELD:Externe ID des Fremdschlüssels: Karenina nicht gefunden:--",
        "DUPLICATE_VALUE:doppelter Wert gefunden: Karenina:--",
        "Karenina",
        "KARENINA: is not a code",
        "KARENINA:--",
    ],
)
@pytest.mark.parametrize("keep_messages", [False, True])
def test_a_value_in_words_that_are_not_known_is_never_kept(text: str, keep_messages: bool) -> None:
    assert "karenina" not in str(reasons(text, keep_messages=keep_messages)).lower()


def test_fields_are_read_only_before_the_closing_dashes() -> None:
    """Where the end is missing, the text behind the last colon is a value."""
    assert read("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Tier: bad value for restricted picklist field: Gold")[1:] == (
        None,
        "…: bad value for restricted picklist field: …",
    )
    assert read("STRING_TOO_LONG:Tier: data value too large: Gold (max length=2):Tier__c")[1] is None
    assert read("INVALID_EMAIL_ADDRESS:Email: invalid email address: Gold --")[1] is None  # a space: no list of fields
    long = "FIELD_CUSTOM_VALIDATION_EXCEPTION:" + "x" * (LONGEST - 45) + ":Secret --"
    assert read(long + "and more:Name --")[1] is None  # cut where a value may have wanted it to be


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("Name, Owner.External__c,ns__Field__pc", ("Name", "Owner.External__c", "ns__Field__pc")),
        (["Name", "Name"], ("Name",)),
        ("", ()),
        ("Name,Anna Karenina", ()),
        ("a015g00000XyZab", ()),  # a record of a custom object
        ("a015g00000XyZabAAC", ()),
        ("4711", ()),
        ("Größe", ()),
        (["Name", 4711], ()),
        (",".join(f"F{n}" for n in range(40)), ()),
    ],
)
def test_only_api_names_are_fields(given: object, names: tuple[str, ...]) -> None:
    assert field_names(given) == names


def test_a_text_is_split_at_known_codes_and_the_first_error_counts() -> None:
    both = f"{SHAPES[0]}{SHAPES[2]}"
    assert [(one.code, one.fields) for one in reasons(both)] == [
        ("REQUIRED_FIELD_MISSING", "LastName"),
        ("UNABLE_TO_LOCK_ROW", None),
    ]
    assert len(reasons(f"{SHAPES[0]}NOT_A_CODE:x:--")) == 1
    assert len(reasons("FIELD_CUSTOM_VALIDATION_EXCEPTION:see --UNABLE_TO_LOCK_ROW for more:Name --")) == 1


def test_behind_a_value_nothing_is_believed_but_codes() -> None:
    """A value that imitates the end of its own message, and a whole message after it."""
    value = "x:Karenina --REQUIRED_FIELD_MISSING:Required fields are missing: [Karenina]:Karenina --"
    text = f"STRING_TOO_LONG:Name: data value too large: {value} (max length=3):Name --"
    assert [(one.code, one.fields, one.message) for one in reasons(text)] == [
        ("STRING_TOO_LONG", None, None),
        ("REQUIRED_FIELD_MISSING", None, None),
    ]
    assert "Karenina" not in str(reasons(text, keep_messages=True))


def test_locks_time_outs_and_server_errors_can_be_retried() -> None:
    retryable = {text.partition(":")[0] for text in SHAPES if reasons(text)[0].retryable}
    assert retryable == {"UNABLE_TO_LOCK_ROW", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"}
    trigger = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:T: execution of AfterUpdate caused by: System.DmlException: Update failed. First exception on row 0 with id 001000000000001AAA; first error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record: []:--"
    assert reasons(trigger)[0].retryable
    assert reasons("REQUEST_RUNNING_TOO_LONG:Your request was running for too long, and has been stopped.:--")[
        0
    ].retryable
    assert not reasons(SHAPES[14])[0].retryable  # a limit of Apex


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "InvalidBatch : InvalidBatch : Field name not found : Foo__c",
            "InvalidBatch",
            "Field name not found : Foo__c",
        ),
        ("InvalidBatch : Field name not found : Karenina", "InvalidBatch", "Field name not found : …"),
        ("Too many lock failure 200 Trying again later.", None, "Too many lock failure…"),
        ("ClientInputError : Karenina", "ClientInputError", None),
        ("Karenina", None, None),
        ("", None, None),
    ],
)
def test_batches_and_jobs_have_reasons_of_their_own(text: str, code: str | None, message: str | None) -> None:
    """An upload without a header has its first record in the header's place."""
    found = whole_reason("batch", text, keep_messages=False)
    assert (found.code, found.message) == (code, message)


def test_equal_reasons_have_equal_keys_and_different_ones_do_not() -> None:
    found = {one for text in SHAPES for one in reasons(text)}
    assert len({one.key for one in found}) == len(found) == 29
    assert Reason("record", None, None, "A").key != Reason("record", None, "A", None).key


VALUE = "Karenina"  # stands in every value below; no message, code or field has it
PIECES = [":--", " --", ":", "--", ":Name --", "\n", "\r\n", '"', "'", ",", ";", "|", "\t", "&#58;", "&amp;#39;", "[", "]", "(", ")", "…", "。", "山田", "Größe", " not found for field ", " in entity ", "(max length=9)", " -- ", "field: ", "0", "001000000000001AAA", "a@b.example", *(f"{code}:" for code in sorted(KNOWN_CODES)[::20]), *(message.partition("{")[0] for messages in MESSAGES.values() for message in messages)]  # fmt: skip
values = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), min_size=1, max_size=8).map(
    lambda pieces: VALUE + VALUE.join(pieces) + VALUE
)
SLOTTED = [(code, message) for code, messages in MESSAGES.items() for message in messages if "{value}" in message]
PLACES = {"{label}": "Label", "{name}": "Name__c", "{names}": "Name__c, Other__c", "{event}": "BeforeUpdate"}


@given(st.sampled_from(SLOTTED), values, st.sampled_from([":Field__c --", ":--", "", ":A__c, B__c --"]), st.booleans())
@example(
    ("STRING_TOO_LONG", "{label}: data value too large: {value} (max length={value})"), "Karenina:Karenina", "", False
)
def test_no_value_gets_out_of_its_place(slotted: tuple[str, str], value: str, end: str, keep_messages: bool) -> None:
    """Whatever a record contains: words of messages, codes, ends, other scripts, escapes. Not so where the whole end is
    the value's own (`:Karenina --`), which looks like any other."""
    code, message = slotted
    for place, text in PLACES.items():
        message = message.replace(place, text)
    text = f"{code}:{message.replace('{value}', value)}{end}"
    if not end and text.rstrip().endswith("--"):
        return
    kept = reasons(
        text,
        keep_messages=keep_messages
        and code not in ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER", "UNKNOWN_EXCEPTION"),
    )
    assert VALUE.lower() not in str(kept).lower(), (text, kept)


@given(st.text(max_size=40), st.text(max_size=60), st.text(max_size=20), st.booleans())
def test_any_text_is_read(code: str, message: str, fields: str, keep_messages: bool) -> None:
    for text in (f"{code}:{message}:{fields} --", message, f"UNABLE_TO_LOCK_ROW:{message}"):
        found = reasons(text, keep_messages=keep_messages)
        assert found
        assert all(len(one.message or "") <= 1_000 for one in found)
    apart = reason_of(RecordError("INVALID_FIELD", message), keep_messages=keep_messages)
    assert apart.message is None or MARK in apart.message
