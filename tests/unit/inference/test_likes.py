from math import isnan

import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.title_search import Liked, TitleSearch, read_likes

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
def test_titles_and_ratings_are_separated(text: str) -> None:
    assert read_likes([text], SEARCH) == [
        Liked("Monster", 0, 10.0),
        Liked("Steins;Gate", 1, 8.5),
        Liked("mushishi", 2, 7.0),
    ]


def test_ratings_are_optional_and_repeated_options_are_combined() -> None:
    first, second = read_likes(["Steins;Gate", "#19=9"], SEARCH)
    assert (first.item, isnan(first.rating)) == (1, True)
    assert (second.item, second.rating) == (0, 9.0)


def test_the_last_rating_of_a_repeated_title_is_kept() -> None:
    assert read_likes(["Monster=3; monster=9"], SEARCH) == [Liked("monster", 0, 9.0)]


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(UserError, match=r"Monster=11: expected a rating from 1 to 10(?s:.*)qwerty"):
        read_likes(["Monster=11; qwertyuiop=3"], SEARCH)
    with pytest.raises(UserError) as caught:
        read_likes(["qwertyuiop; zxcvbnm"], SEARCH)
    assert str(caught.value).count("for example") == 1
    with pytest.raises(UserError, match="No title given"):
        read_likes([" ; "], SEARCH)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Monster=9, Mushishi=8", 'semicolons: "Monster=9; Mushishi=8"'),
        ("Monster, Mushishi", 'semicolons: "Monster; Mushishi"'),
        ("Monster=-1", "expected a rating from 1 to 10"),
        ("Monster=9/10", "Monster=9/10: expected a rating from 1 to 10 after =, such as Monster=9"),
        ("Monster=", "expected a rating from 1 to 10 after =, such as Monster=9"),
        ("qwertyuiop", 'Titles of this run are, for example, "Monster" and "Steins;Gate".'),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_likes([text], SEARCH)
    assert message in str(caught.value)
