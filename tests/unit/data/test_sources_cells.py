"""What the text in a cell means."""

from datetime import date, datetime

import polars as pl
import pytest

from anirec.data import cells, list_cells, time_cells
from anirec.data.cells import Cell


def read(cell: Cell, text: str | None) -> tuple:
    """The value, and whether an optional cell with that text would be noted."""
    row = {"file": "a.csv", "line": 2, "reason": None, "text": text, cell.column: text}
    rows = pl.LazyFrame([row], schema_overrides={"reason": pl.String, cell.column: pl.String})
    found = cells.tidy(rows, required={}, optional={"value": cell}).collect().row(0, named=True)
    return found["value"], found["note"] is not None


@pytest.mark.parametrize(
    ("cell", "text", "value"),
    [
        (cells.identity("c"), "20", 20),
        (cells.identity("c"), "20.0", 20),
        (cells.score("c"), "8.78", pytest.approx(8.78)),
        (cells.score("c"), "8,78", pytest.approx(8.78)),
        (cells.score("c"), "0", None),
        (cells.score("c"), "UNKNOWN", None),
        (cells.score("c"), "NaN", None),
        (cells.rating("c", unrated=("-1",)), "10", 10),
        (cells.rating("c", unrated=("-1",)), "-1", None),
        (cells.rating("c", unrated=("-",)), "-", None),
        (cells.count("c"), "941,889", 941_889),
        (cells.count("c"), "914193.0", 914_193),
        (cells.count("c"), "0", 0),
        (cells.place("c"), "#187", 187),
        (cells.place("c"), "0", None),
        (cells.episodes("c"), "Unknown", None),
        (cells.label("c"), "R - 17+ (violence &amp; profanity)", "R - 17+ (violence & profanity)"),
        (cells.label("c"), "None", None),
        (cells.title("c"), "Gintama&#039;", "Gintama'"),
        (cells.title("c"), "Unknown", "Unknown"),
        (cells.title("c"), "009-1", "009-1"),
        (cells.synopsis("c"), "No synopsis information has been added to this title. Help improve ...", None),
        (cells.synopsis("c"), "No synopsis has been added for this series yet.", None),
        (cells.synopsis("c"), "No description available for this anime.", None),
        (cells.synopsis("c"), "No synopsis could do it justice.", "No synopsis could do it justice."),
        (list_cells.names("c"), "Comedy, Music, Comedy", ["Comedy", "Music"]),
        (list_cells.names("c"), "NIS America, Inc., Aniplex", ["NIS America, Inc.", "Aniplex"]),
        (list_cells.names("c"), "Chugai Mining Co., Ltd., NHK", ["Chugai Mining Co., Ltd.", "NHK"]),
        (list_cells.names("c"), "Madhouse, Incredible Studio", ["Madhouse", "Incredible Studio"]),
        (list_cells.names("c"), "UNKNOWN", None),
        (list_cells.parts("c"), "NIS America, Inc.\x1fVAP\x1fVAP\x1fUnknown", ["NIS America, Inc.", "VAP"]),
        (list_cells.identities("c"), "[5, 20]", [5, 20]),
        (list_cells.identities("c"), "['5', '20',]", [5, 20]),
        (list_cells.identities("c"), "[]", []),
        (cells.description("c"), "No biography written.", None),
        (cells.description("c"), "No information is known of her past.", "No information is known of her past."),
        (time_cells.moment("c"), "2013-03-03 10:52:53", datetime(2013, 3, 3, 10, 52, 53)),
        (time_cells.moment("c"), "1970-01-01 00:00:00", None),
        (time_cells.first_day("c"), "Apr 3, 1998 to Apr 24, 1999", date(1998, 4, 3)),
        (time_cells.first_day("c"), "Jul, 2021 to ?", date(2021, 7, 1)),
        (time_cells.first_day("c"), "2005", date(2005, 1, 1)),
        (time_cells.first_day("c"), "Not available", None),
        (time_cells.first_day("c"), "0000-00-00", None),
        (time_cells.minutes("c"), "1 hr. 55 min.", 115),
        (time_cells.minutes("c"), "24 min per ep", 24),
        (time_cells.minutes("c"), "30 sec.", 0.5),
        (cells.status("c"), "6", "plan_to_watch"),
        (cells.status("c"), "2.0", "completed"),
        (cells.label("c"), None, None),
    ],
)
def test_readable(cell: Cell, text: str | None, value: object) -> None:
    assert read(cell, text) == (value, False)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (cells.identity("c"), ""),
        (cells.identity("c"), "-3"),
        (cells.identity("c"), "1.5"),
        (cells.identity("c"), "user0001"),
        (cells.identity("c"), "99999999999999999999"),
        (cells.rating("c", unrated=("-1",)), "0"),
        (cells.rating("c", unrated=("-1",)), "11"),
        (cells.rating("c", unrated=("-1",)), ""),
        (cells.rating("c", unrated=("-1",)), "nan"),
        (cells.rating("c", unrated=("-1",)), "inf"),
        (cells.user_name("c"), ""),
        (cells.title_as_id("c"), ""),
        (cells.score("c"), "eight"),
        (cells.score("c"), "88"),
        (cells.count("c"), "many"),
        (list_cells.identities("c"), "[5, spike]"),
        (list_cells.identities("c"), "[__import__('os')]"),
        (list_cells.identities("c"), "5, 20"),
        (list_cells.identities("c"), f"[{'9' * 40}]"),
        (time_cells.moment("c"), "yesterday"),
        (time_cells.first_day("c"), "soon"),
        (time_cells.minutes("c"), "long"),
        (cells.status("c"), "33"),
    ],
)
def test_unreadable(cell: Cell, text: str) -> None:
    assert read(cell, text) == (None, True)


def test_a_required_cell_rejects_its_row_and_an_optional_one_is_noted() -> None:
    marks = {"file": "a.csv", "line": [2, 3, 4], "reason": [None, None, "not 2 fields"], "text": ["x,7", "1,7", "1"]}
    rows = pl.LazyFrame({**marks, "id": ["x", "1", None], "rank": ["7", "first", None]})
    tidy = cells.tidy(
        rows, required={"item_id": cells.identity("id")}, optional={"rank": cells.place("rank")}
    ).collect()
    assert tidy["reason"].to_list() == ["id is not a whole number", None, "not 2 fields"]
    assert tidy["note"].to_list() == [None, "rank", None]
    assert tidy["text"].to_list() == ["x,7", None, "1"]
