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
        ({}, [0, 1, 4]),
        ({"adult": True}, [0, 1, 2, 3, 4]),
        ({"types": ["tv", "movie"]}, [0, 1]),
        ({"genres": ["drama"]}, [0, 1]),
        ({"not_genres": ["Action"]}, [0, 4]),
        ({"genres": ["Drama"], "not_genres": ["Action"]}, [0]),
        ({"years": (2005, 2015)}, [1]),
        ({"years": (None, 2000)}, [0]),
        ({"years": (2010, None), "adult": True}, [2, 3]),
        ({"min_ratings": 7, "adult": True}, [0, 1, 2]),
    ],
)
def test_titles_match_all_conditions(conditions: dict[str, Any], expected: list[int]) -> None:
    assert TitleFilter(**conditions).matches(ITEMS).nonzero()[0].tolist() == expected


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
