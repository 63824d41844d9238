"""Parsers of cells: what each spelling means, and which are noted as unreadable."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anirec.data.readers import cells, list_cells, time_cells
from anirec.data.readers.cells import CellParser
from anirec.data.readers.json_objects import as_text


def read(cell: CellParser, text: str | None) -> tuple:
    """Return the value, and whether an optional cell with that text would be noted."""
    row = {"file": "a.csv", "line": 2, "reason": None, "text": text, cell.column: text}
    rows = pl.LazyFrame([row], schema_overrides={"reason": pl.String, cell.column: pl.String})
    found = cells.tidy(rows, required={}, optional={"value": cell}).collect().row(0, named=True)
    return found["value"], found["note"] is not None


@pytest.mark.parametrize(
    ("cell", "text", "value"),
    [
        (cells.parse_id("c"), "20", 20),
        (cells.parse_id("c"), "20.0", 20),
        (cells.parse_score("c"), "8.78", pytest.approx(8.78)),
        (cells.parse_score("c"), "0", None),
        (cells.parse_score("c"), "UNKNOWN", None),
        (cells.parse_score("c"), "NaN", None),
        (cells.parse_rating("c", unrated=("-1",)), "10", 10),
        (cells.parse_rating("c", unrated=("-1",)), "-1", None),
        (cells.parse_rating("c", unrated=("-",)), "-", None),
        (cells.parse_count("c"), "941,889", 941_889),
        (cells.parse_count("c"), "1,234,567", 1_234_567),
        (cells.parse_count("c"), "28.0", 28),
        (cells.parse_count("c"), "914193.0", 914_193),
        (cells.parse_count("c"), "0", 0),
        (cells.parse_rank("c"), "#187", 187),
        (cells.parse_rank("c"), "0", None),
        (cells.parse_episodes("c"), "Unknown", None),
        (cells.parse_label("c"), "R - 17+ (violence &amp; profanity)", "R - 17+ (violence & profanity)"),
        (cells.parse_label("c"), "None", None),
        (cells.parse_title("c"), "Gintama&#039;", "Gintama'"),
        (cells.parse_title("c"), "Unknown", "Unknown"),
        (cells.parse_title("c"), "009-1", "009-1"),
        (cells.parse_synopsis("c"), "No synopsis information has been added to this title. Help improve ...", None),
        (cells.parse_synopsis("c"), "No synopsis has been added for this series yet.", None),
        (cells.parse_synopsis("c"), "No description available for this anime.", None),
        (cells.parse_synopsis("c"), "No synopsis could do it justice.", "No synopsis could do it justice."),
        (list_cells.parse_names("c"), "Comedy, Music, Comedy", ["Comedy", "Music"]),
        (list_cells.parse_names("c"), "NIS America, Inc., Aniplex", ["NIS America, Inc.", "Aniplex"]),
        (list_cells.parse_names("c"), "Chugai Mining Co., Ltd., NHK", ["Chugai Mining Co., Ltd.", "NHK"]),
        (list_cells.parse_names("c"), "Madhouse, Incredible Studio", ["Madhouse", "Incredible Studio"]),
        (list_cells.parse_names("c"), "UNKNOWN", None),
        (list_cells.parse_names("c"), "NIS America, Inc.\x1fVAP\x1fVAP\x1fUnknown", ["NIS America, Inc.", "VAP"]),
        (list_cells.parse_id_list("c"), "[5, 20]", [5, 20]),
        (list_cells.parse_id_list("c"), "['5', '20',]", [5, 20]),
        (list_cells.parse_id_list("c"), "[]", []),
        (cells.parse_description("c"), "No biography written.", None),
        (cells.parse_description("c"), "No information is known of her past.", "No information is known of her past."),
        (time_cells.parse_datetime("c"), "2013-03-03 10:52:53", datetime(2013, 3, 3, 10, 52, 53)),
        (time_cells.parse_datetime("c"), "1970-01-01 00:00:00", None),
        (time_cells.parse_datetime("c"), "0", None),
        (time_cells.parse_datetime("c"), "2013-03-03", datetime(2013, 3, 3)),
        (time_cells.parse_first_day("c"), "Apr 3, 1998 to Apr 24, 1999", date(1998, 4, 3)),
        (time_cells.parse_first_day("c"), "Jul, 2021 to ?", date(2021, 7, 1)),
        (time_cells.parse_first_day("c"), "2005", date(2005, 1, 1)),
        (time_cells.parse_first_day("c"), "Not available", None),
        (time_cells.parse_first_day("c"), "? to 2005", None),
        (time_cells.parse_first_day("c"), "0000-00-00", None),
        (time_cells.parse_minutes("c"), "1 hr. 55 min.", 115),
        (time_cells.parse_minutes("c"), "24 min per ep", 24),
        (time_cells.parse_minutes("c"), "1 hr. 2 min. per ep.", 62),
        (time_cells.parse_minutes("c"), "30 sec.", 0.5),
        (cells.parse_status("c"), "6", "plan_to_watch"),
        (cells.parse_status("c"), "2.0", "completed"),
        (cells.parse_label("c"), None, None),
    ],
)
def test_readable(cell: CellParser, text: str | None, value: object) -> None:
    assert read(cell, text) == (value, False)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (cells.parse_id("c"), ""),
        (cells.parse_id("c"), "-3"),
        (cells.parse_id("c"), "1.5"),
        (cells.parse_id("c"), "user0001"),
        (cells.parse_id("c"), "99999999999999999999"),
        (cells.parse_rating("c", unrated=("-1",)), "0"),
        (cells.parse_rating("c", unrated=("-1",)), "11"),
        (cells.parse_rating("c", unrated=("-1",)), ""),
        (cells.parse_rating("c", unrated=("-1",)), "nan"),
        (cells.parse_rating("c", unrated=("-1",)), "inf"),
        (cells.parse_user_name("c"), ""),
        (cells.parse_title_id("c"), ""),
        (cells.parse_score("c"), "eight"),
        (cells.parse_score("c"), "88"),
        (cells.parse_score("c"), "8,78"),
        (cells.parse_count("c"), "many"),
        (cells.parse_count("c"), "28,0"),
        (cells.parse_count("c"), "+28"),
        (cells.parse_count("c"), "-0"),
        (cells.parse_count("c"), "1,2"),
        (cells.parse_count("c"), "12,34,567"),
        (cells.parse_count("c"), "0,123"),
        (cells.parse_count("c"), "1234,567"),
        (cells.parse_count("c"), "1,234,"),
        (cells.parse_count("c"), "#187"),
        (cells.parse_count("c"), "99999999999999999999"),
        (cells.parse_rank("c"), "28,0"),
        (cells.parse_rank("c"), "#0"),
        (cells.parse_episodes("c"), "00"),
        (cells.parse_episodes("c"), "12,5"),
        (cells.parse_votes("c"), "1,5"),
        (list_cells.parse_id_list("c"), "['5, 20']"),
        (list_cells.parse_id_list("c"), "[5, spike]"),
        (list_cells.parse_id_list("c"), "[__import__('os')]"),
        (list_cells.parse_id_list("c"), "5, 20"),
        (list_cells.parse_id_list("c"), f"[{'9' * 40}]"),
        (time_cells.parse_datetime("c"), "yesterday"),
        (time_cells.parse_datetime("c"), "03/04/2013"),
        (time_cells.parse_datetime("c"), "2013"),
        (time_cells.parse_datetime("c"), "13-03-03 10:52:53"),
        (time_cells.parse_first_day("c"), "soon"),
        (time_cells.parse_first_day("c"), "05"),
        (time_cells.parse_first_day("c"), "Apr, 98"),
        (time_cells.parse_first_day("c"), "Apr 31, 1998"),
        (time_cells.parse_first_day("c"), "Apr 3, 1998 to soon"),
        (time_cells.parse_minutes("c"), "long"),
        (time_cells.parse_minutes("c"), "per ep."),
        (time_cells.parse_minutes("c"), "1.5 hr."),
        (time_cells.parse_minutes("c"), "1,200 min."),
        (time_cells.parse_minutes("c"), "24 min. or 48 min."),
        (cells.parse_status("c"), "33"),
    ],
)
def test_unreadable(cell: CellParser, text: str) -> None:
    assert read(cell, text) == (None, True)


DIGITS = st.text("0123456789,.#+- ", max_size=12).map(str.strip)


@given(st.integers(0, 2**31 - 1), st.sampled_from(["{}", "{:,}", "{}.0"]))
def test_every_spelling_of_a_whole_number_is_read(number: int, form: str) -> None:
    for cell in (cells.parse_count("c"), cells.parse_count("c", dtype=pl.Int32)):
        assert read(cell, form.format(number)) == (number, False)
    if number:
        assert (
            read(cells.parse_rank("c"), f"#{number:,}")
            == read(cells.parse_episodes("c"), form.format(number))
            == (number, False)
        )


@given(DIGITS)
def test_text_is_never_read_as_another_whole_number(text: str) -> None:
    for cell in (
        cells.parse_count("c"),
        cells.parse_rank("c"),
        cells.parse_episodes("c"),
        cells.parse_id("c"),
        cells.parse_votes("c"),
    ):
        value, is_noted = read(cell, text)
        assert is_noted == (value is None and text not in cell.blank)
        bare = text.removeprefix("#").removeprefix("+").removesuffix(".0").lstrip("0") or "0"
        assert value is None or bare in (str(value), f"{value:,}") or text.startswith("-")


@given(st.floats(1, 10, width=32))
def test_a_score_is_read_as_written(score: float) -> None:
    assert read(cells.parse_score("c"), str(score)) == (score, False)
    assert read(cells.parse_rating("c", unrated=("0",)), str(score)) == (score, False)


@given(st.dates(date(1907, 1, 1), date(2030, 12, 31)), st.sampled_from(["", " to ?", " to Apr 24, 2031", " to 2031"]))
def test_a_missing_day_or_month_is_the_first(day: date, end: str) -> None:
    cell, month = time_cells.parse_first_day("c"), f"{day:%b}"
    assert read(cell, f"{month} {day.day}, {day.year}{end}") == read(cell, f"{day}{end}") == (day, False)
    assert read(cell, f"{month}, {day.year}{end}") == (day.replace(day=1), False)
    assert read(cell, f"{day.year}{end}") == (day.replace(month=1, day=1), False)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)).map(lambda time: time.replace(microsecond=0)))
def test_a_point_in_time_is_read_as_written(time: datetime) -> None:
    assert read(time_cells.parse_datetime("c"), str(time)) == (time, False)
    seconds = int(time.replace(tzinfo=UTC).timestamp())
    for text in (
        str(seconds),
        f"{time} UTC",
        f"{time.isoformat()}.000+00:00",
        f"{time:%a %b %d %H:%M:%S} +0000 {time:%Y}",
        f"{seconds}000",
        f"{seconds}.0",
        time.isoformat(),
        f"{time.isoformat()}Z",
        f"{time + timedelta(hours=9)}+09:00",
    ):
        assert read(time_cells.parse_datetime("c"), text) == (time, False)


@given(st.integers(0, 30), st.integers(0, 59), st.integers(0, 59), st.sampled_from(["", ".", ". per ep."]))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int, end: str) -> None:
    parts = [f"{n} {unit}" for n, unit in ((hours, "hr"), (minutes, "min"), (seconds, "sec")) if n]
    if parts:
        expected = pytest.approx(60 * hours + minutes + seconds / 60, rel=1e-6)
        assert read(time_cells.parse_minutes("c"), ". ".join(parts) + end) == (expected, False)


NAME = (
    st.text("AaБ日 .&'-", min_size=1, max_size=8).map(str.strip).filter(lambda name: name.lower() not in cells.UNKNOWN)
)


@given(st.lists(NAME, min_size=1, max_size=4, unique=True))
def test_names_are_read_from_a_list_or_separated_by_commas(names: list[str]) -> None:
    assert read(list_cells.parse_names("c"), ", ".join(names)) == (names, False)
    assert read(list_cells.parse_names("c"), as_text(names)) == (names, False)


@given(st.lists(st.integers(0, 10**18 - 1), max_size=5))
def test_a_list_of_ids_is_read_as_python_prints_it(ids: list[int]) -> None:
    assert (
        read(list_cells.parse_id_list("c"), str(ids))
        == read(list_cells.parse_id_list("c"), str([*map(str, ids)]))
        == (ids, False)
    )


@given(st.text("0123456.", max_size=4))
def test_a_status_is_one_of_five(text: str) -> None:
    value, is_noted = read(cells.parse_status("c"), text)
    assert value == cells.STATUS.get(text.removesuffix(".0"))
    assert is_noted == (value is None and text != "")


def test_numbers_of_one_batch_are_read_each_by_its_form() -> None:
    text = ["7", "941,889", None, "28.0", "+1", "-0", "x", "3000000000"]
    found = pl.DataFrame({"text": text}).select(
        small=cells.to_integer(pl.col("text"), low=8, dtype=pl.Int32), large=cells.to_integer(pl.col("text"), low=0)
    )
    assert found["small"].to_list() == [None, 941_889, None, 28, None, None, None, None]
    assert found["large"].to_list() == [7, 941_889, None, 28, None, None, None, 3_000_000_000]


def test_an_unreadable_required_cell_rejects_the_row_and_an_optional_one_is_noted() -> None:
    marks = {"file": "a.csv", "line": [2, 3, 4], "reason": [None, None, "not 2 fields"], "text": ["x,7", "1,7", "1"]}
    rows = pl.LazyFrame({**marks, "id": ["x", "1", None], "rank": ["7", "first", None]})
    tidy = cells.tidy(
        rows, required={"item_id": cells.parse_id("id")}, optional={"rank": cells.parse_rank("rank")}
    ).collect()
    assert tidy["reason"].to_list() == ["id is not a whole number", None, "not 2 fields"]
    assert tidy["note"].to_list() == [None, "rank", None]
    assert tidy["text"].to_list() == ["x,7", None, "1"]
