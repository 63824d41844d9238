"""`dataset=table`: every format, scale, kind of id and time, what means unrated and planned, and its errors."""

import gzip
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from anirec.data.prepare.cache import Prepared, prepare
from anirec.data.sources.table import Table
from anirec.data.titles.catalogue import Catalogue
from anirec.errors import UserError

COLUMNS = {"user_id": "who", "item_id": "film", "rating": "stars"}
ROWS = [("ann", "Moon Garden", "4.5"), ("ann", "Brass Band", "0.5"), ("bob", "Moon Garden", "5")]


def table(folder: Path, files: Any, scale: str = "0.5-5", **changed: Any) -> Table:
    settings: dict[str, Any] = {"name": "own", "folder": str(folder), "ids": {}, "items": None, "characters": None}
    ratings = {"files": files, "columns": COLUMNS} | changed.pop("ratings", {})
    return Table(**{**settings, "scale": scale, "ratings": ratings, **changed})


def prepared(source: Table, tmp_path: Path) -> Prepared:
    return prepare(source, tmp_path / "cache")


def ratings_of(found: Prepared) -> list[tuple[Any, ...]]:
    return pl.read_parquet(found.interactions).select("user_id", "item_id", "rating").sort(pl.all()).rows()  # type: ignore[arg-type]


def text(separator: str, rows: Any = ROWS) -> str:
    return "\n".join(separator.join(row) for row in [("who", "film", "stars"), *rows]) + "\n"


def write_parquet(path: Path) -> None:
    users, films, stars = zip(*ROWS, strict=True)
    pl.DataFrame({"film": films, "stars": map(float, stars), "who": users}).write_parquet(path)


def objects() -> list[dict[str, Any]]:
    return [{"film": film, "who": who, "stars": float(stars), "more": [1]} for who, film, stars in ROWS]


def compress(path: Path, content: str) -> None:
    with pa.output_stream(str(path), compression="zstd") as file:
        file.write(content.encode())


FORMATS = {
    "r.csv": lambda path: path.write_text(text(",")),
    "r.tsv": lambda path: path.write_text(text("\t")),
    "bars.txt": lambda path: path.write_text(text("|")),
    "colons.dat": lambda path: path.write_text(text("::")),
    "comma.csv": lambda path: path.write_text(text(";").replace(".", ",")),
    "windows.csv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + text(";").replace("\n", "\r\n").encode()),
    "quoted.csv": lambda path: path.write_text(text(",").replace("Moon Garden", '"Moon Garden"')),
    "r.json": lambda path: path.write_text(json.dumps(objects())),
    "r.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, objects()))),
    "r.parquet": write_parquet,
    "r.csv.gz": lambda path: path.write_bytes(gzip.compress(text(",").encode())),
    "r.csv.zst": lambda path: compress(path, text(",")),
    "r.jsonl.gz": lambda path: path.write_bytes(gzip.compress("\n".join(map(json.dumps, objects())).encode())),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_tables(name: str, tmp_path: Path) -> None:
    FORMATS[name](tmp_path / name)
    found = prepared(table(tmp_path, name), tmp_path)
    assert ratings_of(found) == [("ann", "Brass Band", 0.5), ("ann", "Moon Garden", 4.5), ("bob", "Moon Garden", 5.0)]
    assert found.report["rows_rejected"] == 0
    items = pl.read_parquet(found.items).sort("item_id")  # type: ignore[arg-type]
    assert items.select("item_id", "title").rows() == [("Brass Band", "Brass Band"), ("Moon Garden", "Moon Garden")]


@pytest.mark.parametrize(
    ("scale", "cells", "expected"),
    [
        ("1-10", ["10", "7.5", "11", "0"], [10.0, 7.5]),
        ("1-100", ["85", "100", "1", "101"], [85.0, 100.0, 1.0]),
        ("-10 to 10", ["-9.5", "10"], [-9.5, 10.0]),
        ("thumbs", ["up", "Like", "-1", "0", "true", "5"], [1.0, 1.0, 0.0, 0.0, 1.0]),
        ("0-5", ["0", "5", "", "nan"], [0.0, 5.0, None, None]),
    ],
)
def test_ratings_outside_the_scale_are_rejected_with_a_reason(
    scale: str, cells: list[str], expected: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "r.csv").write_text(text(",", [("ann", f"film {n}", cell) for n, cell in enumerate(cells)]))
    found = prepared(table(tmp_path, "r.csv", scale), tmp_path)
    assert pl.read_parquet(found.interactions).sort("item_id")["rating"].to_list() == expected  # type: ignore[arg-type]
    assert found.report["rows_rejected"] == len(cells) - len(expected)
    if len(cells) > len(expected):
        assert set(pl.read_parquet(found.rejects)["reason"]) <= {
            *("stars is above 10", "stars is below 1", "stars is above 100"),
            "stars is not a thumb up or down (1 or 0)",
        }
    assert found.scale.record() == table(tmp_path, "r.csv", scale).scale.record()


def test_cells_may_mean_unrated_or_planned(tmp_path: Path) -> None:
    cells = ["0", "0.0", "plan", "4"]
    (tmp_path / "r.csv").write_text(text(",", [("ann", f"film {n}", cell) for n, cell in enumerate(cells)]))
    ratings = {"unrated": [0], "planned": ["Plan"]}
    source = table(tmp_path, "r.csv", ratings=ratings)
    rows = pl.read_parquet(prepared(source, tmp_path).interactions).sort("item_id")  # type: ignore[arg-type]
    assert rows["rating"].to_list() == [None, None, None, 4.0]
    assert rows["status"].to_list() == ["completed", "completed", "plan_to_watch", "completed"]
    assert source.columns == {"user_id", "item_id", "rating", "title", "status"}


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("1589711573", None),
        ("1589711573000", None),
        ("1589711573", "s"),
        ("1589711573000", "ms"),
        ("2020-05-17T10:32:53Z", None),
        ("2020-05-17T12:32:53+02:00", None),
        ("2020-05-17 10:32:53", "iso"),
        ("17/05/2020 10:32:53", "%d/%m/%Y %H:%M:%S"),
    ],
)
def test_times_are_found_or_follow_the_given_format(cell: str, time: str | None, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(f"who,film,stars,at\nann,Monster,4,{cell}\n")
    ratings = {"columns": {**COLUMNS, "timestamp": "at"}, "time": time}
    rows = pl.read_parquet(prepared(table(tmp_path, "r.csv", ratings=ratings), tmp_path).interactions)  # type: ignore[arg-type]
    assert rows["timestamp"].to_list() == [datetime(2020, 5, 17, 10, 32, 53)]


def test_ids_are_text_or_whole_numbers(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("who,film,stars\n007,19,4\nx,19,4\n")
    found = prepared(table(tmp_path, "r.csv", ids={"item_id": "whole"}), tmp_path)
    assert ratings_of(found) == [("007", 19, 4.0), ("x", 19, 4.0)]
    found = prepared(table(tmp_path, "r.csv", ids={"user_id": "whole", "item_id": "whole"}), tmp_path)
    assert ratings_of(found) == [(7, 19, 4.0)]
    assert list(pl.read_parquet(found.rejects)["reason"]) == ["who is not a whole number"]


def test_titles_and_characters_have_files_and_columns_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("who,film,stars\nann,1,4\nann,2,3\nann,3,3\n")
    (tmp_path / "t.csv").write_text('no;called;kinds;mean\n1;"Moon; Garden";Drama|Sci-Fi;4,5\n2;Brass Band;;7\n')
    (tmp_path / "c.csv").write_text("no,who,part,about\n1,Ann Lee,main,A gardener.\n1,Bo,supporting,\n")
    items = {
        "files": "t.csv",
        "columns": {"item_id": "no", "title": "called", "genres": "kinds", "score": "mean"},
        "lists": "|",
    }
    characters = {"files": "c.csv", "columns": {"item_id": "no", "name": "who", "role": "part", "description": "about"}}
    source = table(tmp_path, "r.csv", ids={"item_id": "whole"}, items=items, characters=characters)
    found = prepared(source, tmp_path)
    table_of_items = pl.read_parquet(found.items).sort("item_id")  # type: ignore[arg-type]
    assert table_of_items["title"].to_list() == ["Moon; Garden", "Brass Band", "3"]
    assert table_of_items["genres"].to_list() == [["Drama", "Sci-Fi"], [], []]
    assert table_of_items["score"].to_list() == [4.5, None, None], "7 is outside the scale and noted"
    assert found.report["unreadable_cells"] == {"t.csv: score": 1}
    assert pl.read_parquet(found.characters)["name"].to_list() == ["Ann Lee", "Bo"]  # type: ignore[arg-type]
    assert pl.read_parquet(found.appearances).rows() == [(1, "Ann Lee", "Main"), (1, "Bo", "Supporting")]  # type: ignore[arg-type]
    assert source.columns >= {"genres", "score", "character_id", "role"}


def test_several_files_and_patterns(tmp_path: Path) -> None:
    for n, (name, row) in enumerate(zip(("a1.csv", "a2.csv", "b[1].csv"), ROWS, strict=True)):
        (tmp_path / name).write_text(text(",;\t"[n], [row]))
    everything = [("ann", "Brass Band", 0.5), ("ann", "Moon Garden", 4.5), ("bob", "Moon Garden", 5.0)]
    assert ratings_of(prepared(table(tmp_path, ["a?.csv", "b[1].csv"]), tmp_path)) == everything
    assert ratings_of(prepared(table(tmp_path, "*.csv"), tmp_path)) == everything


def test_a_file_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "r.dat").write_text("ann::Monster::4\n")
    ratings = {
        "header": ["user", "movie", "rating"],
        "columns": {"user_id": "user", "item_id": "movie", "rating": "rating"},
    }
    assert ratings_of(prepared(table(tmp_path, "r.dat", ratings=ratings), tmp_path)) == [("ann", "Monster", 4.0)]


def test_columns_with_the_names_of_marks(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("file,line,text\nann,Monster,4\n")
    ratings = {"columns": {"user_id": "file", "item_id": "line", "rating": "text"}}
    assert ratings_of(prepared(table(tmp_path, "r.csv", ratings=ratings), tmp_path)) == [("ann", "Monster", 4.0)]


def test_implicit_feedback_has_no_ratings(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("who,film\nann,Monster\n")
    source = table(tmp_path, "r.csv", ratings={"columns": {"user_id": "who", "item_id": "film", "rating": None}})
    assert source.columns == {"user_id", "item_id", "title"}
    assert ratings_of(prepared(source, tmp_path)) == [("ann", "Monster", None)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"files": "none.csv"}, ["ratings.files=none.csv", "there is no file"]),
        ({"files": "x*.csv"}, ["ratings.files=x*.csv", "no file in"]),
        ({"columns": {**COLUMNS, "rating": "points"}}, ["r.csv", "no column points", "who, film, stars"]),
        ({"columns": {"user_id": "who"}}, ["ratings.columns.item_id: missing"]),
        ({"columns": {**COLUMNS, "ratin": "x"}}, ["ratings.columns.ratin", "did you mean rating?"]),
        ({"columns": {**COLUMNS, "item_id": "who"}}, ["user_id and item_id name the same column, who"]),
        ({"time": "foo"}, ["ratings.time=foo: expected one of s, ms, us, iso, or a format"]),
        ({"separater": ","}, ["ratings.separater", "did you mean separator?"]),
        ({"statuses": {"seen": [1]}}, ["ratings.statuses.seen", "completed"]),
        ({"files": "broken.parquet"}, ["broken.parquet", "not a parquet file"]),
        ({"files": "empty.csv"}, ["empty.csv is empty"]),
    ],
)
def test_errors_name_the_key_or_the_file(changed: Mapping[str, Any], words: list[str], tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(text(","))
    (tmp_path / "broken.parquet").write_text("PAR1")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError) as error:
        prepared(table(tmp_path, "r.csv", ratings=changed), tmp_path)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("ann,Monster", "not 3 fields"),
        ("ann,Monster,nan nan", "stars is not a number"),
        ("ann,Monster,9", "is above 5"),
    ],
)
def test_a_table_without_a_readable_row(row: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(f"who,film,stars\n{row}\n")
    with pytest.raises(UserError) as error:
        prepared(table(tmp_path, "r.csv"), tmp_path)
    assert words in str(error.value)
    assert "Download" not in str(error.value)


@pytest.mark.parametrize("name", ["e e", "123", "nan", ""])
def test_a_name_that_is_none_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"name={name}: expected letters"):
        table(tmp_path, "r.csv", name=name)


@pytest.mark.parametrize("scale", ["10-1", "5", "1-", "stars", "1-10/0"])
def test_a_scale_that_is_none_is_an_error(scale: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"scale={scale}: expected LOW-HIGH"):
        table(tmp_path, "r.csv", scale)


def test_a_changed_setting_gives_other_tables(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(text(",", [("ann", "Monster", "5"), ("ann", "Mushishi", "3")]))
    five, ten = (prepared(table(tmp_path, "r.csv", scale), tmp_path) for scale in ("1-5", "1-10"))
    assert five.fingerprint != ten.fingerprint
    unrated = prepared(table(tmp_path, "r.csv", "1-10", ratings={"unrated": [3]}), tmp_path)
    assert ratings_of(unrated) == [("ann", "Monster", 5.0), ("ann", "Mushishi", None)]


def test_titles_with_scores_need_no_ratings(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("no,about,mean\na,A maid in a garden.,85\nb,,101\n")
    items = {"files": "t.csv", "columns": {"item_id": "no", "synopsis": "about", "score": "mean"}}
    source = Table(name="own", folder=str(tmp_path), scale="1-100", ids={}, ratings=None, items=items, characters=None)
    found = prepared(source, tmp_path)
    assert found.interactions is None
    rows = pl.read_parquet(found.items).select("item_id", "title", "synopsis", "score").rows()  # type: ignore[arg-type]
    assert rows == [("a", "a", "A maid in a garden.", 85.0), ("b", "b", None, None)]
    assert source.columns == {"item_id", "title", "synopsis", "score"}
    described = Catalogue({"source": source}, {"source": found})
    assert described.scale == source.scale
    assert described.links.schema["item_id"] == pl.String, "titles without characters can be joined to none"
