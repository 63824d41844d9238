"""`anirec data new`: what is found in a file, what is marked as uncertain, and where it stops."""

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from anirec.data.prepare.cache import prepare
from anirec.data.readers import table_files
from anirec.data.sources.table import Table
from anirec.describing.new_table import new_table
from anirec.errors import UserError

USERS, TITLES = 12, 30


def pairs() -> list[tuple[int, int]]:
    rng = random.Random(0)
    return [(user, title) for user in range(USERS) for title in rng.sample(range(TITLES), 20)]


def write(path: Path, header: str, cells: list[str], *, row: str = "{user},{title},{cell}") -> Path:
    lines = [row.format(user=f"u{u}", title=f"t{t}", cell=cells[n % len(cells)]) for n, (u, t) in enumerate(pairs())]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")
    return path


def describe(path: Path, **options: Any) -> dict[str, Any]:
    """Write the YAML, and return its source as plain values."""
    settings = {"name": None, "columns": None, "scale": None, "items": None, "characters": None, "force": False}
    written = new_table(path, config_dir=str(path.parent / "conf"), **{**settings, **options})
    source: dict[str, Any] = yaml.safe_load(written.read_text())["source"]
    return source


def read(source: dict[str, Any], cache: Path) -> pl.DataFrame:
    settings = {key: value for key, value in source.items() if key != "_target_"}
    return pl.read_parquet(prepare(Table(**settings), cache).interactions)  # type: ignore[arg-type]


def test_a_known_table_needs_no_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "My Stars.csv", "Film;User-ID;Stars", ["4,5", "0,5", "5", "3"], row="{title};{user};{cell}")
    source = describe(path)
    assert source["name"] == "my_stars"
    assert source["scale"] == "0.5-5"
    ratings = source["ratings"]
    assert ratings["columns"] == {
        "user_id": "User-ID",
        "item_id": "Film",
        "rating": "Stars",
        **dict.fromkeys(("title", "timestamp", "status")),
    }
    assert (ratings["separator"], ratings["decimal"], ratings["unrated"]) == (";", ",", [])
    rows = read(source, tmp_path / "cache")
    assert len(rows) == len(pairs())
    assert sorted(set(rows["rating"])) == [0.5, 3.0, 4.5, 5.0]
    out = capsys.readouterr().out
    assert "not certain" not in out
    assert "dataset=my_stars model=ease" in out
    first_title = path.read_text().splitlines()[1].partition(";")[0]
    assert f"anirec recommend RUN --likes '#{first_title}=4.5'" in out


@pytest.mark.parametrize(
    ("cells", "scale", "unrated", "doubt"),
    [
        (["1", "5", "3"], "1-5", [], ""),
        (["10", "7", "1"], "1-10", [], ""),
        (["10", "7.5", "1"], "1-10/0.5", [], ""),
        (["9", "7", "1"], "1-10", [], "highest rating is 9"),
        (["100", "85", "40"], "1-100", [], ""),
        (["100", "85", "0"], "1-100", ["0"], "0 in the ratings"),
        (["10", "8", "-1"], "1-10", ["-1"], "-1 in the ratings"),
        (["up", "down"], "thumbs", [], ""),
        (["1", "0"], "thumbs", [], "if 1 means seen"),
        (["1", "-1"], "thumbs", [], ""),
        (["1", "-1", "0"], "thumbs", ["0"], "between 1 and -1, is taken for neutral or unrated"),
        (["-9.5", "10", "2"], "-9.5 to 10/0.5", [], "ends are those of the ratings, -9.5 and 10"),
        (["1.234", "4.71", "5"], "1-5/0.000001", [], ""),
    ],
)
def test_scales(
    cells: list[str], scale: str, unrated: list[str], doubt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = describe(write(tmp_path / "r.csv", "user,item,rating", cells))
    assert source["scale"] == scale
    assert source["ratings"]["unrated"] == unrated
    out = capsys.readouterr().out
    assert (doubt in out) if doubt else ("not certain" not in out)
    rows = read(source, tmp_path / "cache")
    assert rows["rating"].null_count() == sum(cell in unrated for cell in cells) * len(rows) // len(cells)


def test_few_ratings_above_the_scale_of_the_others_do_not_widen_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = describe(write(tmp_path / "r.csv", "user,item,rating", ["99", *["10", "7", "1"] * 39, "5", "6"]))
    assert source["scale"] == "1-10"
    assert "2 of 240 ratings are above 10 (99)" in capsys.readouterr().out
    assert "(?) the scale: 2 of 240" in (tmp_path / "conf" / "dataset" / "r.yaml").read_text()
    assert len(read(source, tmp_path / "cache")) == 238


@pytest.mark.parametrize(
    "row", ['{user},{title},{cell},"good,\nbut long"', '"{user}\nx",{title},{cell},', '{user},"{title}\n, x",{cell},-']
)
def test_cells_with_line_breaks_are_read(row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = describe(write(tmp_path / "r.csv", "user,item,rating,review", ["5", "1", "2"], row=row))
    assert f"{len(pairs())} rows of {USERS} users and {TITLES} titles" in capsys.readouterr().out
    rows = read(source, tmp_path / "cache")
    assert (len(rows), rows["user_id"].n_unique(), rows["rating"].null_count()) == (len(pairs()), USERS, 0)


def test_a_large_file_with_line_breaks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "LARGEST_WITH_BREAKS", 100)
    path = write(tmp_path / "r.csv", "user,item,rating,review", ["5", "1"], row='{user},{title},{cell},"a\nb"')
    with pytest.raises(UserError, match=r"r\.csv, line 2: a quoted cell has a line break"):
        describe(path)


@pytest.mark.parametrize("sign", ["/", ".", "-"])
def test_days_prove_the_order_of_day_and_month(sign: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = [f"5,10{sign}04{sign}2019", f"4,23{sign}04{sign}2019"]
    source = describe(write(tmp_path / "r.csv", "user,item,rating,date", days))
    form = f"%d{sign}%m{sign}%Y"
    assert source["ratings"]["time"] == form
    assert source["ratings"]["columns"]["timestamp"] == "date"
    out = capsys.readouterr().out
    assert f"times are read as {form}" in out
    assert "(?)" not in out + (tmp_path / "conf" / "dataset" / "r.yaml").read_text()
    times = read(source, tmp_path / "cache")["timestamp"]
    assert {str(time.date()) for time in times} == {"2019-04-10", "2019-04-23"}


def test_an_unknown_order_of_day_and_month_is_a_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = describe(write(tmp_path / "r.csv", "user,item,rating,date", ["5,10/04/2019", "4,11/04/2019"]))
    assert source["ratings"]["columns"]["timestamp"] is None
    assert "time: '%d/%m/%Y' or time: '%m/%d/%Y'" in capsys.readouterr().out


def test_it_says_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"u{n},t{n},{n % 10 + 1},2020-01-{n % 28 + 1:02}" for n in range(60)]
    lines[3] = "u3,t3,4,last week"
    lines[5] = "u5,t5"
    lines += ["u7,t7,1,2020-02-01", "u9,t9,10,2020-02-01"]
    (tmp_path / "r.csv").write_text("\n".join(["user,item,rating,time", *lines]) + "\n")
    describe(tmp_path / "r.csv")
    out = capsys.readouterr().out
    assert "1 of 62 rows cannot be read; the first is line 7: not 4 fields: u5,t5" in out
    assert "1 of 61 times in time cannot be read; the first is in line 5" in out
    assert "1 pairs of a user and a title have several different ratings: the newest one counts" in out


@pytest.mark.parametrize("others", [[], ["ann,Monster,4"]])
def test_bytes_that_are_not_utf_8_are_named(
    others: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "\n".join(["user,item,rating", *others, "bob,Pok\xe9mon,5", ""])
    (tmp_path / "r.csv").write_bytes(text.encode("latin-1"))
    message = f"Byte 0xe9 (\xe9 in Latin-1) in line {len(others) + 2} is not UTF-8: save the file as UTF-8"
    if others:
        describe(tmp_path / "r.csv")
        assert message in capsys.readouterr().out
    else:
        with pytest.raises(UserError) as error:
            describe(tmp_path / "r.csv")
        assert message in str(error.value)


def test_commas_between_thousands_are_no_decimal_signs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = ["1,010", "7", "2,500"]
    plays = describe(write(tmp_path / "r.csv", "user;item;plays", cells, row="{user};{title};{cell}"))
    assert plays["ratings"]["columns"]["rating"] is None
    assert "if plays holds ratings" in capsys.readouterr().out
    describe(write(tmp_path / "named.csv", "user;item;rating", cells, row="{user};{title};{cell}"))
    assert "decimal: 1,010 in rating is read as 1.010; if commas separate thousands" in capsys.readouterr().out
    assert 'decimal: ","   # (?)' in (tmp_path / "conf" / "dataset" / "named.yaml").read_text()


@pytest.mark.parametrize(
    ("days", "form"),
    [
        (["20190301", "20180215"], "%Y%m%d"),
        (["13.02.2019 10:20", "01.02.2019 23:59"], "%d.%m.%Y %H:%M"),
    ],
)
def test_days_without_signs_and_with_hours(days: list[str], form: str, tmp_path: Path) -> None:
    source = describe(
        write(tmp_path / "r.csv", "user,item,rating,date", [f"{n + 4},{day}" for n, day in enumerate(days)])
    )
    assert source["ratings"]["time"] == form
    times = read(source, tmp_path / "cache")["timestamp"]
    assert (times.null_count(), sorted(set(times.dt.day()))) == (0, sorted({13, 1} if "." in form else {1, 15}))


def test_a_given_scale_counts(tmp_path: Path) -> None:
    source = describe(write(tmp_path / "r.csv", "user,item,rating", ["1", "5"]), scale="1-10")
    assert source["scale"] == "1-10"


def test_columns_are_guessed_from_their_cells_and_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "r.csv", "", ["5", "2"], row="{user},{title},{cell},1589711573")
    source = describe(path)
    columns = source["ratings"]["columns"]
    assert [columns[ours] for ours in ("user_id", "item_id", "rating", "timestamp")] == [
        *("column_1", "column_2", "column_3", "column_4")
    ]
    text = (tmp_path / "conf" / "dataset" / "r.yaml").read_text()
    assert text.count("(?)") == 5, "four columns and the introduction"
    assert capsys.readouterr().out.count("not certain") == 4
    assert len(read(source, tmp_path / "cache")) == len(pairs())


def test_a_first_line_of_words_that_occur_below_is_data(tmp_path: Path) -> None:
    source = describe(write(tmp_path / "r.csv", "", ["up", "down"]))
    assert source["ratings"]["header"] == ["column_1", "column_2", "column_3"]
    assert len(read(source, tmp_path / "cache")) == len(pairs())


def test_a_first_line_that_may_be_data_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = describe(write(tmp_path / "r.csv", "ann,Moon Garden,yes", ["up", "down"]))
    assert source["ratings"]["header"] is None
    assert "header: the first line, ann, Moon Garden, yes, is read as" in capsys.readouterr().out
    assert "header: null   # (?)" in (tmp_path / "conf" / "dataset" / "r.yaml").read_text()


def test_named_columns_are_not_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "a,b,c", ["4", "2"])
    columns = describe(path, columns="user_id=b,item_id=a")["ratings"]["columns"]
    assert (columns["user_id"], columns["item_id"], columns["rating"]) == ("b", "a", "c")


@pytest.mark.parametrize(
    ("header", "row", "column", "expected", "doubt"),
    [
        ("user_id,item_id,user_rating,rating", "{user},{title},{cell},7.{title}", "rating", "user_rating", "or rating"),
        ("user,item,rating", "{user},{title},7.{title}", "rating", "rating", "same in all rows of a title"),
        ("user,item,Rating,rating", "{user},{title},{cell},{cell}", "rating", "rating", "rating: rating; or Rating"),
        ("user,item,rating,rating", "{user},{title},{cell},{cell}", "rating", "rating", "rating: rating; or rating_2"),
        ("User,user,item,rating", "{user},{user},{title},{cell}", "user_id", "user", "user_id: user; or User"),
        (
            "user_id,user,item,rating",
            "{user}{title},{user},{title},{cell}",
            "user_id",
            "user",
            "user_id: user; or user_id",
        ),
    ],
)
def test_of_columns_with_similar_names_the_one_that_fits_is_taken(
    header: str, row: str, column: str, expected: str, doubt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "r.csv", header, ["4", "1", "5", "2", "3"], row=row)
    path.write_text(path.read_text().replace("7.t", "7."))
    assert describe(path)["ratings"]["columns"][column] == expected
    assert doubt in capsys.readouterr().out
    assert "(?)" in next(
        line for line in (tmp_path / "conf" / "dataset" / "r.yaml").read_text().splitlines() if f" {column}:" in line
    )


def test_a_table_without_ratings_is_implicit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "plays.csv", "user,item", [""], row="{user},{title}")
    source = describe(path)
    assert source["ratings"]["columns"]["rating"] is None
    out = capsys.readouterr().out
    assert "model=ease metrics=ranking" in out
    assert f"anirec recommend RUN --likes '#t{pairs()[0][1]}'\n" in out
    assert "(?)" not in out + (tmp_path / "conf" / "dataset" / "plays.yaml").read_text()
    assert read(source, tmp_path / "cache")["rating"].null_count() == len(pairs())


def test_titles_are_found_by_the_ids_that_both_files_have(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "user,item,rating", ["4", "5"])
    titles = tmp_path / "titles.csv"
    titles.write_text("key,name,genres\n" + "".join(f"t{n},Title {n},Drama|Action\n" for n in range(TITLES)))
    items = describe(path, items=titles)["items"]
    assert items["columns"] == {"item_id": "key", "title": "name", "genres": "genres"}
    assert (items["files"], items["lists"]) == ("titles.csv", "|")
    titles.write_text("key,name\nother,Monster\n")
    with pytest.raises(UserError, match=r"titles\.csv: no column has the ids of the titles in r\.csv"):
        describe(path, items=titles, force=True)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("rating,liked\n5,1\n4,0\n5,1\n", {}, "no column looks like user_id and item_id"),
        ("hello\nworld\n", {}, "no separator"),
        ("", {}, "is empty"),
        ("user,item,rating\na,b,5\n", {"columns": "user_id=none"}, "no column none"),
        ("user,item,rating\na,b,5\n", {"columns": "usr=user"}, "OURS is one of"),
        ("user,item,rating\n", {}, "a header, but no rows"),
        (
            "user,item,rating\na,b,5,\na,c,4,\n",
            {},
            "4 cells, where the header has 3; all lines but the header end with ,",
        ),
        ("user,item,rating\na,b,good\n", {}, "are no numbers: good"),
        ("user,item,rating\na,b,5\n", {"name": "mal_2016"}, "a dataset of anirec"),
        ("user,item,rating\na,b,5\n", {"scale": "5"}, "scale=5: expected"),
        ("user,item,rating\na,b,5\n", {"name": "123"}, "--name 123: expected letters"),
        ("user,item,rating\na,b,5\n", {"name": "nan"}, "--name nan: expected letters"),
    ],
)
def test_where_nothing_can_be_known_it_says_what_to_pass(
    content: str, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(UserError) as error:
        describe(tmp_path / "r.csv", **options)
    assert words in str(error.value)
    assert not (tmp_path / "conf").exists()


@pytest.mark.parametrize("name", ["r.csv.gz", "r.csv.zst"])
def test_plain_text_with_the_name_of_a_compressed_file(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, "user,item,rating", ["4", "5"])
    with pytest.raises(UserError, match=f"{name}: the name ends in .*but the content is not compressed"):
        describe(path)


@pytest.mark.parametrize(("file", "name"), [("123.csv", "own_123"), ("nan.csv", "own_nan"), ("!!!.csv", "own")])
def test_a_file_name_that_is_no_name_of_a_dataset_is_changed(file: str, name: str, tmp_path: Path) -> None:
    assert describe(write(tmp_path / file, "user,item,rating", ["4", "5"]))["name"] == name


def test_a_yaml_is_replaced_only_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "user,item,rating", ["4", "5"])
    describe(path)
    with pytest.raises(UserError, match=r"r\.yaml exists: .* --force"):
        describe(path)
    describe(path, force=True)
