"""Tolerant reading of small text files, whose quoted cells may hold line breaks."""

from pathlib import Path

import pytest

from anirec.data.readers.csv import read_csv
from anirec.data.readers.layout import Layout

LAYOUT = Layout(header=("id", "name", "synopsis"), required=("id", "name", "synopsis"), data={"id": r"\d+"})
HEADER = b"id,name,synopsis\n"


@pytest.fixture
def rows_of(tmp_path: Path):
    def rows_of(content: bytes) -> list[tuple]:
        path = tmp_path / "anime.csv"
        path.write_bytes(content)
        return read_csv(path, LAYOUT).collect().select("line", "reason", "id", "name", "synopsis").rows()

    return rows_of


def test_line_breaks_and_separators_inside_quotes(rows_of) -> None:
    rows = rows_of(HEADER + b'1,Monster,"A doctor,\r\n\r\na ""monster""."\r\n2,Nana,Two girls\r\n')
    assert rows == [
        (2, None, "1", "Monster", 'A doctor,\r\n\r\na "monster".'),
        (5, None, "2", "Nana", "Two girls"),
    ]


def test_a_lone_quote_inside_a_cell_is_text(rows_of) -> None:
    assert [row[3] for row in rows_of(HEADER + b'1,The 5" Tape,x\n2,Nana,y\n')] == ['The 5" Tape', "Nana"]


def test_an_open_quote_costs_its_line_only(rows_of) -> None:
    rows = rows_of(HEADER + b'1,Monster,"open\n2,Nana,y\n3,"Mushishi, too",z\n4,Planetes,"two\nlines"\n')
    assert [row[:2] for row in rows] == [(2, "not 3 fields"), (3, None), (4, None), (5, None)]


def test_unreadable_rows_are_named(rows_of) -> None:
    rows = rows_of(HEADER + b"1,Monster\n\n2,Na\xffna,y\n3,a,b,c\n4,Planetes,z")
    assert [row[:2] for row in rows] == [(2, "not 3 fields"), (4, "not UTF-8"), (5, "not 3 fields"), (6, None)]


def test_a_first_line_that_is_data_is_kept(rows_of) -> None:
    assert rows_of(b"\xef\xbb\xbf1,Monster,x\n") == [(1, None, "1", "Monster", "x")]


@pytest.mark.parametrize("end", [b"\r", b"\n"])
def test_carriage_returns_end_lines_where_one_ends_the_header(rows_of, end: bytes) -> None:
    rows = rows_of(HEADER.replace(b"\n", b"\r") + b'1,Monster,"A doctor."' + end + b"2,Nana,y" + end)
    assert rows == [(2, None, "1", "Monster", "A doctor."), (3, None, "2", "Nana", "y")]


def test_files_that_were_joined_repeat_the_header(rows_of) -> None:
    rows = rows_of(HEADER + b"1,Monster,x\n" + HEADER + b"2,Nana,y" + HEADER + b"3,Planetes,z\n")
    assert [row[:3] for row in rows] == [(2, None, "1"), (4, None, "2"), (5, None, "3")]


def test_a_file_of_open_quotes_is_rejected_line_by_line(rows_of) -> None:
    rows = rows_of(HEADER + b'1,Monster,"open\n' * 3_001)
    assert len(rows) == 3_001
    assert all(row[1] for row in rows)
