"""A title's texts, out of the corpus's columns."""

import polars as pl

from anirec.notices import warn


def texts_of(titles: pl.DataFrame, column: str, *, join: bool) -> list[list[str | None]]:
    """Every title's texts, None for one that is unknown or blank; titles of a table without the column have none.

    Args:
        column: Of strings, one text a title; or of lists, any number.
        join: Whether a title's texts become one, with spaces between.

    >>> titles = pl.DataFrame({"descriptions": [["A thief.", None, " "], []]})
    >>> texts_of(titles, "descriptions", join=False)
    [['A thief.', None, None], []]
    >>> texts_of(titles, "descriptions", join=True)
    [['A thief.'], [None]]
    """
    if column not in titles.columns:
        warn(f"The {len(titles)} titles have no column {column}: it counts as unknown for all")
        return [[None]] * len(titles)
    values = titles[column].to_list()
    if titles.schema[column] == pl.List:
        texts = [[known(text) for text in value or []] for value in values]
        return [[known(" ".join(text for text in row if text))] for row in texts] if join else texts
    return [[known(value)] for value in values]


def known(text: str | None) -> str | None:
    return (text or "").strip() or None
