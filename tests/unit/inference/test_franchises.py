import numpy as np
import polars as pl
import pytest

from anirec.inference.franchises import franchises, stand_for_franchises

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
    kept = stand_for_franchises(TABLE.select("item_id", "title", *columns), is_candidate, scores)
    return {title for title, is_kept in zip(TITLES, kept, strict=True) if is_kept}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Clannad", "Clannad: After Story", True),
        ("K-On!", "K-On!! 2nd Season", True),
        ("Code Geass: Hangyaku no Lelouch", "Code Geass: Hangyaku no Lelouch R2", True),
        ("Dragon Ball", "Dragon Ball Kai", True),
        ("Durarara!!", "Durarara!!x2 Shou", True),
        ("Natsume Yuujinchou", "Natsume Yuujinchou San", True),
        ("Steins;Gate", "Steins;Gate Movie: Fuka Ryouiki no Deja vu", True),
        ("Fate/Zero", "Fate/Zero 2nd Season", True),
        ("Fate/Zero", "Fate/stay night", False),
        ("Monster", "Monster Musume", False),
        ("Air", "Air Gear", False),
        ("!!!", "???", False),
    ],
)
def test_titles_with_the_same_name_are_a_franchise(first: str, second: str, same: bool) -> None:
    one, other = franchises([first, second])
    assert (one == other) == same


def test_the_first_season_stands_for_a_franchise() -> None:
    best = ("Clannad: After Story", "K-On!!", "Dragon Ball Z")
    expected = {"Clannad", "K-On!", "School Days", "Dragon Ball", "Monster", "Monster Musume"}
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
