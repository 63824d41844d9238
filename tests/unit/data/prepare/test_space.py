"""The folder of the cache: full disks, folders without permission, and users who share one."""

import errno
import shutil
import stat
from collections import namedtuple
from pathlib import Path

import polars as pl
import pytest

from anirec.data.prepare import cache as prepared_tables
from anirec.data.prepare.cache import prepare
from anirec.data.prepare.space import SHARE
from anirec.data.sources.mal_2016 import Mal2016
from anirec.errors import UserError

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def source(tmp_path: Path) -> Mal2016:
    folder = tmp_path / "mal-2016"
    folder.mkdir()
    (folder / "rating.csv").write_text("user_id,anime_id,rating\n1,20,8\n2,20,7\n")
    (folder / "anime.csv").write_text(
        "anime_id,name,genre,type,episodes,rating,members\n20,Naruto,Action,TV,220,7.81,683297\n"
    )
    return Mal2016(folder=str(folder))


def test_a_disk_that_is_too_small_is_an_error_before_any_work(
    source: Mal2016, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = SHARE * sum(path.stat().st_size for path in source.files())
    monkeypatch.setattr(prepared_tables, "build_tables", lambda *_, **__: pytest.fail("work has begun"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e9, 1e9, needed - 1))
    with pytest.raises(UserError, match=r"tables of mal_2016 need about .* in .*cache, .* are free.*ANIREC_CACHE"):
        prepare(source, tmp_path / "cache")


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("error", FULL, ids=["of the system", "of Polars"])
def test_a_disk_that_gets_full_leaves_nothing(
    source: Mal2016, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def build(_: object, folder: Path, **__: object) -> None:
        (folder / "raw_interactions.parquet").write_bytes(b"half")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(prepared_tables, "build_tables", build)
        with pytest.raises(UserError, match=r"disk of the cache .* is full.*ANIREC_CACHE") as raised:
            prepare(source, tmp_path / "cache")
    assert "\n" not in str(raised.value)
    assert [path for path in (tmp_path / "cache/tables").iterdir() if path.is_dir()] == []
    assert prepare(source, tmp_path / "cache").report["rows_kept"] == 2


def test_a_cache_that_cannot_be_written_to_is_one_sentence(source: Mal2016, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"The cache .*file/cache cannot be used: .*Set ANIREC_CACHE") as raised:
        prepare(source, tmp_path / "file/cache")
    assert "\n" not in str(raised.value)


def test_tables_of_another_user_are_used_without_writing(
    source: Mal2016, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(source, tmp_path / "cache")
    (tmp_path / "mal-2016").rename(tmp_path / "elsewhere")  # so that the hashes of its files are not in the cache

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    for name in ("mkdir", "write_text", "touch"):
        monkeypatch.setattr(Path, name, refuse)
    assert prepare(Mal2016(folder=str(tmp_path / "elsewhere")), tmp_path / "cache") == first


@pytest.mark.parametrize(("mode", "folders", "files"), [(0o770, 0o070, 0o060), (0o700, 0, 0), (0o750, 0o050, 0o040)])
def test_the_group_of_the_cache_gets_the_same_rights_to_its_content(
    source: Mal2016, tmp_path: Path, mode: int, folders: int, files: int
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(mode)
    prepare(source, cache)
    for path in cache.rglob("*"):
        assert path.stat().st_mode & 0o070 == (folders if path.is_dir() else files), path
        assert path.stat().st_mode & stat.S_IRUSR
