"""What the text in a dump's cell means: numbers, titles, texts, and the many spellings of "unknown".

Lists are read in `list_cells.py`, dates and durations in `time_cells.py`.

A cell is read as exactly what it says, or is unknown by the dump's word for that, or is noted as unreadable:

score("rating"):    "8.78" -> 8.78           "Unknown" -> null    "eight", "8,78" -> null, and the row is noted
count("members"):   "941,889" -> 941889      "28.0" -> 28         "28,0", "1,2" -> null, and the row is noted

A comma in a number separates thousands. Where a file writes decimal commas, its `Layout` says so.
"""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

BETWEEN = "\x1f"  # ASCII's own separator of units; what `parts` splits at
UNKNOWN = ("", "unknown", "none", "nan", "null", "n/a", "-", "?", "not available")  # compared in lower case
ZERO = ("0", "0.0")
WHOLE = r"^(\d+|[1-9]\d{0,2}(,\d{3})+)(\.0)?$"
PLACEHOLDER = (
    r"(?i)^(no synopsis (information )?has been added|no synopsis yet|no description available|unknown\.$"
    r"|synopsis (is )?not available)"
)
NOT_DESCRIBED = r"(?i)^no (biography|description|information)( (has been|is))? (written|added|available|found)\b"


@dataclass(frozen=True)
class Cell:
    """A column of the dump and how to read it.

    Args:
        column: Its name in the dump.
        read: From stripped text to the value; null where the text cannot be read.
        what: What was expected, for the message "rating is not <what>".
        blank: Spellings (in lower case) that mean "no value", and are no mistake.
        placeholder: A regular expression of sentences that mean the same.
    """

    column: str
    read: Callable[[pl.Expr], pl.Expr]
    what: str
    blank: tuple[str, ...] = UNKNOWN
    placeholder: str | None = None

    def present(self) -> pl.Expr:
        """The text; null where it means "no value"."""
        text = pl.col(self.column)
        if not self.blank:
            return text
        # Lower case only where it matters: the large files' blanks are numbers.
        lower = text.str.to_lowercase() if any(map(str.isalpha, "".join(self.blank))) else text
        is_blank = lower.is_in(self.blank)
        if self.placeholder:
            is_blank |= text.str.contains(self.placeholder)
        return pl.when(~is_blank).then(text)


def tidy(
    rows: pl.LazyFrame, *, required: Mapping[str, Cell], optional: Mapping[str, Cell] | None = None
) -> pl.LazyFrame:
    """Marks and typed columns out of the text rows of `dump.scan`, `dump.scan_parquet` and `records.read`.

    A required cell that cannot be read makes its row unreadable (mark `reason`); an optional one becomes null, and its
    column is named in the mark `note`.
    """
    optional = optional or {}
    cells = {**required, **optional}
    rows = rows.with_columns(**{f"text {name}": cell.present() for name, cell in cells.items()})
    rows = rows.with_columns(**{f"tidy {name}": cell.read(pl.col(f"text {name}")) for name, cell in cells.items()})
    broken = {name: pl.col(f"text {name}").is_not_null() & pl.col(f"tidy {name}").is_null() for name in cells}
    reasons = [
        pl.when(broken[name]).then(pl.lit(f"{cell.column} is not {cell.what}")) for name, cell in required.items()
    ]
    notes = [pl.when(broken[name]).then(pl.lit(name)) for name in optional]
    note = pl.concat_str(notes, separator=",", ignore_nulls=True) if notes else pl.lit("")
    rows = rows.with_columns(reason=pl.coalesce("reason", *reasons), note=pl.when(note != "").then(note))
    unread = pl.when(pl.col("reason").is_not_null()).then(pl.col("text"))
    columns = {name: pl.col(f"tidy {name}") for name in cells}
    return rows.select("file", "line", "reason", unread.alias("text"), "note", **columns)


def identity(column: str) -> Cell:
    """A numeric id, 0 or more. It cannot be blank. pandas may have written it as 20.0."""

    def read(text: pl.Expr) -> pl.Expr:
        number = text.str.strip_suffix(".0").cast(pl.Int64, strict=False)
        return pl.when(number >= 0).then(number)

    return Cell(column, read, "a whole number", blank=())


def rating(column: str, *, unrated: tuple[str, ...]) -> Cell:
    """A user's rating, 1 to 10; `unrated` are the spellings of "seen, but not rated"."""
    what = f"a number from 1 to 10 or {unrated[0]}"
    return Cell(column, number_between(1, 10), what, blank=unrated)


def score(column: str) -> Cell:
    """The site's mean score, 1 to 10; 0 and words mean unscored."""
    return Cell(column, number_between(1, 10), "a number from 1 to 10", blank=UNKNOWN + ZERO)


def number_between(low: float, high: float) -> Callable[[pl.Expr], pl.Expr]:
    def read(text: pl.Expr) -> pl.Expr:
        number = text.cast(pl.Float32, strict=False)
        return pl.when(number.is_between(low, high)).then(number)

    return read


def votes(column: str) -> Cell:
    """A whole number, also below 0. pandas may have written it as 2.0."""
    return Cell(column, lambda text: text.str.strip_suffix(".0").cast(pl.Int32, strict=False), "a whole number")


def whole(text: pl.Expr, *, low: int, dtype: type[pl.DataType] = pl.Int64) -> pl.Expr:
    """A whole number as people write it, 200630, "941,889" or 28.0; null where it is none, or is below `low`."""
    digits = pl.when(text.str.contains(WHOLE)).then(text.str.replace_all(",", "", literal=True))
    number = digits.str.strip_suffix(".0").cast(dtype, strict=False)
    return pl.when(number >= low).then(number)


def count(column: str, *, dtype: type[pl.DataType] = pl.Int64) -> Cell:
    """A whole number, 0 or more."""
    return Cell(column, lambda text: whole(text, low=0, dtype=dtype), "a whole number")


def place(column: str) -> Cell:
    """A rank from 1 on, 187 or "#187"; 0 means not ranked."""
    what = "a whole number from 1 on"
    return Cell(column, lambda text: whole(text.str.strip_prefix("#"), low=1), what, blank=UNKNOWN + ZERO)


def episodes(column: str) -> Cell:
    """Number of episodes; 0 means not known yet."""
    what = "a whole number from 1 on"
    return Cell(column, lambda text: whole(text, low=1, dtype=pl.Int32), what, blank=UNKNOWN + ZERO)


def decoded(text: pl.Expr) -> pl.Expr:
    """HTML entities (&#039;) as the characters they stand for."""

    def unescape(cells: pl.Series) -> pl.Series:
        return pl.Series(cells.name, [cell and html.unescape(cell) for cell in cells], pl.String)

    return text.map_batches(unescape, return_dtype=pl.String, is_elementwise=True).str.strip_chars()


def label(column: str) -> Cell:
    """A name out of few (type, source, age rating) or a secondary title; words such as Unknown mean none."""
    return Cell(column, decoded, "text")


def title(column: str) -> Cell:
    """A main title. Any text is one: some titles are numbers, and one may well be called Unknown."""
    return Cell(column, decoded, "a title", blank=("",))


def raw_title(column: str) -> Cell:
    """A title in a large file: its entities are decoded later, and only where it is needed."""
    return Cell(column, lambda text: text, "a title", blank=("",))


def title_as_id(column: str) -> Cell:
    """A title that stands for an id; it cannot be blank."""
    return Cell(column, lambda text: none_if_empty(decoded(text)), "a title", blank=())


def user_name(column: str) -> Cell:
    """The name of a user; it cannot be blank."""
    return Cell(column, none_if_empty, "a name", blank=())


def none_if_empty(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def synopsis(column: str) -> Cell:
    """A text; placeholders ("No synopsis information has been added ...") mean none."""
    return Cell(column, decoded, "text", placeholder=PLACEHOLDER)


def description(column: str) -> Cell:
    """A text about a character; placeholders ("No biography written.") mean none."""
    return Cell(column, decoded, "text", placeholder=NOT_DESCRIBED)


STATUS = {"1": "watching", "2": "completed", "3": "on_hold", "4": "dropped", "6": "plan_to_watch"}


def status(column: str) -> Cell:
    """MyAnimeList's code of a list entry. Dumps hold a few codes that mean nothing (0, 5, 33, 55): null, and noted."""

    def read(text: pl.Expr) -> pl.Expr:
        bare = text.str.strip_suffix(".0")
        # Not `replace_strict`, which holds the whole column in memory.
        return pl.coalesce(pl.when(bare == code).then(pl.lit(name)) for code, name in STATUS.items())

    return Cell(column, read, "a known status")
