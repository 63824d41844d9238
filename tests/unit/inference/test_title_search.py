import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.title_search import TitleSearch

TITLES = [
    # id, title, English, Japanese, synonyms, year, ratings
    (1, "Cowboy Bebop", "Cowboy Bebop", "カウボーイビバップ", [], 1998, 900),
    (5, "Cowboy Bebop: Tengoku no Tobira", "Cowboy Bebop: The Movie", None, [], 2001, 300),
    (16498, "Shingeki no Kyojin", "Attack on Titan", "進撃の巨人", ["AoT"], 2013, 1600),
    (5680, "K-On!", None, "けいおん!", [], 2009, 860),
    (7791, "K-On!!", None, "けいおん!!", [], 2010, 500),
    (9253, "Steins;Gate", None, "シュタインズ・ゲート", [], 2011, 1000),
    (28755, "Pokémon: Mewtwo & Mew", None, None, [], 1998, 400),
    (11061, "Hunter x Hunter", None, None, [], 1999, 300),
    (19, "Monster", None, None, [], 2004, 250),
    (40, "MONSTER!", None, None, [], 2019, 3),
    (50, "Rose", None, None, [], 1979, 30),
    (51, "Rose", None, None, [], 2009, 20),
    (60, "Kamen", None, "ガンダム", [], 1980, 30),
    (61, "Omen", None, "カンダム", [], 1981, 30),
]
COLUMNS = ["item_id", "title", "title_english", "title_japanese", "synonyms", "year", "n_ratings"]


@pytest.fixture(scope="module")
def search() -> TitleSearch:
    return TitleSearch(pl.DataFrame(TITLES, schema=COLUMNS, orient="row"))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("cowboy bebop", 1),
        ("COWBOY-BEBOP", 1),
        ("カウボーイビバップ", 1),
        ("attack on titan", 16498),
        ("進撃の巨人", 16498),
        ("aot", 16498),
        ("steins gate", 9253),
        ("シュタインズゲート", 9253),
        ("pokemon mewtwo and mew", 28755),
        ("Hunter \u00d7 Hunter", 11061),
        ("Ｍｏｎｓｔｅｒ", 19),  # noqa: RUF001
        ("#19", 19),
    ],
)
def test_case_punctuation_accents_and_language_do_not_matter(search: TitleSearch, wanted: str, found: int) -> None:
    assert search.items["item_id"][search.find(wanted)] == found


def test_an_exact_name_precedes_one_with_the_same_letters(search: TitleSearch) -> None:
    assert search.items["item_id"][search.find("k-on!")] == 5680
    assert search.items["item_id"][search.find("K-On!!")] == 7791
    assert search.items["item_id"][search.find("けいおん!!")] == 7791
    with pytest.raises(
        UserError, match=r"may be one of several titles(?s:.*)#5680  K-On! \(2009, 860 ratings\)(?s:.*)#7791"
    ):
        search.find("kon")


def test_of_titles_with_the_same_name_one_with_far_more_ratings_is_chosen(search: TitleSearch) -> None:
    assert search.items["item_id"][search.find("monster?")] == 19
    with pytest.raises(UserError, match=r"such as #50=9(?s:.*)1979, 30(?s:.*)2009, 20"):
        search.find("rose")


def test_a_typo_is_corrected_if_only_one_title_is_similar(search: TitleSearch) -> None:
    assert search.items["item_id"][search.find("cowboy bebob")] == 1
    assert search.items["item_id"][search.find("steinsgatte")] == 9253
    assert search.items["item_id"][search.find("mewtwo")] == 28755  # a part of one title only
    with pytest.raises(UserError, match=r"#1  (?s:.*)#5"):
        search.find("bebop")


def test_japanese_voicing_marks_distinguish_titles(search: TitleSearch) -> None:
    assert search.items["item_id"][search.find("ガンダム")] == 60
    assert search.items["item_id"][search.find("カンダム")] == 61


@pytest.mark.parametrize("wanted", ["qwertyuiop", "!!!", "#20"])
def test_unknown_names_and_ids_are_errors(search: TitleSearch, wanted: str) -> None:
    with pytest.raises(UserError, match="no title"):
        search.find(wanted)
