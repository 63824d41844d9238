"""Comments of YAML files: the first line says what a file is for, a comment behind a key says what the key means."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

COMMENT = re.compile(r"(?:^|\s)#\s*(.*)$")


def purpose(path: Path) -> str:
    """Return the first comment of a YAML file that is not an instruction for Hydra; empty if there is none."""
    with path.open(encoding="utf-8") as file:
        comments = (line.lstrip("# ").strip() for line in file if line.startswith("#"))
        return next((comment for comment in comments if not comment.startswith("@package")), "")


def key_comments(text: str) -> dict[str, str]:
    """Return the comment behind each key, by dotted key. Lines that only continue a comment belong to it.

    >>> key_comments("lr: 0.1   # rate;\\n          # above 1 it diverges\\ncrop:\\n  width: 3   # in pixels\\n")
    {'lr': 'rate; above 1 it diverges', 'crop.width': 'in pixels'}
    """
    lines = text.splitlines()
    found = {}
    for key, line, column in key_ends(yaml.compose(text, Loader=yaml.SafeLoader)):
        if comment := COMMENT.search(lines[line][column:]):
            start = column + lines[line][column:].index("#")
            found[key] = " ".join([comment[1], *continued(lines[line + 1 :], start)])
    return found


def continued(lines: list[str], start: int) -> Iterator[str]:
    """Yield the comments of the first lines that hold nothing but a comment that starts at this column."""
    for line in lines:
        if line[:start].strip() or line[start : start + 1] != "#":
            return
        yield line[start:].lstrip("# ")


def key_ends(node: yaml.Node | None, prefix: str = "") -> Iterator[tuple[str, int, int]]:
    """Yield each key of nested mappings with the line and column after which its comment may stand."""
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        on_one_line = value.start_mark.line == value.end_mark.line == key.end_mark.line
        mark = value.end_mark if on_one_line else key.end_mark
        yield name, mark.line, mark.column
        yield from key_ends(value, f"{name}.")
