"""Views of other databases are those of DuckDB, row by row, on all that views can meet."""
