"""Uploads as records: CSV, JSON and XML."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree

import orjson

from pipelines.demo_org.record_rules import flat

Upload = tuple[list[str], list[dict[str, str]]]  # columns and records


class Unreadable(ValueError):
    """An upload that is not what its job says; the text is that of the failed job or batch."""


def from_csv(content: bytes, delimiter: str = ",") -> Upload:
    """Read a CSV with a header."""
    try:
        text = content.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        columns = list(reader.fieldnames or ())
        rows = [{name: row.get(name) or "" for name in columns} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Unreadable(f"InvalidBatch : Failed to parse CSV: {error}") from None
    return columns, rows


def from_batch(content: bytes, content_type: str) -> Upload:
    """Read the upload of a Classic batch in its job's contentType. Zipped ones are not read here."""
    if content_type == "CSV":
        return from_csv(content)
    try:
        if content_type == "JSON":
            records = [flat(record) for record in orjson.loads(content)]
        elif content_type == "XML":
            records = [_fields(element) for element in ElementTree.fromstring(content)]  # noqa: S314 - a test's own
        else:
            raise Unreadable(f"InvalidBatch : The demo org does not read {content_type}")
    except (orjson.JSONDecodeError, AttributeError, ElementTree.ParseError) as error:
        raise Unreadable(f"InvalidBatch : Failed to parse {content_type}: {error}") from None
    return list(dict.fromkeys(name for record in records for name in record)), records


def _fields(parent: ElementTree.Element) -> dict[str, str]:
    return {element.tag.rpartition("}")[2]: element.text or "" for element in parent}
