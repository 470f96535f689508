"""Answers of the Classic API: XML or JSON, and its own kind of errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Any

from pipelines.demo_org.answers import Answer, Asked, answer
from pipelines.demo_org.records import Job

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
XML = "application/xml;charset=UTF-8"


def refusal(asked: Asked, status: int, code: str, message: str) -> Answer:
    """Return an error of the Classic API: one object.

    SOURCE: https://github.com/simple-salesforce/simple-salesforce/issues/619 (JSON) and
    https://github.com/heroku/salesforce-bulk/issues/44 (XML)
    """
    error = {"exceptionCode": code, "exceptionMessage": message}
    return answer(status, error) if wants_json(asked) else xml(status, "error", error)


def wants_json(asked: Asked) -> bool:
    """Return whether a request asks for JSON; either header does."""
    return any("application/json" in asked.headers.get(name, "") for name in ("accept", "content-type"))


def as_text(info: Job) -> dict[str, str]:
    """Return what XML says: text only, nothing that is null, and times that end with Z."""
    return {
        name: re.sub(r"\+0000$", "Z", value) if isinstance(value, str) else str(value)
        for name, value in info.items()
        if value is not None
    }


def xml(status: int, root: str, fields: dict[str, Any]) -> Answer:
    """Return an element with one element for each field."""
    return _document(status, root, _elements(fields, " "))


def xml_list(root: str, name: str, items: Iterable[dict[str, str]]) -> Answer:
    """Return an element with one element for each item, and in it one for each field."""
    return _document(200, root, "".join(f" <{name}>\n{_elements(item, '  ')} </{name}>\n" for item in items))


def _elements(fields: dict[str, Any], indent: str) -> str:
    return "".join(f"{indent}<{name}>{escape(text, quote=False)}</{name}>\n" for name, text in fields.items())


def _document(status: int, root: str, inner: str) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?><{root}\n   xmlns="{NAMESPACE}">\n{inner}</{root}>\n'
    return Answer(status, body.encode(), {"Content-Type": XML})
