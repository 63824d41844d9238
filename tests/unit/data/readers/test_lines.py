"""Tolerant reading of large text files, with all the defects found in dumps."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from anirec.data.readers.csv import read_csv, scan_csv, scan_parquet
from anirec.data.readers.layout import Layout, detect_header
from anirec.errors import UserError

LAYOUT = Layout(
    header=("user", "title", "rating"),
    required=("user", "title", "rating"),
    data={"user": r"\d+", "rating": r"-?\d+"},
    aliases={"name": "title"},
)
HEADER = b"user,title,rating\n"


@pytest.fixture
def read(tmp_path: Path):
    def read(content: bytes, layout: Layout = LAYOUT) -> list[tuple]:
        path = tmp_path / "dump.csv"
        path.write_bytes(content)
        columns = ["line", "reason", *layout.header]
        return scan_csv(path, layout).collect(engine="streaming").select(columns).rows()

    return read


ONE = (2, None, "1", "Monster", "9")


@pytest.mark.parametrize(
    "content",
    [
        HEADER + b"1,Monster,9\n",
        HEADER + b"1,Monster,9",
        b"\xef\xbb\xbf" + HEADER + b"1,Monster,9\n",
        HEADER.replace(b"\n", b"\r\n") + b"1,Monster,9\r\n",
        b'User , Name,"RATING"\n 1 ,  Monster , 9 \n',
        b'user,title,rating\n"1","Monster","9"\n',
        b"user;title;rating\n1;Monster;9\n",
        b"user\ttitle\trating\n1\tMonster\t9\n",
        HEADER + b"1,Monster,9\n\n   \n\r\n",
        HEADER.replace(b"\n", b"\r") + b"1,Monster,9\r",
        HEADER.replace(b"\n", b"\r") + b"1,Monster,9\n",
        HEADER + b"1,Monster,9\n" + HEADER,
    ],
    ids=[
        *("plain", "no final newline", "BOM", "CRLF", "spaces, capitals", "quoted", "semicolons", "tabs", "blank end"),
        *("CR", "CR after the header", "repeated header"),
    ],
)
def test_spellings_of_one_row(read, content: bytes) -> None:
    assert read(content) == [ONE]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
def test_a_first_line_that_is_data_is_kept(read, start: bytes) -> None:
    assert read(start + b"1,Monster,9\r\n2,Mushishi,-1\r\n") == [
        (1, None, "1", "Monster", "9"),
        (2, None, "2", "Mushishi", "-1"),
    ]


def test_files_that_were_joined_repeat_the_header(read) -> None:
    parts = [b"1,Monster,9\n", b"2,Mushishi,8", b"3,Nana,7\r\n", b"4,Planetes,6\n"]
    rows = read(
        b"".join(start + HEADER + part for start, part in zip([b"", b"", b"", b"\xef\xbb\xbf"], parts, strict=True))
    )
    assert rows == [
        (2, None, "1", "Monster", "9"),
        (4, None, "2", "Mushishi", "8"),
        (5, None, "3", "Nana", "7"),
        (7, None, "4", "Planetes", "6"),
    ]


def test_lines_that_end_in_carriage_returns_are_numbered(read) -> None:
    assert [row[:2] for row in read(HEADER.replace(b"\n", b"\r") + b"1,Monster,9\r\r2,Mushishi\r")] == [
        (2, None),
        (4, "not 3 fields"),
    ]


def test_columns_are_found_by_name(read) -> None:
    assert read(b"rating,extra,title,user\n9,x,Monster,1\n") == [ONE]


def test_an_optional_column_that_is_missing_is_null(read) -> None:
    layout = Layout(header=("user", "title", "rating"), required=("user", "rating"), data={})
    assert read(b"user,rating\n1,9\n", layout) == [(2, None, "1", None, "9")]


def test_line_numbers_count_blank_lines(read) -> None:
    rows = read(b"\n\n" + HEADER + b"\n1,Monster,9\n\r\n\n2,Mushishi\n")
    assert [row[:2] for row in rows] == [(5, None), (8, "not 3 fields")]


def test_line_numbers_of_a_file_of_many_chunks(tmp_path: Path) -> None:
    lines = [b"%d,Monster,9" % number for number in range(2, 300_002)]
    lines[123_456] += b",surplus"
    path = tmp_path / "dump.csv"
    path.write_bytes(HEADER + b"\n".join(lines))
    rows = scan_csv(path, LAYOUT).collect(engine="streaming")
    assert rows["line"].to_list() == list(range(2, 300_002))
    assert rows["line"].cast(pl.String).equals(rows["user"])
    assert rows.filter(pl.col("reason").is_not_null())["line"].to_list() == [123_458]


@pytest.mark.parametrize(
    "line", [b"1,Monster", b"1", b"1,Monster,9,", b"1,Monster,9,10", b'1,"Monster,9', b'1,"Mon,ster",9,3']
)
def test_a_wrong_number_of_fields_is_a_reason(read, line: bytes) -> None:
    rows = read(HEADER + line + b"\n2,Mushishi,8\n")
    assert [row[:2] for row in rows] == [(2, "not 3 fields"), (3, None)]


def test_quotes_commas_and_entities_in_titles(read) -> None:
    lines = b'1,"Boku no ""Osaka, Okan""",9\n2,5" Tape,8\n3,"",7\n4,,6\n'
    assert [row[3] for row in read(HEADER + lines)] == ['Boku no "Osaka, Okan"', '5" Tape', "", ""]


def test_an_open_quote_costs_one_line(read) -> None:
    rows = read(HEADER + b'1,"Monster,9\n2,Mushishi,8\n3,"Nana",7\n')
    assert [row[1] for row in rows] == ["not 3 fields", None, None]


def test_a_last_field_with_a_line_break(read) -> None:
    layout = Layout(header=("user", "rating", "tags"), required=("user", "rating", "tags"), data={})
    rows = read(b'user,rating,tags\n1,9,"good\nvery good"\n2,8,\n', layout)
    assert [row[:4] for row in rows] == [
        (2, None, "1", "9"),
        (3, "not 3 fields", 'very good"', None),
        (4, None, "2", "8"),
    ]


@pytest.mark.parametrize("broken", [b"\xff", b"\xe3\x81"], ids=["no start byte", "cut character"])
def test_broken_utf8_makes_one_row_unreadable(read, broken: bytes) -> None:
    rows = read(HEADER + b"1,Mon" + broken + b"ster,9\n2,Caf\xc3\xa9,8\n")
    assert [(row[0], row[1], row[3]) for row in rows][1] == (3, None, "Café")
    assert rows[0][1] == "not UTF-8"


def test_zero_bytes_make_one_row_unreadable(read) -> None:
    assert [row[1] for row in read(HEADER + b"\0" * 50 + b"\n1,Monster,9\n")] == ["not 3 fields", None]


def test_ragged_rows_need_only_the_required_columns(read) -> None:
    layout = Layout(header=("user", "rating", "genre"), required=("user", "rating"), data={"user": r"\d+"}, ragged=True)
    content = b'user;rating;genre.1;genre.2\n1;9;Action; Drama\n2;8\n3;7;a;b;c;d\n4\n5;6;"a\n'
    rows = read(content, layout)
    assert [(row[1], row[3]) for row in rows] == [
        (None, "9"),
        (None, "8"),
        (None, "7"),
        ("fewer than 2 fields", None),
        (None, "6"),
    ]


def test_the_text_of_a_row_is_kept_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_bytes(HEADER + b"1,Monster\n" + b"x" * 100_000 + b"\n")
    assert [len(text) for text in scan_csv(path, LAYOUT).collect()["text"]] == [9, 500]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["empty (0 bytes)", "Replace it"]),
        (b"\n\r\n", ["empty (3 bytes)"]),
        (b"anime_id,name,genre\n1,Monster,Drama\n", ["anime_id,name,genre", "user,title,rating"]),
        (b"PK\x03\x04....", ["zip archive", "Unpack"]),
        ("user,title,rating\n".encode("utf-16"), ["UTF-16"]),
        (b"<!DOCTYPE html><html>", ["DOCTYPE"]),
    ],
    ids=["0 bytes", "only blank lines", "another dump", "zip", "UTF-16", "an error page"],
)
def test_a_file_with_other_content_is_an_error(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "dump.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        detect_header(path, LAYOUT)
    assert all(word in str(error.value) for word in [str(path), *words])


def test_parquet_rows_have_the_same_shape(tmp_path: Path) -> None:
    path = tmp_path / "dump.parquet"
    pl.DataFrame({"u": [1, None], "r": [9.0, 12.0], "more": ["x", "y"]}).write_parquet(path)
    rows = scan_parquet(path, {"user": "u", "rating": "r"}).collect()
    assert rows.select("line", "text", "user", "rating").rows() == [(1, "1,9.0", "1", "9.0"), (2, ",12.0", "", "12.0")]
    with pytest.raises(UserError, match="lacks the columns absent"):
        scan_parquet(path, {"user": "absent"})


def test_an_incomplete_compressed_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv.gz"
    whole = gzip.compress(HEADER + b"".join(b"%d,Monster,9\n" % n for n in range(5000)))
    for content in (whole[:-2000], whole[:2000] + b"broken" + whole[2006:]):
        path.write_bytes(content)
        for reader in (scan_csv, read_csv):
            with pytest.raises(UserError, match=r"dump\.csv\.gz: the compressed content is damaged or incomplete"):
                reader(path, LAYOUT)
