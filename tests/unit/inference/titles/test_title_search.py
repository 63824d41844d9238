import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.titles.title_search import TitleSearch, UncertainTitleError, UnknownTitleError

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
    assert search.items["item_id"][search.find("mon-ster")] == 19
    with pytest.raises(UserError, match=r"such as #50:(?s:.*)1979, 30(?s:.*)2009, 20"):
        search.find("rose")


def test_a_typo_in_a_long_word_is_corrected(search: TitleSearch) -> None:
    assert search.items["item_id"][search.find("shingeki no kyogin")] == 16498
    assert search.items["item_id"][search.find("Pokemon: Mewtow & Mew")] == 28755


@pytest.mark.parametrize(
    ("wanted", "candidates"),
    [
        ("cowboy bebob", [1, 5]),  # a short word
        ("steinsgatte", [9253]),
        ("mewtwo", [28755]),  # a part of a name
        ("bebop", [1, 5]),
        ("K-On!!!", [5680, 7791]),
        ("Cowboy Bebop 2", [1, 5]),
        ("Shingeki no Kyojin Season 3", [16498]),
    ],
)
def test_what_is_only_similar_is_a_candidate(search: TitleSearch, wanted: str, candidates: list[int]) -> None:
    with pytest.raises(UncertainTitleError) as caught:
        search.find(wanted)
    assert [search.items["item_id"][item] for item in caught.value.candidates] == candidates


def test_of_names_with_the_wanted_words_the_most_rated_is_first() -> None:
    titles = ["Evangelion Extra", "Neon Genesis Evangelion", "Evangelion: 1.0 You Are (Not) Alone"]
    names = TitleSearch(pl.DataFrame({"item_id": range(3), "title": titles, "n_ratings": [2, 900, 300]}))
    assert names.match("evangelion").candidates == [1, 2, 0]


SERIES = [
    "Paper Lantern Maid",
    "Brass Band",
    "Moon Garden 2nd Season",
    "Tin Orchestra III",
    "Lamp Post!",
    "Quiet Hours'",
]


@pytest.mark.parametrize(
    "wanted",
    [
        "Paper Lantern Man",
        "Brass Band II",
        "Brass Band 2nd Season",
        "Brass Band!",
        "Brass Bands",
        "Moon Garden 3rd Season",
        "Moon Garden",
        "Moon Garden 2nd Season Part 2",
        "Tin Orchestra IV",
        "Tin Orchestra 2",
        "Tin Orchestra",
        "Lamp Post!!",
        "Lamp Post?",
        "Quiet Hours (2019)",
        "Quiet Hours: After",
        "Quiet Hours",
        "Quiet Hours''",
    ],
)
def test_another_title_of_a_series_is_never_taken(wanted: str) -> None:
    names = TitleSearch(pl.DataFrame({"item_id": range(6), "title": SERIES, "n_ratings": [9000, 1, 1, 1, 1, 1]}))
    assert names.match(wanted).item is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("moon garden 2", 2),
        ("Moon Garden II", 2),
        ("Moon Garden S2", 2),
        ("Moon Garden Season 2", 2),
        ("Moon Garden: Second Season", 2),
        ("Moon Garden Season Two", 2),
        ("Moon Garden 第2期", 2),
        ("Tin Orchestra 3rd Season", 3),
        ("lamp post", 4),
    ],
)
def test_numerals_of_any_kind_are_equal(wanted: str, found: int) -> None:
    names = TitleSearch(pl.DataFrame({"item_id": range(6), "title": SERIES, "n_ratings": [1] * 6}))
    assert names.match(wanted).item == found


WORDS = (
    *("Amber", "Cedar", "Harbor", "Lantern", "Marble", "Orchard", "Pepper"),
    *("Quartz", "Ribbon", "Saffron", "Thistle", "Velvet", "Willow", "Zephyr"),
)
MARKS = ("{} {}", "{} {} II", "{} {} 3rd Season", "{} {}!", "{} {}!!", "{} {} Movie", "{} {}: Part 2", "{} {} R")


def test_of_many_generated_names_each_finds_itself_and_never_another() -> None:
    """Half of the names are in the data: each of these is found, and none of the others is taken for one of them."""
    names = [mark.format(one, two) for one in WORDS for two in WORDS if one != two for mark in MARKS]
    names = [name for n, name in enumerate(names) if (n * 7919) % 3]  # not whole series
    known, lacking = names[::2], names[1::2]
    search = TitleSearch(pl.DataFrame({"item_id": range(len(known)), "title": known, "n_ratings": [1] * len(known)}))
    assert [match.item for match in search.match_all(known)] == list(range(len(known)))
    plain = {name.rstrip("!").lower() for name in known}
    wrong = [
        (name, known[match.item])
        for name, match in zip(lacking, search.match_all(lacking), strict=True)
        if match.item is not None and name.lower() not in plain  # signs may be left out
    ]
    assert not wrong


def test_one_wrong_letter_in_a_long_name_is_found_or_asked() -> None:
    names = [f"{one} {two} {three}" for one in WORDS for two in WORDS for three in WORDS if one < two < three]
    search = TitleSearch(pl.DataFrame({"item_id": range(len(names)), "title": names, "n_ratings": [1] * len(names)}))
    for number, name in enumerate(names):
        place = 1 + number % (len(name) - 2)
        match = search.match(name[:place] + "k" + name[place + 1 :])
        assert match.item in (number, None)
        assert match.candidates[0] == number


def test_japanese_voicing_marks_distinguish_titles(search: TitleSearch) -> None:
    assert search.items["item_id"][search.find("ガンダム")] == 60
    assert search.items["item_id"][search.find("カンダム")] == 61


@pytest.mark.parametrize("wanted", ["qwertyuiop", "#20", "# 20"])
def test_unknown_names_and_ids_are_errors(search: TitleSearch, wanted: str) -> None:
    with pytest.raises(UnknownTitleError, match="no title of this run"):
        search.find(wanted)


def test_an_unknown_name_may_be_one_that_the_data_lack() -> None:
    items = pl.DataFrame({"item_id": [16498], "title": ["Shingeki no Kyojin"], "n_ratings": [9]})
    with pytest.raises(UnknownTitleError, match=r"no English titles or other names$"):
        TitleSearch(items).find("attack on titan")
    of_mal = items.with_columns(url=pl.lit("https://myanimelist.net/anime/16498"))
    with pytest.raises(UnknownTitleError, match=r"a run with joined=mal_2020 has them$"):
        TitleSearch(of_mal).find("attack on titan")
    named = of_mal.with_columns(synonyms=pl.Series([["AoT"]]))
    with pytest.raises(UnknownTitleError, match=r"has a similar name$"):
        TitleSearch(named).find("qwertyuiop")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("!!!", "is no title"), ("x" * 401, "401 characters"), ("K-On\udcff", "not valid UTF-8")],
)
def test_what_cannot_be_a_name_is_an_error(search: TitleSearch, wanted: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        search.find(wanted)
