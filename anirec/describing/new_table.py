"""`anirec data new FILE`: look at a table and write the YAML of a dataset that reads it, with comments."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import yaml
from rich.markup import escape

from anirec.atomic import write_text
from anirec.config.compose import default_paths, did_you_mean
from anirec.data.readers.layout import NOT_UTF8, read_start
from anirec.data.readers.packed import open_binary, unpacked_suffix
from anirec.data.readers.table_files import (
    JSON,
    PARQUET,
    TextFormat,
    column_names,
    find_separator,
    first_lines,
    internal,
    scan_table,
    split_line,
)
from anirec.data.scale import Scale
from anirec.data.sources.table import Table
from anirec.data.sources.table_settings import COLUMNS, mapped, name_problem
from anirec.describing.datasets import dataset_files
from anirec.describing.table_columns import (
    NUMBER,
    Found,
    day_formats,
    decimal_sign,
    guess_columns,
    guess_scale,
    is_known,
    is_whole,
    looks_like_times,
    may_be_thousands,
    suggested,
)
from anirec.errors import UserError
from anirec.printable import Console

CONSOLE = Console(highlight=False, soft_wrap=True)
LOOKED_AT = 500_000  # rows
TEXT_SIGNS = {"\t": '"\\t"'}
EMPTY = "null"
MARK = "(?)"
FIRST_LATIN_1 = 0xA0
LONG = 10_000  # characters of a line of YAML


def new_table(
    path: Path,
    *,
    name: str | None,
    config_dir: str,
    columns: str | None,
    scale: str | None,
    items: Path | None,
    characters: Path | None,
    force: bool,
) -> Path:
    """Write the YAML of a dataset for a file, and print what was found, what is uncertain, and the next commands.

    Args:
        path: File of ratings or other interactions.
        name: Name of the dataset; None: that of the file.
        config_dir: Folder of YAML files; created if it is missing.
        columns: "user_id=who,rating=stars": columns that the names and the cells do not tell.
        scale: Scale of the ratings; None: found.
        items: File of titles.
        characters: File of characters.
        force: Whether to replace an existing YAML.

    Raises:
        UserError: The file cannot be read, or which columns are users and titles cannot be known.
    """
    for given in filter(None, (path, items, characters)):
        if not given.is_file():
            raise UserError(f"{given}: there is no such file")
    dataset = name or name_of(path)
    target = target_file(dataset, config_dir, force=force)
    text_format, header = look_at_format(path)
    rows = first_rows(path, text_format)
    found, doubts = guess_columns(rows, read_columns(columns, rows.columns))
    if absent := [ours for ours in ("user_id", "item_id") if ours not in found]:
        raise UserError(
            f"{path}: no column looks like {' and '.join(absent)}; the columns are {', '.join(rows.columns)}. Name "
            f"them, for example --columns {','.join(f'{ours}=COLUMN' for ours in absent)}"
        )
    ratings = look_at_ratings(rows, found, scale, path)
    doubts += ratings.doubts
    if "rating" in found and may_be_thousands(cells := rows[found["rating"]]):
        example = cells.filter(cells.str.contains(",", literal=True))[0]
        doubts.append(
            f"decimal: {example} in {found['rating']} is read as {example.replace(',', '.')}; if commas separate "
            "thousands, set rating: null, as counts are no ratings"
        )
    if text_format.separator and not header and not columns and not any(map(is_known, rows.columns)):
        doubts.append(f"header: the first line, {', '.join(rows.columns)}, is read as the names of the columns")
    if "rating" not in found:
        left = suggested(found, rows.columns)
        doubts.append(f"no column looks like ratings: every row is an interaction{or_columns(left)}")
    source = "\n".join(
        [
            "source:",
            "  _target_: anirec.data.sources.table.Table",
            f"  name: {dataset}",
            f"  folder: {folder_of(path)}   # paths below are relative to it",
            *scale_lines(ratings, found),
            *id_lines(rows, found),
            "  ratings:",
            f"    files: {quote(path.name)}   # or a list; * and ? stand for any characters of a file name",
            *column_lines(found, rows, doubts, "ratings"),
            *cell_lines(ratings, found),
            *format_lines(text_format, header, rows, found, doubts),
            *other_section("items", items, path, rows[found["item_id"]], doubts),
            *other_section("characters", characters, path, rows[found["item_id"]], doubts),
            "",
        ]
    )
    check = "Check what is marked with (?). " if MARK in source else ""
    text = (
        f"# {dataset}: {'ratings' if 'rating' in found else 'interactions'} from {path.name}.\n"
        f"# Written by anirec data new. {check}{next_command(dataset, config_dir, found)}\n{source}"
    )
    doubts += doubt_read(path, check_written(text, target), found)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, text)
    show_result(target, rows, found, ratings, doubts)
    if MARK in source:
        CONSOLE.print("Check these lines in the YAML, marked with (?).")
    for line in ("Next:", f"  {next_command(dataset, config_dir, found)}", f"  {third_command(rows, found, ratings)}"):
        CONSOLE.print(escape(line), soft_wrap=True)
    CONSOLE.print("RUN is the folder that the first command prints.")
    return target


def name_of(path: Path) -> str:
    """
    >>> name_of(Path("My Stars.csv.gz")), name_of(Path("123.csv")), name_of(Path("nan.csv")), name_of(Path("!!!.csv"))
    ('my_stars', 'own_123', 'own_nan', 'own')
    """
    stem = re.sub(r"\W+", "_", path.name.removesuffix("".join(path.suffixes)) or path.name).strip("_").lower()
    return f"own_{stem}".strip("_") if name_problem(stem) else stem


def target_file(dataset: str, config_dir: str, *, force: bool) -> Path:
    if problem := name_problem(dataset):
        raise UserError(f"--name {dataset}: {problem}")
    if dataset in dataset_files(None):
        raise UserError(f"{dataset} is a dataset of anirec: choose another name with --name")
    target = Path(config_dir) / "dataset" / f"{dataset}.yaml"
    if target.exists() and not force:
        raise UserError(f"{target} exists: choose another name with --name, or replace it with --force")
    return target


def look_at_format(path: Path) -> tuple[TextFormat, list[str] | None]:
    """Return the format of a file, and the names of its columns if it has no header."""
    if unpacked_suffix(path) in (*JSON, *PARQUET):
        return TextFormat(), None
    read_start(path)  # raises an error if the file is empty
    separator = find_separator(path)
    first = split_line(first_lines(path)[0], separator)
    if len(first) < 2:
        raise UserError(
            f"{path}: no separator gives the first lines the same number of cells; expected text separated by commas, "
            "semicolons, tabs or bars, JSON, or parquet"
        )
    header = None
    if is_data(first, [split_line(line, separator) for line in first_lines(path)[1:]]):
        header = [f"column_{number}" for number in range(1, len(first) + 1)]
    return TextFormat(separator, header), header


def is_data(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line of a file is data: it has a number, or its cells occur in their columns below.

    >>> is_data(["ann", "Monster", "up"], [["bob", "Monster", "up"]])
    True
    >>> is_data(["user", "film", "up"], [["bob", "Monster", "up"]])
    False
    """
    cells = [cell.strip() for cell in first]
    if any(re.fullmatch(NUMBER, cell) for cell in cells):
        return True
    # Files that were joined repeat the header.
    below = [
        {line[i].strip() for line in others if i < len(line) and list(line) != list(first)} for i in range(len(cells))
    ]
    occurring = sum(bool(cell) and cell in column for cell, column in zip(cells, below, strict=True))
    return occurring > len(cells) / 2 or (occurring > 0 and not any(map(is_known, cells)))


def first_rows(path: Path, text_format: TextFormat) -> pl.DataFrame:
    """Return the readable ones of the first rows as text, by the names of the file.

    Raises:
        UserError: There is none.
    """
    names = list(column_names(path, text_format))
    rows = scan_table(path, names, text_format, small=False, key="the header").head(LOOKED_AT)
    readable = rows.filter(pl.col("reason").is_null()).select(pl.col(internal(name)).alias(name) for name in names)
    table = readable.collect(engine="streaming")
    if not len(table):
        raise UserError(f"{path}: {no_row_message(path, rows.head(1).collect(), text_format, len(names))}")
    return table.with_columns(pl.all().fill_null(""))


def no_row_message(path: Path, first: pl.DataFrame, text_format: TextFormat, width: int) -> str:
    """Return why no row of a file can be read, from the first one."""
    if not len(first):
        return "the file has a header, but no rows"
    line, reason, text = first.select("line", "reason", "text").row(0)
    n_cells = len(split_line(text, text_format.separator)) if text_format.separator else width
    if reason != NOT_UTF8 and n_cells != width:
        reason = f"{n_cells} cells, where the header has {width}"
        if n_cells == width + 1 and text.endswith(text_format.separator):
            reason += f"; all lines but the header end with {text_format.separator}: add one to the header"
    return f"no row can be read; line {line}: {reason}: {text}{encoding_advice(path, reason)}"


def encoding_advice(path: Path, reason: str) -> str:
    """Return which byte of a file is not UTF-8, and what to do; "" if the reason is another."""
    if reason != NOT_UTF8:
        return ""
    with open_binary(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = line[error.start]
                likely = f" ({chr(byte)} in Latin-1)" if byte >= FIRST_LATIN_1 else ""
                return f". Byte 0x{byte:02x}{likely} in line {number} is not UTF-8: save the file as UTF-8"
    return ""


def read_columns(text: str | None, names: Sequence[str]) -> dict[str, str]:
    """Parse "user_id=who,rating=stars".

    Raises:
        UserError: A name is unknown.
    """
    found, known = {}, COLUMNS["ratings"]
    for part in filter(None, (text or "").split(",")):
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not equals or ours not in known:
            raise UserError(f"--columns {part}: expected OURS=COLUMN, where OURS is one of {', '.join(known)}")
        if theirs not in names:
            raise UserError(f"--columns {part}: the file has no column {theirs}{did_you_mean(theirs, names)}")
        found[ours] = theirs
    return found


def look_at_ratings(rows: pl.DataFrame, found: Mapping[str, str], scale: str | None, path: Path) -> Found:
    if "rating" not in found:
        return Found(scale or "1-10")
    cells = rows[found["rating"]]
    guessed = guess_scale(cells)
    if scale:
        Scale.parse(scale)
        return Found(scale, guessed.unrated, [doubt for doubt in guessed.doubts if "scale" not in doubt])
    if not guessed.scale:
        raise UserError(
            f"{path}: the ratings in {found['rating']} are no numbers: "
            f"{', '.join(cells.unique(maintain_order=True).head(5))}. Name another column: --columns rating=COLUMN"
        )
    return guessed


def quote(text: str) -> str:
    """Return text as YAML writes it on one line."""
    return yaml.safe_dump(text, allow_unicode=True, width=LONG).removesuffix("\n").removesuffix("\n...")


def flow(values: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def mark(doubts: Sequence[str], about: str) -> str:
    return next((f"   # (?) {doubt}" for doubt in doubts if doubt.startswith(about)), "")


def scale_lines(ratings: Found, found: Mapping[str, str]) -> list[str]:
    if "rating" not in found:
        return [f"  scale: {ratings.scale}   # of scores of titles, if there are any"]
    doubt = next((f"   # (?) {doubt}" for doubt in ratings.doubts if doubt.startswith("the scale")), "")
    return [f"  scale: {ratings.scale}{doubt or '   # of ratings and scores: LOW-HIGH, LOW-HIGH/STEP or thumbs'}"]


def id_lines(rows: pl.DataFrame, found: Mapping[str, str]) -> list[str]:
    kinds = [f"{ours}: {'whole' if is_whole(rows[found[ours]]) else 'text'}" for ours in ("user_id", "item_id")]
    return [f"  ids: {{{', '.join(kinds)}, character_id: text}}   # text or whole numbers"]


def column_lines(found: Mapping[str, str], rows: pl.DataFrame, doubts: Sequence[str], section: str) -> list[str]:
    order = ("user_id", "item_id", "rating", "title", "timestamp", "status") if section == "ratings" else tuple(found)
    lines = [
        f"      {ours}: {quote(found[ours]) if ours in found else EMPTY}{mark(doubts, ours + ':')}" for ours in order
    ]
    left = suggested(found, rows.columns)
    unused = [f"      # not used: {', '.join(left)}"] if left else []
    return ["    columns:   # ours: the file's", *lines, *unused]


def cell_lines(ratings: Found, found: Mapping[str, str]) -> list[str]:
    if "rating" not in found:
        return []
    doubt = next((f"(?) {doubt}" for doubt in ratings.doubts if "unrated" in doubt), "")
    meaning = doubt or "cells that mean seen, but not rated; an empty one always does"
    return [
        f"    unrated: {flow(ratings.unrated)}   # {meaning}",
        "    planned: []   # cells that mean planned, not seen",
    ]


def format_lines(
    text_format: TextFormat,
    header: list[str] | None,
    rows: pl.DataFrame,
    found: Mapping[str, str],
    doubts: Sequence[str],
) -> list[str]:
    form = time_format(rows, found)
    time = f"{quote_sign(form)}   # the only order of day and month" if form else "null   # found"
    other = 's, ms, iso, or a format such as "%Y/%m/%d"'
    lines = [f"    time: {time}; or {other}"] if "timestamp" in found else []
    if text_format.separator:
        lines.append(f"    separator: {TEXT_SIGNS.get(text_format.separator, quote_sign(text_format.separator))}")
    if "rating" in found:
        lines.append(f"    decimal: {quote_sign(decimal_sign(rows[found['rating']]))}{mark(doubts, 'decimal:')}")
    if header:
        lines.append(f"    header: [{', '.join(header)}]   # the file has none")
    elif doubt := mark(doubts, "header:"):
        lines.append(f"    header: null{doubt}; or list names of the columns here")
    return lines


def time_format(rows: pl.DataFrame, found: Mapping[str, str]) -> str | None:
    """Return the format of times that are days in the order of a country; None if they need no format."""
    if "timestamp" not in found or looks_like_times(rows[found["timestamp"]]):
        return None
    return next(iter(day_formats(rows[found["timestamp"]])), None)


def quote_sign(sign: str) -> str:
    return f'"{sign}"'


EXAMPLES = {
    "items": 'files: titles.csv, columns: {item_id: id, title: name, genres: genres}, lists: "|"',
    "characters": "files: cast.csv, columns: {item_id: id, name: who, role: role, description: about}",
}
OTHER_NAMES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "items": {"title": ("name",), "genres": ("genre", "tags")},
    "characters": {"name": ("character",)},
}
LIST_SIGNS = ("|", ";")
SHARED = 0.8  # of the ids of rated titles, from which a column surely holds them


def other_section(section: str, other: Path | None, path: Path, ids: pl.Series, doubts: list[str]) -> list[str]:
    """Return the lines of the section of titles or of characters; what is not certain is added to `doubts`.

    Args:
        section: "items" or "characters".
        other: Its file; None for none.
        path: The file of ratings.
        ids: The ids of titles in it.
        doubts: Sentences.

    Raises:
        UserError: No column of the file holds the ids of titles.
    """
    if other is None:
        return [f"  {section}: null   # or {{{EXAMPLES[section]}}}"]
    text_format, header = look_at_format(other)
    theirs = first_rows(other, text_format)
    rated = ids.unique()
    shared = {name: float(rated.is_in(theirs[name].implode()).to_numpy().mean()) for name in theirs.columns}
    best = max(shared, key=lambda name: shared[name])
    if not shared[best]:
        raise UserError(
            f"{other}: no column has the ids of the titles in {path.name}, such as {', '.join(rated.head(3))}; "
            f"the columns are {', '.join(theirs.columns)}"
        )
    columns = {"item_id": best, **named_columns(section, [name for name in theirs.columns if name != best])}
    if shared[best] < SHARED:
        doubts.append(f"{section}: {best} holds the ids of titles, {shared[best]:.0%} of those in {path.name}")
    lines = [f"  {section}:{mark(doubts, section)}", f"    files: {quote(relative(other, path.parent))}"]
    lines += column_lines(columns, theirs, [], section)
    if text_format.separator:
        lines.append(f"    separator: {TEXT_SIGNS.get(text_format.separator, quote_sign(text_format.separator))}")
    if header:
        lines.append(f"    header: [{', '.join(header)}]   # the file has none")
    if section == "items" and "genres" in columns:
        genres = theirs[columns["genres"]]
        sign = next((sign for sign in LIST_SIGNS if genres.str.contains(sign, literal=True).any()), None)
        lines.append(f"    lists: {quote_sign(sign) if sign else EMPTY}   # between two genres; null: a comma")
    return lines


def named_columns(section: str, names: Sequence[str]) -> dict[str, str]:
    """Return the columns whose names tell what they hold."""
    known = {plain_name(name): name for name in reversed(names)}
    found = {}
    for ours in COLUMNS[section]:
        words = (plain_name(ours), *OTHER_NAMES[section].get(ours, ()))
        if ours != "item_id" and (name := next((known[word] for word in words if word in known), None)):
            found[ours] = name
    return found


def folder_of(path: Path) -> str:
    """Return the folder of a file as YAML, relative to the folder of all data where it is in there."""
    folder, data = path.parent.absolute(), default_paths()["data"].absolute()
    return f"${{paths.data}}/{folder.relative_to(data)}" if data in folder.parents else quote(str(folder))


def plain_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def relative(path: Path, folder: Path) -> str:
    path, folder = path.absolute(), folder.absolute()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def or_columns(left: Sequence[str]) -> str:
    return f"; if {' or '.join(left)} holds ratings, add --columns rating={left[0]}" if left else ""


def check_written(text: str, target: Path) -> pl.DataFrame:
    """Return the first rows as the dataset of this YAML reads them; an error here is one of this module."""
    source = yaml.safe_load(text.replace("${paths.data}", str(default_paths()["data"])))["source"]
    source.pop("_target_")
    table = Table(**source)
    for section in table.sections:
        table.rows(section, small=section != "ratings").head(1).collect()
    assert mapped(table.sections, "ratings"), target  # noqa: S101 - for readers
    rows = table.interactions()
    assert rows is not None  # noqa: S101 - there is a section ratings
    return rows.head(LOOKED_AT).collect(engine="streaming")


def doubt_read(path: Path, rows: pl.DataFrame, found: Mapping[str, str]) -> list[str]:
    """Return how many rows and times cannot be read, and how many pairs have several ratings, as sentences."""
    doubts = []
    if len(bad := rows.filter(pl.col("reason").is_not_null())):
        line, reason, text = bad.select("line", "reason", "text").row(0)
        first = f"the first is line {line}: {reason}: {text}{encoding_advice(path, reason)}"
        doubts.append(f"{len(bad):,} of {len(rows):,} rows cannot be read; {first}")
    rows = rows.filter(pl.col("reason").is_null())
    if len(bad := rows.filter(pl.col("note").str.split(",").list.contains("timestamp"))):
        where = f"the first is in line {bad['line'][0]}"
        doubts.append(f"{len(bad):,} of {len(rows):,} times in {found['timestamp']} cannot be read; {where}; see time")
    if "rating" in found:
        pairs = rows.drop_nulls("rating").group_by("user_id", "item_id").agg(n=pl.col("rating").n_unique())
        if n := int((pairs["n"] > 1).sum()):
            counts = "newest" if "timestamp" in found else "last"
            doubts.append(f"{n:,} pairs of a user and a title have several different ratings: the {counts} one counts")
    return doubts


def show_result(
    target: Path, rows: pl.DataFrame, found: Mapping[str, str], ratings: Found, doubts: Sequence[str]
) -> None:
    columns = ", ".join(f"{ours} = {theirs}" for ours, theirs in found.items())
    CONSOLE.print(f"{escape(str(target))}: {escape(columns)}")
    users, titles = (rows[found[ours]].n_unique() for ours in ("user_id", "item_id"))
    of = "the first " if len(rows) == LOOKED_AT else ""
    scale = f"; scale {Scale.parse(ratings.scale)}" if "rating" in found else ""
    CONSOLE.print(f"{of}{len(rows):,} rows of {users:,} users and {titles:,} titles{scale}")
    for doubt in doubts:
        CONSOLE.print(f"not certain: {escape(doubt)}")
    if form := time_format(rows, found):
        CONSOLE.print(f"times are read as {form}, which all cells of {escape(found['timestamp'])} allow")


def next_command(dataset: str, config_dir: str, found: Mapping[str, str]) -> str:
    implicit = "" if "rating" in found else " metrics=ranking objective=val/ndcg@10"
    return f"anirec run --config-dir {config_dir} dataset={dataset} model=ease{implicit}"


def third_command(rows: pl.DataFrame, found: Mapping[str, str], ratings: Found) -> str:
    """Return the command that recommends titles to somebody who likes the first title of the file."""
    title = rows[found["title"]][0] if "title" in found else f"#{rows[found['item_id']][0]}"
    rating = f"={Scale.parse(ratings.scale).example:g}" if "rating" in found else ""
    return f"anirec recommend RUN --likes {shlex.quote(f'{title}{rating}')}"
