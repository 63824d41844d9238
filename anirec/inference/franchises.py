"""Franchises: titles grouped by their names, since the dumps that anirec reads have no relations between titles.

"Clannad", "Clannad: After Story" and "Clannad Movie" are one franchise; so are "K-On!" and "K-On!!", and "Dragon Ball"
and "Dragon Ball Z". Sequels with a name of their own are not found.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

# What follows one of these in a name is a subtitle.
SUBTITLE = re.compile(r": |:$|(?<=!)x\d| - | – | ?~|\s\(| ?/ ")  # noqa: RUF001 (an en dash)
VERSION = re.compile(r"\s*\((?:tv|\d{4})\)$")  # of a remake, which is no sequel
# Words at the end of a name that number a season or name a format.
MARK = re.compile(
    r"\d{1,3}(st|nd|rd|th)?|[ivx]+|[rs]\d|seasons?|series|part|movies?|ovas?|oads?|onas?|specials?|tv|first|second|third"
    r"|fourth|fifth|final|new|the|animation|zoku|zokuhen|shou|kai|next|recaps?|pilot|picture|drama|gekijouban"
)
MIN_WORDS, MIN_LETTERS = 2, 8  # of a title that is the franchise of all titles that begin with its words
SERIES = ("TV", "ONA")
EXTRA = r"\b(ova|oad|ona|special|movie|recap|pilot)s?$"  # end of the name of a title that is no season

Words = tuple[str, ...]


def franchises(titles: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each title's franchise, (n,).

    >>> franchises(["K-On!", "Clannad", "K-On!! 2nd Season", "Clannad: After Story", "Monster", "Monster Musume"])
    array([0, 1, 0, 1, 2, 3])
    """
    words = [name_words(title) for title in titles]
    roots = {full for full, short in words if full == short and is_distinctive(short)}
    keys = [next((short[:n] for n in range(1, len(short)) if short[:n] in roots), short) for _, short in words]
    number = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], dtype=np.int64)


def name_words(title: str) -> tuple[Words, Words]:
    """Return the words of a name, and those without subtitle and marks such as "2nd Season".

    >>> name_words("Clannad: After Story"), name_words("Hunter x Hunter (2011)")
    ((('clannad', 'after', 'story'), ('clannad',)), (('hunter', 'x', 'hunter'), ('hunter', 'x', 'hunter')))
    """
    name = plain_name(title)
    full, short = split_words(name), split_words(SUBTITLE.split(name, maxsplit=1)[0]) or split_words(name)
    while len(short) > 1 and MARK.fullmatch(short[-1]):
        short = short[:-1]
    return (full, short) if full else ((name,), (name,))


def plain_name(title: str) -> str:
    """Return a name in lower case without "(TV)" or a year, which distinguish versions of one series."""
    return VERSION.sub("", unicodedata.normalize("NFKC", title).lower())


def split_words(name: str) -> Words:
    return tuple(word for word in (re.sub(r"[^\w]", "", part) for part in name.split()) if word)


def is_distinctive(words: Words) -> bool:
    return len(words) >= MIN_WORDS and sum(map(len, words)) >= MIN_LETTERS


def stand_for_franchises(
    items: pl.DataFrame, is_candidate: NDArray[np.bool_], score_i: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Return the candidates without sequels, one for each franchise, (n_items,).

    A candidate is left out if an earlier series of its franchise is a candidate, too: whoever has seen none gets the
    first season, whoever has seen that the next one. Of the remaining candidates of a franchise, the one with the
    highest score is kept. Remakes with the same name are no sequels. Seasons are in the order of years, or of ids.

    Args:
        items: item_id and title, one row per item in index order; type and year are optional.
        is_candidate: Which items may be recommended, (n_items,).
        score_i: The model's scores, (n_items,).
    """
    titles = items["title"]
    seasons = [pl.col(column) for column in ("year", "item_id") if column in items.columns]
    table = items.with_columns(
        index=pl.int_range(pl.len()),
        score=pl.Series(score_i),
        franchise=pl.Series(franchises(titles.to_list())),
        name=pl.Series([plain_name(title) for title in titles], dtype=pl.String),
    )
    is_series = ~pl.col("name").str.contains(EXTRA)
    if "type" in items.columns:
        is_series &= pl.col("type").is_in(SERIES).fill_null(True)
    table = table.filter(pl.Series(is_candidate)).sort(seasons, nulls_last=True)
    table = table.with_row_index("place").with_columns(is_series=is_series)
    first = table.filter("is_series").unique("franchise", keep="first", maintain_order=True)
    table = table.join(first.select("franchise", first_name="name", first_place="place"), on="franchise", how="left")
    is_sequel = (pl.col("place") > pl.col("first_place")) & (pl.col("name") != pl.col("first_name"))
    best = table.filter(~is_sequel.fill_null(False)).sort("score", "is_series", "place", descending=[True, True, False])
    chosen = np.zeros(len(items), dtype=bool)
    chosen[best.unique("franchise", keep="first")["index"].to_numpy()] = True
    return chosen
