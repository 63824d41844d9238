"""Columns of a file that a model reads, and columns that it does not."""

from pathlib import Path

import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.prediction_rows import model_rows, read_rows

LINES = ["user_id,item_id,episodes,aired_from,genres,score,note"]
LINES += [f"007,{n},{n},2016-07-01,Comedy,7.5,{n}" for n in range(1, 300)]
LINES += ["ann,20.0,Unknown,,Unknown,?,Unknown", 'bob,5,"1,024",2016-07-02,"Comedy, School",8,x']


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "rows.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_columns_of_a_model_are_text_in_the_types_of_the_tables(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "\n".join(LINES), encoding)
    rows = read_rows(path)
    assert rows.schema["note"] == pl.String, "an unused column may hold anything"
    used = model_rows(path, rows, {"user_id", "item_id", "episodes", "aired_from", "genres", "synopsis"})
    assert used["user_id"][0] == "007"
    assert used["item_id"].tail(2).to_list() == ["20.0", "5"]
    assert used["episodes"].tail(3).to_list() == [299, None, 1024]
    assert used["aired_from"].tail(2).to_list() == [None, rows["aired_from"].str.to_date(strict=False)[-1]]
    assert used["genres"].tail(2).to_list() == [None, ["Comedy", "School"]]
    assert used.columns == rows.columns


def test_a_cell_that_a_model_cannot_read_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "synopsis,episodes,aired_from\nA ghost.,12,2016-07-01\nA robot.,many,spring\n")
    rows = read_rows(path)
    assert model_rows(path, rows, {"synopsis"}).equals(rows)
    with pytest.raises(UserError, match="column episodes, row 2: 'many' is no whole number"):
        model_rows(path, rows, {"episodes"})
    with pytest.raises(UserError, match="column aired_from, row 2: 'spring' is no date such as"):
        model_rows(path, rows, {"aired_from"})


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    for content in (b"a\nGar\xe7on\n", b"", b"a\n"):
        (tmp_path / "rows.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"rows\.csv: (cannot be read|the file has no rows)"):
            read_rows(tmp_path / "rows.csv")


def test_mixed_values_in_json_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [f'{{"synopsis": "A ghost.", "episodes": {n}}}' for n in range(200)]
    path.write_text("\n".join([*lines, '{"synopsis": "A robot.", "episodes": "Unknown"}']))
    rows = read_rows(path)
    assert model_rows(path, rows, {"episodes"})["episodes"].tail(2).to_list() == [199, None]
