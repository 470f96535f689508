"""What a table is made of: columns with a name, an Arrow type and a meaning."""

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

TEXT: Final = pa.string()
NUMBER: Final = pa.float64()
COUNT: Final = pa.int64()
FLAG: Final = pa.bool_()
# Microseconds with a zone: the only precision that dlt and DuckDB pass through without a cast or a warning.
TIME: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """One column: its name, type and meaning; `field` is the record's field that fills it, as Salesforce spells it;
    `before` is its value for rows that were recorded before the column existed; `only_in_details`: whether no listing
    tells it, so that a listing without it changes nothing."""

    name: str
    type: pa.DataType
    meaning: str
    field: str | None = None
    nullable: bool = True
    before: str | None = None
    only_in_details: bool = False


@dataclass(frozen=True)
class Table:
    """One table: its grain, its unique key, and its columns."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema. Key columns are not nullable: dlt would warn on each page where hint and data differ."""
        return pa.schema(
            [pa.field(c.name, c.type, nullable=c.nullable and c.name not in self.key) for c in self.columns]
        )

    @property
    def fields(self) -> dict[str, Column]:
        """Field of a record -> the column that it fills."""
        return {c.field: c for c in self.columns if c.field}

    @property
    def hints(self) -> dict[str, dict[str, Any]]:
        """dlt's column hints: the descriptions. Types and nullability come with the Arrow data."""
        return {c.name: {"name": c.name, "description": c.meaning} for c in self.columns}
