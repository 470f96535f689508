"""Paths, and how settings are read: from files and the environment, for ourselves and for dlt."""
