"""Where things are, and how settings are read: files, environment, dlt."""
