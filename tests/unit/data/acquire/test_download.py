"""Downloads from replayed hosts: records of Zenodo, plain files, Kaggle; damaged, hostile and interrupted ones."""

import hashlib
import io
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from anirec.cli import app
from anirec.data.acquire import retrieval as module
from anirec.data.acquire.download import download
from anirec.data.acquire.unpack import unpack
from anirec.data.prepare.cache import prepare
from anirec.data.sources.animepop import AnimePop
from anirec.data.sources.base import Need
from anirec.errors import UserError

from .replayed import FilesWorld, Site, as_json, picture

NEEDS = (Need(("a.csv",)), Need(("b.csv",), optional=True))
HANDLE = "alamson/safebooru"


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(zipfile.ZipInfo(name), content, method)
    return archive.getvalue()


@pytest.fixture
def world() -> FilesWorld:
    return FilesWorld({})


@pytest.fixture
def site(world: FilesWorld) -> Iterator[Site]:
    with Site(world) as site:
        world.site = site
        yield site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "mine"


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path != folder)


def test_a_record_becomes_a_dataset(
    site: Site, world: FilesWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIREC_DATA", str(tmp_path / "data"))
    titles = b"MAL ID,Title,Score,Synopsis,Main Characters\n1,Moon Garden,7.5,A city by the sea.,[5]\n"
    members = b"MAL ID,Name,Description\n5,Ann,A sailor.\n"
    files = {
        f"Database/{what}_{part}.csv": text
        for what, text in (("Anime", titles), ("Char", members))
        for part in ("train", "test")
    }
    world.files = {
        "Database.zip": zipped({**files, "Database/char train/5.png": picture(5)}),
        "other.zip": b"not asked for",
    }
    done = CliRunner().invoke(
        app, ["data", "get", "animepop", "--from", f"{site.address}/records/13835115 (Database.zip)"]
    )
    assert done.exit_code == 0, done.output
    folder = tmp_path / "data" / "animepop"
    assert "4 present" in done.stdout
    prepared = prepare(AnimePop(folder=str(folder)), tmp_path / "cache")
    assert prepared.report["items_kept"] == 1
    note = (folder / "SOURCE.md").read_text()
    assert "- Licence: cc-by-4.0" in note
    assert f"- Address: {site.address}/records/13835115" in note
    assert "- Title: A  [31mcorpus of titles" in note
    assert f"- Database.zip, md5:{hashlib.md5(world.files['Database.zip']).hexdigest()}" in note
    assert not any("other" in path for path in site.counts)
    assert leftovers(folder) == []
    again = CliRunner().invoke(app, ["data", "get", "animepop"])
    assert "animepop: all files are in" in again.stdout
    wrong = CliRunner().invoke(app, ["data", "get", "animepop", "--from", "nonsense"])
    assert "nonsense: expected the address" in str(wrong.exception)


def test_a_file_that_breaks_off_is_resumed(
    site: Site, world: FilesWorld, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 1000)
    world.files = {"a.csv": bytes(range(256)) * 1000}
    site.fail("/api/records/7/files/a.csv/content", "truncated")
    download(f"{site.address}/records/7", folder, NEEDS, force=False)
    assert (folder / "a.csv").read_bytes() == world.files["a.csv"]
    assert world.ranges == ["", "bytes=128000-"]


def test_a_download_that_failed_is_continued_by_the_next(
    site: Site, world: FilesWorld, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "N_TRIES", 1)
    monkeypatch.setattr(module, "CHUNK", 1000)
    world.files = {"a.csv": b"1" * 1000, "b.csv": b"2" * 6000}
    site.fail("/api/records/7/files/b.csv/content", "truncated")
    with pytest.raises(UserError, match="The same command continues the download"):
        download(f"{site.address}/records/7", folder, NEEDS, force=False)
    assert not folder.exists()
    download(f"{site.address}/records/7", folder, NEEDS, force=False)
    assert world.ranges == ["", "", "bytes=3000-"]  # a.csv was not fetched again
    assert (folder / "b.csv").read_bytes() == world.files["b.csv"]


def test_a_wrong_checksum_is_refused(site: Site, world: FilesWorld, folder: Path) -> None:
    world.files, world.checksums = {"a.csv": b"1,2"}, {"a.csv": "md5:" + "0" * 32}
    with pytest.raises(UserError, match=r"a\.csv: .*does not match the known hash"):
        download(f"{site.address}/records/7", folder, NEEDS, force=False)
    assert not folder.exists()


@pytest.mark.parametrize("query", ["", "?download=1"])
def test_files_of_another_address_are_not_mixed_in(site: Site, world: FilesWorld, folder: Path, query: str) -> None:
    world.files = {"one.zip": zipped({"c.csv": b""}), "two.zip": zipped({"a.csv": b"1"})}
    with pytest.raises(UserError, match="The download lacks"):
        download(f"{site.address}/files/one.zip{query}", folder, NEEDS, force=False)
    assert leftovers(folder) == []
    download(f"{site.address}/files/two.zip{query}", folder, NEEDS, force=False)
    assert sorted(path.name for path in folder.iterdir()) == ["SOURCE.md", "a.csv"]


def test_plain_addresses_with_and_without_checksum(site: Site, world: FilesWorld, folder: Path) -> None:
    world.files = {"dump.zip": zipped({"deep/in/a.csv": b"1,2"})}
    address = f"{site.address}/files/dump.zip"
    digest = hashlib.sha256(world.files["dump.zip"]).hexdigest()
    with pytest.raises(UserError, match="does not match"):
        download(f"{address}#sha256={'0' * 64}", folder, NEEDS, force=False)
    download(f"{address}#sha256={digest}", folder, NEEDS, force=False)
    assert (folder / "a.csv").read_bytes() == b"1,2"
    assert f"dump.zip, sha256:{digest}" in (folder / "SOURCE.md").read_text()
    world.files = {"dump.zip": zipped({"a.csv": b"3,4", "b.csv": b"5,6"})}
    assert download(address, folder, NEEDS, force=False) == ["a.csv"]
    assert ((folder / "a.csv").read_bytes(), (folder / "b.csv").read_bytes()) == (b"1,2", b"5,6")
    assert download(address, folder, NEEDS, force=True) == []
    assert (folder / "a.csv").read_bytes() == b"3,4"


def test_a_download_without_the_files_names_what_it_has(site: Site, world: FilesWorld, folder: Path) -> None:
    world.files = {"dump.zip": zipped({"readme.txt": b""})}
    with pytest.raises(UserError, match=r"The download lacks a\.csv. It has: readme\.txt"):
        download(f"{site.address}/files/dump.zip", folder, NEEDS, force=False)
    with pytest.raises(UserError, match=r"has no c\.csv; it has dump\.zip"):
        download(f"{site.address}/records/7 (c.csv)", folder, NEEDS, force=False)


@pytest.mark.parametrize("name", ["../a.csv", "/etc/a.csv", ".bashrc", "a\n.csv", "C:a.csv", "", "a" * 300])
def test_names_of_files_that_lead_elsewhere(site: Site, world: FilesWorld, folder: Path, name: str) -> None:
    world.files = {name: b"1,2"}
    with pytest.raises(UserError, match="is not the name of a file"):
        download(f"{site.address}/records/7", folder, NEEDS, force=False)


def test_more_than_declared_is_refused(
    site: Site, world: FilesWorld, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.files = {"a.csv": b"1" * 100}
    monkeypatch.setattr(module, "N_TRIES", 1)
    site.fail("/api/records/7/files/a.csv/content", "2" * 5000)
    with pytest.raises(UserError, match="larger than the 100 bytes that the host declares"):
        download(f"{site.address}/records/7", folder, NEEDS, force=False)


@pytest.mark.parametrize("answer", ["{", '{"files": 3}', '{"files": [{"key": "a.csv"}]}', "[" * 100_000, "[]"])
def test_other_answers_are_errors(site: Site, folder: Path, answer: str) -> None:
    site.fail("/api/records/7", answer)
    with pytest.raises(UserError, match=r"cannot be read|unexpected answer"):
        download(f"{site.address}/records/7", folder, NEEDS, force=False)


def with_link(name: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        member = zipfile.ZipInfo(name)
        member.external_attr = 0o120777 << 16
        opened.writestr(member, "/etc/passwd")
    return archive.getvalue()


def understated() -> bytes:
    """Return an archive whose directory declares a member as smaller than it is."""
    content = zipped({"a.csv": b"0" * 100_000})
    return content.replace(struct.pack("<L", 100_000), struct.pack("<L", 100))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"../out.csv": b"1"}), "leads outside the folder"),
        (zipped({"/out.csv": b"1"}), "leads outside the folder"),
        (zipped({"in/../../out.csv": b"1"}), "leads outside the folder"),
        (zipped({"..\\out.csv": b"1"}), "leads outside the folder"),
        (zipped({"c:out.csv": b"1"}), "leads outside the folder"),
        (with_link("a.csv"), "is not a regular file"),
        (zipped({"a.csv": b"0" * 10_000_000}), "would unpack to 1 files of 10"),
        (understated(), "cannot be unpacked"),
        (zipped({"a.csv": b"1"})[:-30], "cannot be unpacked"),
        (b"not a zip", "cannot be unpacked"),
    ],
)
def test_hostile_archives_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "in").mkdir()
    archive = tmp_path / "in" / "dump.zip"
    archive.write_bytes(content)
    with pytest.raises(UserError, match=message):
        unpack(archive, tmp_path / "in" / "unpacked", lambda _: None)
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


@pytest.mark.parametrize(
    "origin",
    ["ftp://127.0.0.1/a.csv", "https://www.kaggle.com/datasets/x", "a scrape", "http://127.0.0.1", "/etc/passwd"],
)
def test_other_addresses_are_refused_without_a_request(
    folder: Path, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "get", None)
    with pytest.raises(UserError, match="expected the address of a Kaggle dataset"):
        download(origin, folder, NEEDS, force=False)


def test_a_missing_extra_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, site: Site, world: FilesWorld
) -> None:
    world.files = {"a.csv": b""}
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install 'anirec\[get\]'"):
        download(f"{site.address}/files/a.csv", folder, NEEDS, force=False)
    with pytest.raises(UserError, match=r"pip install 'anirec\[get\]'\nOr download by hand: https://www.kaggle.com"):
        download(f"https://www.kaggle.com/datasets/{HANDLE}", folder, NEEDS, force=False)


class KaggleWorld:
    """Kaggle's API as far as kagglehub uses it for a dataset."""

    def __init__(self, archive: bytes) -> None:
        self.archive, self.status = archive, 200

    def __call__(self, path: str, query: dict[str, str], body: Any) -> tuple[int, dict[str, str], bytes]:
        if self.status != 200:
            return as_json({"code": self.status, "message": "Permission denied"}, self.status)
        if path.endswith("/GetDataset"):
            return as_json({"currentVersionNumber": 3})
        return 200, {"Content-Type": "application/zip", "Accept-Ranges": "bytes"}, self.archive


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleWorld]:
    from kagglesdk import kaggle_env

    world = KaggleWorld(zipped({"all_data.csv": b"id\n1\n"}))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    with Site(world) as site:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, site.address)
        yield world


def test_kaggle_by_kagglehub_and_its_cache(kaggle: KaggleWorld, tmp_path: Path) -> None:
    needs, folder = (Need(("all_data.csv",)),), tmp_path / "data" / "safebooru"
    download(f"https://www.kaggle.com/datasets/{HANDLE}", folder, needs, force=False)
    assert (folder / "all_data.csv").read_bytes() == b"id\n1\n"
    cached = list((tmp_path / "kagglehub").rglob("all_data.csv"))
    assert len(cached) == 1
    assert f"- Licence: as stated on https://www.kaggle.com/datasets/{HANDLE}" in (folder / "SOURCE.md").read_text()


def test_kaggle_without_credentials_says_what_to_do(kaggle: KaggleWorld, tmp_path: Path) -> None:
    kaggle.status = 403
    with pytest.raises(UserError) as caught:
        download(f"https://www.kaggle.com/datasets/{HANDLE}", tmp_path / "safebooru", NEEDS, force=False)
    assert "Create a token at https://www.kaggle.com/settings/api" in str(caught.value)
    assert "KAGGLE_API_TOKEN" in str(caught.value)
    assert f"Accept the terms of the dataset, if it has any: https://www.kaggle.com/datasets/{HANDLE}" in str(
        caught.value
    )


def test_a_host_that_does_not_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "get", refuse)
    for origin in ("https://doi.org/10.5281/zenodo.13835115", "https://example.invalid/a.csv#md5=00"):
        with pytest.raises(UserError, match="no route to host"):
            download(origin, folder, NEEDS, force=False)
    assert leftovers(folder) == []


def test_datasets_without_an_address_are_described_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIREC_DATA", str(tmp_path))
    done = CliRunner().invoke(app, ["data", "get", "malsugoi"])
    assert done.exit_code == 0
    assert "Put into:" in done.stdout
    assert "anime_info.csv" in done.stdout
