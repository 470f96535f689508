"""The loader's own file, what is published of it, and how both are read."""

from pipelines.warehouse.reader import read

__all__ = ["read"]
