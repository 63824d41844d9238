import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.new_titles.fanbase import add_missing_columns, read_new_titles

TITLE = {"title": "Paper Kingdom", "genres": ["Comedy"], "aired_from": "2026-04-03", "episodes": 12, "studios": None}


def written(folder: Path, value: object, name: str = "title.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_reads_one_or_several_titles_from_json_and_jsonl(tmp_path: Path) -> None:
    (row,) = read_new_titles(written(tmp_path, TITLE)).to_dicts()
    assert row == {**TITLE, "aired_from": date(2026, 4, 3)}
    lines = f"{json.dumps(TITLE)}\n\n{{}}\n"
    for path in (written(tmp_path, [TITLE, {}]), written(tmp_path, lines, "titles.jsonl")):
        assert read_new_titles(path)["title"].to_list() == ["Paper Kingdom", "Untitled"]


def test_missing_columns_are_null(tmp_path: Path) -> None:
    titles = add_missing_columns(read_new_titles(written(tmp_path, {"type": "TV"})), ["type", "studios", "synopsis"])
    assert titles.schema["studios"] == pl.List(pl.String)
    assert titles.select("type", "studios", "synopsis").row(0) == ("TV", None, None)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    wrong = {"genre": ["Comedy"], "genres": "Comedy", "episodes": 0, "score": True, "aired_from": "spring", "year": 1}
    with pytest.raises(UserError) as caught:
        read_new_titles(written(tmp_path, [{}, wrong]))
    message = str(caught.value)
    for part in (
        "title 2: genre: unknown key; did you mean genres?",
        'genres: expected a list of strings, got "Comedy"',
        "episodes: expected a whole number >= 1, got 0",
        "score: expected a number from 1 to 10, got true",
        "aired_from: expected a date such as",
    ):
        assert part in message
    assert "item_id" not in message
    with pytest.raises(UserError, match="title: expected a string"):
        read_new_titles(written(tmp_path, '{"title": "\\ud800"}'))


@pytest.mark.parametrize("text", ["{", "[]", "[1]", "7"])
def test_json_without_titles_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"title\.json: (cannot be read as JSON|expected an object)"):
        read_new_titles(written(tmp_path, text))
