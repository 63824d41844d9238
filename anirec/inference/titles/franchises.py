"""Franchises: titles grouped by their names, since the dumps that anirec reads have no relations between titles.

A title continues another if its name is that one's full name and a mark, such as "2nd Season", "II" or "Movie"; an OVA,
a special or a film also if it is the full name of a series and a subtitle. All other titles are franchises of their
own: a series with its own subtitle, such as "Fullmetal Alchemist: Brotherhood", and sequels with a name of their own.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

SUBTITLE = re.compile(r":|(?<=\s)[-–~(](?=.)")  # noqa: RUF001 (an en dash); what follows in a name is a subtitle
VERSION = re.compile(r"\s*\((?:tv|ova|ona|movie|\d{4})\)$")  # of a remake, which is no sequel
# A word that numbers a season. A series with it is a sequel whatever follows, as in "2nd GIG".
NUMBER = re.compile(r"0?[2-6]|[2-9]\.0|([2-9]|1\d)(nd|rd|th)|ii|iii|iv|vi|[rsx][2-9]")
# Words that continue a name if nothing else follows; for an OVA, a special or a film, whatever follows.
MARK = re.compile(
    r"seasons?|part|cour|i|[1-9]|1\d|first|second|third|fourth|fifth|final|finale|zoku|zokuhen|shou|kai|san|shi|go|roku|ten|ketsu"
    r"|after|story|new|edit|edition|series|tv|movies?|gekijouban|ovas?|oads?|onas?|specials?|recaps?|pilot"
    r"|picture|drama"
)
FIRST = re.compile(r"1|1\.0|i")  # after the common name of films such as "Evangelion: 1.0 You Are (Not) Alone"
SERIES = ("TV", "ONA")
EXTRAS = ("OVA", "Special", "Movie", "ONA", "Music")
EXTRA_NAME = r"\b(ova|oad|ona|special|movie|recap|pilot)s?$"  # end of the name of a title that is no season

Words = tuple[str, ...]


def franchises(titles: Sequence[str], types: Sequence[str | None] | None = None) -> NDArray[np.int64]:
    """Return for each title the index of the title that its franchise begins with, (n,).

    Args:
        titles: Names.
        types: The titles' types, such as "TV"; without them, titles with a subtitle are franchises of their own.

    >>> franchises(["K-On!", "Clannad", "K-On!! 2nd Season", "Clannad: After Story", "Monster", "Monster Musume"])
    array([0, 1, 0, 1, 4, 5])
    """
    types = types or [None] * len(titles)
    names = [split_name(title) for title in titles]
    roots: dict[Words, int] = {}
    for n in sorted(range(len(titles)), key=lambda n: types[n] != "TV"):
        roots.setdefault(names[n][0], n)
    for n, (words, _) in enumerate(names):  # the common name of numbered films belongs to the first of them
        for end in range(1, len(words)):
            if FIRST.fullmatch(words[end]):
                roots.setdefault(words[:end], n)

    def root(n: int) -> int:
        (words, breaks), end = names[n], len(names[n][0])
        found = roots[words]
        for start in range(end - 1, 0, -1):
            parent = roots.get(words[:start])
            if parent is not None and continues(words[start:end], types[found], types[parent], start in breaks):
                found, end = parent, start
        return found

    return np.array([root(n) for n in range(len(titles))], dtype=np.int64)


def continues(rest: Words, kind: str | None, parent: str | None, is_subtitle: bool) -> bool:
    """Return whether a title continues another.

    Args:
        rest: What follows the other title's full name in its name.
        kind: Its type.
        parent: The other title's type.
        is_subtitle: Whether a colon or a dash precedes the rest.
    """
    rest = rest[1:] if rest[0] == "the" and len(rest) > 1 else rest  # "The Movie"
    is_number = NUMBER.fullmatch(rest[0]) is not None
    is_mark = [bool(NUMBER.fullmatch(word) or MARK.fullmatch(word)) for word in rest]
    if all(is_mark) and not (is_number or rest[0].isdecimal()):  # not "Macross 7"
        return True
    if parent not in (*SERIES, None, kind):
        return False
    return is_number or (kind in EXTRAS and (is_mark[0] or (is_subtitle and parent == "TV")))


def split_name(title: str) -> tuple[Words, set[int]]:
    """Return the words of a name, and the positions at which a subtitle begins.

    >>> split_name("Clannad: After Story")
    (('clannad', 'after', 'story'), {1})
    """
    name = plain_name(title)
    words: list[str] = []
    breaks = set()
    for part in SUBTITLE.split(re.sub(r"(?<=!)x(?=\d)", " x", name)):
        breaks.add(len(words))
        words += filter(None, (re.sub(r"[^\w+.]|\.(?!\d)", "", word) for word in part.split()))
    if words[:1] == ["zoku"]:  # "Zoku Natsume Yuujinchou"
        words = [*words[1:], "zoku"]
    return tuple(words) or (name,), breaks - {0, len(words)}


def plain_name(title: str) -> str:
    """Return a name in lower case without "(TV)" or a year, which distinguish versions of one series."""
    return VERSION.sub("", unicodedata.normalize("NFKC", title).lower())


def add_franchises(items: pl.DataFrame) -> pl.DataFrame:
    """Return items, in index order, with the columns `franchise`, index of its first title, and `name`, in plain words.

    Needs item_id and title; type and year are optional.
    """
    titles = items["title"].to_list()
    types = items["type"].to_list() if "type" in items.columns else None
    columns = [column for column in ("item_id", "title", "type", "year") if column in items.columns]
    return items.select(
        *columns,
        franchise=pl.Series(franchises(titles, types)),
        name=pl.Series([plain_name(title) for title in titles], dtype=pl.String),
    )


def stand_for_franchises(
    items: pl.DataFrame, is_candidate: NDArray[np.bool_], score_i: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Return the candidates without sequels, one for each franchise, (n_items,).

    A candidate is left out if an earlier series of its franchise, or the title that the franchise begins with, is a
    candidate, too: whoever has seen none gets the first season, whoever has seen that the next one. Of the remaining
    candidates of a franchise, a series is kept before other types, then the one with the highest score. Remakes with
    the same name are no sequels. Seasons are in the order of years, or of ids.

    Args:
        items: Table of `add_franchises`.
        is_candidate: Which items may be recommended, (n_items,).
        score_i: The model's scores, (n_items,).
    """
    seasons = [pl.col(column) for column in ("year", "item_id") if column in items.columns]
    table = items.with_columns(index=pl.int_range(pl.len()), score=pl.Series(score_i))
    is_root = pl.col("index") == pl.col("franchise")
    is_series = ~pl.col("name").str.contains(EXTRA_NAME)
    if "type" in items.columns:  # an ONA is a series if its franchise begins with it, and else an extra
        is_series &= ((pl.col("type") == "TV") | (is_root & (pl.col("type") == "ONA"))).fill_null(True)
    table = table.filter(pl.Series(is_candidate)).with_columns(is_series=is_series)
    table = table.sort(~pl.col("is_series"), *seasons, nulls_last=True).with_row_index("place")
    first = table.filter(pl.col("is_series") | is_root)
    first = first.unique("franchise", keep="first", maintain_order=True)
    table = table.join(first.select("franchise", first_name="name"), on="franchise", how="left")
    is_sequel = pl.col("name") != pl.col("first_name")
    best = table.filter(~is_sequel.fill_null(False)).sort("is_series", "score", "place", descending=[True, True, False])
    chosen = np.zeros(len(items), dtype=bool)
    chosen[best.unique("franchise", keep="first", maintain_order=True)["index"].to_numpy()] = True
    return chosen
