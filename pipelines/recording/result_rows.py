"""Reads the results of loads row by row: of each failed row only its error, and nothing of any other.

V2: `failedResults`, CSV with the job's own delimiter, `sf__Error` among the columns of the upload. "Get Job Failed
Record Results", https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-failed-results.html
Classic: a batch's results in the form of its job, CSV, JSON or XML, without the data of the upload. "Get Batch
Results", https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/asynch_api_batches_get_results.htm
Which form the results of a ZIP_CSV job and the like have is not documented: whatever the form, its first bytes show it.

All of them are read with bounded memory: a record has at most 400,000 characters, a field 131,072.
"""

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from xml.parsers import expat

from pipelines.recording.field_names import field_names
from pipelines.recording.record_error_text import RecordError, is_code

DELIMITERS: Final = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
MAX_ROW: Final = 2**21  # characters of one row, and bytes of one result in JSON
MAX_DEPTH: Final = 20  # of XML; documented results have four levels
MAX_TEXT: Final = 2**16  # characters of one element of XML
MAX_ERRORS: Final = 100  # of one row

# One failed row: its text, or its errors if they come apart.
FailedRow = str | tuple[RecordError, ...]
UNTOLD: Final = (RecordError(None, "", (), whole=False),)


class UnreadableResults(Exception):
    """Results that are not in a documented form. Its text has nothing of them."""


def failed_rows(parts: Iterable[bytes], delimiter: str) -> Iterator[FailedRow]:
    """The error of each row of `failedResults`; none if there is not even a header."""
    rows = _csv_rows(parts, delimiter)
    header = next(rows, None)
    if header is not None:
        error = _column(header, "sf__error")
        for row in rows:
            # A row that does not fit the header may have any value in the error's place.
            yield row[error] if len(row) == len(header) else ""


def count_rows(parts: Iterable[bytes], delimiter: str) -> Iterator[int]:
    """The number of rows so far below the header of `unprocessedrecords`, once a row."""
    for number, _ in enumerate(_csv_rows(parts, delimiter)):
        yield number


def batch_rows(parts: Iterator[bytes]) -> Iterator[FailedRow]:
    """The errors of each failed row of a batch's results."""
    begun = b""
    for part in parts:
        begun += part
        if begun.strip(b"\xef\xbb\xbf \t\r\n"):
            break
    start = begun.lstrip(b"\xef\xbb\xbf \t\r\n")
    whole = _chained(start, parts)
    if start.startswith(b"PK\x03\x04"):
        raise UnreadableResults("the results are a ZIP file")
    if start.startswith(b"<"):
        yield from _xml_rows(whole)
    elif start.startswith((b"[", b"{")):
        yield from _json_rows(whole)
    elif start:
        yield from _classic_csv_rows(whole)


def _chained(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


# --- CSV


class _Lines:
    """The lines of a text that comes in parts. Python's csv module would collect an endless row, or line, in memory."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts
        self.row_size = 0  # characters given since the last whole row; reset by who takes the rows

    def __iter__(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        rest = ""
        for part in self._parts:
            # A row ends with LF or CRLF, whatever the job says; to the csv module, a single CR would be an error.
            *lines, rest = (rest + decoder.decode(part)).replace("\r\n", "\n").split("\n")
            for line in lines:
                yield self._counted(line)
            if len(rest) > MAX_ROW:
                raise UnreadableResults("a row is too long")
        rest += decoder.decode(b"", final=True)
        if rest:
            yield self._counted(rest)

    def _counted(self, line: str) -> str:
        self.row_size += len(line) + 1
        if self.row_size > MAX_ROW:
            raise UnreadableResults("a row is too long")
        return line.replace("\r", " ") + "\n"


def _csv_rows(parts: Iterable[bytes], delimiter: str) -> Iterator[list[str]]:
    lines = _Lines(parts)
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            lines.row_size = 0
            if row:
                yield row
    except csv.Error as error:
        raise UnreadableResults(f"not CSV: {error}") from None


def _column(header: list[str], name: str) -> int:
    found = [at for at, column in enumerate(header) if column.strip().lower() == name]
    if len(found) != 1:  # of two, one is the upload's own
        raise UnreadableResults(f"{'no' if not found else 'more than one'} column {name}")
    return found[0]


def _classic_csv_rows(parts: Iterable[bytes]) -> Iterator[FailedRow]:
    rows = _csv_rows(parts, ",")
    header = next(rows)
    success, error = _column(header, "success"), _column(header, "error")
    for row in rows:
        if len(row) != len(header):
            raise UnreadableResults("a row does not fit the header")
        if row[success].strip().lower() == "false" or row[error].strip():
            yield row[error]


# --- JSON

_BETWEEN: Final = re.compile(r"[\s,]*")
_DECODER: Final = json.JSONDecoder(strict=False)


def _json_rows(parts: Iterable[bytes]) -> Iterator[FailedRow]:
    """Decodes an array object by object: as a whole, its values would take up to fifty times the memory of its text."""
    reader = codecs.getincrementaldecoder("utf-8")("replace")
    text, began, ended = "", False, False
    for part in parts:
        text += reader.decode(part)
        if not began:
            if not text.startswith("["):
                raise UnreadableResults("JSON, but not an array")
            began, text = True, text[1:]
        at = 0
        while not ended:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            ended = text.startswith("]", at)
            result, at = _next_object(text, at)
            if result is None:
                break
            if row := _errors_apart(result.get("success"), result.get("errors")):
                yield row
        text = "" if ended else text[at:]
    if not ended:
        raise UnreadableResults("JSON without an end")


def _next_object(text: str, at: int) -> tuple[dict[str, Any] | None, int]:
    """The object at this place, and where it ends; None if there is none yet, or none any more."""
    if at == len(text) or text[at] == "]":
        return None, at
    if text[at] != "{":
        raise UnreadableResults("JSON, but not an array of objects")
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        if len(text) - at > MAX_ROW:
            raise UnreadableResults("not JSON, or a result is too long") from None
        return None, at


# --- XML


def _xml_rows(parts: Iterable[bytes]) -> Iterator[FailedRow]:
    """`<results><result><errors><fields/><message/><statusCode/></errors><success/>…`; see `classic_xml.py` for why
    expat is safe."""
    reader = _XmlResults()
    try:
        for part in parts:
            reader.parser.Parse(part, False)
            yield from reader.taken()
        reader.parser.Parse(b"", True)
    except (expat.ExpatError, LookupError):
        raise UnreadableResults("not XML") from None
    yield from reader.taken()


class _XmlResults:
    """Collects the failed results of a document, one at a time."""

    def __init__(self) -> None:
        self.parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        self._open: list[str] = []
        self._texts: list[str] = []
        self._size = 0
        self._success: str | None = None
        self._errors: list[dict[str, Any]] = []
        self._found: list[FailedRow] = []

    def taken(self) -> list[FailedRow]:
        found, self._found = self._found, []
        return found

    def _start(self, name: str, _: dict[str, str]) -> None:
        name = name.rpartition(" ")[2]
        if len(self._open) == MAX_DEPTH or (not self._open and name != "results"):
            raise UnreadableResults("XML, but not results")
        self._open.append(name)
        self._texts, self._size = [], 0
        if self._open[1:] == ["result"]:
            self._success, self._errors = None, []
        elif self._open[1:] == ["result", "errors"]:
            if len(self._errors) == MAX_ERRORS:
                raise UnreadableResults("a result has too many errors")
            self._errors.append({"fields": []})

    def _text(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_TEXT:
            raise UnreadableResults("a text is too long")
        self._texts.append(text)

    def _end(self, _: str) -> None:
        path, text = self._open[1:], "".join(self._texts).strip()
        self._open.pop()
        self._texts = []
        if path == ["result", "success"]:
            self._success = text
        elif path[:2] == ["result", "errors"] and len(path) == 3:
            error = self._errors[-1]
            if path[2] == "fields":
                if text and len(error["fields"]) < MAX_ERRORS:
                    error["fields"].append(text)
            elif path[2] in ("message", "statusCode"):
                error[path[2]] = text
        elif path == ["result"]:
            success = {"true": True, "false": False}.get((self._success or "").lower())
            if row := _errors_apart(success, self._errors):
                self._found.append(row)

    def _doctype(self, *_: object) -> None:
        raise UnreadableResults("XML with a DOCTYPE")


def _errors_apart(success: object, errors: object) -> tuple[RecordError, ...]:
    """The errors of a result that has code, message and fields apart; none if it did not fail."""
    given = [error for error in errors if isinstance(error, dict)][:MAX_ERRORS] if isinstance(errors, list) else []
    if success is not False and not given:
        return ()
    return tuple(_apart(error) for error in given) or UNTOLD


def _apart(error: dict[str, Any]) -> RecordError:
    code, message = error.get("statusCode"), error.get("message")
    return RecordError(
        code if isinstance(code, str) and is_code(code) else None,
        message if isinstance(message, str) else "",
        field_names(error.get("fields")),
    )
