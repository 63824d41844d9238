"""The source of posts of an image board: every format, all known defects, and the real posts."""

import gzip
import json
import os
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import polars as pl
import pytest

from anirec.data.prepare.cache import Prepared, prepare
from anirec.data.prepare.posts import write_posts
from anirec.data.prepare.tag_rows import TagRows
from anirec.data.readers.json_objects import scan_json
from anirec.data.sources.safebooru import CSV, Safebooru
from anirec.errors import UserError

# id, score, tags, seconds since 1970, width, height
WORLD = [
    (1, 4, ["1girl", "solo", "don't"], 1_264_803_292, 850, 1202),
    (2, 0, ["solo", "back-to-back", "1girl"], 1_264_803_300, 640, 480),
    (5, -3, [], 1_264_900_000, 10, 20),
    (9, 1, ["don't", "subaru_(yachika)", "x,y"], 1_479_600_000, 4093, 2894),
    (12, 250, ["1girl"], 1_479_686_399, 1, 1),
]
Write = Callable[[Path], None]


def lines_of_csv(separator: str = " ") -> list[str]:
    def cells(post: int, score: int, tags: list[str], time: int, width: int, height: int) -> str:
        text = separator.join(tags)
        return f'{post},{time},safe,{score},//a.jpg,{width},{height},//b.jpg,"{text}"'

    return [cells(*row) for row in WORLD]


def of_site(rows: list[tuple]) -> list[dict[str, Any]]:
    return [
        {
            "id": post,
            "score": score,
            "tags": escape(" ".join(tags)),
            "change": time,
            "rating": "safe",
            "width": width,
            "height": height,
        }
        for post, score, tags, time, width, height in rows
    ]


def of_danbooru(*, as_list: bool, key: str) -> list[dict[str, Any]]:
    def moment(seconds: int) -> str:
        utc = pl.from_epoch(pl.Series([seconds])).dt.replace_time_zone("UTC")
        return utc.dt.convert_time_zone("America/New_York").dt.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z")[0]

    return [
        {
            key: post,
            "score": score,
            "tag_string": tags if as_list else " ".join(tags),
            "created_at": moment(time),
            "rating": "safe",
            "image_width": width,
            "image_height": height,
            "media": {"variants": [{"width": 7}, {"width": 8}]},
        }
        for post, score, tags, time, width, height in WORLD
    ]


def csv(folder: Path) -> None:
    (folder / "all_data.csv").write_text("\n".join([",".join(CSV.header), *lines_of_csv()]))


def csv_piece_with_crlf(folder: Path) -> None:
    text = "\ufeff" + "\r\n".join([*lines_of_csv("  "), ""]).replace('"1girl', '" 1girl')
    (folder / "all_data.csv").write_bytes(text.encode())


def overlapping_pages(folder: Path) -> None:
    first, second = of_site(WORLD[:3]), of_site(WORLD[1:])
    second[0]["score"] = 99  # of a post that the first page has
    (folder / "page_0.json").write_text(json.dumps(first, indent=1))
    (folder / "page_1.json").write_text(json.dumps({"@attributes": {"limit": 3}, "post": second}))
    (folder / "page_2.json").write_text("[]")


def json_lines(folder: Path) -> None:
    (folder / "posts.jsonl").write_text("\n".join(map(json.dumps, of_site(WORLD))))


def danbooru_lists(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps(of_danbooru(as_list=True, key="_id")))


def danbooru_text(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps(of_danbooru(as_list=False, key="id"), indent=2))


def tag_groups(folder: Path) -> None:
    """Posts as e621 and Danbooru's newer clients return them."""
    rows = [
        {
            **post,
            "tags": {"general": tags[:1], "artist": tags[1:]},
            "score": {"up": score + 1, "down": -1, "total": score},
        }
        for post, (_, score, tags, *_) in zip(of_site(WORLD), WORLD, strict=True)
    ]
    (folder / "page.json").write_text(json.dumps({"posts": rows}))


def tags_with_commas(folder: Path) -> None:
    rows = [
        {**post, "tags": ", ".join(row[2]).replace("_", " ")} for post, row in zip(of_site(WORLD), WORLD, strict=True)
    ]
    rows[3]["tags"] = ["don't", "subaru_(yachika)", "x,y"]  # no text with commas can name this tag
    (folder / "page.json").write_text(json.dumps(rows))


def pages_of_all_kinds(folder: Path) -> None:
    def attributes(post: dict[str, Any]) -> str:
        return " ".join(f"{name}={quoteattr(str(value))}" for name, value in post.items())

    posts = of_site(WORLD)
    (folder / "page1.json").write_text(json.dumps(posts[:1]))
    (folder / "page2.jsonl").write_text(json.dumps(posts[1]))
    of_xml = [{**post, "tags": " ".join(row[2])} for post, row in zip(posts[2:4], WORLD[2:4], strict=True)]
    lines = "\n".join(f"<post {attributes(post)}/>" for post in of_xml)
    (folder / "page3.xml").write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<posts count="9">{lines}</posts>')
    values = "".join(f"<{name}>{value}</{name}>" for name, value in posts[4].items())
    (folder / "page4.xml").write_text(f"<posts><post>{values}</post></posts>")


def prepared(folder: Path) -> Prepared:
    return prepare(Safebooru(folder=str(folder)), folder / "cache")


def posts_of(made: Prepared) -> pl.DataFrame:
    assert made.posts is not None
    return pl.read_parquet(made.posts)


def tags_of(made: Prepared) -> list[list[str]]:
    """Return the names of each post's tags, from the prepared files."""
    names = pl.read_parquet(made.folder / "tags.parquet")["tag"].to_list()
    rows = TagRows.load(made.folder, len(names))
    return [[names[tag] for tag in rows.tag[a:b]] for a, b in zip(rows.start[:-1], rows.start[1:], strict=True)]


def pages(folder: Path, *texts: str | bytes) -> Prepared:
    for number, text in enumerate(texts):
        (folder / f"page_{number}.json").write_bytes(text.encode() if isinstance(text, str) else text)
    return prepared(folder)


@pytest.mark.parametrize(
    "write",
    [
        *(csv, csv_piece_with_crlf, overlapping_pages, json_lines, danbooru_lists, danbooru_text),
        *(tag_groups, tags_with_commas, pages_of_all_kinds),
    ],
)
def test_every_format_gives_the_same_posts(tmp_path: Path, write: Write) -> None:
    write(tmp_path)
    made = prepared(tmp_path)
    found = posts_of(made).select("post_id", "score", "timestamp", "width", "height", "age_rating").rows()
    times = pl.from_epoch(pl.Series([row[3] for row in WORLD])).to_list()
    assert found == [(r[0], r[1], time, r[4], r[5], "safe") for r, time in zip(WORLD, times, strict=True)]
    tags = pl.read_parquet(made.folder / "tags.parquet")
    named = [("1girl", 3), ("don't", 2), ("solo", 2), ("back-to-back", 1), ("subaru_(yachika)", 1), ("x,y", 1)]
    assert tags.rows() == named
    rows = TagRows.load(made.folder, len(tags))
    assert rows.start.tolist() == [0, 3, 6, 6, 9, 10]
    assert rows.tag.tolist() == [0, 1, 2, 0, 2, 3, 1, 4, 5, 0]
    n_twice = 2 if write is overlapping_pages else 0
    counts = {"posts_read": 5 + n_twice, "posts_rejected": 0, "duplicate_posts_removed": n_twice, "posts_kept": 5}
    assert made.report | counts == made.report
    assert made.report["unreadable_cells"] == {}


def test_missing_values_are_null_and_broken_ones_are_counted(tmp_path: Path) -> None:
    made = pages(
        tmp_path,
        '[{"id": 1, "score": null, "tags": "b a b"}, {"id": 2, "tags": "  a "}, {"id": 3, "score": "many"}]',
        f'[{{"id": {"9" * 5000}}},\n{{"id": {"9" * 50}}},\n{{"tags": "a"}},\n{{"id": -1}}]',
    )
    assert posts_of(made).select("post_id", "score").rows() == [(1, None), (2, None), (3, None)]
    assert tags_of(made) == [["a", "b"], ["a"], []]
    assert made.report["posts_without_score"] == 3
    assert made.report["unreadable_cells"] == {"page_0.json: score": 1}
    assert pl.read_parquet(made.rejects).select("file", "line", "reason").rows() == [
        ("page_1.json", line, reason)
        for line, reason in enumerate(["not JSON", *["post_id is not a whole number"] * 3], 1)
    ]


def test_two_spellings_of_a_tag_are_one(tmp_path: Path) -> None:
    made = pages(tmp_path, '[{"id": 1, "tags": "don&#039;t don\'t solo"}, {"id": 2, "tags": "don&#039;t"}]')
    assert tags_of(made) == [["don't", "solo"], ["don't"]]
    assert pl.read_parquet(made.folder / "tags.parquet")["n_posts"].to_list() == [2, 1]


def test_a_page_cut_short_costs_one_post(tmp_path: Path) -> None:
    page = json.dumps(of_site(WORLD))
    made = pages(tmp_path, page[: page.index('"id": 9') + 30], json.dumps(of_site(WORLD[4:])))
    assert posts_of(made)["post_id"].to_list() == [1, 2, 5, 12]
    assert made.report["rejects"] == {"page_0.json: not JSON": 1}


BOMB = '<!DOCTYPE posts [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("start", "broken", "reason"),
    [
        ("", '<post id="7" tags="a>', "not XML"),
        ("", '<post id="7" tags="&b;"/>', "not XML: undefined entity"),
        (BOMB, '<post id="7" tags="&b;"/>', "document type"),
        ('<!DOCTYPE posts SYSTEM "file:///etc/hostname">', "", "document type"),
        ("", f'<post id="7" tags="{"a b " * 100_000}"/>', "more than"),
        ("", f"<post><id>7</id><tags>{'a b ' * 100_000}</tags></post>", "more than"),
    ],
    ids=["cut", "unknown entity", "entities", "external", "long attribute", "long text"],
)
def test_xml_that_is_broken_or_unsafe_is_one_reject(tmp_path: Path, start: str, broken: str, reason: str) -> None:
    (tmp_path / "a.xml").write_text(f'{start}<posts>\n<post id="1" tags="a"/>{broken}\n<post id="2" tags="a"/></posts>')
    made = pages(tmp_path, '[{"id": 3, "tags": "a"}]')
    assert posts_of(made)["post_id"].to_list() == ([3] if start else [1, 3])
    assert pl.read_parquet(made.rejects)["reason"].to_list()[0].count(reason) == 1


@pytest.mark.parametrize(
    "broken",
    [
        '{"id": 7, "tags": [{"x": 1}, {"y": }, 3]}',
        "{id: 7}",
        '{"id": 7, "tags": "' + "a b" * 1_000_000 + '"}',
        b'{"id": 7, "tags": "\xff\xfe"}',
        '{"id": 7, "tags": ' + "[" * 900 + "]" * 900 + "}",
        '{"id": 7, "tags": ' + "[" * 100_000,
        '{"id":' * 5_000,
        "\x00" * 10,
        ",{" * 100_000,
    ],
    ids=["nested", "no JSON", "too long", "not UTF-8", "deep", "deeper", "deep objects", "zeros", "beginnings"],
)
def test_broken_objects_do_not_stop_the_reader(tmp_path: Path, broken: str | bytes) -> None:
    broken = broken.encode() if isinstance(broken, str) else broken
    made = pages(tmp_path, b'[{"id": 1, "tags": "a"},\n' + broken + b',\n{"id": 2, "tags": "a"}]')
    assert posts_of(made)["post_id"].to_list() == [1, 2]
    assert made.report["posts_rejected"] >= 1
    assert made.report["posts_read"] == 2 + made.report["posts_rejected"]
    assert pl.read_parquet(made.rejects)["text"].str.len_chars().max() <= 500


def test_a_lone_surrogate_does_not_stop_the_reader(tmp_path: Path) -> None:
    made = pages(tmp_path, r'[{"id": 1, "tags": "a \ud83d"}, {"id": 2, "tags": "\ud83d\ude00"}]')
    assert tags_of(made) == [["?", "a"], ["\N{GRINNING FACE}"]]


def test_megabytes_of_white_space_or_in_one_line_are_read(tmp_path: Path) -> None:
    many = ",".join(f'{{"id": {post}, "tags": "{"a " * 100}"}}' for post in range(3, 15_000))
    text = '[{"id": 1},' + "\n" * 5_000_000 + '{"id": "x"},' + many + "]"
    assert len(many) > 3_000_000
    made = pages(tmp_path, text)
    assert posts_of(made)["post_id"].to_list() == [1, *range(3, 15_000)]
    assert pl.read_parquet(made.rejects)["line"].to_list() == [5_000_001]


def test_lines_are_counted_over_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(f'{{"id": {line},\n "pad": "{"x" * (line * 7 % 5000)}"}}' for line in range(1, 3000)))
    lines = scan_json([path], ("id",)).collect().select("line", "id").cast(pl.Int64)
    assert lines["id"].to_list() == list(range(1, 3000))
    assert (lines["line"] == 2 * lines["id"] - 1).all()


@pytest.mark.parametrize("block", [1, 2, 7, 1000])
def test_the_sparse_rows_equal_a_dense_matrix_for_every_block_size(tmp_path: Path, block: int) -> None:
    rng = np.random.default_rng(0)
    has_tag = rng.random((60, 25)) < np.linspace(0.02, 0.9, 25)
    has_tag[:, -1] = True
    texts = [" ".join(rng.permutation([f"t{tag}" for tag in row.nonzero()[0]] * 2)) for row in has_tag]
    raw = pl.DataFrame({"post_id": np.arange(60) % 50, "tags": texts})
    raw = raw.with_columns(pl.lit(None, pl.Int32).alias("score"), *(pl.lit(None, pl.String).alias(m) for m in MARKS))
    raw = raw.with_columns(reason=pl.when(pl.col("post_id") == 5).then(pl.lit("broken")))
    raw.write_parquet(tmp_path / "raw.parquet")
    counts = write_posts(pl.scan_parquet(tmp_path / "raw.parquet"), tmp_path, block=block)
    kept = np.delete(has_tag[:50], 5, axis=0)
    tags = pl.read_parquet(tmp_path / "tags.parquet")
    rows = TagRows.load(tmp_path, len(tags))
    columns = tags["tag"].str.strip_prefix("t").cast(pl.Int64).to_numpy()
    assert np.array_equal(rows.matrix().toarray(), kept[:, columns])
    assert np.array_equal(tags["n_posts"], kept.sum(0)[columns])
    assert sorted(columns) == kept.any(0).nonzero()[0].tolist()
    assert tags["n_posts"].is_sorted(descending=True)
    assert all((np.diff(rows.tag[a:b]) > 0).all() for a, b in zip(rows.start[:-1], rows.start[1:], strict=True))
    assert counts == {
        "posts_read": 60,
        "posts_rejected": 1 + 1,
        "duplicate_posts_removed": 9,
        "posts_kept": 49,
        "posts_without_score": 49,
        "distinct_tags": len(tags),
        "tags_of_all_posts": kept.sum(),
    }


MARKS = ("file", "line", "reason", "text", "note")


def test_a_folder_without_posts_is_an_error_that_names_the_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)all_data\.csv or \*\.json.*kaggle\.com/datasets/alamson/safebooru"):
        prepared(tmp_path)
    (tmp_path / "all_data.csv.gz").write_bytes(gzip.compress(b"id"))
    with pytest.raises(UserError, match=r"all_data\.csv\.gz: unpack it"):
        prepared(tmp_path)


@pytest.mark.parametrize("name", ["all_data.csv", "page.json"])
def test_a_packed_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"id,score,tags"))
    with pytest.raises(UserError, match=rf"{name} is gzip-compressed"):
        prepared(tmp_path)


def test_posts_without_any_tag_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No post has a single tag"):
        pages(tmp_path, '[{"id": 1, "tags": " "}, {"id": 2, "score": 3}]')


def test_pages_without_a_post_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="safebooru, posts"):
        pages(tmp_path, '{"success": false, "message": "limit"}')


@pytest.mark.real_data
def test_the_real_posts_in_three_formats(tmp_path: Path) -> None:
    real = Path(os.environ["ANIREC_DATA"]) / "safebooru"
    whole = prepare(Safebooru(folder=str(real)), tmp_path)
    counts = {"posts_kept": 73, "posts_rejected": 0, "distinct_tags": 865, "tags_of_all_posts": 3917}
    assert whole.report | counts == whole.report
    posts = [post for path in sorted(real.glob("*.json")) for post in json.loads(path.read_text())]
    times = posts_of(whole)["timestamp"].dt.epoch("s").to_list()
    text, table = tmp_path / "text", tmp_path / "table"
    text.mkdir()
    table.mkdir()
    as_text = [post | {"tag_string": " ".join(post["tag_string"])} for post in posts]
    (text / "page.json").write_text(json.dumps(as_text))
    keys = ("rating", "score", "sample_url", "image_width", "image_height", "preview_url", "tag_string")
    rows = [[post["_id"], time, *map(post.get, keys)] for post, time in zip(as_text, times, strict=True)]
    pl.DataFrame(rows, schema=list(CSV.header), orient="row", strict=False).write_csv(table / "all_data.csv")
    for other in map(prepared, (text, table)):
        in_seconds = [posts_of(made).with_columns(pl.col("timestamp").dt.truncate("1s")) for made in (other, whole)]
        assert in_seconds[0].equals(in_seconds[1])
        assert tags_of(other) == tags_of(whole)
    assert [set(tags) for tags in tags_of(whole)] == [set(post["tag_string"]) for post in posts]
