"""What error messages have in common: what differs between two records goes, what differs between two reasons stays."""

import csv
import re

import pytest
from demo_org_client import FIXTURES
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.recording.message_templates import LONGEST, message_template
from pipelines.salesforce.ids import full_id

SHAPES = {
    "1": "REQUIRED_FIELD_MISSING:Required fields are missing: …:LastName --",
    "2": "REQUIRED_FIELD_MISSING:Required fields are missing: …:--",
    "3": "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--",
    "4": "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or … records: …:--",
    "5": "ENTITY_IS_DELETED:entity is deleted:--",
    "6": "DUPLICATES_DETECTED:Use one of these records?:--",
    "7": "DUPLICATE_VALUE:duplicate value found: … duplicates value on record with id: …:--",
    "8": "DUPLICATE_VALUE:duplicate value found: Record_Key__c duplicates value on record with id: …:--",
    "9": "DUPLICATE_EXTERNAL_ID:Account Number: more than one record found for external id field: …:--",
    "10": "INVALID_FIELD:Foreign key external ID: … not found for field Producer_BP_Id__c in entity Contact:--",
    "11": "MISSING_ARGUMENT:Agency_BP_Id__c not specified:--",
    "12": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Client/Employer: bad value for restricted picklist field: …",
    "13": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST: …",
    "14": "INVALID_TYPE_ON_FIELD_IN_RECORD: …",
    "15": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:ProjectTrigger: System.LimitException: ns:Too many DML statements: …:--",
    "16": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Too many retries of batch save in the presence of Apex triggers with "
    "failures: :--",
    "17": "CANNOT_EXECUTE_FLOW_TRIGGER:We can't save this record because the … process failed. Give your Salesforce "
    "admin these details. Limit Exceeded Error ID: …:--",
    "18": "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY:insufficient access rights on cross-reference id:--",
    "19": "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: Rating, Site. Please check the security "
    "settings of this field and verify that it is read/write for your profile or permission set.:Rating, Site --",
    "20": "FIELD_CUSTOM_VALIDATION_EXCEPTION:Close date must be after start date: check both, please:CloseDate --",
    "21": "FIELD_FILTER_VALIDATION_EXCEPTION:Value does not exist or does not match filter criteria.:ContactId --",
    "22": "STRING_TOO_LONG:SAP Batch ID: data value too large: …",
    "23": "NUMBER_OUTSIDE_VALID_RANGE:Amount: value outside of valid range on numeric field: …",
    "24": "INVALID_EMAIL_ADDRESS:Email: invalid email address: …",
    "25": "INVALID_CROSS_REFERENCE_KEY:Record Type ID: this ID value isn't valid for the user: …:RecordTypeId --",
    "26": "INACTIVE_OWNER_OR_USER:operation performed with inactive user … as owner of case:--",
    "27": "FIELD_INTEGRITY_EXCEPTION:A country/territory must be specified before specifying a state value for field: "
    "State/Province:MailingState --",
    "28": "CANNOT_UPDATE_CONVERTED_LEAD:cannot reference converted lead:--",
    "29": "STORAGE_LIMIT_EXCEEDED:storage limit exceeded:--",
}
MESSAGES = {
    "Timeout after 300 s": "Timeout after … s",
    "Timeout after 301s": "Timeout after …",
    "InvalidBatch : Field name not found : Email__c": "InvalidBatch : Field name not found : Email__c",
    "InvalidBatch : InvalidBatch : Field name not found : Email": "InvalidBatch : Field name not found : Email",
    "InvalidBatch : The 'delete' batch must contain only ids": "InvalidBatch : The … batch must contain only ids",
    "No such column 'Taille' on sobject of type Asset": "No such column … on sobject of type Asset",
    "Field_2__c and Field_31__c": "Field_…__c and Field_…__c",
    "-5, 1,000.50 or 1'000 at 2026-11-02T12:00:00.000Z": "… or … at …",
    "300秒後にタイムアウトしました「山田」: a@b.co.jpが無効です": "…秒後にタイムアウトしました…が無効です",
    "３００件と①と「」": "…件と…と…",
    "O valor “São João” é inválido: 12,5%": "O valor … é inválido: …%",
    "L'objet « Compte » n'a pas de champ": "L'objet … n'a pas de champ",
    "„Größe“ und ‚Maß‘ und »Art« und ”mått” ’x’": "… und … und … und …",
    "Names: 'Rock 'n' Roll' and 'it's' too": "Names: … and … too",
    'a "big "red" one" here': "a … here",
    "Can't use O'Brien's (nested [one) two] three) end": "Can't use O'Brien's … end",
    "the users' records": "the users' records",
    "it is 'cut off": "it is …",
    "it is (cut off": "it is …",
    "&#39;one&#39; &amp;quot;two&quot; &lt;three&gt; Redacted&#39;s": "… Redacted's",
    "see https://x.my.salesforce.com/O'Brien?a=(b), mail <ada@example.com> or ada.l@example.com": "see … mail … or …",
    "a < b > c": "a < b > c",
    "ids 001000000000001AAA,001000000000002AAA,... end": "ids … end",
    "550e8400-abcd-41d4-a716-446655440000": "…",
    "REDACTED-VALUE-0001 is long": "… is long",
    "two\n\tlines": "two lines",
    "DELETE_FAILED:Your attempt to delete Ada Ltd could not be completed: Ada & Co:--": "DELETE_FAILED:Your attempt to "
    "delete … could not be completed: Ada & Co:--",
    "DELETE_FAILED:Ihr Versuch, Ada zu löschen, ist gescheitert:--": "DELETE_FAILED: …",
    "": "",
}


def test_real_errors_of_records_have_their_templates() -> None:
    """What a shape has of a record, and no field's name and no word of a rule."""
    with (FIXTURES / "i_failed_54_error_shapes.csv").open(encoding="utf-8", newline="") as file:
        found = {row["Row__c"]: message_template(row["sf__Error"]) for row in csv.DictReader(file)}

    assert found == SHAPES


@pytest.mark.parametrize("message", MESSAGES)
def test_what_differs_between_two_records_goes(message: str) -> None:
    """In any language, and with what HTML made of it."""
    assert message_template(message) == MESSAGES[message]


WORDS = st.text("abcxyzABCéß秒を ", min_size=1, max_size=12)
PLAIN = st.sampled_from(["Timeout after", "Datei fehlt:", "値が", "isn't valid for", "field Amount__c", "-- and"])
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SHORT_IDS = st.text(BASE62, min_size=14, max_size=14).map("0".__add__)
IDS = SHORT_IDS | st.text(BASE62, min_size=15, max_size=15).map(full_id)
NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=2)
EMAILS = st.from_regex(r"[a-z][a-z0-9._+]{0,8}@[a-z]{1,8}\.(com|co\.jp)", fullmatch=True)
URLS = st.from_regex(r"https://[a-z]{1,8}\.com/[A-Za-z0-9/?=&;.]{0,12}", fullmatch=True)
PAIRS = ("''", '""', "‘’", "“”", "„“", "«»", "「」", "()", "[]", "{}", ("&#39;", "&#39;"), ("&quot;", "&#34;"))
QUOTED = st.builds(
    lambda pair, secret: f"{pair[0]}{secret}{pair[1]}", st.sampled_from(PAIRS), WORDS.filter(lambda word: word.strip())
)
VALUES = {"id": IDS, "number": NUMBERS.map(str), "e-mail": EMAILS, "URL": URLS, "quoted": QUOTED}


@pytest.mark.parametrize("kind", VALUES)
@given(data=st.data(), before=PLAIN, after=PLAIN)
def test_messages_that_differ_in_values_only_have_one_template(
    kind: str, data: st.DataObject, before: str, after: str
) -> None:
    """And nothing of the values in it."""
    one, other = data.draw(VALUES[kind]), data.draw(VALUES[kind])
    found = message_template(f"{before} {one} {after}")

    assert found == message_template(f"{before} {other} {after}")
    assert found == f"{before} … {after}"


CHARACTERS = "'\"()[]{}<>“”„«»‘’「」`´&…-+.,:@_/\x00 \na1éßİ秒を①²½１٣\u0301"
PHRASES = ["malformed id", "STRING_TOO_LONG:", "bad value for restricted picklist field:", "Foreign key external ID:"]
PHRASES += [" not found for field ", "with new value", "InvalidBatch : ", "data value too large:", "&#39;", "&amp;"]
PHRASES += ["&quot;", "...", "://", "www.", "23", "Bc", "__c", "'s"]
PIECES = st.sampled_from([*CHARACTERS, *PHRASES])


@example(message="STRING_TOO_LONG: “malformed id x")
@example(message="&amp;" * 400 + "quot;x")
@example(message="x " * 1_001 + "secret@example.com")
@given(message=st.lists(PIECES, max_size=15).map("".join) | st.text(max_size=60))
def test_a_template_is_its_own_and_keeps_no_digit(message: str) -> None:
    """Whatever the message: no digit, address or open quotation is left, and there is nothing more to take out."""
    found = message_template(message)

    assert message_template(found) == found
    assert not re.search(r"\d|@|://", found)
    assert not any(quote in found for quote in '"“„«「')
    assert len(found) <= LONGEST


LONG = [
    *(
        "'",
        "(",
        "[(",
        "&amp;",
        "&amp",
        "a@",
        "a",
        "1",
        "…",
        "…-",
        "\u0300\u0316",
        "-",
        "a-",
        "<a",
        ". ",
        "www.",
        "a://",
    ),
    *("ﷺ", "&#1", "Foreign key external ID:", "associated with the following ", "attempt to delete could not be "),
    *(" : ", "x : ", "malformed id"),
]


@pytest.mark.parametrize("piece", LONG)
def test_a_megabyte_has_a_short_template(piece: str) -> None:
    """Only the beginning is read: this would not end in a day otherwise, for some of them."""
    message = (piece * 1_000_000)[:1_000_000]
    found = message_template(message)

    assert len(found) <= LONGEST
    assert message_template(found) == found


def test_a_value_that_is_cut_off_goes_as_a_whole() -> None:
    """Of an address without its @ nothing would tell that it was one."""
    for length in range(960, 1_040):
        found = message_template("x " * (length // 2) + "ada.lovelace@example.com" + " y" * 600)
        assert "ada" not in found
        assert found.startswith("x x ")
