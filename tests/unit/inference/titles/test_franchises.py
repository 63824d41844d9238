import numpy as np
import polars as pl
import pytest

from anirec.inference.titles.franchises import add_franchises, franchises, stand_for_franchises

ITEMS = [
    # id, title, type, year
    (2167, "Clannad", "TV", 2007),
    (4181, "Clannad: After Story", "TV", 2008),
    (1723, "Clannad Movie", "Movie", 2007),
    (5680, "K-On!", "TV", 2009),
    (7791, "K-On!!", "TV", 2010),
    (756, "School Days ONA", "ONA", 2007),
    (2476, "School Days", "TV", 2007),
    (136, "Hunter x Hunter", "TV", 1999),
    (11061, "Hunter x Hunter (2011)", "TV", 2011),
    (223, "Dragon Ball", "TV", 1986),
    (813, "Dragon Ball Z", "TV", 1989),
    (19, "Monster", "TV", 2004),
    (30307, "Monster Musume", "TV", 2015),
    (9999, "Clannad Reunion", None, None),
]
TITLES = [title for _, title, _, _ in ITEMS]
TABLE = pl.DataFrame(ITEMS, schema=["item_id", "title", "type", "year"], orient="row")


def chosen(*seen: str, by_score: tuple[str, ...] = (), columns: tuple[str, ...] = ("type", "year")) -> set[str]:
    """Return the titles that stand for their franchises; `by_score` have the highest scores."""
    scores = np.array([title in by_score for title in TITLES], dtype=np.float32)
    is_candidate = np.array([title not in seen for title in TITLES])
    kept = stand_for_franchises(add_franchises(TABLE.select("item_id", "title", *columns)), is_candidate, scores)
    return {title for title, is_kept in zip(TITLES, kept, strict=True) if is_kept}


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("Clannad", "Clannad: After Story", "TV"),
        ("Clannad", "Clannad: Mou Hitotsu no Sekai, Tomoyo-hen", "Special"),
        ("Clannad: After Story", "Clannad: After Story - Mou Hitotsu no Sekai, Kyou-hen", "Special"),
        ("K-On!", "K-On!! 2nd Season", "TV"),
        ("Code Geass: Hangyaku no Lelouch", "Code Geass: Hangyaku no Lelouch R2", "TV"),
        ("Gintama", "Gintama'", "TV"),
        ("Gintama", "Gintama\N{DEGREE SIGN}", "TV"),
        ("Durarara!!", "Durarara!!x2 Shou", "TV"),
        ("Natsume Yuujinchou", "Natsume Yuujinchou San", "TV"),
        ("Natsume Yuujinchou", "Zoku Natsume Yuujinchou", "TV"),
        ("Shakugan no Shana", "Shakugan no Shana III (Final)", "TV"),
        ("Ghost in the Shell: Stand Alone Complex", "Ghost in the Shell: Stand Alone Complex 2nd GIG", "TV"),
        ("Steins;Gate", "Steins;Gate Movie: Fuka Ryouiki no Deja vu", "Movie"),
        ("Mobile Suit Gundam 00", "Mobile Suit Gundam 00 The Movie: A Wakening of the Trailblazer", "Movie"),
        ("Bleach", "Bleach Movie 4: Jigoku-hen", "Movie"),
        ("JoJo no Kimyou na Bouken (TV)", "JoJo no Kimyou na Bouken: Adventure", "OVA"),
        ("Suzumiya Haruhi no Yuuutsu", "Suzumiya Haruhi no Yuuutsu (2009)", "TV"),
    ],
)
def test_a_name_with_a_mark_continues_a_series(first: str, second: str, kind: str) -> None:
    assert franchises([second, first], [kind, "TV"]).tolist() in ([0, 0], [1, 1])


@pytest.mark.parametrize(
    ("first", "second", "types"),
    [
        ("Fullmetal Alchemist", "Fullmetal Alchemist: Brotherhood", ("TV", "TV")),
        ("Mobile Suit Gundam", "Mobile Suit Gundam Wing", ("TV", "TV")),
        ("Mobile Suit Gundam", "Mobile Suit Gundam 00", ("TV", "TV")),
        ("Mobile Suit Gundam", "Mobile Suit Gundam 0080: War in the Pocket", ("TV", "OVA")),
        ("JoJo no Kimyou na Bouken (TV)", "JoJo no Kimyou na Bouken: Stardust Crusaders", ("TV", "TV")),
        ("Fate/stay night", "Fate/stay night: Unlimited Blade Works", ("TV", "TV")),
        ("Ghost in the Shell", "Ghost in the Shell: Stand Alone Complex", ("Movie", "TV")),
        ("Ayakashi", "Ayakashi: Japanese Classic Horror", ("TV", "TV")),
        ("Persona: Trinity Soul", "Persona 4 the Animation", ("TV", "TV")),
        ("Final Fantasy VII: Advent Children", "Final Fantasy: The Spirits Within", ("Movie", "Movie")),
        ("Final Fantasy", "Final Fantasy VII: Advent Children", ("OVA", "Movie")),
        ("Final Fantasy", "Final Fantasy: The Spirits Within", ("OVA", "Movie")),
        ("Blood+", "Blood: The Last Vampire", ("TV", "Movie")),
        ("Macross", "Macross 7", ("TV", "TV")),
        ("Samurai", "Samurai 2", ("Movie", "TV")),
        ("Fate/Zero", "Fate/stay night", ("TV", "TV")),
        ("Monster", "Monster Musume", ("TV", "TV")),
        ("Air", "Air Gear", ("TV", "TV")),
        ("!!!", "???", ("TV", "TV")),
    ],
)
def test_titles_without_a_mark_are_franchises_of_their_own(first: str, second: str, types: tuple[str, str]) -> None:
    assert franchises([first, second], types).tolist() == [0, 1]


def test_numbered_films_are_a_franchise_that_begins_with_the_first() -> None:
    films = ["Evangelion: 2.0 You Can (Not) Advance", "Evangelion: 1.0 You Are (Not) Alone", "Kara no Kyoukai 7"]
    films += ["Kara no Kyoukai 1: Fukan Fuukei", "Evangelion: 3.0 You Can (Not) Redo"]
    assert franchises(films, ["Movie"] * 5).tolist() == [1, 1, 3, 3, 1]


def test_the_first_season_stands_for_a_franchise() -> None:
    best = ("Clannad: After Story", "Clannad Movie", "K-On!!", "School Days ONA")
    expected = {"Clannad", "K-On!", "School Days", "Dragon Ball", "Dragon Ball Z", "Monster", "Monster Musume"}
    assert expected <= chosen(by_score=(*best, "School Days"))
    assert not set(best) & chosen(by_score=best)


def test_the_next_season_stands_for_a_franchise_whose_first_was_seen() -> None:
    found = chosen("Clannad", "K-On!", by_score=("Clannad: After Story",))
    assert {"Clannad: After Story", "K-On!!"} <= found
    assert "Clannad Movie" not in found


def test_of_a_series_and_its_remake_the_better_stands() -> None:
    for title in ("Hunter x Hunter", "Hunter x Hunter (2011)"):
        assert {name for name in chosen(by_score=(title,)) if name.startswith("Hunter")} == {title}


def test_without_types_and_years_ids_give_the_order() -> None:
    found = chosen(by_score=("Clannad: After Story", "K-On!!"), columns=())
    assert {"Clannad", "K-On!"} <= found
    assert not {"Clannad: After Story", "K-On!!"} & found


def test_a_series_stands_before_an_older_ova_and_a_film_before_a_later_online_special() -> None:
    rows = [
        (665, "JoJo no Kimyou na Bouken: Adventure", "OVA"),
        (14719, "JoJo no Kimyou na Bouken (TV)", "TV"),
        (9253, "Steins;Gate", "TV"),
        (11577, "Steins;Gate Movie: Fuka Ryouiki no Deja vu", "Movie"),
        (27957, "Steins;Gate: Soumei Eichi no Cognitive Computing", "ONA"),
    ]
    items = pl.DataFrame(rows, schema=["item_id", "title", "type"], orient="row")
    is_candidate = items["title"].to_numpy() != "Steins;Gate"
    kept = stand_for_franchises(add_franchises(items), is_candidate, np.array([3, 2, 0, 2, 1], dtype=np.float32))
    assert kept.tolist() == [False, True, False, True, False]
