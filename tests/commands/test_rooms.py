"""The sizes of files and classes: what outgrows them has more than one concern."""

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
