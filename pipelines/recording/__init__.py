"""From pages to rows to the primary database: one run, step by step."""
