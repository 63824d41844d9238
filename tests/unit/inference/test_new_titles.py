import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.new_titles import read_invented, with_all

TITLE = {"title": "Paper Kingdom", "genres": ["Comedy"], "aired_from": "2026-04-03", "episodes": 12, "studios": None}


def written(folder: Path, value: object, name: str = "title.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_one_title_or_several_in_either_form(tmp_path: Path) -> None:
    (row,) = read_invented(written(tmp_path, TITLE)).to_dicts()
    assert row == {**TITLE, "aired_from": date(2026, 4, 3)}
    lines = f"{json.dumps(TITLE)}\n\n{{}}\n"
    for path in (written(tmp_path, [TITLE, {}]), written(tmp_path, lines, "titles.jsonl")):
        assert read_invented(path)["title"].to_list() == ["Paper Kingdom", "Untitled"]


def test_what_nobody_says_is_unknown(tmp_path: Path) -> None:
    titles = with_all(read_invented(written(tmp_path, {"type": "TV"})), ["type", "studios", "synopsis"])
    assert titles.schema["studios"] == pl.List(pl.String)
    assert titles.select("type", "studios", "synopsis").row(0) == ("TV", None, None)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    wrong = {"genre": ["Comedy"], "genres": "Comedy", "episodes": 0, "score": True, "aired_from": "spring", "year": 1}
    with pytest.raises(UserError) as caught:
        read_invented(written(tmp_path, [{}, wrong]))
    told = str(caught.value)
    for part in (
        "title 2: genre: no such key; did you mean genres?",
        'genres: "Comedy" is not a list of texts',
        "episodes: 0 is not a whole number >= 1",
        "score: true is not a number from 1 to 10",
        'aired_from: "spring" is not a date such as',
    ):
        assert part in told
    assert "item_id" not in told


@pytest.mark.parametrize("text", ["{", "[]", "[1]", "7"])
def test_what_is_no_title_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"title\.json: (cannot be read as JSON|expected an object)"):
        read_invented(written(tmp_path, text))
