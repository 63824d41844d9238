"""Checks of what tables mean: each small dump that can be read but means something else, and what is said of it."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from anirec.data.prepare.cache import prepare
from anirec.data.prepare.checks import Subject
from anirec.data.sources.base import Source
from anirec.data.sources.mal_2016 import Mal2016
from anirec.data.sources.mal_2018 import ENTRIES, ITEMS, Mal2018
from anirec.data.sources.mal_2020 import Mal2020
from anirec.data.sources.mal_2023 import Mal2023
from anirec.data.sources.mal_characters import MalCharacters
from anirec.data.sources.mal_seasonal import MalSeasonal
from anirec.data.sources.posters import Posters
from anirec.data.sources.safebooru import Safebooru
from anirec.data.titles.catalogue import FIRST, prepare_all
from anirec.errors import UserError

ANIME = [
    "anime_id,name,genre,type,episodes,rating,members",
    "8,Paper Lantern,Comedy,TV,12,7.5,9",
    "9,Brass Band,Music,TV,1,8,9",
]
Dump = Callable[[Path], Source]


def write(folder: Path, **files: list[str]) -> str:
    folder.mkdir(exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join([*lines, ""]))
    return str(folder)


def ratings(*lines: str, anime: list[str] = ANIME) -> Dump:
    return lambda folder: Mal2016(folder=write(folder, rating=["user_id,anime_id,rating", *lines], anime=anime))


def lists(*entries: tuple[int, str]) -> Dump:
    """Return entries of one user and one title, with rating and time."""
    lines = [f"ann,1,1,,,{rating},2,,,{time}," for rating, time in entries]
    titles = [",".join(ITEMS.header), "1,Paper Lantern" + "," * (len(ITEMS.header) - 2)]
    return lambda folder: Mal2018(
        folder=write(folder, animelists_cleaned=[",".join(ENTRIES.header), *lines], AnimeList=titles)
    )


def posts(text: str) -> Dump:
    def dump(folder: Path) -> Source:
        folder.mkdir()
        (folder / "page.json").write_text(text)
        return Safebooru(folder=str(folder))

    return dump


def users(n: int, *ratings: str) -> list[str]:
    """Return lines of `n` users who give title 8 these ratings in turn."""
    return [f"{user},8,{ratings[user % len(ratings)]}" for user in range(n)]


STOPPING = {
    "100 points": (ratings("1,8,85", "1,9,6"), ["1 of 2 ratings (50.0%) are above 10", "1,8,85 in rating.csv, line 2"]),
    "half stars": (
        ratings("1,8,0.5", "1,9,4.5"),
        ["1 of 2 ratings (50.0%) are below 1", "1 of 1 ratings (100.0%) are between"],
    ),
    "fractions": (ratings("1,8,8/10", "1,9,-1"), ["none of the 1 ratings could be read"]),
    "no times": (lists((9, "x"), (3, "y")), ["none of the 2 times could be read"]),
    "five stars": (ratings(*users(100, "1", "3", "5")), ["all 100 ratings are 5 or lower", "1 to 10"]),
    "rejected": (
        ratings(*["1,8"] * 43, *users(6, "8")),
        ["43 of 49 list entries (87.8%) could not be read", "rejects.parquet"],
    ),
    "titles of another dump": (
        ratings(*(f"1,{title},8" for title in range(8, 60)), anime=ANIME[:2]),
        ["51 of 52 listed titles (98.1%) with 51 entries"],
    ),
    "tags that are no tags": (
        posts('[{"id": 1, "tags": "{\\"general\\": [\\"solo\\", \\"rain\\"]}"}]'),
        ["2 of 2 tags (100.0%)", '"rain"]}'],
    ),
}
WARNING = {
    "a title that is not listed": (ratings("1,8,8", "1,7,9"), "1 of 2 listed titles (50.0%) with 1 entries"),
    "ratings that disagree": (
        ratings("1,8,8", "2,8,5", "1,8,8", "1,8,9"),
        "2 of 2 repeated entries (100.0%) of a user and a title have another rating than the one that is kept, the l",
    ),
    "ratings that disagree, with times": (
        lists((9, "2015-01-01 00:00:00"), (3, "2010-01-01 00:00:00"), (9, "2009-01-01 00:00:00")),
        "1 of 2 repeated entries (50.0%) of a user and a title have another rating than the one that is kept, the new",
    ),
    "one rating of many off the scale": (ratings(*users(200, "8", "9"), "1,9,85"), "1 of 203 rows could not be read"),
    "one rating of many between the steps": (ratings(*users(200, "8", "9"), "1,9,8.5"), "1 of 201 ratings (0.5%)"),
}
FINE = {
    "whole numbers": ratings("1,8,8", "1,9,10.0", "2,9,-1"),
    "few low ratings": ratings(*users(99, "1", "5")),
    "many, not all of them low": ratings(*users(200, "1", "5", "6")),
    "repeated entries that agree": ratings("1,8,8", "1,8,8", "1,8,-1"),
    "odd, but real tags": posts('[{"id": 1, "tags": "solo :d ;) {} x,y \\\\o/ [] \\"the_world\\"_(pose)"}]'),
}


@pytest.mark.parametrize(("dump", "words"), STOPPING.values(), ids=STOPPING)
def test_data_that_mean_something_else_stop(
    tmp_path: Path, dump: Dump, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    source = dump(tmp_path / "dump")
    with pytest.raises(UserError) as error:
        prepare(source, tmp_path, checks="stop")
    for some in (*words, "dataset.checks=warn"):
        assert some in str(error.value)
    with caplog.at_level(logging.WARNING):
        prepare(source, tmp_path, checks="warn")
    assert all(some in caplog.text for some in words)


def test_a_rating_that_is_no_number_is_not_above_the_scale(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rating is not a number from 1 to 10 or -1: 1,8,NaN"):
        prepare(ratings("1,8,NaN")(tmp_path / "dump"), tmp_path)


@pytest.mark.parametrize(("dump", "words"), WARNING.values(), ids=WARNING)
def test_what_needs_a_look_is_a_warning(
    tmp_path: Path, dump: Dump, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        prepare(dump(tmp_path / "dump"), tmp_path, checks="stop")
    assert words in caplog.text


@pytest.mark.parametrize("dump", FINE.values(), ids=FINE)
def test_data_without_flaws_cause_no_message(tmp_path: Path, dump: Dump, caplog: pytest.LogCaptureFixture) -> None:
    prepare(dump(tmp_path / "dump"), tmp_path, checks="stop")
    assert not caplog.messages


def test_known_flaws_of_a_dump_do_not_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mal2016, "known_flaws", frozenset({"not 3 fields"}))
    prepare(ratings(*["1,8"] * 43, *users(6, "8"))(tmp_path / "dump"), tmp_path, checks="stop")


def test_tables_of_an_older_version_are_measured_when_they_are_used(tmp_path: Path) -> None:
    source = ratings("1,8,0.5", "1,9,4.5", "1,7,4.5")(tmp_path / "dump")
    made = prepare(source, tmp_path)
    measured = made.report["measured"]
    assert measured["ratings"] == {"lowest": 4.5, "highest": 4.5, "off_step": 2}
    assert measured["unlisted"] == {"titles": 2, "entries": 1}
    older = made.report
    del older["measured"], older["disagreeing_duplicates"]
    (made.folder / "report.json").write_text(pl.Series([older]).struct.json_encode()[0])
    assert Subject(source, made.folder).measured == measured
    with pytest.raises(UserError, match="anirec data clean mal_2016"):
        prepare(source, tmp_path, checks="stop")


def titles(names: dict[int, str]) -> list[str]:
    return [ANIME[0], *(f"{number},{name},,,,," for number, name in names.items())]


MANY = {number: f"Tale {number}" for number in range(20, 40)}
RENUMBERED = {number + 1: name for number, name in MANY.items()}
SPELLED = {number: f"TALE: {number}!" for number in MANY}


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (MANY, ""),
        (SPELLED, ""),
        ({90: "Another"}, "no title of the dataset"),
        (RENUMBERED, "0 of 19 titles (0.0%) with an id of the dataset have its name, too: title 21 is Tale 21"),
        ({20: "Another"}, "0 of 1 titles"),
        ({**MANY, **dict.fromkeys(range(20, 25), "Other")}, "15 of 20 titles (75.0%)"),
    ],
    ids=["same", "other spelling", "no id in common", "renumbered", "one, renamed", "a quarter renamed"],
)
def test_joined_titles_have_the_same_names(
    tmp_path: Path, others: dict[int, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = {
        name: ratings(f"1,{min(names)},8", anime=titles(names))(tmp_path / name)
        for name, names in {FIRST: {8: "Paper Lantern", **MANY}, "metadata": others}.items()
    }
    if others is RENUMBERED:
        with pytest.raises(UserError, match=r"joined\.metadata=null") as error:
            prepare_all(made, tmp_path, checks="stop")
        assert words in str(error.value)
        caplog.clear()
    prepare_all(made, tmp_path, checks="warn" if others is RENUMBERED else "stop")
    assert [words in message for message in caplog.messages] == [True] * bool(words)


def characters(folder: Path, genres: dict[int, str]) -> Source:
    rows = [f"{number},{genre}" for number, genre in genres.items()]
    links = ["anime_id,character_id,role", *(f"{number},7,Main" for number in genres)]
    return MalCharacters(folder=write(folder, anime_characters=links, anime_genres=["anime_id,genre", *rows]))


@pytest.mark.parametrize(("n_other", "stops"), [(3, False), (12, True)])
def test_joined_titles_without_names_are_compared_by_genres(tmp_path: Path, n_other: int, stops: bool) -> None:
    lines = [f"{number},{name},Comedy,,,," for number, name in MANY.items()]
    genres = {number: "Horror" if number < 20 + n_other else "Comedy" for number in MANY}
    sources = {
        FIRST: ratings("1,20,8", anime=[ANIME[0], *lines])(tmp_path / "dump"),
        "characters": characters(tmp_path / "characters", genres),
    }
    if not stops:
        prepare_all(sources, tmp_path, checks="stop")
        return
    words = r"8 of 20 titles \(40.0%\).*a genre in common with it: title 20 is Comedy in the dataset and Horror here"
    with pytest.raises(UserError, match=words):
        prepare_all(sources, tmp_path, checks="stop")


REAL: dict[str, Callable[[Path], Source]] = {
    "mal-2016": lambda folder: Mal2016(folder=str(folder)),
    "mal-2018": lambda folder: Mal2018(folder=str(folder)),
    "mal-2020": lambda folder: Mal2020(folder=str(folder), ratings=None),
    "mal-2023": lambda folder: Mal2023(folder=str(folder), ratings=None),
    "mal-seasonal": lambda folder: MalSeasonal(folder=str(folder)),
    "mal-characters": lambda folder: MalCharacters(folder=str(folder)),
    "posters": lambda folder: Posters(folder=str(folder)),
    "safebooru": lambda folder: Safebooru(folder=str(folder)),
}


@pytest.mark.real_data
def test_the_real_dumps_pass_alone_and_joined(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    sources = {name: make(Path(os.environ["ANIREC_DATA"]) / name) for name, make in REAL.items()}
    for first in ("mal-2016", "mal-2018", "mal-2020", "mal-2023", "mal-seasonal"):
        others = {name: source for name, source in sources.items() if name not in (first, "safebooru")}
        prepare_all({FIRST: sources[first], **others}, cache, checks="stop")
    prepare(sources["safebooru"], cache, checks="stop")
    assert not caplog.messages


@pytest.mark.real_data
def test_real_titles_with_the_ids_of_others_stop(tmp_path: Path, cache: Path) -> None:
    data = Path(os.environ["ANIREC_DATA"])
    table = pl.read_csv(data / "mal-2018" / "AnimeList.csv", infer_schema=False)
    renumbered = table.with_columns(pl.col("anime_id").sort_by(pl.col("title")))
    (tmp_path / "other").mkdir()
    renumbered.write_csv(tmp_path / "other" / "AnimeList.csv")
    shutil.copy(data / "mal-2018" / "animelists_cleaned.sample.csv", tmp_path / "other")
    sources = {FIRST: Mal2016(folder=str(data / "mal-2016")), "metadata": Mal2018(folder=str(tmp_path / "other"))}
    with pytest.raises(UserError, match=r"of 12,\d+ titles \(0\.\d%\) with an id of the dataset have its name"):
        prepare_all(sources, cache, checks="stop")
