"""Lists in a dump's cells, however they are written.

names("genre"):  "Comedy, Music" -> ["Comedy", "Music"]    "Unknown" -> []
"""

import polars as pl

from anirec.data.cells import BETWEEN, UNKNOWN, Cell, decoded


def parts(column: str) -> Cell:
    """A list whose parts are kept apart by `BETWEEN`, without repeats; words such as Unknown are none."""

    def read(text: pl.Expr) -> pl.Expr:
        stripped = decoded(text).str.split(BETWEEN).list.eval(pl.element().str.strip_chars())
        known = stripped.list.eval(pl.element().filter(~pl.element().str.to_lowercase().is_in(UNKNOWN)))
        return known.list.unique(maintain_order=True)

    return Cell(column, read, "a list")


def tags(column: str) -> Cell:
    """Tags with a space between two, out of the same or out of a list, whose tags may hold spaces; "" for none."""

    def read(text: pl.Expr) -> pl.Expr:
        from_list = text.str.replace_all(" ", "_", literal=True).str.replace_all(BETWEEN, " ", literal=True)
        return pl.when(text.str.contains(BETWEEN, literal=True)).then(from_list).otherwise(text)

    return Cell(column, read, "tags", blank=())


def identities(column: str) -> Cell:
    """A list of numeric ids as Python prints it, [5, 20]. It is matched, never evaluated."""

    def read(text: pl.Expr) -> pl.Expr:
        is_list = text.str.contains(r"^\[\s*('?\d{1,18}'?\s*(,\s*'?\d{1,18}'?\s*)*,?)?\s*\]$")
        return pl.when(is_list).then(text.str.extract_all(r"\d+").cast(pl.List(pl.Int64)))

    return Cell(column, read, "a list of whole numbers", blank=())


def names(column: str) -> Cell:
    """A list separated by commas, without repeats; the comma of "NIS America, Inc." does not separate."""

    def read(text: pl.Expr) -> pl.Expr:
        whole = decoded(text).str.replace_all(r"(?i),\s*((?:inc|ltd|llc)(?:\.|,|$)|l\.p\.)", "\x1f${1}")
        parts = whole.str.split(",").list.eval(
            pl.element().str.replace_all("\x1f", ", ", literal=True).str.strip_chars()
        )
        return parts.list.eval(pl.element().filter(~pl.element().str.to_lowercase().is_in(UNKNOWN))).list.unique(
            maintain_order=True
        )

    return Cell(column, read, "a list")
