"""What looks like the API name of a field, and not like a value of a record."""

import re
from typing import Final

MAX_FIELDS: Final = 30  # an error that names more is not about these fields
MAX_NAME: Final = 120  # characters: 40 each for a namespace, a name and a relationship

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]*", re.ASCII)
# The ids of custom objects' records begin with a letter, too: a015g00000XyZabAAC
_ID_LIKE: Final = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?", re.ASCII)


def is_field_name(name: str) -> bool:
    return len(name) <= MAX_NAME and bool(_NAME.fullmatch(name)) and not _ID_LIKE.fullmatch(name)


def field_names(given: object) -> tuple[str, ...]:
    """The names in a list, or in a text separated by commas, each once; none if any of them is not a name."""
    names = given if isinstance(given, list | tuple) else str(given or "").split(",")
    names = [name.strip() if isinstance(name, str) else "?" for name in names]
    found = tuple(dict.fromkeys(name for name in names if name))
    return found if len(found) <= MAX_FIELDS and all(map(is_field_name, found)) else ()
