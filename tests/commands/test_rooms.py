"""The sizes of files and classes: what outgrows them has more than one concern; and the map of all of them."""

import ast

from pipelines.config.project import PROJECT

FILE, CLASS = 300, 150  # lines at most


def test_no_file_and_no_class_is_too_long() -> None:
    files = sorted(file for folder in ("pipelines", "tests") for file in (PROJECT / folder).rglob("*.py"))
    files = [file for file in files if "benchmarks" not in file.parts]
    assert len(files) > 250
    too_long = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        if (lines := text.count("\n")) > FILE:
            too_long.append((file.name, lines))
        for node in ast.walk(ast.parse(text)):
            lines = (node.end_lineno or 0) - node.lineno + 1 if isinstance(node, ast.ClassDef) else 0
            if lines > CLASS and "tests" not in file.relative_to(PROJECT).parts:  # a model there is read as a whole
                too_long.append((f"{file.name}: {node.name}", lines))
    assert too_long == []


def test_the_map_names_each_module_of_its_large_packages() -> None:
    """At the top of query_jobs.py, where a stranger starts."""
    docstring = ast.get_docstring(ast.parse((PROJECT / "pipelines/query_jobs.py").read_text(encoding="utf-8"))) or ""
    packages = ("diagnosis", "alerts", "recording", "answers", "forwarding", "salesforce", "warehouse")
    missing = [
        f"{package}/{file.name}"
        for package in ("", *packages)
        for file in sorted((PROJECT / "pipelines" / package).glob("[!_]*.py"))
        if file.name not in docstring
    ]
    assert missing == []
