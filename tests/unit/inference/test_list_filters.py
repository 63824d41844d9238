from typing import Any

import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.list_filters import Wanted, years

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
    ("wishes", "expected"),
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
def test_only_what_is_wanted_is_left(wishes: dict[str, Any], expected: list[int]) -> None:
    assert Wanted(**wishes).among(ITEMS).nonzero()[0].tolist() == expected


def test_what_no_title_has_is_refused_with_what_there_is() -> None:
    with pytest.raises(UserError, match="no title has the type Tv-Show; there are Movie, OVA, TV"):
        Wanted(types=["Tv-Show"]).among(ITEMS)
    with pytest.raises(UserError, match="no title has the genre Dramma; there are Action, Drama, Hentai"):
        Wanted(genres=["Dramma"]).among(ITEMS)


def test_what_the_data_do_not_know_cannot_be_asked_for() -> None:
    bare = ITEMS.select("item_id", "n_ratings")
    assert Wanted().among(bare).all()
    for wishes in ({"types": ["TV"]}, {"genres": ["Drama"]}, {"years": (2000, None)}):
        with pytest.raises(UserError, match="say nothing of a title's"):
            Wanted(**wishes).among(bare)  # type: ignore[arg-type]


@pytest.mark.parametrize("span", ["", "-", "90s", "2015-2005", "2005-2010-2015", "20051"])
def test_no_span_of_years(span: str) -> None:
    with pytest.raises(UserError, match="--year"):
        years(span)
