"""Why records of the demo org's loads failed: texts as in tests/fixtures/i_failed_54, with values of made-up records.

"{n}" is the number of the row.
"""

from __future__ import annotations

from random import Random

from pipelines.demo_org.plans import Reasons

LOCKED = (
    "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 200 records: "
    "001Dm000000{n}AAA,001Dm000000{n}BAA,...:--"
)
TOO_MANY_RETRIES = (
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:"
    "Too many retries of batch save in the presence of Apex triggers with failures: :--"
)
NAME_MISSING = "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
COMPANY_MISSING = "REQUIRED_FIELD_MISSING:Required fields are missing: [Company]:Company --"
LEAD_SOURCE = (
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Lead Source: bad value for restricted picklist field: "
    "Fair {n}:LeadSource --"
)
EMAIL = "INVALID_EMAIL_ADDRESS:Email: invalid email address: lead{n}@example:Email --"
DUPLICATES = "DUPLICATES_DETECTED:Use one of these records?:--"
MEMBER_TWICE = (
    "DUPLICATE_VALUE:duplicate value found: Member_Key__c duplicates value on record with id: 00vDm000000{n}:--"
)
MEMBER_GONE = "ENTITY_IS_DELETED:entity is deleted:--"
OWNER_BLANK = "INVALID_CROSS_REFERENCE_KEY:Owner ID: owner cannot be blank:OwnerId --"
OWN_RULE = "FIELD_CUSTOM_VALIDATION_EXCEPTION:A case of customer {n} needs a priority, please:Priority --"
REFERENCE_TOO_LONG = (
    "STRING_TOO_LONG:External Reference: data value too large: INV-2026-{n}-of-the-new-numbering-scheme "
    "(max length=20):External_Ref__c --"
)
ACCOUNT_UNKNOWN = "INVALID_FIELD:Foreign key external ID: C-{n} not found for field ERP_Id__c in entity Account:--"
CONTACT_LOCKED = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"

CLASSIC = (NAME_MISSING, ACCOUNT_UNKNOWN, CONTACT_LOCKED)


def shared(failed: int, dice: Random) -> Reasons:
    """Divide the failed records of a Classic load among two of its reasons, seven to three."""
    if not failed:
        return ()
    first, second = dice.sample(CLASSIC, 2)
    fewer = failed * 3 // 10
    return tuple((reason, count) for reason, count in ((first, failed - fewer), (second, fewer)) if count)
