"""The sources of ratings, on small dumps with all known defects and on the real dumps."""

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from anirec.data.prepare.cache import Prepared, prepare
from anirec.data.sources.base import Source
from anirec.data.sources.mal_2016 import ITEMS as ITEMS_2016
from anirec.data.sources.mal_2016 import Mal2016
from anirec.data.sources.mal_2018 import ENTRIES, Mal2018
from anirec.data.sources.mal_2018 import ITEMS as ITEMS_2018
from anirec.data.sources.mal_2020 import ITEMS as ITEMS_2020
from anirec.data.sources.mal_2020 import VOTES, Mal2020
from anirec.data.sources.mal_2023 import ITEMS as ITEMS_2023
from anirec.data.sources.mal_2023 import LISTS, Mal2023
from anirec.data.sources.malsugoi import Malsugoi
from anirec.errors import UserError


def line(columns: tuple[str, ...], **cells: str) -> str:
    """Return a CSV line of a wide table; cells not given are empty."""
    by_name = {name.replace("_", " "): text for name, text in cells.items()} | cells
    return ",".join(f'"{text}"' if (text := by_name.get(name, "")) else "" for name in columns)


def write(folder: Path, **files: list[str]) -> str:
    for name, lines in files.items():
        (folder / f"{name.replace('__', '-')}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return str(folder)


def tables(source: Source, cache: Path) -> tuple[pl.DataFrame, dict[Any, dict[str, Any]], Prepared]:
    """Return the interactions, the items by id, and the prepared tables."""
    prepared = prepare(source, cache)
    items = pl.read_parquet(prepared.items)
    return pl.read_parquet(prepared.interactions), {item["item_id"]: item for item in items.to_dicts()}, prepared


def test_mal_2016(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        rating=["1,20,-1", "1,24,8", "2,20,10.0", "2,24,0"],
        anime=[
            "anime_id,name,genre,type,episodes,rating,members",
            '20,Gintama&#039;,"Action, Sci-Fi",TV,Unknown,9.16,151266',
            "24,663114,,,1,,5",
            "25,Cut",
        ],
    )
    rows, items, prepared = tables(Mal2016(folder=folder), tmp_path)
    assert rows.rows() == [(1, 20, None), (1, 24, 8.0), (2, 20, 10.0)]
    assert (items[20]["title"], items[20]["episodes"], items[20]["genres"]) == ("Gintama'", None, ["Action", "Sci-Fi"])
    assert (items[24]["title"], items[24]["type"], items[24]["score"], items[24]["genres"]) == (
        "663114",
        None,
        None,
        [],
    )
    rejects = pl.read_parquet(prepared.rejects).select("file", "line").rows()
    assert rejects == [("rating.csv", 4), ("anime.csv", 4)]


def test_mal_2018(tmp_path: Path) -> None:
    entry = {"username": "null", "my_status": "2", "my_last_updated": "1970-01-01 00:00:00"}
    folder = write(
        tmp_path,
        animelists_cleaned=[
            ",".join(ENTRIES.header),
            line(ENTRIES.header, **entry, anime_id="11013", my_score="0"),
            line(ENTRIES.header, **(entry | {"my_status": "33"}), anime_id="6", my_score="7"),
            "ann,6,26,0000-00-00,0000-00-00,9,1,,0,2013-03-03 10:52:53,a tag\\, with quotes".replace("\\,", ";"),
            'bob,6,26,0000-00-00,0000-00-00,8,6,,0,2013-03-03 10:52:53,"a tag',
            'with a line break"',
            ",6,26,0000-00-00,0000-00-00,8,6,,0,2013-03-03 10:52:53,",
        ],
        AnimeList=[
            ",".join(ITEMS_2018.header),
            line(
                ITEMS_2018.header,
                anime_id="11013",
                title="Inu x Boku SS",
                title_synonyms="Youko x Boku SS",
                type="TV",
                source="Unknown",
                episodes="0",
                aired_string="May, 2018 to ?",
                aired="{'from': '2018-05-11', 'to': None}",
                duration="24 min. per ep.",
                rating="PG-13 - Teens 13 or older",
                score="0",
                scored_by="0",
                rank="0",
                related="{'Sequel': [{'title': 'It''s &quot;on&quot;'}]}",
                producer="Aniplex, NIS America, Inc.",
                genre="Comedy",
            ),
        ],
    )
    rows, items, prepared = tables(Mal2018(folder=folder), tmp_path)
    when = datetime(2013, 3, 3, 10, 52, 53)
    assert rows.rows() == [
        ("ann", 6, 9.0, when, "watching"),
        ("bob", 6, 8.0, when, "plan_to_watch"),
        ("null", 11013, None, None, "completed"),
        ("null", 6, 7.0, None, None),
    ]
    item = items[11013]
    assert (item["age_rating"], item["score"], item["scored_by"]) == ("PG-13 - Teens 13 or older", None, 0)
    assert (item["rank"], item["source"], item["episodes"]) == (None, None, None)
    assert (item["aired_from"], item["duration"]) == (date(2018, 5, 1), 24.0)
    assert (item["producers"], item["studios"]) == (["Aniplex", "NIS America, Inc."], [])
    assert prepared.report["unreadable_cells"] == {"animelists_cleaned.csv: status": 1}
    assert prepared.report["rejects"] == {
        "animelists_cleaned.csv: not 11 fields": 1,
        "animelists_cleaned.csv: username is not a name": 1,
    }


TIMES = {
    "2015-03-03 10:52:53": datetime(2015, 3, 3, 10, 52, 53),
    "1425379973": datetime(2015, 3, 3, 10, 52, 53),
    "2015-03-03T10:52:53+09:00": datetime(2015, 3, 3, 1, 52, 53),
    "03/04/2015": None,
}


@pytest.mark.parametrize(("written", "time"), TIMES.items())
def test_the_whole_dump_of_2018(tmp_path: Path, written: str, time: datetime | None) -> None:
    def entry(**cells: str) -> str:
        return line(ENTRIES.header, username="ann", my_status="2", **cells)

    newest = entry(anime_id="1", my_score="9", my_last_updated=written)
    older = entry(anime_id="1", my_score="3", my_last_updated="2010-03-03 10:52:53")
    folder = write(
        tmp_path,
        UserAnimeList=[",".join(ENTRIES.header), newest, older],
        AnimeList=[
            ",".join(ITEMS_2018.header),
            line(ITEMS_2018.header, anime_id="1", title="Paper Lantern", score="7"),
        ],
    )
    rows, *_ = tables(Mal2018(folder=folder), tmp_path)
    newer = 9.0 if time else 3.0
    assert rows.rows() == [("ann", 1, newer, time or datetime(2010, 3, 3, 10, 52, 53), "completed")]


@pytest.mark.parametrize("dump", ["2016", "2018", "2020", "2023"])
def test_items_without_genres(tmp_path: Path, dump: str) -> None:
    name, source = {
        "2016": ("anime", Mal2016(folder=str(tmp_path))),
        "2018": ("AnimeList", Mal2018(folder=str(tmp_path))),
        "2020": ("anime", Mal2020(folder=str(tmp_path), ratings=None)),
        "2023": ("anime__dataset__2023", Mal2023(folder=str(tmp_path), ratings=None)),
    }[dump]
    known = {"anime_id": "20", "mal_id": "20", "name": "Naruto", "title": "Naruto", "score": "7.8", "members": "5"}
    columns = {"2016": ITEMS_2016, "2018": ITEMS_2018, "2020": ITEMS_2020, "2023": ITEMS_2023}[dump].header
    columns = tuple(column for column in columns if column not in ("genre", "genres"))
    others = {
        "rating": ["1,20,8"],
        "anime_with_synopsis": ["MAL_ID,sypnopsis", "20,A ninja."],
        "animelists_cleaned": [",".join(ENTRIES.header), "ann,20,,,,9,2,,,,"],
    }
    write(
        tmp_path,
        **others,
        **{name: [",".join(columns), line(columns, **{k: v for k, v in known.items() if k in columns})]},
    )
    item = pl.read_parquet(prepare(source, tmp_path).items).to_dicts()[0]
    assert (item["item_id"], item["title"], item["genres"]) == (20, "Naruto", [])


VOTES_2020 = {"score-10": "4.0", "score-9": "Unknown", "score-8": "3.0"}
ANIME_2020 = {"mal_id": "1", "name": "Cowboy Bebop", "score": "8.78", "genres": "Action, Space", "ranked": "28.0"}


def write_2020(folder: Path, *, genres: str = "Genders", synopsis: str = "sypnopsis", **files: list[str]) -> str:
    header = ",".join(ITEMS_2020.header).replace("genres", genres)
    synopses = [
        f"MAL_ID,Name,Score,{genres},{synopsis}",
        '1,Cowboy Bebop,8.78,"Action, Space","In 2071, ""they"" live."',
    ]
    unknown = line(ITEMS_2020.header, mal_id="5", name="Unknown", score="Unknown", genres="Unknown", popularity="0")
    anime = [header, line(ITEMS_2020.header, **ANIME_2020, **VOTES_2020), unknown]
    placeholder = "5,Unknown,Unknown,Unknown,No synopsis information has been added to this title."
    return write(folder, anime=anime, anime_with_synopsis=[*synopses, placeholder, "7,cut"], **files)


@pytest.mark.parametrize(("genres", "synopsis"), [("Genders", "sypnopsis"), ("Genres", "Synopsis")])
def test_mal_2020(tmp_path: Path, genres: str, synopsis: str) -> None:
    entries = [
        "user_id,anime_id,rating,watching_status,watched_episodes",
        "0,1,9,1,1",
        "0,5,0,6,0",
        "1,5,7,55,3",
        "1,,7,1,1",
    ]
    folder = write_2020(tmp_path, genres=genres, synopsis=synopsis, animelist=entries, rating_complete=["0,1,9"])
    rows, items, prepared = tables(Mal2020(folder=folder, ratings=None), tmp_path)
    assert rows.rows() == [(0, 1, 9.0, "watching"), (0, 5, None, "plan_to_watch"), (1, 5, 7.0, None)]
    assert (items[1]["genres"], items[1]["rank"], items[1]["scored_by"]) == (["Action", "Space"], 28, 7)
    assert items[1]["synopsis"] == 'In 2071, "they" live.'
    assert (items[5]["title"], items[5]["score"], items[5]["genres"]) == ("Unknown", None, [])
    assert (items[5]["popularity"], items[5]["synopsis"], items[5]["scored_by"]) == (None, None, None)
    assert prepared.report["rejects"] == {
        "animelist.csv: anime_id is not a whole number": 1,
        "anime_with_synopsis.csv: not 5 fields": 1,
    }


@pytest.mark.parametrize(
    ("votes", "scored_by", "is_noted"),
    [
        ({}, None, False),
        (dict.fromkeys(VOTES, "Unknown"), None, False),
        ({"score-10": "4.0", "score-9": "Unknown", "score-1": "0"}, 4, False),
        ({"score-10": "1,204", "score-9": "3"}, 1207, False),
        ({"score-10": "28,0", "score-9": "3"}, None, True),
        ({"score-10": "4.0", "score-9": "many"}, None, True),
    ],
)
def test_mal_2020_scored_by_is_the_sum_of_the_votes_or_unknown(
    tmp_path: Path, votes: dict[str, str], scored_by: int | None, is_noted: bool
) -> None:
    folder = write_2020(tmp_path)
    write(tmp_path, anime=[",".join(ITEMS_2020.header), line(ITEMS_2020.header, **ANIME_2020, **votes)])
    prepared = prepare(Mal2020(folder=folder, ratings=None), tmp_path)
    assert pl.read_parquet(prepared.items)["scored_by"].to_list() == [scored_by]
    assert prepared.report["unreadable_cells"] == ({"anime.csv: scored_by": 1} if is_noted else {})


def test_decimal_commas_are_read_where_semicolons_separate(tmp_path: Path) -> None:
    folder = write_2020(tmp_path)
    item = {"mal_id": "1", "name": "Nana, 1,2", "score": "8,78", "ranked": "28,0", "members": "1,204", "score-9": "3,0"}
    row = ";".join(item.get(name, "") for name in ITEMS_2020.header)
    write(tmp_path, anime=[";".join(ITEMS_2020.header), row])
    [found] = pl.read_parquet(prepare(Mal2020(folder=folder, ratings=None), tmp_path).items).to_dicts()
    assert (found["score"], found["rank"], found["scored_by"]) == (pytest.approx(8.78), 28, 3)
    assert (found["title"], found["members"]) == ("Nana, 1,2", 1204)


def test_mal_2020_ratings_can_be_chosen(tmp_path: Path) -> None:
    folder = write_2020(tmp_path, animelist=["0,1,9,1,1"], rating_complete=["user_id,anime_id,rating", "0,1,5"])
    rows, _, prepared = tables(Mal2020(folder=folder, ratings="rating_complete.csv"), tmp_path)
    assert rows.rows() == [(0, 1, 5.0, None)]
    assert prepared.report["empty_columns"][0] == "status"
    with pytest.raises(UserError, match=r"ratings\.csv"):
        Mal2020(folder=folder, ratings="ratings.csv").files()


def test_the_parquet_sample_of_mal_2020_adds_titles(tmp_path: Path) -> None:
    folder = write_2020(tmp_path)
    texts = ["Name", "Score", "Genres", "English name", "Japanese name", "Episodes", "Aired", "Producers", "Source"]
    texts += ["Duration", "Rating", "Ranked", *(f"Score-{score}" for score in range(10, 0, -1))]
    titles = {name: ["Other", "Adult", "Adult"] for name in texts}
    titles |= {"Score": ["9.0", "6.77", "6.77"], "Genres": ["Drama", "Hentai", "Hentai"]}
    counts = {name: [3, 4, 4] for name in ("Popularity", "Members", "Favorites")}
    entries = {"user_id": [0, 0, 1], "anime_id": [1, 8, 8], "rating": [9.0, 7.0, None], "watching_status": [2, 2, 4]}
    pl.DataFrame(entries | titles | counts).write_parquet(tmp_path / "animelist_301users.parquet")
    rows, items, prepared = tables(Mal2020(folder=folder, ratings=None), tmp_path)
    assert rows.rows() == [(0, 1, 9.0, "completed"), (0, 8, 7.0, "completed")]
    assert (items[1]["title"], items[8]["title"], items[8]["genres"]) == ("Cowboy Bebop", "Adult", ["Hentai"])
    assert prepared.report["duplicate_items_removed"] == 0
    assert pl.read_parquet(prepared.rejects).row(0)[:2] == ("animelist_301users.parquet", 3)


ANIME_2023 = [
    ",".join(ITEMS_2023.header).title(),
    line(
        ITEMS_2023.header,
        anime_id="1",
        name="Cowboy Bebop",
        english_name="UNKNOWN",
        score="8.75",
        genres="Action, Sci-Fi",
        synopsis="Crime is timeless.\n\nThe end.",
        episodes="26.0",
        aired="Apr 3, 1998 to Apr 24, 1999",
        rank="41.0",
        scored_by="914193.0",
        duration="24 min per ep",
        rating="R - 17+ (violence & profanity)",
    ),
    line(ITEMS_2023.header, anime_id="2", name="Nana", score="UNKNOWN", genres="UNKNOWN", episodes="UNKNOWN"),
]
SCORES_2023 = ["user_id,Username,anime_id,Anime Title,rating", '1,"a, b",1,"Cowboy, Bebop",9', "1,ann,77,A &amp; B,10"]


def test_mal_2023_merges_both_files(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        **{
            "anime-dataset-2023": ANIME_2023,
            "users-score-2023": SCORES_2023,
            "final_animedataset": [
                ",".join(LISTS.header),
                'ann,1,3,1,Female,Cowboy Bebop,TV,Original,8.8,5,30,40,"Action, Sci-Fi"',
                "bob,2,0,2,Male,Nana,TV,Manga,8.5,5,31,41,Drama",
            ],
        },
    )
    rows, items, prepared = tables(Mal2023(folder=folder, ratings=None), tmp_path)
    assert rows.rows() == [(1, 1, 9.0), (1, 77, 10.0), (2, 2, None)]
    assert items[77]["title"] == "A & B"
    assert items[1]["synopsis"] == "Crime is timeless.\n\nThe end."
    assert (items[1]["episodes"], items[1]["rank"], items[1]["scored_by"]) == (26, 41, 914_193)
    assert (items[1]["title_english"], items[1]["aired_from"], items[1]["duration"]) == (None, date(1998, 4, 3), 24.0)
    assert (items[2]["score"], items[2]["genres"], items[2]["episodes"]) == (None, [], None)
    assert prepared.report["duplicates_removed"] == 1


def test_mal_2023_semicolons_decimal_commas_and_ragged_genres(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        **{
            "anime-dataset-2023.5col": ["anime_id,Name,Score,Genres,Episodes", "1,Cowboy Bebop,8.75,Action,26"],
            "final_animedataset.sample": [
                "username;anime_id;my_score;user_id;gender;title;type;source;score;scored_by;rank;popularity;genre.1;genre.2",
                "ann;1;10;900001;Female;Cowboy Bebop;TV;Original;9,11;403377;8;35;Action; Adventure",
                "bob;1;0;900002;Male;Cowboy Bebop;TV;Original;9,11;403377;8;35;Action; Adventure; Super Power; Space",
                "cat;1;7;900003;Female;Cowboy Bebop;TV;Original;9,11;403377;8;35",
            ],
        },
    )
    rows, _, prepared = tables(Mal2023(folder=folder, ratings=None), tmp_path)
    assert rows.rows() == [(900_001, 1, 10.0), (900_002, 1, None), (900_003, 1, 7.0)]
    assert "synopsis" in prepared.report["empty_columns"]


def test_mal_2023_one_file_can_be_chosen(tmp_path: Path) -> None:
    files = {
        "anime-dataset-2023": ANIME_2023,
        "users-score-2023": SCORES_2023,
        "final_animedataset": ["ann,1,3,4,F,T,,,,,,,"],
    }
    source = Mal2023(folder=write(tmp_path, **files), ratings="users-score-2023.csv")
    assert [path.name for path in source.files()] == ["users-score-2023.csv", "anime-dataset-2023.csv"]


def test_malsugoi(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        anime_info=[
            "username,anime,rating",
            "ann,Drifters,-",
            'ann,"Tonari no Totoro, ""Director\'s Cut""",9',
            "ann,Drifters,8",
            "ann,Drifters,-",
            "bob,A &amp; B,10",
            "bob,,10",
        ],
        anime_data=[
            "title,score,genres,ranked,popularity,members,favorites",
            'Drifters,7.89,"Action, Gag Humor",#1,#187,"941,889","56,180"',
            'Drifters,7.88,Action,#2,#187,"941,890",3',
            "Unseen,6.86,Drama,#3,#188,5,0",
        ],
    )
    rows, items, prepared = tables(Malsugoi(folder=folder), tmp_path)
    totoro = 'Tonari no Totoro, "Director\'s Cut"'
    assert rows.rows() == [("ann", totoro, 9.0), ("ann", "Drifters", 8.0), ("bob", "A & B", 10.0)]
    assert list(items) == ["Drifters", "Unseen", "A & B", totoro]
    assert (items["Drifters"]["rank"], items["Drifters"]["members"], items["Drifters"]["score"]) == (
        1,
        941_889,
        pytest.approx(7.89),
    )
    assert (items[totoro]["title"], items[totoro]["genres"], items[totoro]["score"]) == (totoro, [], None)
    assert (prepared.report["duplicates_removed"], prepared.report["duplicate_items_removed"]) == (2, 1)
    assert prepared.report["unlisted_items"] == 2


REAL = [
    (Mal2016, "mal-2016", {}, {"rows_read": 520_609, "unrated_rows": 100_666, "items_kept": 12_294}),
    (Mal2018, "mal-2018", {}, {"rows_read": 9_998, "unrated_rows": 2_006, "items_kept": 14_478}),
    (Mal2020, "mal-2020", {"ratings": None}, {"rows_read": 53_159, "items_kept": 16_214 + 579, "unlisted_items": 0}),
    (Mal2023, "mal-2023", {"ratings": None}, {"rows_read": 2_000, "items_kept": 24_901, "duplicates_removed": 1}),
    (Malsugoi, "malsugoi", {}, {"rows_read": 65_966, "items_read": 4_882, "duplicates_removed": 234}),
]


@pytest.mark.real_data
@pytest.mark.parametrize(("source", "folder", "options", "counts"), REAL, ids=[row[1] for row in REAL])
def test_the_real_dumps(
    source: type, folder: str, options: dict[str, Any], counts: dict[str, int], cache: Path
) -> None:
    report = prepare(source(folder=f"{os.environ['ANIREC_DATA']}/{folder}", **options), cache).report
    assert {name: report[name] for name in counts} == counts
    assert report["rows_rejected"] == report["items_rejected"] == 0
    assert report["unreadable_cells"] == {}


@pytest.mark.real_data
def test_unknown_values_in_the_real_dumps_are_null(cache: Path) -> None:
    data = os.environ["ANIREC_DATA"]
    items = {
        folder: pl.read_parquet(prepare(source(folder=f"{data}/{folder}", **options), cache).items)
        for source, folder, options, _ in REAL
    }
    assert items["mal-2016"]["score"].null_count() == 230
    assert items["mal-2018"]["score"].null_count() == 354
    assert items["mal-2020"]["score"].null_count() == 5_123
    assert items["mal-2023"]["score"].null_count() == 9_213
    assert (items["mal-2020"]["scored_by"].null_count(), (items["mal-2020"]["scored_by"] == 0).sum()) == (296, 0)
    has_synopsis = items["mal-2020"]["synopsis"].drop_nulls()
    assert not has_synopsis.str.contains("(?i)^no synopsis").any()
    texts = [table[column] for table in items.values() for column in ("title", "synopsis") if column in table.columns]
    assert not any(text.drop_nulls().str.contains(r"&(#\d+|amp|quot);").any() for text in texts)
