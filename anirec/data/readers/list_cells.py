"""Parsers of cells that hold a list, in each of the forms that dumps use.

parse_names("genre"):  "Comedy, Music" -> ["Comedy", "Music"]    "Unknown" -> []
"""

import polars as pl

from anirec.data.readers.cells import LIST_SEPARATOR, UNKNOWN, CellParser, unescape_html

ID = r"(\d{1,18}|'\d{1,18}')"
COMPANY = r"(?i),\s*((?:inc|ltd|llc)(?:\.|,|$)|l\.p\.)"  # what follows a comma that belongs to a name
COMMA_IN_NAME = "\x1e"  # stands in for that comma while the names are separated


def parse_tags(column: str, *, separator: str = " ") -> CellParser:
    """Parse tags into one text with a space between two tags, "" for none.

    The cell holds text, or a list whose tags may contain spaces; these become underscores.

    Args:
        column: Name of the column in the dump.
        separator: What separates the tags of a text: white space or commas, see `tag_separator`.
    """

    def from_list(text: pl.Expr) -> pl.Expr:
        underscored = text.str.strip_chars(LIST_SEPARATOR).str.replace_all(" ", "_", literal=True)
        return underscored.str.replace_all(LIST_SEPARATOR, " ", literal=True)

    def read(text: pl.Expr) -> pl.Expr:
        named = from_list(text.str.replace_all(r"\s*,[\s,]*", LIST_SEPARATOR)) if separator == "," else text
        return pl.when(text.str.contains(LIST_SEPARATOR, literal=True)).then(from_list(text)).otherwise(named)

    return CellParser(column, read, "tags", blank=())


def tag_separator(texts: pl.Series) -> str:
    """Return what separates the tags of a file: commas if most of its texts with several words are written so.

    One text does not decide: a tag may contain a comma.

    >>> tag_separator(pl.Series(["solo, rain", "long hair, night", "x,y"])), tag_separator(pl.Series(["solo x,y"]))
    (',', ' ')
    """
    several = texts.filter(texts.str.contains(r"[\s,]") & ~texts.str.contains(LIST_SEPARATOR, literal=True))
    by_commas = several.str.contains(r",\s") | ~several.str.contains(r"\s")
    return "," if 2 * by_commas.sum() > len(several) else " "


def parse_id_list(column: str) -> CellParser:
    """Parse a list of numeric ids as Python prints it, [5, 20]. The text is matched, never evaluated."""

    def read(text: pl.Expr) -> pl.Expr:
        is_list = text.str.contains(rf"^\[\s*({ID}\s*(,\s*{ID}\s*)*,?)?\s*\]$")
        return pl.when(is_list).then(text.str.extract_all(r"\d+").cast(pl.List(pl.Int64)))

    return CellParser(column, read, "a list of whole numbers", blank=())


def parse_names(column: str) -> CellParser:
    """Parse a list of names, or names separated by commas, without repeats and without words for "unknown".

    The comma in "NIS America, Inc." is part of the name.
    """

    def read(text: pl.Expr) -> pl.Expr:
        separated = text.str.replace_all(COMPANY, f"{COMMA_IN_NAME}${{1}}").str.replace_all(
            ",", LIST_SEPARATOR, literal=True
        )
        from_text = separated.str.replace_all(COMMA_IN_NAME, ", ", literal=True)
        is_list = text.str.contains(LIST_SEPARATOR, literal=True)
        parts = unescape_html(pl.when(is_list).then(text).otherwise(from_text)).str.split(LIST_SEPARATOR)
        name = pl.element().str.strip_chars()
        return parts.list.eval(name.filter(~name.str.to_lowercase().is_in(UNKNOWN))).list.unique(maintain_order=True)

    return CellParser(column, read, "a list")
