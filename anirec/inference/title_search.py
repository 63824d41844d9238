"""Search for titles by name, and parsing of `--likes`; case, punctuation, accents, language and typos do not matter.

A row of `TitleSearch.names`: index 43, n_ratings 10234, is_main true, written "cowboy bebop", letters "cowboybebop".
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from math import isnan, nan
from typing import NamedTuple

import polars as pl

from anirec.data.scale import Scale
from anirec.data.schema import MAL
from anirec.errors import UserError

MIN_LEAD = 5  # of several titles with one name, one with this many times the ratings of the next is meant
MIN_SIMILARITY = 0.85  # letter similarity, 0 to 1, from which the input may be a typo of a name
MIN_MARGIN = 0.06  # similarity by which the meant name must exceed the next
MIN_COVERAGE = 0.65  # share of the input's trigrams in a longer name, from which it is a candidate
MAX_COMPARED = 60  # names compared letter by letter
MAX_LISTED = 8  # candidates in a message
NAMES = ("title", "title_english", "title_japanese", "synonyms")


class UnknownTitleError(UserError):
    """No title has a similar name."""


class TitleSearch:
    """Index of the names of items.

    Args:
        items: item_id, title and n_ratings, one row per item in index order; title_english, title_japanese, synonyms,
            type and year are optional.
    """

    def __init__(self, items: pl.DataFrame) -> None:
        self.items = items
        self.names = pl.concat([name_table(items, column) for column in NAMES if column in items.columns])

    def find(self, wanted: str) -> int:
        """Return the index of the item with this id (`#1535`) or name.

        An exact name (except for case) precedes a name with the same letters, and this precedes a similar name.

        Raises:
            UserError: No title has such a name, or several do; the message lists them.
        """
        if wanted.startswith("#"):
            return self.find_id(wanted)
        name = normalize_names(pl.Series("name", [wanted])).row(0, named=True)
        if not name["letters"]:
            raise UserError(f"{wanted!r} is no title; expected a name, or # and an id")
        as_written, same_letters = pl.col("written") == name["written"], pl.col("letters") == name["letters"]
        for matches in (as_written & pl.col("is_main"), as_written, same_letters):
            found = self.unique_items(self.names.filter(matches))
            if len(found):
                return self.most_rated(wanted, found)
        similar = self.similar_names(name["letters"])
        similarity = pl.col("similarity")
        typos = similar.filter((similarity >= MIN_SIMILARITY) & (similarity > similarity.max() - MIN_MARGIN))
        for found in (typos, similar.filter("contains_all")):
            if len(found) == 1:
                return int(found["index"][0])
        if not len(similar):
            raise UnknownTitleError(f"{wanted!r}: no title of this run has a similar name")
        raise UserError(self.ambiguity(wanted, similar))

    def examples(self) -> str:
        """Return the two most rated titles as text."""
        titles = self.items.sort("n_ratings", descending=True, maintain_order=True)["title"].head(2)
        return " and ".join(f'"{title}"' for title in titles)

    def has(self, wanted: str) -> bool:
        """Return whether `find` finds a title."""
        try:
            self.find(wanted)
        except UserError:
            return False
        return True

    def find_id(self, wanted: str) -> int:
        has_id = self.items["item_id"].cast(pl.String) == wanted.removeprefix("#").strip()
        if not has_id.any():
            raise UserError(f"{wanted}: no title of this run has the id {wanted.removeprefix('#')}")
        return int(has_id.arg_max() or 0)

    def most_rated(self, wanted: str, found: pl.DataFrame) -> int:
        """Return the only item, or the one with far more ratings than the others.

        Raises:
            UserError: No item has far more ratings than the others.
        """
        if len(found) > 1 and found["n_ratings"][0] < MIN_LEAD * max(1, found["n_ratings"][1]):
            raise UserError(self.ambiguity(wanted, found))
        return int(found["index"][0])

    def unique_items(self, names: pl.DataFrame) -> pl.DataFrame:
        """Return the first row of each item, sorted by descending number of ratings."""
        return names.unique("index", keep="first", maintain_order=True).sort("n_ratings", descending=True)

    def similar_names(self, letters: str) -> pl.DataFrame:
        """Return items with a name similar to these letters, most rated first.

        `similarity` is the share of common letters, 0 to 1; `contains_all` is whether the name contains the input.
        Candidates are found by their trigrams: a typo shares many with the name, and a part of a name most of its own.
        """
        trigrams = sorted({letters[start : start + 3] for start in range(max(1, len(letters) - 2))})
        name = pl.col("letters")
        shared = pl.sum_horizontal(name.str.contains(trigram, literal=True).cast(pl.Int32) for trigram in trigrams)
        both = len(trigrams) + (name.str.len_chars().cast(pl.Int32) - 2).clip(lower_bound=1)
        table = self.names.with_columns(
            contains_all=name.str.contains(letters, literal=True),
            coverage=shared / len(trigrams),
            overlap=2 * shared / both,
        )
        table = pl.concat([table.top_k(MAX_COMPARED, by=[by, "n_ratings"]) for by in ("coverage", "overlap")])
        matcher = SequenceMatcher(b=letters, autojunk=False)
        table = table.with_columns(
            similarity=pl.Series([letter_similarity(matcher, name) for name in table["letters"]], dtype=pl.Float64)
        )
        table = table.filter((pl.col("coverage") >= MIN_COVERAGE) | (pl.col("similarity") >= MIN_SIMILARITY))
        table = table.sort("contains_all", "similarity", descending=True)
        return self.unique_items(table)

    def ambiguity(self, wanted: str, found: pl.DataFrame) -> str:
        """Return a message that lists the candidates and says how to choose one of them."""
        ids = [f"#{self.items['item_id'][index]}" for index in found["index"]]
        lines = [f"  {item_id}  {self.describe(index)}" for item_id, index in zip(ids, found["index"], strict=True)]
        lines = lines[:MAX_LISTED]
        if len(found) > MAX_LISTED:
            lines.append(f"  and {len(found) - MAX_LISTED} more")
        problem = f"{wanted!r} may be one of several titles; give the exact title or the id, such as {ids[0]}=9:"
        return "\n".join([problem, *lines])

    def describe(self, index: int) -> str:
        """Return the title with its type and year, if known, and its number of ratings."""
        item = self.items.row(index, named=True)
        known = [str(item[column]) for column in ("type", "year") if item.get(column) is not None]
        return f"{item['title']} ({', '.join([*known, format(item['n_ratings'], ',') + ' ratings'])})"


def name_table(items: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return index, n_ratings, is_main, and the normalized names (written, letters) of a column, one row per name."""
    table = items.select(
        "n_ratings", index=pl.int_range(pl.len()), name=pl.col(column), is_main=pl.lit(column == "title")
    )
    if table.schema["name"] == pl.List(pl.String):
        table = table.explode("name")
    table = table.drop_nulls("name")
    return table.hstack(normalize_names(table["name"]).get_columns()).filter(pl.col("letters") != "")


def normalize_names(names: pl.Series) -> pl.DataFrame:
    """Return the names in lower case (`written`), and only their letters and digits, without accents (`letters`).

    >>> normalize_names(pl.Series(["K-ON!!", "Pokémon: The Movie", "ガンダム & Co."])).rows()
    [('k-on!!', 'kon'), ('pokémon: the movie', 'pokemonthemovie'), ('ガンダム & co.', 'ガンダムandco')]
    """
    written = pl.col("name").str.normalize("NFKC").str.to_lowercase().str.strip_chars()
    signs = written.str.replace_all("&", "and", literal=True).str.replace_all("\u00d7", "x", literal=True)
    # Japanese voicing marks are kept: they distinguish letters.
    unaccented = signs.str.normalize("NFKD").str.replace_all("[\u0300-\u036f]", "").str.normalize("NFKC")
    letters = unaccented.str.replace_all(r"[^\p{L}\p{M}\p{N}]", "")
    return names.alias("name").to_frame().select(written=written, letters=letters)


def letter_similarity(matcher: "SequenceMatcher[str]", name: str) -> float:
    """Return the share of letters, 0 to 1, that two names have in common in the same order."""
    matcher.set_seq1(name)
    return matcher.ratio()


# A semicolon separates titles before a space, after a rating and at the end; that of Steins;Gate does not.
SEPARATOR = re.compile(r";\s+|;$")
AFTER_RATING = re.compile(r"(=\s*\d+(?:\.\d+)?)\s*;")
RATED = re.compile(r"(?P<name>.*\S)\s*=\s*(?P<rating>[+-]?\d+(\.\d+)?)")
COMMA = re.compile(r"(=\s*\d+(?:\.\d+)?)\s*,\s*(?=\S)")  # between titles, where a semicolon is needed


class Liked(NamedTuple):
    """A title as the user typed it, its item index, and its rating (NaN if none was given)."""

    written: str
    item: int
    rating: float


def read_likes(texts: Sequence[str], search: TitleSearch, scale: Scale = MAL) -> list[Liked]:
    """Parse titles with or without ratings, such as "Cowboy Bebop=9; Monster"; of duplicates the last is kept.

    Raises:
        UserError: A title is unknown or ambiguous, or a rating is out of range; lists all problems.
    """
    found: dict[int, Liked] = {}
    problems, is_unknown = [], False
    for written in (
        part.strip() for text in texts for part in SEPARATOR.split(AFTER_RATING.sub(r"\1; ", text.strip()))
    ):
        if not written:
            continue
        try:
            liked = read_like(written, search, scale)
        except UserError as error:
            problems.append(str(error))
            is_unknown |= isinstance(error, UnknownTitleError)
        else:
            found[liked.item] = liked
    if is_unknown:
        problems.append(f"Titles of this run are, for example, {search.examples()}.")
    if problems:
        raise UserError("\n".join(problems))
    if not found:
        raise UserError(f"No title given; expected titles of this run, such as {search.examples()}")
    return list(found.values())


def read_like(written: str, search: TitleSearch, scale: Scale) -> Liked:
    """Parse one title with or without a rating.

    Raises:
        UserError: The title is unknown or ambiguous, or the rating is out of range.
    """
    name, rating = split_rating(written)
    if COMMA.search(written):
        separated = COMMA.sub(r"\1; ", written)
        raise UserError(f'{written}: separate titles by semicolons: "{separated}"')
    if not (isnan(rating) or rating in scale):
        raise UserError(f"{written}: expected a rating from {scale}")
    title, equals, text = (part.strip() for part in written.rpartition("="))
    no_rating = UserError(f"{written}: expected a rating from {scale} after =, such as {title}={scale.example:g}")
    if title and equals and not text:
        raise no_rating
    try:
        return Liked(name, search.find(name), rating)
    except UserError as error:
        if isnan(rating) and title and equals:
            raise no_rating from None
        parts = [part.strip() for part in name.split(",")]
        if len(parts) > 1 and all(map(search.has, parts)):
            raise UserError(f'{written}: separate titles by semicolons: "{"; ".join(parts)}"') from None
        raise error


def split_rating(written: str) -> tuple[str, float]:
    """Return name and rating; NaN if there is no rating.

    >>> split_rating("Cowboy Bebop = 9"), split_rating("Steins;Gate=8.5"), split_rating("Mushishi")
    (('Cowboy Bebop', 9.0), ('Steins;Gate', 8.5), ('Mushishi', nan))
    """
    match = RATED.fullmatch(written)
    return (match["name"], float(match["rating"])) if match else (written, nan)
