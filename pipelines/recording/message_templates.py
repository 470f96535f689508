"""Templates of Salesforce's error messages: the same for failures of the same kind, and free of record values."""

import html
import re
import unicodedata
from typing import Final

from pipelines.salesforce.ids import full_id

MARK: Final = "…"  # stands for what was removed
LONGEST: Final = 1_000  # characters read of a message, and at most in its template
ESCAPED_TIMES: Final = 3  # &amp;#39; was escaped twice

# Letters of scripts that separate words with spaces. "300秒後に" is a number and a sentence, "300s" is one word.
_LETTERS: Final = "A-Za-zÀ-ÖØ-öø-ɏͰ-ԯ"
_DIGITS: Final = r"\d\u2460-\u24ff\u2776-\u2793"  # plus circled digits; superscripts and the like become digits by NFKC
_DIGIT: Final = re.compile(f"[{_DIGITS}]+")
_WORD: Final = re.compile(f"[{_LETTERS}{_DIGITS}_]+(?:-[{_LETTERS}{_DIGITS}_]+)*")
_API_NAME: Final = re.compile(r"\w+__[A-Za-z]{1,3}")  # Field_2__c
_LOCAL: Final = rf"{_LETTERS}{_DIGITS}_.!#$%&*+/=?^~{MARK}'`’-"
_EMAIL: Final = re.compile(rf"(?<![{_LOCAL}])[{_LOCAL}]++@[{_LETTERS}{_DIGITS}_.{MARK}-]*")
_OTHER_EMAIL: Final = re.compile(r"[^\s@:;,、。：]*+@[^\s:;,、。：]*")  # 山田@例え.jp
_URL: Final = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]*+://\S*|\bwww\.\S+", re.IGNORECASE)
_MARKS: Final = re.compile(rf"{MARK}(?:[\s.,:;/+'’~-]*{MARK})+")  # 1,000.5; 2026-11-02T12:00Z; a list of ids
_SIGNS: Final = re.compile(rf"(?:(?<=[\s:=,;])|^)[-+−±.]+(?={MARK})")

_CODE_TWICE: Final = re.compile(r"(\S+) : (?:\1 : )+")  # InvalidBatch : InvalidBatch : Field name not found : Email

# What opens a span, and what closes it. Some quotation marks do both: “English”, „Deutsch“, ”svenska”.
_QUOTES: Final = {
    '"': '"', "“": "”", "”": "”", "„": "“”", "«": "»", "»": "«",
    "'": "'", "‘": "’", "’": "’", "‚": "‘’", "‹": "›", "›": "‹", "`": "`'´",
    "「": "」", "『": "』", "《": "》", "〈": "〉", "〝": "〞〟",
}  # fmt: skip
_BRACKETS: Final = {"(": ")", "[": "]", "{": "}", "【": "】", "〔": "〕"}
_APOSTROPHES: Final = "'’`"  # not quotation marks when inside a word
_ANGLES: Final = re.compile(r"<[^<>\s][^<>]*>")  # <unknown>, but not "a < b"

# Values that appear unquoted, after or between Salesforce's own words.
_SLOTS: Final = (
    re.compile(r"(Foreign key external ID:).+( not found for field )", re.DOTALL),
    re.compile(r"(attempt to delete).+( could not be completed)", re.DOTALL),
    *(
        re.compile(rf"(?<![\w{MARK}])({words}).+", re.DOTALL)
        for words in (
            "bad value for restricted picklist field:",
            "data value too large:",
            "value outside of valid range on numeric field:",
            "invalid email address:",
            "id value of incorrect type:",
            "malformed id",
            "associated with(?: the following [A-Za-z ]{1,40})?:",
            "with new value",
        )
    ),
)
# Codes of messages with such a value: if the words around it are not among those above (they are in the language of
# the job's user), they cannot be distinguished from the value.
_VALUE_CODES: Final = re.compile(
    "(INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST|STRING_TOO_LONG|NUMBER_OUTSIDE_VALID_RANGE|INVALID_EMAIL_ADDRESS"
    r"|INVALID_TYPE_ON_FIELD_IN_RECORD|MALFORMED_ID|DELETE_FAILED)\s*:.*",
    re.DOTALL,
)


def message_template(message: str) -> str:
    """The message with its ids, e-mail addresses, URLs, numbers, and quoted or bracketed text replaced by a mark: equal
    for messages that differ only in these. Idempotent. At most 1,000 characters.

    A word that contains a digit is replaced as a whole; in an API name (`Field_2__c`), only the digits are. After an
    unclosed quotation mark or bracket, the rest is replaced: the message may have been cut off.
    """
    text = _without_spans(_without_slots(_readable(message)))
    for pattern in (_ANGLES, _URL, _EMAIL, _OTHER_EMAIL):
        text = pattern.sub(MARK, text)
    text = _WORD.sub(lambda word: _without_digits(word[0]), text)
    text = _without_slots(text)  # again: Salesforce's words may only have been part of a quotation before
    return _SIGNS.sub("", _MARKS.sub(MARK, _SIGNS.sub("", text)))


def _readable(message: str) -> str:
    """The message on one line, unescaped from HTML, NFKC-normalized, with its code only once. If it is too long, only
    the beginning, without the word that would be cut."""
    text = message[: 2 * LONGEST]
    for _ in range(ESCAPED_TIMES):
        text = html.unescape(text)
    if text != html.unescape(text):
        text = text.replace("&", MARK)
    text = MARK.join(unicodedata.normalize("NFKC", part) for part in re.sub(r"\.{3,}", MARK, text).split(MARK))
    text = " ".join(text.split())
    if twice := _CODE_TWICE.match(text):
        text = f"{twice[1]} : {text[twice.end() :]}"
    if len(text) <= LONGEST and len(message) <= 2 * LONGEST:
        return text
    return text[: LONGEST - 1].rpartition(" ")[0] + MARK


def _without_slots(text: str) -> str:
    known = False
    for slot in _SLOTS:
        text, found = slot.subn(lambda value: f"{value[1]} {MARK}{value[2] if value.re.groups > 1 else ''}", text, 1)
        known = known or found > 0
    return text if known else _VALUE_CODES.sub(rf"\1: {MARK}", text)


def _without_spans(text: str) -> str:
    """The text with each outermost quoted or bracketed span replaced."""
    kept: list[str] = []
    closers: list[str] = []  # of the spans that are open
    begin = 0  # of the text after the last span
    for at, sign in enumerate(text):
        opens = _QUOTES.get(sign) or _BRACKETS.get(sign)
        if not opens and not (closers and sign in closers[-1]):
            continue
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        in_quotes = bool(closers) and closers[-1] not in _BRACKETS.values()
        if closers and sign in closers[-1] and not (in_quotes and _opens_inside(sign, before, after)):
            if sign in _APOSTROPHES and _is_word(after):
                continue
            closers.pop()
            if not closers:
                kept.append(MARK)
                begin = at + 1
        elif opens and (not in_quotes or (sign in _QUOTES and opens == closers[-1])):
            if sign in _APOSTROPHES and _is_word(before):
                continue
            if not closers:
                kept.append(text[begin:at])
            closers.append(opens)
    if closers:
        return "".join([*kept, MARK])
    return "".join([*kept, text[begin:]])


def _opens_inside(sign: str, before: str, after: str) -> bool:
    """Whether a mark inside a quotation opens another one, as in 'Rock 'n' Roll'."""
    return sign in _QUOTES and before in (" ", "(", "[", "") and _is_word(after)


def _is_word(character: str) -> bool:
    return character in (MARK, "_") or character.isalnum()


def _without_digits(word: str) -> str:
    if not _DIGIT.search(word):
        checked = len(word) == 18 and full_id(word[:15]) == word
        return MARK if checked else word
    return _DIGIT.sub(MARK, word) if _API_NAME.fullmatch(word) else MARK
