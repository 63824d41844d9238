"""Reader of tables in any common format, by the names of their columns.

CSV, TSV and other separated text, JSON, JSON lines and parquet, also compressed with gz or zst, become rows of text in
the shape of `anirec.data.readers.csv.scan_csv`; the suffix of the name decides on the format.
"""

import csv
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import polars as pl

from anirec.data.readers.csv import read_csv, read_record, scan_csv, scan_parquet
from anirec.data.readers.json_objects import iter_objects, scan_json
from anirec.data.readers.layout import LONGEST_TEXT, FileHeader, Layout, detect_line_end, read_start
from anirec.data.readers.packed import open_text, unpacked_suffix
from anirec.data.schema import MARKS
from anirec.errors import UserError

JSON = (".json", ".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
SEPARATORS = (",", ";", "\t", "|", "::")
NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
FIRST_OBJECTS = 200  # of a JSON file whose keys are its columns
SAMPLED_LINES = 200
LOOKED_AT_FOR_BREAKS = 20_000  # lines
LARGEST_WITH_BREAKS = 1 << 28  # bytes of a file that is read as a whole


@dataclass(frozen=True)
class TextFormat:
    """The format of separated text: None for what is found.

    Args:
        separator: Between two cells.
        header: Names of the columns of a file whose first line is data.
    """

    separator: str | None = None
    header: Sequence[str] | None = None


def find_files(folder: Path, names: str | Sequence[str], key: str) -> list[Path]:
    """Return the files of a table: paths, relative to the folder; `*` and `?` stand for any characters of a file name.

    A name that exists is taken as it is, whatever characters it has.

    Raises:
        UserError: A file is missing, or is no file; the message lists all of them.
    """
    found, problems = [], []
    for name in [names] if isinstance(names, str) else names:
        path = folder / name
        matches = [path]
        if not path.exists() and re.search(r"[*?]", path.name):
            literal = re.sub(r"([\[\]])", r"[\1]", path.name)
            matches = sorted(match for match in path.parent.glob(literal) if match.is_file())
            if not matches:
                problems.append(f"{key}={name}: no file in {path.parent.absolute()} fits")
        for match in matches:
            if not match.exists():
                problems.append(f"{key}={name}: there is no file {match.absolute()}")
            elif not match.is_file():
                problems.append(f"{key}={name}: {match.absolute()} is not a file; for all files in a folder, use *.csv")
            elif match not in found:
                found.append(match)
    if problems:
        raise UserError("\n".join(problems))
    return found


def scan_table(path: Path, columns: Collection[str], text_format: TextFormat, *, small: bool, key: str) -> pl.LazyFrame:
    """Return the marks, and the columns of a file by its own names, as text; a mark's name gets a space at its end.

    Args:
        path: The file.
        columns: Names of columns.
        text_format: Of separated text.
        small: Whether the file is read as a whole; so is one whose quoted cells hold line breaks.
        key: Config key of the columns, for messages.

    Raises:
        UserError: A column is missing, or the file is empty or in another format.
    """
    suffix = unpacked_suffix(path)
    wanted = list(dict.fromkeys(columns))
    if suffix in PARQUET:
        require_columns(path, wanted, parquet_columns(path), key)
        return scan_parquet(path, {internal(name): name for name in wanted})
    if suffix in JSON:
        require_columns(path, wanted, json_keys(path), key)
        if clashing := sorted({*wanted} & {*MARKS}):
            raise UserError(f"{path}: {key}: the keys {', '.join(clashing)} cannot be read from JSON; rename them")
        return scan_json([path], tuple(wanted))
    header = text_header(path, text_format, wanted)
    require_columns(path, wanted, header.names, key, separator=header.separator)
    names = tuple(internal(name) for name in wanted)
    layout = Layout(header=names, required=names, data={})
    own = replace(header, names=tuple(map(internal, header.names)))
    if len(header.separator) > 1:
        return scan_csv(path, layout, own)
    if not small and (line := line_with_break(path, own, layout)):
        size = path.stat().st_size
        if size > LARGEST_WITH_BREAKS:
            raise UserError(
                f"{path}, line {line}: a quoted cell has a line break; such files are read up to "
                f"{LARGEST_WITH_BREAKS >> 20} MiB, and this one has {size >> 20} MiB. Save it without that column, or "
                "as parquet."
            )
        small = True
    return read_csv(path, layout, own) if small else scan_csv(path, layout, own)


def line_with_break(path: Path, header: FileHeader, layout: Layout) -> int | None:
    """Return the number of the first line of a record of several lines; None if the first records have one line each.

    >>> file = Path(getfixture("tmp_path")) / "ratings.csv"
    >>> file.write_text('user,note\\nann,"good,\\nbut long"\\n') > 0
    True
    >>> layout = Layout(header=("user", "note"), required=("user",), data={})
    >>> line_with_break(file, FileHeader(",", ("user", "note"), 2), layout)
    2
    """
    with open_text(path) as file:
        lines = list(islice(file, LOOKED_AT_FOR_BREAKS))
    if not any('"' in line for line in lines):
        return None
    for position in range(header.first_line - 1, len(lines)):
        if lines[position].count('"') % 2 and read_record(lines, position, header, layout)[1] > 1:
            return position + 1
    return None


def internal(name: str) -> str:
    """Return the name of a file's column in the rows that `scan_table` returns."""
    return f"{name} " if name in MARKS else name


def require_columns(path: Path, wanted: Sequence[str], there: Collection[str], key: str, separator: str = "") -> None:
    if absent := [name for name in wanted if name not in there]:
        between = f", separated by {NAMES.get(separator, separator)}," if separator else ""
        raise UserError(
            f"{path}: no column {', '.join(absent)}, which {key} names; the columns{between} are "
            f"{', '.join(there)[:LONGEST_TEXT]}"
        )


def text_header(path: Path, text_format: TextFormat, wanted: Sequence[str]) -> FileHeader:
    """Return the separator, the names of the columns, and the first line of data of a separated text file."""
    number, line, line_end = first_line(path)
    if text_format.header is not None:
        separator = text_format.separator or find_separator(path)
        return FileHeader(separator, tuple(text_format.header), number, line_end=line_end)
    candidates = [text_format.separator] if text_format.separator else SEPARATORS
    for separator in candidates:
        names = split_header(line, separator)
        if {*wanted} <= {*names}:
            return FileHeader(separator, names, number + 1, line, line_end)
    separator = text_format.separator or find_separator(path)
    return FileHeader(separator, split_header(line, separator), number + 1, line, line_end)


def first_line(path: Path) -> tuple[int, str, str]:
    """Return the number and the text of the first line of a file that is not blank, and what ends its lines."""
    start = read_start(path).decode("utf-8-sig", errors="replace")
    lines = start.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    number, line = next((number, line) for number, line in enumerate(lines, 1) if line.strip())
    return number, line, detect_line_end(start)


def split_header(line: str, separator: str) -> tuple[str, ...]:
    """Return the names in a header; equal ones get a number: score, score_2."""
    seen: Counter[str] = Counter()
    names = []
    for name in split_line(line, separator):
        seen[name.strip()] += 1
        names.append(name.strip() if seen[name.strip()] == 1 else f"{name.strip()}_{seen[name.strip()]}")
    return tuple(names)


def split_line(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator)) if len(separator) == 1 else line.split(separator)


def find_separator(path: Path) -> str:
    """Return the separator that gives most of the first lines the same number of cells, two or more; else a comma."""
    lines = first_lines(path)
    best = (0.0, 0, ",")
    for separator in SEPARATORS:
        widths = Counter(len(split_line(line, separator)) for line in lines)
        width, count = max(widths.items(), key=lambda pair: (pair[0] > 1, pair[1], pair[0]), default=(0, 0))
        if width > 1:
            best = max(best, (round(count / len(lines), 2), width, separator))
    return best[2]


def first_lines(path: Path) -> list[str]:
    with open_text(path) as file:
        return [line.rstrip("\r\n") for line in islice(file, SAMPLED_LINES) if line.strip()]


def parquet_columns(path: Path) -> list[str]:
    try:
        return list(pl.scan_parquet(path, glob=False).collect_schema())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: not a parquet file: {str(error).splitlines()[0]}") from None


def json_keys(path: Path) -> list[str]:
    """Return the keys of the first objects of a JSON file."""
    read_start(path)
    with open_text(path) as file:
        return list(dict.fromkeys(key for *_, content in islice(iter_objects(file), FIRST_OBJECTS) for key in content))


def column_names(path: Path, text_format: TextFormat) -> Sequence[str]:
    """Return the names of the columns of a file."""
    suffix = unpacked_suffix(path)
    if suffix in PARQUET:
        return parquet_columns(path)
    return json_keys(path) if suffix in JSON else text_header(path, text_format, [""]).names
