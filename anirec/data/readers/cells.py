"""Parsers of single cells: ids, numbers, titles, texts and statuses, with the many spellings of "unknown".

Parsers of lists are in `list_cells.py`, those of dates and durations in `time_cells.py`.

A cell is read exactly as written. It is null if it holds one of the dump's words for "unknown", and null and noted if
it cannot be read:

parse_score("rating"):   "8.78" -> 8.78         "Unknown" -> null    "eight", "8,78" -> null, and the row is noted
parse_count("members"):  "941,889" -> 941889    "28.0" -> 28         "28,0", "1,2" -> null, and the row is noted

A comma in a number separates thousands. The `Layout` of a file says where decimal commas are used.
"""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

LIST_SEPARATOR = "\x1f"  # ASCII's unit separator; stands between the elements of a list in one cell
UNKNOWN = ("", "unknown", "none", "nan", "null", "n/a", "-", "?", "not available")  # compared in lower case
ZERO = ("0", "0.0")
INTEGER = r"^(\d+|[1-9]\d{0,2}(,\d{3})+)(\.0)?$"
PLACEHOLDER = (
    r"(?i)^(no synopsis (information )?has been added|no synopsis yet|no description available|unknown\.$"
    r"|synopsis (is )?not available)"
)
NOT_DESCRIBED = r"(?i)^no (biography|description|information)( (has been|is))? (written|added|available|found)\b"


@dataclass(frozen=True)
class CellParser:
    """A column of a dump and how its cells are parsed.

    Args:
        column: Name of the column in the dump.
        read: Maps stripped text to values, and text that cannot be read to null.
        expected: What a cell should hold, for the message "rating is not <expected>".
        blank: Spellings (in lower case) of "no value"; they are not errors.
        placeholder: Regular expression of sentences that stand for "no value"; None for no such sentences.
        between: Lowest and highest value, if values are numbers in a range.
    """

    column: str
    read: Callable[[pl.Expr], pl.Expr]
    expected: str
    blank: tuple[str, ...] = UNKNOWN
    placeholder: str | None = None
    between: tuple[float, float] | None = None

    def text(self) -> pl.Expr:
        """Return the text of the cells, null where it means "no value"."""
        text = pl.col(self.column)
        if not self.blank:
            return text
        # Skip lower-casing where all blanks are numbers, as in the largest files.
        lower = text.str.to_lowercase() if any(map(str.isalpha, "".join(self.blank))) else text
        is_blank = lower.is_in(self.blank)
        if self.placeholder:
            is_blank |= text.str.contains(self.placeholder)
        return pl.when(~is_blank).then(text)

    def reason(self, broken: pl.Expr) -> pl.Expr:
        """Return why cells cannot be read, from their text; null where `broken` is null."""
        reason = pl.when(broken.is_not_null()).then(pl.lit(f"{self.column} is not {self.expected}"))
        if self.between is None:
            return reason
        low, high = self.between
        number = broken.cast(pl.Float64, strict=False).fill_nan(None)  # nan is above all numbers
        above = pl.when(number > high).then(pl.lit(f"{self.column} is above {high:g}"))
        below = pl.when(number < low).then(pl.lit(f"{self.column} is below {low:g}"))
        return pl.coalesce(above, below, reason)


def tidy(
    rows: pl.LazyFrame, *, required: Mapping[str, CellParser], optional: Mapping[str, CellParser] | None = None
) -> pl.LazyFrame:
    """Return marks and typed columns, parsed from the text rows of `scan_csv`, `read_csv`, `scan_json` and so on.

    If a required cell cannot be read, its row is unreadable (mark `reason`). If an optional cell cannot be read, it
    becomes null, and its column is named in the mark `note`.
    """
    optional = optional or {}
    cells = {**required, **optional}
    rows = rows.with_columns(**{f"text {name}": cell.text() for name, cell in cells.items()})
    rows = rows.with_columns(**{f"tidy {name}": cell.read(pl.col(f"text {name}")) for name, cell in cells.items()})
    is_broken = {name: pl.col(f"text {name}").is_not_null() & pl.col(f"tidy {name}").is_null() for name in cells}
    reasons = [cell.reason(pl.when(is_broken[name]).then(f"text {name}")) for name, cell in required.items()]
    notes = [pl.when(is_broken[name]).then(pl.lit(name)) for name in optional]
    note = pl.concat_str(notes, separator=",", ignore_nulls=True) if notes else pl.lit("")
    rows = rows.with_columns(reason=pl.coalesce("reason", *reasons), note=pl.when(note != "").then(note))
    unread = pl.when(pl.col("reason").is_not_null()).then(pl.col("text"))
    columns = {name: pl.col(f"tidy {name}") for name in cells}
    return rows.select("file", "line", "reason", unread.alias("text"), "note", **columns)


def parse_id(column: str) -> CellParser:
    """Parse a numeric id, 0 or more; never blank. Accepts 20.0, as pandas writes ids in columns with missing values."""

    def read(text: pl.Expr) -> pl.Expr:
        number = text.str.strip_suffix(".0").cast(pl.Int64, strict=False)
        return pl.when(number >= 0).then(number)

    return CellParser(column, read, "a whole number", blank=())


def parse_rating(column: str, *, unrated: tuple[str, ...]) -> CellParser:
    """Parse a user's rating, 1 to 10; `unrated` are the spellings of "seen, but not rated", which become null."""
    expected = f"a number from 1 to 10 or {unrated[0]}"
    return CellParser(column, number_between(1, 10), expected, blank=unrated, between=(1, 10))


def parse_score(column: str) -> CellParser:
    """Parse the mean score on the site, 1 to 10; 0 and words for "unknown" mean unscored."""
    return CellParser(column, number_between(1, 10), "a number from 1 to 10", blank=UNKNOWN + ZERO)


def number_between(low: float, high: float) -> Callable[[pl.Expr], pl.Expr]:
    """Return a function that reads numbers in a closed range and maps all other text to null."""

    def read(text: pl.Expr) -> pl.Expr:
        number = text.cast(pl.Float32, strict=False)
        return pl.when(number.is_between(low, high)).then(number)

    return read


def parse_votes(column: str) -> CellParser:
    """Parse the number of upvotes minus downvotes, which can be negative. Accepts 2.0, as pandas may write it."""
    return CellParser(column, lambda text: text.str.strip_suffix(".0").cast(pl.Int32, strict=False), "a whole number")


def to_integer(text: pl.Expr, *, low: int, dtype: type[pl.DataType] = pl.Int64) -> pl.Expr:
    """Return integers written as 200630, "941,889" or 28.0; null for other text and for numbers below `low`."""
    digits = pl.when(text.str.contains(INTEGER)).then(text.str.replace_all(",", "", literal=True))
    number = digits.str.strip_suffix(".0").cast(dtype, strict=False)
    return pl.when(number >= low).then(number)


def parse_count(column: str, *, dtype: type[pl.DataType] = pl.Int64) -> CellParser:
    """Parse a count, 0 or more."""
    return CellParser(column, lambda text: to_integer(text, low=0, dtype=dtype), "a whole number")


def parse_rank(column: str) -> CellParser:
    """Parse a rank, 1 or more, written as 187 or "#187"; 0 means not ranked."""
    expected = "a whole number from 1 on"
    return CellParser(
        column, lambda text: to_integer(text.str.strip_prefix("#"), low=1), expected, blank=UNKNOWN + ZERO
    )


def parse_episodes(column: str) -> CellParser:
    """Parse a number of episodes, 1 or more; 0 means not known yet."""
    expected = "a whole number from 1 on"
    return CellParser(column, lambda text: to_integer(text, low=1, dtype=pl.Int32), expected, blank=UNKNOWN + ZERO)


def unescape_html(text: pl.Expr) -> pl.Expr:
    """Replace HTML entities (&#039;) by the characters they stand for, and strip white space."""

    def unescape(cells: pl.Series) -> pl.Series:
        return pl.Series(cells.name, [cell and html.unescape(cell) for cell in cells], pl.String)

    return text.map_batches(unescape, return_dtype=pl.String, is_elementwise=True).str.strip_chars()


def parse_label(column: str) -> CellParser:
    """Parse a category (type, source, age rating) or a secondary title; words for "unknown" mean none."""
    return CellParser(column, unescape_html, "text")


def parse_title(column: str) -> CellParser:
    """Parse a main title. Any text is a title: some titles are numbers, and one may well be called Unknown."""
    return CellParser(column, unescape_html, "a title", blank=("",))


def parse_raw_title(column: str) -> CellParser:
    """Parse a title in a large file, where HTML entities are replaced later, and only in the titles that are used."""
    return CellParser(column, lambda text: text, "a title", blank=("",))


def parse_title_id(column: str) -> CellParser:
    """Parse a title that serves as an id; never blank."""
    return CellParser(column, lambda text: empty_to_null(unescape_html(text)), "a title", blank=())


def parse_user_name(column: str) -> CellParser:
    """Parse the name of a user; never blank."""
    return CellParser(column, empty_to_null, "a name", blank=())


def empty_to_null(text: pl.Expr) -> pl.Expr:
    """Replace empty text by null."""
    return pl.when(text != "").then(text)


def parse_synopsis(column: str) -> CellParser:
    """Parse a synopsis; placeholders ("No synopsis information has been added ...") mean none."""
    return CellParser(column, unescape_html, "text", placeholder=PLACEHOLDER)


def parse_description(column: str) -> CellParser:
    """Parse the description of a character; placeholders ("No biography written.") mean none."""
    return CellParser(column, unescape_html, "text", placeholder=NOT_DESCRIBED)


STATUS = {"1": "watching", "2": "completed", "3": "on_hold", "4": "dropped", "6": "plan_to_watch"}


def parse_status(column: str) -> CellParser:
    """Parse MyAnimeList's status code of a list entry; other codes (0, 5, 33, 55) become null and are noted."""

    def read(text: pl.Expr) -> pl.Expr:
        code_text = text.str.strip_suffix(".0")
        # Not `replace_strict`, which holds the whole column in memory.
        return pl.coalesce(pl.when(code_text == code).then(pl.lit(name)) for code, name in STATUS.items())

    return CellParser(column, read, "a known status")
