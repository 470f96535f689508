"""HTTP, sign-in and JSON: what an org answers. Knows no table."""
