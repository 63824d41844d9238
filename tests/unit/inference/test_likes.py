from math import isnan

import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.likes import Liked, read_likes
from anirec.inference.title_search import TitleSearch

TITLES = ["Monster", "Steins;Gate", "Mushishi", "1+1=2"]
SEARCH = TitleSearch(pl.DataFrame({"item_id": [19, 9253, 457, 3], "title": TITLES, "n_ratings": [9, 9, 9, 9]}))


@pytest.mark.parametrize(
    "text",
    [
        "Monster=10; Steins;Gate=8.5; mushishi=7",
        "Monster=10;Steins;Gate=8.5;  mushishi = 7;",
        "Monster = 10;Steins;Gate = 8.5;mushishi=7",
    ],
)
def test_titles_and_ratings_are_parted(text: str) -> None:
    assert read_likes([text], SEARCH) == [
        Liked("Monster", 0, 10.0),
        Liked("Steins;Gate", 1, 8.5),
        Liked("mushishi", 2, 7.0),
    ]


def test_a_title_may_come_without_a_rating_and_options_add_up() -> None:
    first, second = read_likes(["Steins;Gate", "#19=9"], SEARCH)
    assert (first.item, isnan(first.rating)) == (1, True)
    assert (second.item, second.rating) == (0, 9.0)


def test_of_a_title_named_twice_the_last_rating_counts() -> None:
    assert read_likes(["Monster=3; monster=9"], SEARCH) == [Liked("monster", 0, 9.0)]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(UserError, match=r"Monster=11: expected a rating from 1 to 10(?s:.*)qwerty"):
        read_likes(["Monster=11; qwertyuiop=3"], SEARCH)
    with pytest.raises(UserError, match="no title in it"):
        read_likes([" ; "], SEARCH)
