"""Recommendation lists: filters by type, genre, year and rating count, and re-ranking for novelty and diversity."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from textwrap import wrap

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.errors import UserError
from anirec.metrics.variation import is_constant

MESSAGE_WIDTH = 80
ADULT_GENRES = ("Hentai", "Erotica")
ADULT_RATING = "Rx"  # how the age rating "Rx - Hentai" begins


@dataclass(frozen=True)
class TitleFilter:
    """Conditions on recommended titles; by default only adult titles, and titles that may be adult, are excluded.

    Args:
        types: Allowed types, such as TV; case-insensitive; empty for any.
        genres: A title must have at least one of these genres; case-insensitive; empty for any.
        not_genres: Excluded genres; case-insensitive.
        years: First and last year in which a title may have started airing; None for an open end.
        min_ratings: Minimum number of training ratings.
        adult: Whether to include adult titles, and titles of which neither genres nor age rating are known.
    """

    types: Sequence[str] = ()
    genres: Sequence[str] = ()
    not_genres: Sequence[str] = ()
    years: tuple[int | None, int | None] = (None, None)
    min_ratings: int = 0
    adult: bool = False

    def matches(self, items: pl.DataFrame) -> NDArray[np.bool_]:
        """Return which items match, (n_items,). An item whose value is unknown does not match a condition on it.

        Raises:
            UserError: The items lack a column that is needed, or no item has a requested type or genre.
        """
        tests, problems = [pl.col("n_ratings") >= self.min_ratings], []
        for column, what, requested, is_included in (
            ("type", "type", self.types, True),
            ("genres", "genre", self.genres, True),
            ("genres", "genre", self.not_genres, False),
        ):
            if requested:
                try:
                    tests.append(has_value(items, column, requested, what) == is_included)
                except UserError as error:
                    problems.append(str(error))
        if problems:
            raise UserError("\n".join(problems))
        if self.years != (None, None):
            require_column(items, "year")
            first, last = self.years
            tests.append(pl.col("year").is_between(first or 0, last or 9999))
        if not self.adult:
            tests.append(~may_be_adult(items))
        return items.select(matches=pl.all_horizontal(tests).fill_null(value=False)).to_series().to_numpy()

    def left_out(self, items: pl.DataFrame) -> str:
        """Return a sentence about the titles that are left out because they may be adult titles; "" for none."""
        if self.adult:
            return ""
        others = replace(self, adult=True).matches(items)
        n = int((others & items.select(unknown=is_undescribed(items)).to_series().to_numpy()).sum())
        if not n:
            return ""
        are = "1 title is" if n == 1 else f"{n:,} titles are"
        return f"{are} left out: neither genres nor age rating are known. --adult includes them."


def may_be_adult(items: pl.DataFrame) -> pl.Expr:
    """Whether genres or age rating mark a title as adult, or neither is known; false if no title has any.

    >>> items = pl.DataFrame({"genres": [["Drama"], ["Hentai"], []], "age_rating": [None, None, "PG-13"]})
    >>> items.select(may_be_adult(items)).to_series().to_list()
    [False, True, False]
    """
    by_genre = pl.col("genres").list.set_intersection(list(ADULT_GENRES)).list.len() > 0
    by_age = pl.col("age_rating").str.starts_with(ADULT_RATING)
    tests = {"genres": by_genre, "age_rating": by_age}
    marked = (test.fill_null(value=False) for column, test in tests.items() if column in items.columns)
    return pl.any_horizontal(pl.lit(False), is_undescribed(items), *marked)


def is_undescribed(items: pl.DataFrame) -> pl.Expr:
    """Whether neither genres nor age rating of a title are known; false where no title of the data has any."""
    known = {"genres": pl.col("genres").list.len() > 0, "age_rating": pl.col("age_rating").is_not_null()}
    tests = [test.fill_null(value=False) for column, test in known.items() if column in items.columns]
    is_known = pl.any_horizontal(pl.lit(False), *tests)
    return ~is_known & is_known.any()


def has_value(items: pl.DataFrame, column: str, requested: Sequence[str], what: str) -> pl.Expr:
    """Whether the value of a column, or one of its list, is one of those requested.

    Raises:
        UserError: The items lack the column, or no item has one of the values.
    """
    values = require_column(items, column)
    if values.dtype == pl.List(pl.String):
        matched = match_values(requested, values.explode(), what)
        return pl.col(column).list.eval(pl.element().is_in(matched)).list.any()
    return pl.col(column).is_in(match_values(requested, values, what))


def require_column(items: pl.DataFrame, column: str) -> pl.Series:
    if column not in items.columns or not items[column].drop_nulls().len():
        raise UserError(f"The data of this run have no {column} of titles, so it cannot be used as a filter.")
    return items[column]


def match_values(requested: Sequence[str], values: pl.Series, what: str) -> Collection[str]:
    """Return the requested values in the spelling of the data.

    Args:
        requested: Values in any case.
        values: All values in the data.
        what: Name of the property, for the message.

    Raises:
        UserError: Some requested values do not occur in the data.
    """
    spelling = {value.casefold(): value for value in sorted(values.drop_nulls().unique())}
    if unknown := [value for value in requested if value.casefold() not in spelling]:
        problems = [f"No title has the {what} {value}{suggest(value, spelling.values())}" for value in unknown]
        raise UserError("\n".join([*problems, *wrap(f"Available: {', '.join(spelling.values())}", MESSAGE_WIDTH)]))
    return [spelling[value.casefold()] for value in requested]


def suggest(value: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that suggests the closest known value, or "." if none is close.

    >>> suggest("dramma", ["Comedy", "Drama"]), suggest("tv", ["TV", "Movie"]), suggest("qwerty", ["TV"])
    ('; did you mean Drama?', '; did you mean TV?', '.')
    """
    spelling = {other.casefold(): other for other in known}
    close = get_close_matches(value.casefold(), spelling, n=1)
    return f"; did you mean {spelling[close[0]]}?" if close else "."


def split_commas(options: Sequence[str]) -> list[str]:
    """Return the comma-separated values of a repeatable option.

    >>> split_commas(["TV,Movie", " OVA "])
    ['TV', 'Movie', 'OVA']
    """
    return [part.strip() for option in options for part in option.split(",") if part.strip()]


def parse_years(span: str | None) -> tuple[int | None, int | None]:
    """Return the first and the last year of a span; None for an open end.

    >>> parse_years("2005-2015"), parse_years("1998"), parse_years("2010-"), parse_years(None)
    ((2005, 2015), (1998, 1998), (2010, None), (None, None))
    """
    if span is None:
        return None, None
    first, dash, last = (part.strip() for part in span.partition("-"))
    ends = [first, last if dash else first]
    if not any(ends) or not all(end == "" or (end.isdecimal() and len(end) == 4) for end in ends):
        raise UserError(f"--year {span}: expected a year or a range of years, such as 1998, 2005-2015 or 2010-")
    low, high = (int(end) if end else None for end in ends)
    if low and high and low > high:
        raise UserError(f"--year {span}: the first year is after the last")
    return low, high


def rerank(
    score_c: NDArray[np.floating],
    count_c: NDArray[np.integer],
    genres_cg: NDArray[np.bool_],
    *,
    k: int,
    novelty: float,
) -> NDArray[np.int64]:
    """Return the indices of the k chosen candidates, (min(k, C),), best first.

    Candidates are chosen greedily, each time the one with the largest (1 - novelty) relevance + novelty (surprise +
    difference) / 2: maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998) with the novelty and the diversity
    of Vargas & Castells (Rank and Relevance in Novelty and Diversity Metrics for Recommender Systems, RecSys 2011).

    All three terms are in 0..1. Relevance is the score and surprise the self-information of the number of ratings, each
    min-max scaled over all candidates. Difference is 1 - the largest Jaccard similarity of genres to a title that is
    already chosen; it is 0 for a title without genres.

    Args:
        score_c: The model's scores of C candidates, (C,).
        count_c: Number of training ratings of each candidate, (C,); 0 is treated as 1.
        genres_cg: Which candidate has which genre, (C, G).
        k: Length of the list; >= 1.
        novelty: Trade-off from 0 (the highest scores) to 1 (the least known and most diverse titles).

    >>> scores, counts, genres = np.array([9, 8, 7]), np.array([100, 100, 10]), np.array([[1, 0], [1, 0], [0, 1]]) > 0
    >>> rerank(scores, counts, genres, k=2, novelty=0.0), rerank(scores, counts, genres, k=2, novelty=0.6)
    (array([0, 1]), array([0, 2]))
    """
    relevance_c, surprise_c = min_max_scale(score_c), min_max_scale(-np.log2(np.maximum(count_c, 1)))
    difference_c = (genres_cg.any(axis=1)).astype(np.float64)
    chosen: list[int] = []
    for _ in range(min(k, len(score_c))):
        value_c = (1 - novelty) * relevance_c + novelty * (surprise_c + difference_c) / 2
        value_c[chosen] = -np.inf
        chosen.append(int(value_c.argmax()))
        difference_c = np.minimum(difference_c, 1 - jaccard(genres_cg[chosen[-1]], genres_cg))
    return np.array(chosen, dtype=np.int64)


def min_max_scale(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the values scaled from 0, the smallest, to 1, the largest; 0 if all are equal up to rounding.

    >>> min_max_scale(np.array([2.0, 4.0, 3.0])), min_max_scale(np.array([5.0, 5.0]))
    (array([0. , 1. , 0.5]), array([0., 0.]))
    """
    return np.zeros(len(values)) if is_constant(values) else (values - values.min()) / np.ptp(values)


def jaccard(genres_g: NDArray[np.bool_], genres_cg: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the Jaccard similarity of a genre set, (G,), to C others, (C, G), as (C,); 0 if both are empty."""
    shared_c, either_c = (genres_cg & genres_g).sum(axis=1), (genres_cg | genres_g).sum(axis=1)
    return shared_c / np.maximum(either_c, 1)
