"""Which titles somebody wants to be told of: by type, genre and year, and adult ones only on request."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.errors import UserError

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
