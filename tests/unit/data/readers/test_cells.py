"""What the text in a cell means."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anirec.data.readers import cells, list_cells, time_cells
from anirec.data.readers.cells import Cell
from anirec.data.readers.json_objects import as_text


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
        (cells.score("c"), "0", None),
        (cells.score("c"), "UNKNOWN", None),
        (cells.score("c"), "NaN", None),
        (cells.rating("c", unrated=("-1",)), "10", 10),
        (cells.rating("c", unrated=("-1",)), "-1", None),
        (cells.rating("c", unrated=("-",)), "-", None),
        (cells.count("c"), "941,889", 941_889),
        (cells.count("c"), "1,234,567", 1_234_567),
        (cells.count("c"), "28.0", 28),
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
        (list_cells.names("c"), "NIS America, Inc.\x1fVAP\x1fVAP\x1fUnknown", ["NIS America, Inc.", "VAP"]),
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
        (time_cells.first_day("c"), "? to 2005", None),
        (time_cells.first_day("c"), "0000-00-00", None),
        (time_cells.minutes("c"), "1 hr. 55 min.", 115),
        (time_cells.minutes("c"), "24 min per ep", 24),
        (time_cells.minutes("c"), "1 hr. 2 min. per ep.", 62),
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
        (cells.score("c"), "8,78"),
        (cells.count("c"), "many"),
        (cells.count("c"), "28,0"),
        (cells.count("c"), "1,2"),
        (cells.count("c"), "12,34,567"),
        (cells.count("c"), "0,123"),
        (cells.count("c"), "1234,567"),
        (cells.count("c"), "1,234,"),
        (cells.count("c"), "#187"),
        (cells.count("c"), "99999999999999999999"),
        (cells.place("c"), "28,0"),
        (cells.place("c"), "#0"),
        (cells.episodes("c"), "00"),
        (cells.episodes("c"), "12,5"),
        (cells.votes("c"), "1,5"),
        (list_cells.identities("c"), "['5, 20']"),
        (list_cells.identities("c"), "[5, spike]"),
        (list_cells.identities("c"), "[__import__('os')]"),
        (list_cells.identities("c"), "5, 20"),
        (list_cells.identities("c"), f"[{'9' * 40}]"),
        (time_cells.moment("c"), "yesterday"),
        (time_cells.moment("c"), "13-03-03 10:52:53"),
        (time_cells.first_day("c"), "soon"),
        (time_cells.first_day("c"), "05"),
        (time_cells.first_day("c"), "Apr, 98"),
        (time_cells.first_day("c"), "Apr 31, 1998"),
        (time_cells.first_day("c"), "Apr 3, 1998 to soon"),
        (time_cells.minutes("c"), "long"),
        (time_cells.minutes("c"), "per ep."),
        (time_cells.minutes("c"), "1.5 hr."),
        (time_cells.minutes("c"), "1,200 min."),
        (time_cells.minutes("c"), "24 min. or 48 min."),
        (cells.status("c"), "33"),
    ],
)
def test_unreadable(cell: Cell, text: str) -> None:
    assert read(cell, text) == (None, True)


DIGITS = st.text("0123456789,.#+- ", max_size=12).map(str.strip)


@given(st.integers(0, 2**31 - 1), st.sampled_from(["{}", "{:,}", "{}.0"]))
def test_a_whole_number_is_read_however_it_is_written(number: int, form: str) -> None:
    for cell in (cells.count("c"), cells.count("c", dtype=pl.Int32)):
        assert read(cell, form.format(number)) == (number, False)
    if number:
        assert (
            read(cells.place("c"), f"#{number:,}") == read(cells.episodes("c"), form.format(number)) == (number, False)
        )


@given(DIGITS)
def test_a_text_that_is_read_as_a_whole_number_says_that_number(text: str) -> None:
    for cell in (cells.count("c"), cells.place("c"), cells.episodes("c"), cells.identity("c"), cells.votes("c")):
        value, is_noted = read(cell, text)
        assert is_noted == (value is None and text not in cell.blank)
        bare = text.removeprefix("#").removeprefix("+").removesuffix(".0").lstrip("0") or "0"
        assert value is None or bare in (str(value), f"{value:,}") or text.startswith("-")


@given(st.floats(1, 10, width=32))
def test_a_score_is_read_as_written(score: float) -> None:
    assert read(cells.score("c"), str(score)) == (score, False)
    assert read(cells.rating("c", unrated=("0",)), str(score)) == (score, False)


@given(st.dates(date(1907, 1, 1), date(2030, 12, 31)), st.sampled_from(["", " to ?", " to Apr 24, 2031", " to 2031"]))
def test_a_day_is_read_as_far_as_it_is_known(day: date, end: str) -> None:
    cell, month = time_cells.first_day("c"), f"{day:%b}"
    assert read(cell, f"{month} {day.day}, {day.year}{end}") == read(cell, f"{day}{end}") == (day, False)
    assert read(cell, f"{month}, {day.year}{end}") == (day.replace(day=1), False)
    assert read(cell, f"{day.year}{end}") == (day.replace(month=1, day=1), False)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)).map(lambda time: time.replace(microsecond=0)))
def test_a_point_in_time_is_read_as_written(time: datetime) -> None:
    assert read(time_cells.moment("c"), str(time)) == (time, False)
    seconds = int(time.replace(tzinfo=UTC).timestamp())
    for text in (
        str(seconds),
        f"{time} UTC",
        f"{time.isoformat()}.000+00:00",
        f"{time:%a %b %d %H:%M:%S} +0000 {time:%Y}",
    ):
        assert read(time_cells.instant("c"), text) == (time, False)


@given(st.integers(0, 30), st.integers(0, 59), st.integers(0, 59), st.sampled_from(["", ".", ". per ep."]))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int, end: str) -> None:
    parts = [f"{n} {unit}" for n, unit in ((hours, "hr"), (minutes, "min"), (seconds, "sec")) if n]
    if parts:
        expected = pytest.approx(60 * hours + minutes + seconds / 60, rel=1e-6)
        assert read(time_cells.minutes("c"), ". ".join(parts) + end) == (expected, False)


NAME = (
    st.text("AaБ日 .&'-", min_size=1, max_size=8).map(str.strip).filter(lambda name: name.lower() not in cells.UNKNOWN)
)


@given(st.lists(NAME, min_size=1, max_size=4, unique=True))
def test_names_are_read_out_of_a_list_or_between_commas(names: list[str]) -> None:
    assert read(list_cells.names("c"), ", ".join(names)) == (names, False)
    assert read(list_cells.names("c"), as_text(names)) == (names, False)


@given(st.lists(st.integers(0, 10**18 - 1), max_size=5))
def test_a_list_of_ids_is_read_as_python_prints_it(ids: list[int]) -> None:
    assert (
        read(list_cells.identities("c"), str(ids))
        == read(list_cells.identities("c"), str([*map(str, ids)]))
        == (ids, False)
    )


@given(st.text("0123456.", max_size=4))
def test_a_status_is_one_of_five(text: str) -> None:
    value, is_noted = read(cells.status("c"), text)
    assert value == cells.STATUS.get(text.removesuffix(".0"))
    assert is_noted == (value is None and text != "")


def test_a_required_cell_rejects_its_row_and_an_optional_one_is_noted() -> None:
    marks = {"file": "a.csv", "line": [2, 3, 4], "reason": [None, None, "not 2 fields"], "text": ["x,7", "1,7", "1"]}
    rows = pl.LazyFrame({**marks, "id": ["x", "1", None], "rank": ["7", "first", None]})
    tidy = cells.tidy(
        rows, required={"item_id": cells.identity("id")}, optional={"rank": cells.place("rank")}
    ).collect()
    assert tidy["reason"].to_list() == ["id is not a whole number", None, "not 2 fields"]
    assert tidy["note"].to_list() == [None, "rank", None]
    assert tidy["text"].to_list() == ["x,7", None, "1"]
