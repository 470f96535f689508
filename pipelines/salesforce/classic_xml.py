"""Reads the Classic API's XML: it answers so for jobs of content type CSV or XML, whatever format is requested.

`<jobInfo xmlns="…"><id>750…</id><state>Closed</state>…</jobInfo>`, `<error xmlns="…"><exceptionCode>…</error>`: only
text, one level deep. See "Get Information for a Job",
https://developer.salesforce.com/docs/platform/api-asynch/guide/asynch-api-jobs-get-details.html

The standard library's expat is safe here: entities, its one danger, can only be declared in a DOCTYPE, and a document
with a DOCTYPE is refused before any entity is read. The callers limit the size.
"""

from typing import Any, Final
from xml.parsers import expat

MAX_DEPTH: Final = 20  # levels; documented responses have two


def read_xml(content: bytes) -> dict[str, Any]:
    """The elements below the root by name, without namespaces: text, null if empty, a dict if nested, a list if a name
    is repeated. Raises ValueError if it is not XML, or has a DOCTYPE."""
    root: dict[str, Any] = {}
    open_elements: list[tuple[str, dict[str, Any], list[str]]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(open_elements) == MAX_DEPTH:
            raise ValueError(f"XML of more than {MAX_DEPTH} levels")
        open_elements.append((name.rpartition(" ")[2], {}, []))

    def end(_: str) -> None:
        name, elements, texts = open_elements.pop()
        if not open_elements:
            root.update(elements)
            return
        siblings, value = open_elements[-1][1], elements or "".join(texts).strip() or None
        if name in siblings:
            before = siblings[name]
            siblings[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            siblings[name] = value

    def text(part: str) -> None:
        open_elements[-1][2].append(part)

    def doctype(*_: object) -> None:
        raise ValueError("XML with a DOCTYPE")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: an unknown encoding
        raise ValueError(str(error)) from None
    return root
