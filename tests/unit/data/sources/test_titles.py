"""The sources of titles, characters and pictures, on small dumps with all known defects and on the real dumps."""

import json
import logging
import os
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from anirec.data.prepare.cache import Prepared, prepare
from anirec.data.ratings.datamodule import RatingData
from anirec.data.readers.json_objects import scan_json
from anirec.data.sources.animepop import AnimePop
from anirec.data.sources.base import Source
from anirec.data.sources.mal_2020 import ITEMS, Mal2020
from anirec.data.sources.mal_2022 import ITEMS as ITEMS_2022
from anirec.data.sources.mal_2022 import Mal2022
from anirec.data.sources.mal_2023 import Mal2023
from anirec.data.sources.mal_characters import FILLER, MalCharacters
from anirec.data.sources.mal_seasonal import MalSeasonal
from anirec.data.sources.posters import Posters
from anirec.data.splits.rows import Random
from anirec.errors import UserError


def write(folder: Path, **files: list[str]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return str(folder)


def table(path: Path | None) -> pl.DataFrame:
    assert path is not None
    return pl.read_parquet(path)


LINKS = [
    "anime_id,character_id,role",
    "28977,7,Main",
    "28977,9,Unknown",
    "28977,10,Supporting",
    "28977,9,Unknown",
    "28977,10,Main",
    '28977,11,"Director, Original Creator"',
    "28977,10,Supporting",
    "5,9,Main",
    "six,7,Main",
    "5",
]


def test_mal_characters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(
        tmp_path,
        anime_characters=LINKS,
        anime_genres=[
            "anime_id,genre",
            "28977,Action Action",
            "28977,Theme::Gag Humor Gag Humor",
            "5,Sci-Fi Sci-Fi",
            "5,Boys Love Boys Love",
            "5,Action Action",
            "5,Unknown",
        ],
    )
    with caplog.at_level(logging.WARNING):
        prepared = prepare(MalCharacters(folder=folder), tmp_path)
    assert table(prepared.appearances).rows() == [
        (28977, 7, "Main"),
        (28977, 10, "Main"),
        (28977, 11, None),
        (5, 9, "Main"),
    ]
    assert dict(table(prepared.items).rows()) == {
        28977: ["Action", "Gag Humor"],
        5: ["Sci-Fi", "Boys Love", "Action"],
    }
    assert prepared.interactions is None
    assert prepared.characters is None
    assert prepared.report["rejects"] == {
        f"anime_characters.csv: {FILLER}": 2,
        "anime_characters.csv: anime_id is not a whole number": 1,
        "anime_characters.csv: not 3 fields": 1,
    }
    counts = {name: prepared.report[name] for name in prepared.report if "appearances" in name}
    assert counts == {
        "appearances_read": 10,
        "appearances_rejected": 4,
        "duplicate_appearances_removed": 2,
        "appearances_kept": 4,
    }
    assert "2 of" in caplog.text  # known flaws of the published file are not counted in the warning


def test_mal_characters_without_genres_have_no_items(tmp_path: Path) -> None:
    prepared = prepare(MalCharacters(folder=write(tmp_path, anime_characters=LINKS)), tmp_path)
    assert prepared.items is None
    assert len(table(prepared.appearances)) == 4


def test_posters_outside_the_folder_are_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "posters"
    write(
        folder,
        posters_index=[
            "mal_id,file,width,height,bytes",
            "1,images/1.jpg,2,2,9",
            "2,../secret.jpg,2,2,9",
            f"3,{tmp_path}/secret.jpg,2,2,9",
            "4,images/link.jpg,2,2,9",
            "5,images/gone.jpg,2,2,9",
            "6,images/../images/1.jpg,2,2,9",
        ],
    )
    (folder / "images").mkdir()
    for path in (tmp_path / "secret.jpg", folder / "images/1.jpg"):
        Image.new("RGB", (2, 2)).save(path)
    (folder / "images/link.jpg").symlink_to(tmp_path / "secret.jpg")
    source = Posters(folder=str(folder))
    prepared = prepare(source, tmp_path)
    assert table(prepared.items).rows() == [(1, "images/1.jpg"), (5, None), (6, "images/../images/1.jpg")]
    assert prepared.report["rejects"] == {"posters_index.csv: picture is not a path inside the folder": 3}
    assert prepared.report["unreadable_cells"] == {"posters_index.csv: poster": 1}
    assert (source.pictures(prepared.pictures) / "images/1.jpg").is_file()


def test_a_poster_that_is_added_later_is_found(tmp_path: Path) -> None:
    folder = write(tmp_path / "posters", posters_index=["mal_id,file", "1,1.png"])
    first = prepare(Posters(folder=folder), tmp_path)
    Image.new("RGB", (2, 2)).save(f"{folder}/1.png")
    second = prepare(Posters(folder=folder), tmp_path)
    assert table(first.items)["poster"].to_list() == [None]
    assert table(second.items)["poster"].to_list() == ["1.png"]


DEATH_NOTE: dict[str, Any] = {
    "mal_id": 1535,
    "title": "Death Note",
    "title_english": None,
    "title_synonyms": ["DN", "DN"],
    "synopsis": 'He said:\n\n"Light."',
    "episodes": 37,
    "score": 8,
    "scored_by": 2950404,
    "rank": 97,
    "type": "TV",
    "duration": "23 min per ep",
    "rating": "R - 17+ (violence & profanity)",
    "producers": ["VAP", "NIS America, Inc."],
    "genres": ["Suspense"],
    "themes": ["Psychological"],
    "demographics": [],
    "aired_from": "2006-10-04T00:00:00+00:00",
}
UNRELEASED = {"mal_id": 2, "title": "Soon", "score": None, "synopsis": None, "episodes": None, "duration": "Unknown"}


def write_seasons(folder: Path, text: str) -> Prepared:
    folder.mkdir(exist_ok=True)
    (folder / "all_seasons.jsonl").write_text(text, encoding="utf-8")
    return prepare(MalSeasonal(folder=str(folder)), folder)


def test_mal_seasonal(tmp_path: Path) -> None:
    lines = [json.dumps(DEATH_NOTE), json.dumps(UNRELEASED), json.dumps(DEATH_NOTE | {"score": 1})]
    prepared = write_seasons(tmp_path, "\n".join([*lines, '{"mal_id": null}', "[1]", '{"mal_id": 9, "ti']))
    first, second = table(prepared.items).to_dicts()
    assert (first["title"], first["score"], first["episodes"]) == ("Death Note", 8.0, 37)
    assert first["synopsis"] == 'He said:\n\n"Light."'
    assert first["genres"] == ["Suspense", "Psychological"]
    assert (first["producers"], first["synonyms"]) == (["VAP", "NIS America, Inc."], ["DN"])
    assert (first["aired_from"], first["duration"], first["title_english"]) == (date(2006, 10, 4), 23.0, None)
    assert (second["title"], second["score"], second["synopsis"]) == ("Soon", None, None)
    assert (second["episodes"], second["duration"], second["genres"]) == (None, None, [])
    assert prepared.report["duplicate_items_removed"] == 1
    assert pl.read_parquet(prepared.rejects).select("line", "reason").rows() == [
        (4, "mal_id is not a whole number"),
        (5, "not a JSON object"),
        (6, "not JSON"),
    ]


@pytest.mark.parametrize("seasons", ["", "\n\n", "PK\x03\x04..", '{"post": 1}'])
def test_a_file_without_titles_is_an_error(tmp_path: Path, seasons: str) -> None:
    with pytest.raises(UserError, match=r"all_seasons\.jsonl"):
        write_seasons(tmp_path, seasons)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('{"id": 1, "name": "a\nb"}\n{"id": 2}', [(1, None, "1", "a\nb"), (3, None, "2", "")]),
        ('{"id": 1, "name": "open\n{"id": 2}', [(1, "not JSON", "", ""), (2, None, "2", "")]),
        ('[{"id": 1},\n {"id": 2}]', [(1, None, "1", ""), (2, None, "2", "")]),
        ('\ufeff{"id": 1.5,\r\n "name": "two\u2028lines"}\r\n', [(1, None, "1.5", "two\u2028lines")]),
        (f'{{"id": {"9" * 5000}}}\n{{"id": 2}}', [(1, "not JSON", "", ""), (2, None, "2", "")]),
        (f'{"[" * 100_000}\n{{"id": 2}}', [(2, None, "2", "")]),
        ('{"data": [{"id": 1}]}\n{"data": []}\n{"data":[{"id": 2}]}', [(1, None, "1", ""), (3, None, "2", "")]),
        ('{"pagination": {"items": {"id": 9}}, "data": [{"id": 1}], "links": {"id": 8}}', [(1, None, "1", "")]),
        (
            '{"id": 1}\n"name": "lost"}\n{"id": 2}',
            [(1, None, "1", ""), (2, "not a JSON object", "", ""), (2, "not JSON", "", ""), (3, None, "2", "")],
        ),
    ],
    ids=[
        *("line break in a string", "open string", "array", "BOM, CRLF, over two lines", "huge number", "too deep"),
        *("pages", "page with pagination", "lost beginning"),
    ],
)
def test_json_objects(tmp_path: Path, text: str, rows: list[tuple]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text, encoding="utf-8", newline="")
    assert scan_json([path], ("id", "name")).collect().select("line", "reason", "id", "name").rows() == rows


def test_mal_2022(tmp_path: Path) -> None:
    known = {
        "id": "1",
        "title": "Cowboy Bebop",
        "synonyms": "Unknown",
        "japanese": "カウボーイビバップ",
        "english": "Cowboy Bebop",
        "synopsis": 'Crime is timeless.\nBy 2071, ""they"" live.',
        "type": "TV",
        "episodes": "26.0",
        "start_aired": "Apr 3, 1998",
        "genres": "Action, Award Winning",
        "themes": "Adult Cast, Space",
        "demographics": "Unknown",
        "duration_minutes": "24.0",
        "rating": "R - 17+ (violence & profanity)",
        "score": "8.75",
        "scored_users": "846998.0",
        "ranked": "282.0",
        "popularity": "43",
    }
    lacking = dict.fromkeys(ITEMS_2022.header, "Unknown") | {"id": "7", "title": "Unknown"}
    lacking |= dict.fromkeys(("episodes", "score", "scored_users", "ranked", "duration_minutes"), "") | {"members": "5"}
    header = (
        "ID,Title,Synonyms,Japanese,English,Synopsis,Type,Episodes,Status,Start_Aired,End_Aired,Premiered,Broadcast,"
    )
    header += (
        "Producers,Licensors,Studios,Source,Genres,Themes,Demographics,Duration_Minutes,Rating,Score,Scored_Users,"
    )
    header += "Ranked,Popularity,Members,Favorites"
    lines = [",".join(f'"{row.get(name, "")}"' for name in ITEMS_2022.header) for row in (known, lacking)]
    prepared = prepare(Mal2022(folder=write(tmp_path, Anime=[header, *lines])), tmp_path)
    item, other = table(prepared.items).to_dicts()
    assert item["genres"] == ["Action", "Award Winning", "Adult Cast", "Space"]
    assert (item["synonyms"], item["episodes"], item["duration"], item["scored_by"]) == ([], 26, 24.0, 846_998)
    assert (item["aired_from"], item["score"], item["age_rating"]) == (date(1998, 4, 3), 8.75, known["rating"])
    assert item["synopsis"] == 'Crime is timeless.\nBy 2071, "they" live.'
    assert "rank" not in item, "its last digit is the mark of a footnote"
    assert (other["title"], other["synopsis"], other["genres"], other["score"]) == ("Unknown", None, [], None)
    assert prepared.report["unreadable_cells"] == {}


def write_animepop(folder: Path, *, ids: bool = True) -> str:
    def titles(part: str, rows: list[tuple[int, str, str, str, str]]) -> list[str]:
        header = ["", *(["MAL ID"] if ids else []), "Title", "Score", "Synopsis", "Main Characters", "Rank"]
        lines = [[str(n), *([str(row[0])] if ids else []), *row[1:], "7"] for n, row in enumerate(rows)]
        return [",".join(f'"{cell}"' for cell in line) for line in [header, *lines]]

    write(
        folder,
        Anime_train=titles(
            "train",
            [
                (1, "Cowboy Bebop", "8.75", 'In 2071,\n""they"" live.', "[3, 1]"),
                (7, "Trap", "7.1", "A trap.", "[__import__('os').system('true')]"),
                (8, "Nobody", "N/A", "Empty.", "[]"),
            ],
        ),
        Anime_test=titles("test", [(20, "Naruto", "7.99", "A ninja.", "['17']")]),
        Char_train=["MAL ID,Name,Description", '1,Spike,"A hunter.', 'Of bounties."', "3,Jet,No biography written."],
        Char_test=["MAL ID,Name,Description", "17,Naruto,A ninja (Source: wiki)"],
    )
    for name in ("char train/1.png", "char test/17.png", "char test/3.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (2, 2)).save(folder / name)
    return str(folder)


def test_animepop(tmp_path: Path) -> None:
    source = AnimePop(folder=write_animepop(tmp_path / "animepop"))
    prepared = prepare(source, tmp_path)
    items = table(prepared.items).select("item_id", "title", "score", "synopsis", "published_part").rows()
    assert items == [
        (1, "Cowboy Bebop", 8.75, 'In 2071,\n"they" live.', "train"),
        (7, "Trap", pytest.approx(7.1), "A trap.", "train"),
        (8, "Nobody", None, "Empty.", "train"),
        (20, "Naruto", pytest.approx(7.99), "A ninja.", "test"),
    ]
    assert table(prepared.appearances).rows() == [(1, 3, "Main"), (1, 1, "Main"), (20, 17, "Main")]
    assert table(prepared.characters).rows() == [
        (1, "Spike", "A hunter.\nOf bounties.", "char train/1.png"),
        (3, "Jet", None, None),
        (17, "Naruto", "A ninja (Source: wiki)", "char test/17.png"),
    ]
    assert prepared.report["rejects"] == {"Anime_train.csv: main characters is not a list of whole numbers": 1}
    assert (source.pictures(prepared.pictures) / "char test/17.png").is_file()


def test_animepop_titles_without_ids_are_numbered(tmp_path: Path) -> None:
    prepared = prepare(AnimePop(folder=write_animepop(tmp_path / "animepop", ids=False)), tmp_path)
    items, links = table(prepared.items), table(prepared.appearances)
    assert items["item_id"].n_unique() == 4
    assert items.join(links, on="item_id").select("title", "character_id").rows() == [
        ("Cowboy Bebop", 3),
        ("Cowboy Bebop", 1),
        ("Naruto", 17),
    ]


def test_animepop_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        AnimePop(folder=str(tmp_path)).files()
    for words in ("Anime_train.csv", "Char_test.csv", "zenodo.org/records/13835115"):
        assert words in str(error.value)


def only_titles(folder: Path, year: int) -> Source:
    """Return the source of a dump of which only the file of titles exists."""
    if year == 2023:
        write(
            folder, **{"anime-dataset-2023": ["anime_id,Name,Score,Genres,Episodes", "1,Cowboy Bebop,8.75,Action,26"]}
        )
        return Mal2023(folder=str(folder), ratings=None)
    cells = {"mal_id": "1", "name": "Cowboy Bebop", "score": "8.78"}
    anime = ",".join(cells.get(name, "Unknown") for name in ITEMS.header)
    synopsis = ["MAL_ID,Name,Score,Genres,sypnopsis", "1,Cowboy Bebop,8.78,Action,Space."]
    write(folder, anime=[",".join(ITEMS.header), anime], anime_with_synopsis=synopsis)
    return Mal2020(folder=str(folder), ratings=None)


@pytest.mark.parametrize("year", [2020, 2023])
def test_a_dump_without_ratings_can_be_prepared_but_not_used_as_ratings(tmp_path: Path, year: int) -> None:
    source = only_titles(tmp_path, year)
    prepared = prepare(source, tmp_path)
    assert prepared.interactions is None
    assert table(prepared.items)["title"].to_list() == ["Cowboy Bebop"]
    assert "rows_read" not in prepared.report
    data = RatingData(
        source=source,
        joined=None,
        min_user_ratings=1,
        min_item_ratings=1,
        statuses=None,
        unrated="drop",
        split=Random(test=0.2, val=0, seed=0),
        cache=str(tmp_path),
    )
    with pytest.raises(UserError, match=r"animelist\.csv" if year == 2020 else r"users-score-2023\.csv"):
        data.setup("fit")


def test_a_source_without_ratings_has_a_message_that_says_so(tmp_path: Path) -> None:
    write_seasons(tmp_path, json.dumps(DEATH_NOTE))
    assert "no ratings by users" in MalSeasonal(folder=str(tmp_path)).no_ratings_message()


REAL = [
    (MalCharacters, "mal-characters", {"appearances_read": 149_536, "appearances_kept": 79_654}, 69_846),
    (MalSeasonal, "mal-seasonal", {"items_read": 3_951, "items_kept": 3_951}, 0),
    (Posters, "posters", {"items_read": 403, "items_kept": 403}, 0),
]


@pytest.mark.real_data
@pytest.mark.parametrize(("source", "folder", "counts", "n_rejected"), REAL, ids=[row[1] for row in REAL])
def test_the_real_dumps(source: type, folder: str, counts: dict[str, int], n_rejected: int, cache: Path) -> None:
    report = prepare(source(folder=f"{os.environ['ANIREC_DATA']}/{folder}"), cache).report
    assert {name: report[name] for name in counts} == counts
    assert sum(report["rejects"].values()) == n_rejected
    assert report["unreadable_cells"] == {}


@pytest.mark.real_data
def test_the_real_dumps_join(cache: Path) -> None:
    data = os.environ["ANIREC_DATA"]
    links = table(prepare(MalCharacters(folder=f"{data}/mal-characters"), cache).appearances)
    links = links.filter(pl.col("role") == "Main")
    seasonal = table(prepare(MalSeasonal(folder=f"{data}/mal-seasonal"), cache).items)
    titles = table(prepare(Mal2020(folder=f"{data}/mal-2020", ratings=None), cache).items)
    posters = table(prepare(Posters(folder=f"{data}/posters"), cache).items)
    assert seasonal["score"].null_count() == 336
    # README counts those of anime.csv; one more title comes with the sample's ratings.
    assert len(titles.join(links, on="item_id", how="semi")) == 7_634
    assert len(titles.join(posters, on="item_id", how="semi")) == 229
    assert len(seasonal.join(posters, on="item_id", how="semi")) == 289
