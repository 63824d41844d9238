"""Lists in a dump's cells, however they are written.

names("genre"):  "Comedy, Music" -> ["Comedy", "Music"]    "Unknown" -> []
"""

import polars as pl

from anirec.data.readers.cells import BETWEEN, UNKNOWN, Cell, decoded

ID = r"(\d{1,18}|'\d{1,18}')"
COMPANY = r"(?i),\s*((?:inc|ltd|llc)(?:\.|,|$)|l\.p\.)"  # what follows a comma that belongs to a name
INSIDE = "\x1e"  # stands for that comma meanwhile


def tags(column: str) -> Cell:
    """Tags with a space between two, out of the same or out of a list, whose tags may hold spaces; "" for none."""

    def read(text: pl.Expr) -> pl.Expr:
        from_list = text.str.replace_all(" ", "_", literal=True).str.replace_all(BETWEEN, " ", literal=True)
        return pl.when(text.str.contains(BETWEEN, literal=True)).then(from_list).otherwise(text)

    return Cell(column, read, "tags", blank=())


def identities(column: str) -> Cell:
    """A list of numeric ids as Python prints it, [5, 20]. It is matched, never evaluated."""

    def read(text: pl.Expr) -> pl.Expr:
        is_list = text.str.contains(rf"^\[\s*({ID}\s*(,\s*{ID}\s*)*,?)?\s*\]$")
        return pl.when(is_list).then(text.str.extract_all(r"\d+").cast(pl.List(pl.Int64)))

    return Cell(column, read, "a list of whole numbers", blank=())


def names(column: str) -> Cell:
    """Names without repeats, out of a list or separated by commas; words such as Unknown are none.

    The comma of "NIS America, Inc." does not separate.
    """

    def read(text: pl.Expr) -> pl.Expr:
        separated = text.str.replace_all(COMPANY, f"{INSIDE}${{1}}").str.replace_all(",", BETWEEN, literal=True)
        from_text = separated.str.replace_all(INSIDE, ", ", literal=True)
        is_list = text.str.contains(BETWEEN, literal=True)
        parts = decoded(pl.when(is_list).then(text).otherwise(from_text)).str.split(BETWEEN)
        name = pl.element().str.strip_chars()
        return parts.list.eval(name.filter(~name.str.to_lowercase().is_in(UNKNOWN))).list.unique(maintain_order=True)

    return Cell(column, read, "a list")
