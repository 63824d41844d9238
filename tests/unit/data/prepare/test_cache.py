"""The cache of tidy tables: made once for the same data, complete or missing, with every row counted."""

import json
import logging
import multiprocessing
import os
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from anirec import notices
from anirec.data.prepare import fingerprint as fingerprints
from anirec.data.prepare.build import build_tables
from anirec.data.prepare.cache import prepare
from anirec.data.schema import ContractError
from anirec.data.sources.base import Source
from anirec.data.sources.mal_2016 import Mal2016
from anirec.errors import UserError

RATINGS = "user_id,anime_id,rating\n1,20,8\n1,21,-1\n2,20,x\n2,99,7\n1,20,9\n3,20\n"
ANIME = """anime_id,name,genre,type,episodes,rating,members
20,Naruto,"Action, Comedy",TV,220,7.81,683297
21,One,,TV,soon,8.5,5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mal-2016"
    folder.mkdir()
    (folder / "rating.csv").write_text(RATINGS)
    (folder / "anime.csv").write_text(ANIME)
    return folder


@pytest.fixture
def own_cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


class Generated(Source):
    """A source without files."""

    columns = frozenset({"user_id", "item_id", "rating", "title"})
    version = 1

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def options(self) -> Mapping[str, Any]:
        return {"seed": self.seed}

    def facts(self) -> Mapping[str, float]:
        return {"floor/rmse": 1.5}

    def interactions(self) -> pl.LazyFrame:
        rows = {"user_id": [1, 2], "item_id": [5, 6], "rating": [7.0, float(self.seed)]}
        return pl.LazyFrame(rows, schema_overrides={"rating": pl.Float32})

    def items(self) -> pl.LazyFrame:
        return pl.LazyFrame({"item_id": [5], "title": ["Crimson Voyage"]})


def test_every_row_is_accounted_for(folder: Path, own_cache: Path) -> None:
    report = prepare(Mal2016(folder=str(folder)), own_cache).report
    counts = {name: count for name, count in report.items() if isinstance(count, int)}
    assert counts == {
        "rows_read": 6,
        "rows_rejected": 2,
        "duplicates_removed": 1,
        "rows_kept": 3,
        "unrated_rows": 1,
        "disagreeing_duplicates": 1,
        "items_read": 2,
        "items_rejected": 0,
        "duplicate_items_removed": 0,
        "items_kept": 2,
        "unlisted_items": 1,
    }
    assert report["rejects"] == {
        "rating.csv: not 3 fields": 1,
        "rating.csv: rating is not a number from 1 to 10 or -1": 1,
    }
    assert report["unreadable_cells"] == {"anime.csv: episodes": 1}
    assert report["files"] == {"rating.csv": len(RATINGS), "anime.csv": len(ANIME)}
    assert report["empty_columns"] == []


def test_steps_count_the_rows(folder: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    build_tables(Mal2016(folder=str(folder)), tmp_path, step=steps.append)
    assert "reading rating.csv, anime.csv: 6 rows" in steps
    assert "removing duplicates: 4 rows" in steps


def test_tables(folder: Path, own_cache: Path) -> None:
    prepared = prepare(Mal2016(folder=str(folder)), own_cache)
    assert pl.read_parquet(prepared.interactions).rows() == [(1, 21, None), (1, 20, 9.0), (2, 99, 7.0)]
    items = pl.read_parquet(prepared.items)
    assert items.select("item_id", "title", "genres", "episodes").rows() == [
        (20, "Naruto", ["Action", "Comedy"], 220),
        (21, "One", [], None),
        (99, "99", [], None),
    ]
    assert pl.read_parquet(prepared.rejects).rows() == [
        ("rating.csv", 4, "rating is not a number from 1 to 10 or -1", "2,20,x"),
        ("rating.csv", 7, "not 3 fields", "3,20"),
    ]
    assert sorted(path.name for path in prepared.folder.iterdir()) == [
        "interactions.parquet",
        "items.parquet",
        "rejects.parquet",
        "report.json",
    ]


def test_unreadable_rows_cause_a_warning_also_if_they_are_cached(
    folder: Path, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        caplog.clear()
        notices.printed.clear()  # another command
        with caplog.at_level(logging.WARNING):
            prepared = prepare(Mal2016(folder=str(folder)), own_cache)
        assert "2 of 8 rows" in caplog.text
        assert str(prepared.rejects) in caplog.text
        assert "anime.csv: episodes" in caplog.text
    caplog.clear()
    prepare(Mal2016(folder=str(folder)), own_cache)
    assert not caplog.messages, "a command warns of a dataset once"


def test_a_warm_cache_reads_no_dump(folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(Mal2016(folder=str(folder)), own_cache)
    monkeypatch.setattr(Mal2016, "interactions", lambda self: pytest.fail("read again"))
    monkeypatch.setattr(fingerprints.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert prepare(Mal2016(folder=str(folder)), own_cache) == first


def test_the_fingerprint_depends_only_on_content_version_and_options(
    folder: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(Mal2016(folder=str(folder)), own_cache).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    assert prepare(Mal2016(folder=str(moved)), tmp_path / "other cache").fingerprint == first
    (moved / "rating.csv").write_text(RATINGS.replace("8", "5"))
    changed = prepare(Mal2016(folder=str(moved)), own_cache).fingerprint
    monkeypatch.setattr(Mal2016, "version", 999)
    newer = prepare(Mal2016(folder=str(moved)), own_cache).fingerprint
    seeds = [prepare(Generated(seed=seed), own_cache).fingerprint for seed in (3, 3, 4)]
    assert len({first, changed, newer, *seeds}) == 5
    assert seeds[0] == seeds[1]


def test_a_source_without_files(own_cache: Path) -> None:
    prepared = prepare(Generated(seed=3), own_cache)
    assert pl.read_parquet(prepared.interactions)["rating"].to_list() == [7.0, 3.0]
    assert pl.read_parquet(prepared.items).rows() == [(5, "Crimson Voyage"), (6, "6")]
    assert prepared.report["facts"] == {"floor/rmse": 1.5}
    assert prepared.report["source"]["options"] == {"class": "Generated", "seed": 3}


class Painted(Source):
    """A source of titles with characters and drawn pictures, without ratings."""

    columns = frozenset({"item_id", "title", "character_id", "name", "portrait", "role"})
    version = 1

    def items(self) -> pl.LazyFrame:
        return pl.LazyFrame({"item_id": [5], "title": ["Crimson Voyage"]})

    def characters(self) -> pl.LazyFrame:
        rows = {"character_id": [7, 8, 7], "name": ["Ann", None, "Other"], "portrait": ["7.txt", None, None]}
        return pl.LazyFrame(rows)

    def appearances(self) -> pl.LazyFrame:
        roles = [None, "Supporting", "Main", "Supporting"]
        return pl.LazyFrame({"item_id": [5, 5, 5, 5], "character_id": [8, 7, 7, 7], "role": roles})

    def draw(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "7.txt").write_text("Ann")


def test_characters_appearances_and_pictures(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Painted()
    prepared = prepare(source, own_cache)
    assert prepared.interactions is None
    assert prepared.characters is not None
    assert prepared.appearances is not None
    assert pl.read_parquet(prepared.characters).rows() == [(7, "Ann", "7.txt"), (8, None, None)]
    assert pl.read_parquet(prepared.appearances).rows() == [(5, 8, None), (5, 7, "Main")]
    assert (source.pictures(prepared.pictures) / "7.txt").read_text() == "Ann"
    counts = {name: count for name, count in prepared.report.items() if isinstance(count, int) and count}
    assert counts == {
        "items_read": 1,
        "items_kept": 1,
        "characters_read": 3,
        "duplicate_characters_removed": 1,
        "characters_kept": 2,
        "appearances_read": 4,
        "duplicate_appearances_removed": 2,
        "appearances_kept": 2,
    }
    monkeypatch.setattr(Painted, "columns", Painted.columns | {"description"})
    monkeypatch.setattr(Painted, "version", 2)
    with pytest.raises(ContractError, match="description"):
        prepare(source, own_cache)


def test_a_killed_run_leaves_no_tables(folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: Mal2016) -> pl.LazyFrame:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Mal2016, "facts", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(Mal2016(folder=str(folder)), own_cache)
    assert list((own_cache / "tables").glob("[!.]*")) == []
    assert prepare(Mal2016(folder=str(folder)), own_cache).report["rows_kept"] == 3


def test_folders_of_a_killed_run_are_removed_after_a_day(folder: Path, own_cache: Path) -> None:
    old, new = own_cache / "tables/.unfinished-old", own_cache / "tables/.unfinished-new"
    for remains in (old, new):
        remains.mkdir(parents=True)
        (remains / "raw.parquet").touch()
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    prepare(Mal2016(folder=str(folder)), own_cache)
    assert not old.exists()
    assert new.exists()


def test_remains_of_a_killed_run_are_removed_by_the_next_run_that_prepares_the_same_tables(
    folder: Path, own_cache: Path
) -> None:
    prepared = prepare(Mal2016(folder=str(folder)), own_cache).folder
    same = prepared.rename(prepared.with_name(f".unfinished-{prepared.name}-{'0' * 32}"))
    other = prepared.with_name(f".unfinished-mal_2018-{'0' * 16}-{'0' * 32}")
    other.mkdir()
    assert prepare(Mal2016(folder=str(folder)), own_cache).folder.is_dir()
    assert not same.exists()
    assert other.exists(), "another process may be building it"


class Counted(Mal2016):
    """A dump that records how often it is read."""

    def interactions(self) -> pl.LazyFrame:
        with (self.folder / "read.txt").open("a") as file:
            file.write("x")
        time.sleep(0.2)
        return super().interactions()


def test_processes_that_start_together_read_the_dump_once(folder: Path, own_cache: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(prepare, [Counted(folder=str(folder))] * 3, [own_cache] * 3))
    assert (folder / "read.txt").read_text() == "x"
    assert len(set(found)) == 1
    assert json.loads((found[0].folder / "report.json").read_text())["rows_kept"] == 3
    assert [path.name for path in (own_cache / "tables").glob("[!.]*")] == [found[0].folder.name]


def test_missing_files_are_reported_all_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "mal-2016"
    with pytest.raises(UserError) as error:
        prepare(Mal2016(folder=str(folder)), tmp_path)
    for words in (str(folder), "no such folder", "rating.csv", "anime.csv", "CooperUnion", "ANIREC_DATA", "paths.data"):
        assert words in str(error.value)


def test_a_packed_dump_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").touch()
    with pytest.raises(UserError, match=r"archive\.zip: unpack it"):
        Mal2016(folder=str(tmp_path)).files()


@pytest.mark.parametrize(
    ("ratings", "words"),
    [
        ("", "empty (0 bytes)"),
        ("user_id,anime_id,rating\n", "there is no row"),
        (
            "user_id,anime_id,rating\n1,20,80\n1,21,90\n",
            "rating.csv, line 2: rating is above 10: 1,20,80",
        ),
        ("post,tags\n1,blue_hair\n", "post,tags"),
    ],
    ids=["empty", "header only", "everything rejected", "another dump"],
)
def test_a_dump_without_a_readable_row_is_an_error(folder: Path, own_cache: Path, ratings: str, words: str) -> None:
    (folder / "rating.csv").write_text(ratings)
    with pytest.raises(UserError) as error:
        prepare(Mal2016(folder=str(folder)), own_cache)
    assert words in str(error.value)
    assert "rating.csv" in str(error.value)


def test_tables_that_do_not_match_the_schema_are_a_bug_of_the_source(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Generated, "columns", Generated.columns | {"title_english"})
        with pytest.raises(ContractError, match="title_english: in columns, but in no table"):
            prepare(Generated(seed=3), own_cache)
    with pytest.raises(ContractError, match=r"test_cache\.Generated breaks its contract: .* rating > 10"):
        prepare(Generated(seed=11), own_cache)
