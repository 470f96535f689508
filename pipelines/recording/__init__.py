"""From pages to rows to the loader's file: one run, step by step."""
