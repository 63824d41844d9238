"""How a dump's text files are laid out, and recognising it: separator, header or none, the right dump or another."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anirec.errors import UserError

BROKEN = "\N{REPLACEMENT CHARACTER}"  # what bytes that are not UTF-8 are decoded to
NOT_UTF8 = "not UTF-8"
LONGEST_TEXT = 500  # characters of an unreadable row that are kept
START = 1 << 16  # bytes in which the first line must end
PACKED = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "gzip-compressed", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a dump lays out one of its files.

    Args:
        header: The column names in the dump's order, in lower case.
        required: Those that must be there; others are read as null where a copy of the dump lacks them.
        data: Regular expressions that the cells of a data line match. They tell a file whose header is missing (a piece
            of a dump cut with `split`) from a file of another dump.
        aliases: Names that other versions of the dump give a column.
        ragged: Rows may end early or late, behind the last required column.
        decimals: Columns of numbers with a point. In a file separated by semicolons, as spreadsheets save it where
            people write decimal commas, the point is a comma.
    """

    header: tuple[str, ...]
    required: tuple[str, ...]
    data: Mapping[str, str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    ragged: bool = False
    decimals: tuple[str, ...] = ()

    def names(self, cells: list[str]) -> tuple[str, ...]:
        """The canonical names behind the cells of a header."""
        lower = (cell.strip().lower() for cell in cells)
        return tuple(self.aliases.get(name, name) for name in lower)

    def is_data(self, cells: list[str]) -> bool:
        n_least = 1 + max(map(self.header.index, self.required)) if self.ragged else len(self.header)
        if len(cells) < n_least or (len(cells) > n_least and not self.ragged):
            return False
        by_name = dict(zip(self.header, cells, strict=False))
        return all(re.fullmatch(pattern, by_name[name].strip()) for name, pattern in self.data.items())


@dataclass(frozen=True)
class Head:
    """What the start of a file tells: separator, column names, and the number of the first line of data."""

    separator: str
    names: tuple[str, ...]
    first_line: int

    def width(self, layout: Layout) -> int:
        """Number of leading fields that every row must have."""
        if not layout.ragged:
            return len(self.names)
        return 1 + max(self.names.index(name) for name in layout.required)

    def has_comma(self, name: str, layout: Layout) -> bool:
        """Whether the numbers of a column are written with a decimal comma."""
        return self.separator == ";" and name in layout.decimals

    def misfit(self, layout: Layout) -> str:
        """The reason given for a row with a wrong number of fields."""
        return f"{'fewer than' if layout.ragged else 'not'} {self.width(layout)} fields"


def recognise(path: Path, layout: Layout) -> Head:
    """Find separator and header of a file; a first line that is data already counts as data.

    Raises:
        UserError: The file is empty, packed, or its first line belongs to another dump.
    """
    lines = beginning(path).decode("utf-8-sig", errors="replace").split("\n")
    number, line = next((n, line.rstrip("\r")) for n, line in enumerate(lines, 1) if line.strip())
    for separator in ",;\t":
        cells = next(csv.reader([line], delimiter=separator))
        names = layout.names(cells)
        if set(layout.required) <= set(names):
            return Head(separator, names, number + 1)
        if layout.is_data(cells):
            return Head(separator, layout.header, number)
    raise UserError(
        f"{path} is not the file that was expected.\n  its first line:  {line[:LONGEST_TEXT]}\n"
        f"  expected header: {','.join(layout.header)}\n  needed of it:    {', '.join(layout.required)}\n"
        "Is it the file of another dump, or was it renamed? Put the right one in its place."
    )


def beginning(path: Path) -> bytes:
    """The first bytes of a text file.

    Raises:
        UserError: The file is empty, or packed.
    """
    with path.open("rb") as file:
        start = file.read(START)
    for magic, what in PACKED.items():
        if start.startswith(magic):
            raise UserError(f"{path} is {what}; expected is UTF-8 text. Unpack it, or save it again as UTF-8.")
    if not start.decode("utf-8-sig", errors="replace").strip():
        raise UserError(f"{path} is empty ({path.stat().st_size} bytes). Download the dump's file again.")
    return start
