"""README and docs/, as text, for the tests that check them."""

from pipelines.config.project import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
DOCS = PROJECT / "docs"
PAGES = {file: file.read_text(encoding="utf-8") for file in (PROJECT / "README.md", *sorted(DOCS.glob("*.md")))}
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
