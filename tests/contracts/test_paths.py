"""Paths are taken literally: brackets and asterisks in the name of a folder are no pattern."""

import ast
from pathlib import Path

from anirec.config.compose import conf_folder

READERS = {"read_csv", "scan_csv", "read_parquet", "scan_parquet"}  # of Polars, which expand patterns by default


def readers_with_patterns(tree: ast.AST) -> list[int]:
    """Return the lines that use such a reader without `glob=`, in a call of it or of `partial`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    literal = {
        id(node) for call in calls if any(k.arg == "glob" for k in call.keywords) for node in (call.func, *call.args)
    }
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pl" and node.attr in READERS
        if id(node) not in literal
    )


def test_no_reader_of_the_package_expands_patterns() -> None:
    package = Path(conf_folder().parent / "anirec")
    found = {path.name: readers_with_patterns(ast.parse(path.read_text())) for path in package.rglob("*.py")}
    assert not {name: lines for name, lines in found.items() if lines}


def test_a_reader_that_expands_patterns_is_detected() -> None:
    source = (
        "pl.read_csv(path)\npl.scan_parquet(path, glob=False)\npartial(pl.read_csv, glob=False)\nread = pl.read_csv"
    )
    assert readers_with_patterns(ast.parse(source)) == [1, 4]
