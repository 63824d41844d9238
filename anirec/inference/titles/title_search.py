"""Search for titles by name. Case, accents, spacing and language do not matter; what distinguishes sequels does.

`TitleSearch.match` takes a title only if it is sure. Everything similar is a candidate, which a person can choose.

    "new game"                New Game!          the only title with these letters
    "New Game!!"              not sure           two exclamation marks are the second season
    "Mob Psycho 100 S2"       Mob Psycho 100 II  numerals of any kind are equal
    "Fullmetal Alchimist"     Fullmetal Alchemist
    "Chainsaw Maid"           not sure           Chainsaw Man, which differs in a short word, is a candidate
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.errors import UserError
from anirec.inference.titles.title_names import is_typo, normalize_names, same_signs

MIN_LEAD = 5  # of several titles with one name, one with this many times the ratings of the next is meant
MIN_SIMILARITY = 0.8  # share of common letters, 0 to 1, from which a name is a candidate
MIN_COVERAGE = 0.65  # share of the input's trigrams in a longer name, from which it is a candidate
MAX_COMPARED = 40  # names compared letter by letter
MAX_LISTED = 8  # candidates in a message
LONGEST_NAME = 400  # characters of a name that is searched for
NAMES = ("title", "title_english", "title_japanese", "synonyms")
MAL_ADDRESS = "https://myanimelist.net/anime/"
LETTER_BITS = 21  # of a Unicode character


class Match(NamedTuple):
    """What a name may mean.

    Attributes:
        item: Index of the title that is meant; None if that is not sure.
        candidates: Indices of similar titles, best first; only `item` if that is sure; empty if no title is similar.
    """

    item: int | None
    candidates: list[int]


class Form(NamedTuple):
    """Normal forms of a name; see `normalize_names`."""

    written: str
    words: str
    key: str
    signs: str


class UnknownTitleError(UserError):
    """No title has a similar name, or none has the id."""


class UncertainTitleError(UserError):
    """One or several titles have a similar name, but none is certainly meant.

    Args:
        message: Lists the candidates.
        candidates: Their indices.
    """

    def __init__(self, message: str, candidates: Sequence[int]) -> None:
        super().__init__(message)
        self.candidates = candidates


class TitleSearch:
    """Index of the names of items.

    Args:
        items: item_id, title and n_ratings, one row per item in index order; title_english, title_japanese, synonyms,
            type and year are optional.
    """

    def __init__(self, items: pl.DataFrame) -> None:
        self.items = items
        columns = [column for column in NAMES if column in items.columns]
        self.names = pl.concat([name_table(items, column) for column in columns])
        self.n_ratings = items["n_ratings"].to_list()
        self.item = self.names["index"].to_list()
        self.index_of_id = {str(item_id): index for index, item_id in enumerate(items["item_id"].to_list())}
        is_main = self.names["is_main"].to_list()
        # Main titles precede other names, and names as written precede those with the same letters.
        self.written: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
        self.keys: dict[str, list[int]] = {}
        for row, (written, key) in enumerate(self.names.select("written", "key").iter_rows()):
            self.written[not is_main[row]].setdefault(written, []).append(row)
            self.keys.setdefault(key, []).append(row)

    def find(self, wanted: str) -> int:
        """Return the index of the item with this id (`#1535`) or name.

        Raises:
            UnknownTitleError: No title has such an id or a similar name.
            UncertainTitleError: There are similar titles; the message lists them.
            UserError: The text cannot be a name.
        """
        if wanted.startswith("#"):
            return self.find_id(wanted)
        item, candidates = self.match(wanted)
        if item is not None:
            return item
        if not candidates:
            raise UnknownTitleError(f"{wanted!r}: no title of this run has a similar name{self.lacking_names()}")
        raise UncertainTitleError(self.question(wanted, candidates), candidates)

    def match(self, wanted: str) -> Match:
        """Return the item that a name means, or similar ones.

        Raises:
            UserError: The text cannot be a name.
        """
        check_name(wanted)
        return self.match_all([wanted])[0]

    def match_all(self, names: Sequence[str]) -> list[Match]:
        """Return what each name means; they must have passed `check_name`. Many at once are faster."""
        forms = normalize_names(pl.Series([*names], dtype=pl.String))
        return [self.match_form(Form(*row)) for row in forms.select(Form._fields).iter_rows()]

    def with_letters_of(self, names: Sequence[str]) -> list[set[int]]:
        """Return, for each name, the items with a name that has the same letters and numbers."""
        keys = normalize_names(pl.Series([*names], dtype=pl.String))["key"]
        return [{self.item[row] for row in self.keys.get(key, [])} for key in keys]

    def match_form(self, name: Form) -> Match:
        same_letters = [row for row in self.keys.get(name.key, []) if same_signs(name.signs, self.signs[row])]
        for rows in (*(names.get(name.written, []) for names in self.written), same_letters):
            if found := self.most_rated(rows):
                return Match(found[0] if self.is_clear(found) else None, found)
        similar = self.similar_names(name)
        typos = [row for row in similar if self.signs[row] == name.signs and is_typo(name.words, self.words[row])]
        if len(found := self.most_rated(typos)) == 1:
            return Match(found[0], found)
        return Match(None, list(dict.fromkeys(self.item[row] for row in similar)))

    def examples(self) -> str:
        """Return the two most rated titles as text."""
        return " and ".join(f'"{title}"' for title in self.most_rated_titles())

    def most_rated_titles(self) -> list[str]:
        """Return the two most rated titles."""
        titles: list[str] = self.items.sort("n_ratings", descending=True, maintain_order=True)["title"].to_list()[:2]
        return titles

    def has(self, wanted: str) -> bool:
        """Return whether `find` finds a title."""
        try:
            self.find(wanted)
        except UserError:
            return False
        return True

    def is_name(self, wanted: str) -> bool:
        """Return whether a text is a name of a title, except for case."""
        return any(wanted.lower() in names for names in self.written)

    def find_id(self, wanted: str) -> int:
        item_id = wanted.removeprefix("#").strip()
        if item_id not in self.index_of_id:
            raise UnknownTitleError(f"{wanted}: no title of this run has the id {item_id}")
        return self.index_of_id[item_id]

    @cached_property
    def signs(self) -> list[str]:
        return self.names["signs"].to_list()

    @cached_property
    def words(self) -> list[str]:
        return self.names["words"].to_list()

    @cached_property
    def letters(self) -> list[str]:
        return self.names["key"].to_list()

    @cached_property
    def trigrams(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Sorted trigrams of all names, the row of the name of each, and the number of trigrams of each name."""
        lengths = self.names["key"].str.len_chars().to_numpy().astype(np.int64)
        row = np.repeat(np.arange(len(lengths)), lengths + 2)
        codes = trigram_codes("".join(f" {key} " for key in self.letters))
        same_name = row[:-2] == row[2:]
        codes, row = codes[same_name], row[:-2][same_name]
        order = np.argsort(codes, kind="stable")
        return codes[order], row[order], lengths

    def most_rated(self, rows: Sequence[int]) -> list[int]:
        """Return the items of these names, most rated first."""
        items = dict.fromkeys(self.item[row] for row in rows)
        return sorted(items, key=lambda item: -self.n_ratings[item])

    def is_clear(self, found: Sequence[int]) -> bool:
        """Return whether there is only one item, or the first has far more ratings than the others."""
        return len(found) == 1 or self.n_ratings[found[0]] >= MIN_LEAD * max(1, self.n_ratings[found[1]])

    def similar_names(self, name: Form) -> list[int]:
        """Return rows of names that are similar to a name, best first.

        Names with all words of the wanted one precede others, the most rated first; others are sorted by similarity.
        Candidates are found by their trigrams: a typo shares many with the name, and a part of a name most of its own.
        """
        codes, rows, lengths = self.trigrams
        wanted = np.unique(trigram_codes(f" {name.key} "))
        first, last = np.searchsorted(codes, wanted), np.searchsorted(codes, wanted, side="right")
        found = [np.unique(rows[start:end]) for start, end in zip(first, last, strict=True) if end > start]
        if not found:
            return []
        shared = np.bincount(np.concatenate(found), minlength=len(lengths))
        coverage, overlap = shared / len(wanted), 2 * shared / (len(wanted) + lengths)
        popularity = self.names["n_ratings"].to_numpy()
        compared = np.concatenate(
            [
                (some := np.argpartition(-measure, min(4 * MAX_COMPARED, len(measure) - 1))[: 4 * MAX_COMPARED])[
                    np.lexsort((-popularity[some], -measure[some]))
                ][:MAX_COMPARED]
                for measure in (coverage, overlap)
            ]
        )
        matcher = SequenceMatcher(b=name.key, autojunk=False)
        ranked = []
        for row in dict.fromkeys(compared.tolist()):
            matcher.set_seq1(self.letters[row])
            similarity, contains = matcher.ratio(), has_words(self.words[row], name.words)
            is_part = has_words(name.words, self.words[row]) and 2 * len(self.letters[row]) >= len(name.key)
            if contains or is_part or similarity >= MIN_SIMILARITY or coverage[row] >= MIN_COVERAGE:
                measures = (popularity[row], similarity) if contains else (similarity, popularity[row])
                ranked.append((not contains, *(-measure for measure in measures), row))
        return [row for *_, row in sorted(ranked)]

    def lacking_names(self) -> str:
        """Return the end of a sentence about a name that is not found if the titles have no names but the main ones."""
        if any(column in self.items.columns for column in NAMES[1:]):
            return ""
        more = "; a run with joined=mal_2020 has them" if has_ids_of_mal(self.items) else ""
        return f". The data have no English titles or other names{more}"

    def question(self, wanted: str, candidates: Sequence[int]) -> str:
        """Return a message that lists the candidates and says how to choose one of them."""
        ids = [f"#{self.items['item_id'][index]}" for index in candidates]
        lines = [f"  {item_id}  {self.describe(index)}" for item_id, index in zip(ids, candidates, strict=True)]
        if len(lines) > MAX_LISTED:
            lines = [*lines[:MAX_LISTED], f"  and {len(candidates) - MAX_LISTED} more"]
        may_be = "may be one of several titles" if len(candidates) > 1 else "is not exactly this title"
        problem = f"{wanted!r} {may_be}; give the exact title or the id, such as {ids[0]}:"
        return "\n".join([problem, *lines])

    def describe(self, index: int) -> str:
        """Return the title with its type and year, if known, and its number of ratings."""
        item = self.items.row(index, named=True)
        known = [str(item[column]) for column in ("type", "year") if item.get(column) is not None]
        n = item["n_ratings"]
        return f"{item['title']} ({', '.join([*known, format(n, ',') + ' rating' + 's' * (n != 1)])})"


def has_ids_of_mal(items: pl.DataFrame) -> bool:
    """Return whether the ids of a run's titles are MyAnimeList's, as their addresses say."""
    return "url" in items.columns and bool(items["url"].str.starts_with(MAL_ADDRESS).all())


def check_name(wanted: str) -> None:
    """Raise a UserError if a text is too long for a name, is not valid Unicode, or has no letter or digit."""
    if len(wanted) > LONGEST_NAME:
        raise UserError(
            f"{wanted[:40]!r}...: {len(wanted):,} characters; expected the name of a title, at most {LONGEST_NAME}"
        )
    try:
        wanted.encode()
    except UnicodeEncodeError:
        raise UserError(f"{wanted!r}: not valid UTF-8 text; expected the name of a title") from None
    if not any(map(str.isalnum, wanted)):
        raise UserError(f"{wanted!r} is no title; expected a name, or # and an id")


def has_words(words: str, some: str) -> bool:
    """Return whether some words are in others, in the same order.

    >>> has_words("attack on titan", "on titan"), has_words("attack on titan", "k on")
    (True, False)
    """
    return f" {some} " in f" {words} "


def name_table(items: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return index, n_ratings, is_main, and the normal forms of the names in a column, one row per name."""
    table = items.select(
        "n_ratings", index=pl.int_range(pl.len()), name=pl.col(column), is_main=pl.lit(column == "title")
    )
    if table.schema["name"] == pl.List(pl.String):
        table = table.explode("name")
    table = table.drop_nulls("name")
    return table.hstack(normalize_names(table["name"]).get_columns()).filter(pl.col("key") != "")


def trigram_codes(text: str) -> NDArray[np.int64]:
    """Return a number for each sequence of three characters in a text."""
    letters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
    return (letters[:-2] << 2 * LETTER_BITS) | (letters[1:-1] << LETTER_BITS) | letters[2:]
