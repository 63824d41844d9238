"""Which titles somebody wants to be told of: by type, genre and year, and adult ones only on request."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.errors import UserError
from anirec.metrics.variation import is_constant

ADULT_GENRES = ("Hentai", "Erotica")
ADULT_RATING = "Rx"  # how the age rating "Rx - Hentai" begins


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a title; nothing given, nothing excluded but adult titles.

    Args:
        types: Any of these types, such as TV; capitals do not matter.
        genres: At least one of these genres.
        not_genres: None of these.
        years: First and last year of the first day on air; None for open ends.
        min_ratings: Training ratings that a title must have.
        adult: Whether adult titles may be among them.
    """

    types: Sequence[str] = ()
    genres: Sequence[str] = ()
    not_genres: Sequence[str] = ()
    years: tuple[int | None, int | None] = (None, None)
    min_ratings: int = 0
    adult: bool = False

    def among(self, items: pl.DataFrame) -> NDArray[np.bool_]:
        """(I,): which items are wanted. What is not known of an item does not fit.

        Raises:
            UserError: Nothing is known of types, genres or years; no title has a type or genre that was asked for.
        """
        tests = [pl.col("n_ratings") >= self.min_ratings]
        if self.types:
            tests.append(pl.col("type").is_in(known(self.types, column_of(items, "type"), "type")))
        for asked, wish in ((self.genres, True), (self.not_genres, False)):
            if asked:
                those = known(asked, column_of(items, "genres").explode(), "genre")
                tests.append(pl.col("genres").list.eval(pl.element().is_in(those)).list.any() == wish)
        if self.years != (None, None):
            column_of(items, "year")
            first, last = self.years
            tests.append(pl.col("year").is_between(first or 0, last or 9999))
        if not self.adult:
            tests.append(~is_adult(items))
        return items.select(wanted=pl.all_horizontal(tests).fill_null(value=False)).to_series().to_numpy()


def is_adult(items: pl.DataFrame) -> pl.Expr:
    """False where genre and age rating are unknown."""
    by_genre = pl.col("genres").list.set_intersection(list(ADULT_GENRES)).list.len() > 0
    by_age = pl.col("age_rating").str.starts_with(ADULT_RATING)
    tests = {"genres": by_genre, "age_rating": by_age}
    return pl.any_horizontal(
        pl.lit(False),
        *(test.fill_null(value=False) for column, test in tests.items() if column in items.columns),
    )


def column_of(items: pl.DataFrame, column: str) -> pl.Series:
    if column not in items.columns or not items[column].drop_nulls().len():
        raise UserError(f"the data of this run say nothing of a title's {column}: it cannot be asked for")
    return items[column]


def known(asked: Sequence[str], values: pl.Series, what: str) -> Collection[str]:
    """The values as the data spell them.

    Raises:
        UserError: Some are not among them.
    """
    spelt = {value.casefold(): value for value in sorted(values.drop_nulls().unique())}
    if unknown := [value for value in asked if value.casefold() not in spelt]:
        raise UserError(f"no title has the {what} {', '.join(unknown)}; there are {', '.join(spelt.values())}")
    return [spelt[value.casefold()] for value in asked]


def listed(options: Sequence[str]) -> list[str]:
    """
    >>> listed(["TV,Movie", " OVA "])
    ['TV', 'Movie', 'OVA']
    """
    return [part.strip() for option in options for part in option.split(",") if part.strip()]


def years(span: str | None) -> tuple[int | None, int | None]:
    """
    >>> years("2005-2015"), years("1998"), years("2010-"), years(None)
    ((2005, 2015), (1998, 1998), (2010, None), (None, None))
    """
    if span is None:
        return None, None
    first, dash, last = (part.strip() for part in span.partition("-"))
    ends = [first, last if dash else first]
    if not any(ends) or not all(end == "" or (end.isdecimal() and len(end) == 4) for end in ends):
        raise UserError(f"--year {span}: expected a year or a span of them, such as 1998, 2005-2015 or 2010-")
    low, high = (int(end) if end else None for end in ends)
    if low and high and low > high:
        raise UserError(f"--year {span}: it ends before it begins")
    return low, high


def reranked(
    score_c: NDArray[np.floating],
    count_c: NDArray[np.integer],
    genres_cg: NDArray[np.bool_],
    *,
    k: int,
    novelty: float,
) -> NDArray[np.int64]:
    """Places of the k chosen candidates, (min(k, C),), best first.

    Candidates are taken one by one, each time the one with the most (1 - novelty) relevance + novelty (surprise +
    difference) / 2: maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998) with the novelty and the diversity
    of Vargas & Castells (Rank and Relevance in Novelty and Diversity Metrics for Recommender Systems, RecSys 2011).

    All three lie in 0..1. Relevance is the score and surprise the self-information of how many have rated the title,
    both from the least to the most of all candidates. Difference is 1 - the greatest Jaccard similarity of genres to a
    title chosen before; 0 without a genre, of which nothing can be said.

    Args:
        score_c: The model's scores of C candidates.
        count_c: Training ratings of each; none counts as one.
        genres_cg: Which candidate has which genre.
        k: Length of the list; >= 1.
        novelty: From 0, the best scores, to 1, whatever is least known and least alike.

    >>> scores, counts, genres = np.array([9, 8, 7]), np.array([100, 100, 10]), np.array([[1, 0], [1, 0], [0, 1]]) > 0
    >>> reranked(scores, counts, genres, k=2, novelty=0.0), reranked(scores, counts, genres, k=2, novelty=0.6)
    (array([0, 1]), array([0, 2]))
    """
    relevance_c, surprise_c = unit(score_c), unit(-np.log2(np.maximum(count_c, 1)))
    difference_c = (genres_cg.any(axis=1)).astype(np.float64)
    chosen: list[int] = []
    for _ in range(min(k, len(score_c))):
        value_c = (1 - novelty) * relevance_c + novelty * (surprise_c + difference_c) / 2
        value_c[chosen] = -np.inf
        chosen.append(int(value_c.argmax()))
        difference_c = np.minimum(difference_c, 1 - jaccard(genres_cg[chosen[-1]], genres_cg))
    return np.array(chosen, dtype=np.int64)


def unit(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """From 0, the least of the values, to 1, the greatest; 0 where all are equal, up to rounding.

    >>> unit(np.array([2.0, 4.0, 3.0])), unit(np.array([5.0, 5.0]))
    (array([0. , 1. , 0.5]), array([0., 0.]))
    """
    return np.zeros(len(values)) if is_constant(values) else (values - values.min()) / np.ptp(values)


def jaccard(genres_g: NDArray[np.bool_], genres_cg: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(C,): shared genres over the genres of either; 0 where neither has one."""
    shared_c, either_c = (genres_cg & genres_g).sum(axis=1), (genres_cg | genres_g).sum(axis=1)
    return shared_c / np.maximum(either_c, 1)
