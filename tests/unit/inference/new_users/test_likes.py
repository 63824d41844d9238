from collections.abc import Sequence
from math import isnan

import polars as pl
import pytest

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.inference.new_users.likes import Liked, Likes, read_likes
from anirec.inference.titles.title_search import TitleSearch

TITLES = ["Monster", "Steins;Gate", "Mushishi", "1+1=2", "Brass Band"]
IDS = [19, 9253, 457, 3, 1]
SEARCH = TitleSearch(pl.DataFrame({"item_id": IDS, "title": TITLES, "n_ratings": [9] * 5}))


def liked(text: str) -> list[tuple[int, float]]:
    return [(liked.item, liked.rating) for liked in read_likes([text], SEARCH).liked]


@pytest.mark.parametrize(
    "text",
    [
        "Monster=10; Steins;Gate=8.5; mushishi=7",
        "Monster=10;Steins;Gate=8.5;  mushishi = 7;",
        "Monster = 10;Steins;Gate = 8,5;mushishi=7/10",
        "Monster=★★★★★;Steins;Gate=85%;mushishi=70 %",
    ],
)
def test_titles_and_ratings_are_separated(text: str) -> None:
    assert liked(text) == [(0, 10.0), (1, 8.5), (2, 7.0)]


def test_ratings_are_optional_and_repeated_options_are_combined() -> None:
    first, second = read_likes(["Steins;Gate", "#19=9"], SEARCH).liked
    assert (first.item, isnan(first.rating)) == (1, True)
    assert (second.item, second.rating) == (0, 9.0)
    assert isnan(read_likes(["1+1=2"], SEARCH).liked[0].rating)


def test_the_last_rating_of_a_repeated_title_is_kept_which_is_printed_if_they_differ() -> None:
    sentence = "Monster=3: skipped; monster=9 is the same title, and the last one counts"
    assert read_likes(["Monster=3; monster=9"], SEARCH) == Likes([Liked("monster=9", 0, 9.0)], [sentence])
    assert read_likes(["Monster=9; monster=9"], SEARCH).skipped == []
    assert read_likes(["Monster; #19"], SEARCH).skipped == []


def test_unknown_ids_and_zeros_are_skipped_and_listed() -> None:
    found = read_likes(["#1=9; #999999=8; #19=0"], SEARCH)
    assert found.liked == [Liked("#1=9", 4, 9.0)]
    unknown, zero = found.skipped
    assert unknown == "#999999: no title of this run has the id 999999; skipped"
    assert "#19=0: 0 means unrated; skipped" in zero
    with pytest.raises(UserError, match=r"No title given(?s:.*)999999"):
        read_likes(["#999999=8"], SEARCH)


def test_a_title_that_is_not_sure_is_refused_asked_or_skipped() -> None:
    with pytest.raises(
        UserError, match=r"'Brass Band II' is not exactly this title(?s:.*)#1  Brass Band(?s:.*)--yes skips"
    ):
        read_likes(["Brass Band II=9; Monster=8"], SEARCH)
    asked: list[tuple[str, Sequence[int]]] = []

    def choose(wanted: str, candidates: Sequence[int]) -> int | None:
        asked.append((wanted, candidates))
        return candidates[0] if len(asked) == 1 else None

    assert read_likes(["Brass Band II=9"], SEARCH, choose=choose).liked == [Liked("Brass Band II=9", 4, 9.0)]
    assert read_likes(["Brass Band II=9; Monster"], SEARCH, choose=choose).skipped == ["'Brass Band II': skipped"]
    assert asked == [("Brass Band II", [4])] * 2
    found = read_likes(["Brass Band II=9; qwertyuiop; Monster=8"], SEARCH, skip=True)
    assert [title.item for title in found.liked] == [0]
    assert len(found.skipped) == 2


def test_the_scale_is_that_of_the_run() -> None:
    stars = Scale(0.5, 5)
    assert [title.rating for title in read_likes(["Monster=4.5; Mushishi=6/10"], SEARCH, scale=stars).liked] == [4.5, 3]
    with pytest.raises(UserError, match=r"such as Monster=4$"):
        read_likes(["=4"], SEARCH, scale=stars)
    with pytest.raises(UserError, match=r"Monster=9: expected a rating from 0\.5 to 5"):
        read_likes(["Monster=9"], SEARCH, scale=stars)


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("monster: 9", "monster=9"),
        ("Monster (9/10)", "Monster=9/10"),
        ("Monster 85%", "Monster=85%"),
        ("Monsters ★★★★", "Monsters=★★★★"),
        ("Monster 9,5", "Monster=9,5"),
        ("Steins;Gate - 9", "Steins;Gate=9"),
        ("monster 9/10, steins gate ★★★★, mushishi 85%", "monster=9/10; steins gate=★★★★; mushishi=85%"),
        ("Monster 9, Mushishi=8", "Monster=9; Mushishi=8"),
        ("qwertyuiop 9/10, Mushishi 85%", "qwertyuiop=9/10; Mushishi=85%"),
        ("Monster 9;Mushishi 8", "Monster=9; Mushishi=8"),
    ],
)
def test_a_rating_without_equals_sign_is_recognised(text: str, correct: str) -> None:
    with pytest.raises(UserError, match=r"a rating follows =|semicolons") as caught:
        read_likes([text], SEARCH, choose=lambda wanted, candidates: candidates[0])
    assert f'"{correct}"' in str(caught.value)


def test_a_number_after_a_title_may_be_its_rating() -> None:
    with pytest.raises(UserError) as caught:
        read_likes(["Monster 9; Brass Band 2"], SEARCH)
    for hint in ('If 9 is the rating, write it after =: "Monster=9"', "#19  Monster", '"Brass Band=2"'):
        assert hint in str(caught.value)
    found = read_likes(["Monster 9; Mushishi"], SEARCH, skip=True)
    assert [title.item for title in found.liked] == [2]
    assert '"Monster=9"' in found.skipped[0]


@pytest.mark.parametrize("text", ["Monster Season 3", "Monster 2004", "qwertyuiop 9"])
def test_other_numbers_are_no_ratings(text: str) -> None:
    with pytest.raises(UserError) as caught:
        read_likes([text], SEARCH)
    assert "after =" not in str(caught.value)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(UserError, match=r"Monster=11: expected a rating from 1 to 10(?s:.*)qwerty"):
        read_likes(["Monster=11; qwertyuiop=3"], SEARCH)
    with pytest.raises(UserError, match=r"★★★★$"):
        read_likes(["Monster=11"], SEARCH)
    with pytest.raises(UserError) as caught:
        read_likes(["qwertyuiop; zxcvbnm"], SEARCH)
    assert str(caught.value).count("for example") == 1
    with pytest.raises(UserError, match="No title given"):
        read_likes([" ; "], SEARCH)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Monster=9, Mushishi=8", 'semicolons: "Monster=9; Mushishi=8"'),
        ("Monster=9,Mushishi=8", 'semicolons: "Monster=9; Mushishi=8"'),
        ("Monster, Mushishi", 'semicolons: "Monster; Mushishi"'),
        ("Monster=-1", "Monster=-1: expected a rating from 1 to 10"),
        ("Monster=9/7", "Monster=9/7: expected a rating such as 9, 8.5, 9/10, 85% or ★★★★"),
        ("Monster=great", "Monster=great: expected a rating such as"),
        ("Monster=", "expected a rating from 1 to 10 after =, such as Monster=9"),
        ("=9", "expected a title before ="),
        ("qwertyuiop", 'Titles of this run are, for example, "Monster" and "Steins;Gate".'),
        ("Monster" + "\udcff", "not valid UTF-8"),
        ("m" * 500, "500 characters; expected the name of a title"),
        ("m" * 100_001, "more than 100,000 characters"),
        ("m;" * 2_000 + " " + "m; " * 2_000, "titles; expected at most 1,000"),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_likes([text], SEARCH)
    assert message in str(caught.value)
