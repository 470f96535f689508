"""Decodes responses: JSON, including what strict decoders reject, and the Classic API's XML."""

import json
import math
from typing import Any

import orjson

from pipelines.salesforce.classic_xml import read_xml


def decoded(content: bytes) -> Any:
    """The value of a JSON text. Raises ValueError or RecursionError.

    orjson rejects half an emoji, NaN and 1e999, any of which one record in a thousand pages may contain; Python's own
    decoder accepts them. Half a character becomes a replacement character, an unrepresentable number its text.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return _whole_characters(json.loads(content, parse_int=_integer, parse_float=_decimal, parse_constant=str))


def decoded_classic(content: bytes, needed: str = "id") -> Any:
    """The value of a Classic API response: JSON, or XML with the `needed` element (HTML can be XML, too).
    Raises ValueError or RecursionError."""
    try:
        return decoded(content)
    except ValueError:
        body = read_xml(content)
        if needed not in body:
            raise ValueError(f"XML without {needed}") from None
        return body


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 4_000 else digits  # Python refuses to convert more than 4,300


def _decimal(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    if isinstance(value, dict):
        whole: dict[str, Any] = {}
        for name, item in value.items():
            whole_name = _whole_characters(name)
            while whole_name in whole:  # two names that differed only in their half characters
                whole_name += "\N{REPLACEMENT CHARACTER}"
            whole[whole_name] = _whole_characters(item)
        return whole
    return value
