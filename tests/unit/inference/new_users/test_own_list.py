"""A person's list, matched to the titles of a run by ids or by names."""

from collections.abc import Sequence
from math import isnan

import polars as pl

from anirec.data.scale import Scale
from anirec.inference.new_users.own_list import OwnList, read_own_list
from anirec.inference.titles.title_search import TitleSearch

TITLES = ["Lamp Post!", "Brass Band", "Quiet Hours", "Tin Orchestra III", "Moon Garden", "Paper Lantern Maid"]
IDS = [11, 12, 13, 14, 15, 16]


def search_of(url: str | None) -> TitleSearch:
    items = pl.DataFrame({"item_id": IDS, "title": TITLES, "n_ratings": [9] * 6})
    return TitleSearch(items if url is None else items.with_columns(url=pl.format(f"{url}{{}}", "item_id")))


MAL, OWN = search_of("https://myanimelist.net/anime/"), search_of(None)


def listed(rows: Sequence[tuple[int, str, int, str]]) -> bytes:
    anime = [
        f"<anime><series_animedb_id>{item}</series_animedb_id><series_title><![CDATA[{title}]]></series_title>"
        f"<my_score>{score}</my_score><my_status>{status}</my_status></anime>"
        for item, title, score, status in rows
    ]
    return f"<myanimelist>{''.join(anime)}</myanimelist>".encode()


ROWS = [
    (11, "Lamp Post!", 9, "Completed"),
    (12, "Brass Band (renamed)", 0, "Watching"),
    (13, "Quiet Hours", 3, "Dropped"),
    (14, "Tin Orchestra 3", 0, "Plan to Watch"),
    (15, "Moon Garden", 8, "Plan to Watch"),
    (99, "Paper Lantern Maid", 9, "Completed"),  # another title of that name
]


def reasons(own: OwnList) -> list[tuple[int, str]]:
    return [(entry.row, entry.reason) for entry in own.unused]


def test_statuses_are_kept_apart() -> None:
    own = read_own_list(listed(ROWS), MAL)
    assert own.seen.keys() == {0, 1, 4}, "a title with a rating was seen"
    assert (own.seen[0], own.seen[4]) == (9, 8)
    assert isnan(own.seen[1])
    assert own.dropped == {2: 3}
    assert own.planned == [3]
    assert own.summary() == (
        "MyAnimeList, 6 entries: 1 watching, 1 completed, 1 dropped, 2 plan to watch, 1 not used; 3 rated"
    )


def test_ids_are_used_if_the_run_has_those_of_the_site() -> None:
    assert reasons(read_own_list(listed(ROWS), MAL)) == [(6, "not in the data of this run")]
    by_name = read_own_list(listed(ROWS), OWN)
    assert by_name.seen.keys() == {0, 4, 5}
    assert reasons(by_name) == [(2, "not sure: similar to Brass Band")]


def test_ids_of_another_catalogue_are_not_used() -> None:
    renumbered = [(IDS[(n + 1) % 6], title, 9, "Completed") for n, title in enumerate(TITLES)]
    own = read_own_list(listed(renumbered), MAL)
    assert list(own.seen) == [0, 1, 2, 3, 4, 5]
    (note,) = own.notes
    assert "of 6 that this run has, 0 have the same title" in note


def test_an_id_that_is_that_of_another_title_is_not_used() -> None:
    one_wrong = [(IDS[1] if n == 0 else IDS[n], title, 9, "Completed") for n, title in enumerate(TITLES) if n != 1]
    own = read_own_list(listed(one_wrong), MAL)
    assert list(own.seen) == [2, 3, 4, 5]
    assert reasons(own) == [(1, "its id is that of another title")]
    single = read_own_list(listed([(IDS[1], TITLES[0], 9, "Completed")]), MAL)
    assert list(single.seen) == [0]
    assert "of 1 that this run has, 0 have the same title" in single.notes[0]


def test_any_of_several_names_is_enough_and_ids_of_a_table_are_those_of_the_data() -> None:
    own = read_own_list(b"anime_id,title,score\n16,,10\n,Quiet Hours,7\n17,Brass Band,8\n", OWN)
    assert own.seen == {5: 10, 2: 7}
    assert reasons(own) == [(4, "not in the data of this run")]
    english = read_own_list(b"title,english title,score\nBuriki no Gakudan,Tin Orchestra 3rd Season,9", OWN)
    assert english.seen == {3: 9}


def test_what_is_not_sure_is_asked() -> None:
    def choose(wanted: str, candidates: Sequence[int]) -> int | None:
        return candidates[0] if wanted == "Brass Bands" else None

    content = b"title,score\nBrass Bands,9\nMoon Garden II,8\nbrass band,7"
    own = read_own_list(content, OWN, choose=choose)
    assert own.seen == {1: 7}, "the last entry of a title counts"
    assert reasons(own) == [(2, "the same title as entry 4"), (3, "none of the candidates chosen")]


def test_scores_are_converted_to_the_scale_of_the_run() -> None:
    own = read_own_list(listed(ROWS), MAL, scale=Scale(0.5, 5))
    assert (own.seen[0], own.dropped[2]) == (4.5, 1.5)
    of_five = read_own_list(b"title,score\nBrass Band,4.5", OWN, list_scale=Scale(0.5, 5))
    assert of_five.seen == {1: 9}
