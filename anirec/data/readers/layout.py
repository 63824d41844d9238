"""Layouts of text files in dumps, and detection of a file's separator and header."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anirec.data.readers.packed import open_binary
from anirec.errors import UserError

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # what bytes that are not UTF-8 are decoded to
NOT_UTF8 = "not UTF-8"
EITHER = "\r or \n"
LONGEST_TEXT = 500  # characters kept of an unreadable row
START = 1 << 16  # bytes; the first line must end within them
NOT_TEXT = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "gzip-compressed",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The columns and format of one file of a dump.

    Args:
        header: Column names in the order of the dump, in lower case.
        required: Columns that must exist; others are read as null where a copy of the dump lacks them.
        data: By column, a regular expression that its cells match. These distinguish a file whose header is missing (a
            piece of a dump cut with `split`) from a file of another dump.
        aliases: Maps column names of other versions of the dump to those in `header`.
        ragged: Whether rows may have more or fewer fields after the last required column.
        decimals: Columns of decimal numbers. Files separated by semicolons, as spreadsheets save them in countries with
            decimal commas, are assumed to have decimal commas in these columns.
    """

    header: tuple[str, ...]
    required: tuple[str, ...]
    data: Mapping[str, str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    ragged: bool = False
    decimals: tuple[str, ...] = ()

    def names(self, cells: list[str]) -> tuple[str, ...]:
        """Return the canonical names for the cells of a header."""
        lower = (cell.strip().lower() for cell in cells)
        return tuple(self.aliases.get(name, name) for name in lower)

    def is_data(self, cells: list[str]) -> bool:
        """Return whether the cells match the patterns of a data line."""
        n_least = 1 + max(map(self.header.index, self.required)) if self.ragged else len(self.header)
        if len(cells) < n_least or (len(cells) > n_least and not self.ragged):
            return False
        by_name = dict(zip(self.header, cells, strict=False))
        return all(re.fullmatch(pattern, by_name[name].strip()) for name, pattern in self.data.items())


@dataclass(frozen=True)
class FileHeader:
    """Separator and column names of a file, the 1-based number of its first data line, and how its lines end.

    Args:
        separator: The character between two fields.
        names: The canonical names of the columns.
        first_line: The number of the first data line.
        text: The header as written; "" if the file has none. Files that were joined repeat it.
        line_end: A line feed, which may follow a carriage return; "\\r", as in files of old spreadsheets; or `EITHER`.
    """

    separator: str
    names: tuple[str, ...]
    first_line: int
    text: str = ""
    line_end: str = "\n"

    def width(self, layout: Layout) -> int:
        """Return the number of fields that every row must have; ragged rows may have more."""
        if not layout.ragged:
            return len(self.names)
        return 1 + max(self.names.index(name) for name in layout.required)

    def has_decimal_comma(self, name: str, layout: Layout) -> bool:
        """Return whether the numbers of a column have decimal commas."""
        return self.separator == ";" and name in layout.decimals

    def wrong_width(self, layout: Layout) -> str:
        """Return the reason for rejecting a row with the wrong number of fields."""
        return f"{'fewer than' if layout.ragged else 'not'} {self.width(layout)} fields"


def detect_header(path: Path, layout: Layout) -> FileHeader:
    """Detect the separator and the header of a file; without a header, the first line is data.

    Raises:
        UserError: The file is empty, not plain text, or its first line does not match the layout.
    """
    start = read_start(path).decode("utf-8-sig", errors="replace")
    line_end = detect_line_end(start)
    lines = (start if line_end == "\n" else start.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    number, line = next((n, line.rstrip("\r")) for n, line in enumerate(lines, 1) if line.strip())
    for separator in ",;\t":
        cells = next(csv.reader([line], delimiter=separator))
        names = layout.names(cells)
        if set(layout.required) <= set(names):
            return FileHeader(separator, names, number + 1, text=line, line_end=line_end)
        if layout.is_data(cells):
            return FileHeader(separator, layout.header, number, line_end=line_end)
    raise UserError(
        f"{path} does not have the expected columns.\n  first line:       {line[:LONGEST_TEXT]}\n"
        f"  expected header:  {','.join(layout.header)}\n  required columns: {', '.join(layout.required)}\n"
        "Is it a file of another dump, or was it renamed? Replace it by the right file."
    )


def detect_line_end(start: str) -> str:
    """Return what ends the lines of a file: "\\n" (also in "\\r\\n"), "\\r", or `EITHER` if both end the first ones.

    >>> detect_line_end("a,b\\r\\n1,2\\r\\n"), detect_line_end("a,b\\r1,2\\r"), detect_line_end("a,b\\r1,2\\n")
    ('\\n', '\\r', '\\r or \\n')
    """
    first = next(line for line in start.split("\n") if line.strip())
    if "\r" not in first.strip():
        return "\n"
    return EITHER if "\n" in start else "\r"


def read_start(path: Path) -> bytes:
    """Return the first bytes of a text file.

    Raises:
        UserError: The file is empty or not plain text.
    """
    with open_binary(path) as file:
        start = file.read(START)
    for magic, what in NOT_TEXT.items():
        if start.startswith(magic):
            raise UserError(f"{path} is {what}; expected UTF-8 text. Unpack it, or save it as UTF-8.")
    if not start.decode("utf-8-sig", errors="replace").strip():
        raise UserError(f"{path} is empty ({path.stat().st_size} bytes). Replace it by a complete copy.")
    return start
