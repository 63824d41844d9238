from typing import Any

import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.lists import TitleFilter, parse_years

ITEMS = pl.DataFrame(
    {
        "item_id": [0, 1, 2, 3, 4],
        "type": ["TV", "Movie", "TV", "OVA", None],
        "genres": [["Drama"], ["Action", "Drama"], ["Action"], ["Hentai"], []],
        "year": [1998, 2005, 2015, 2010, None],
        "age_rating": ["R", None, "Rx - Hentai", None, None],
        "n_ratings": [9, 8, 7, 6, 0],
    }
)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, [0, 1]),
        ({"adult": True}, [0, 1, 2, 3, 4]),
        ({"types": ["tv", "movie"]}, [0, 1]),
        ({"genres": ["drama"]}, [0, 1]),
        ({"not_genres": ["Action"]}, [0]),
        ({"not_genres": ["Action"], "adult": True}, [0, 3, 4]),
        ({"genres": ["Drama"], "not_genres": ["Action"]}, [0]),
        ({"years": (2005, 2015)}, [1]),
        ({"years": (None, 2000)}, [0]),
        ({"years": (2010, None), "adult": True}, [2, 3]),
        ({"min_ratings": 7, "adult": True}, [0, 1, 2]),
    ],
)
def test_titles_match_all_conditions(conditions: dict[str, Any], expected: list[int]) -> None:
    assert TitleFilter(**conditions).matches(ITEMS).nonzero()[0].tolist() == expected


UNDESCRIBED = {"genres": [[], ["Drama"], ["Hentai"], [], []], "age_rating": [None, None, None, "PG-13", "Rx - Hentai"]}


@pytest.mark.parametrize(
    ("columns", "expected", "n_left_out"),
    [
        (["genres", "age_rating"], [1, 3], 1),
        (["genres"], [1], 3),
        (["age_rating"], [3], 3),
        ([], [0, 1, 2, 3, 4], 0),
    ],
)
def test_a_title_of_which_nothing_is_known_is_not_recommended(
    columns: list[str], expected: list[int], n_left_out: int
) -> None:
    items = pl.DataFrame({"item_id": range(5), "n_ratings": [9] * 5} | {name: UNDESCRIBED[name] for name in columns})
    assert TitleFilter().matches(items).nonzero()[0].tolist() == expected
    assert TitleFilter(adult=True).matches(items).all()
    assert TitleFilter(adult=True).left_out(items) == ""
    left_out = TitleFilter().left_out(items)
    assert left_out.split(" ")[0] == (str(n_left_out) if n_left_out else "")
    assert TitleFilter(min_ratings=10).left_out(items) == ""


def test_unknown_types_and_genres_are_reported_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"No title has the type Tv-Show\.\nAvailable: Movie, OVA, TV"):
        TitleFilter(types=["Tv-Show"]).matches(ITEMS)
    with pytest.raises(
        UserError, match=r"the genre dramma; did you mean Drama\?(?s:.*)Available: Action, Drama, Hentai"
    ):
        TitleFilter(genres=["dramma"]).matches(ITEMS)


def test_a_filter_on_a_missing_column_is_an_error() -> None:
    bare = ITEMS.select("item_id", "n_ratings")
    assert TitleFilter().matches(bare).all()
    for conditions in ({"types": ["TV"]}, {"genres": ["Drama"]}, {"years": (2000, None)}):
        with pytest.raises(UserError, match="The data of this run have no"):
            TitleFilter(**conditions).matches(bare)  # type: ignore[arg-type]


@pytest.mark.parametrize("span", ["", "-", "90s", "2015-2005", "2005-2010-2015", "20051"])
def test_invalid_ranges_of_years_are_errors(span: str) -> None:
    with pytest.raises(UserError, match="--year"):
        parse_years(span)
