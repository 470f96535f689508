"""The primary database and its published copy: created, migrated, published, read."""

from pipelines.warehouse.reader import read

__all__ = ["read"]
