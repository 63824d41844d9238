"""`anirec data list`, and files that `anirec validate` reports as missing."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from anirec.cli import app
from anirec.describing import datasets
from anirec.describing.datasets import compose_source, create_source, show_list, show_origin, show_prepared


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what is printed; dumps belong in `data`, prepared tables in `cache`."""
    stream = io.StringIO()
    monkeypatch.setattr(datasets, "CONSOLE", Console(file=stream, width=80))
    monkeypatch.setenv("ANIREC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ANIREC_CACHE", str(tmp_path / "cache"))
    return stream


def write_dump(data: Path, cache: Path, *, n_rows: int) -> None:
    """Write the files of mal_2016, and the report of tables prepared from them."""
    folder = data / "mal-2016"
    folder.mkdir(parents=True)
    for name in ("rating.csv", "anime.csv"):
        (folder / name).write_text("x")
    source, _ = create_source("mal_2016")
    report = {
        "source": {"name": "mal_2016", "version": source.version, "options": {}},
        "files": {"rating.csv": 1, "anime.csv": 1},
        "rows_kept": n_rows,
        "items_kept": 3,
    }
    (cache / "tables" / "mal_2016-0").mkdir(parents=True)
    (cache / "tables" / "mal_2016-0" / "report.json").write_text(json.dumps(report))


def row(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize(("n_rows", "state"), [(7_813_737, "2 present"), (520_609, "sample")])
def test_list_shows_rows_and_samples(tmp_path: Path, printed: io.StringIO, n_rows: int, state: str) -> None:
    write_dump(tmp_path / "data", tmp_path / "cache", n_rows=n_rows)
    show_list()
    text = printed.getvalue()
    assert f"{n_rows:,} entries  {state} " in text
    assert row(text, "mal_2018")[1] == "missing"
    assert row(text, "demo_ratings")[1] == "generated"
    assert max(len(line.rstrip()) for line in text.splitlines() if str(tmp_path) not in line) <= 80


@pytest.mark.parametrize(("n_rows", "what"), [(7_813_737, "all files are in"), (520_609, "a sample of the published")])
def test_get_names_a_sample_as_list_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_rows: int, what: str
) -> None:
    monkeypatch.setenv("ANIREC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ANIREC_CACHE", str(tmp_path / "cache"))
    write_dump(tmp_path / "data", tmp_path / "cache", n_rows=n_rows)
    assert f"mal_2016: {what}" in CliRunner().invoke(app, ["data", "get", "mal_2016"]).stdout


def test_rows_of_other_files_are_not_shown(tmp_path: Path, printed: io.StringIO) -> None:
    write_dump(tmp_path / "data", tmp_path / "cache", n_rows=7_813_737)
    (tmp_path / "data" / "mal-2016" / "rating.csv").write_text("changed")
    show_list()
    assert row(printed.getvalue(), "mal_2016")[1:3] == ["2", "present"]


def test_a_sample_is_known_by_its_name(tmp_path: Path, printed: io.StringIO) -> None:
    folder = tmp_path / "data" / "mal-2018"
    folder.mkdir(parents=True)
    for name in ("animelists_cleaned.sample.csv", "AnimeList.csv"):
        (folder / name).touch()
    show_list()
    assert row(printed.getvalue(), "mal_2018")[1] == "sample"


def test_prepare_prints_what_was_kept_and_dropped(tmp_path: Path, printed: io.StringIO) -> None:
    folder = tmp_path / "data" / "mal-2016"
    folder.mkdir(parents=True)
    (folder / "rating.csv").write_text("user_id,anime_id,rating\n1,20,8\n1,20,7\n1,21,80\n2,20,-1\n")
    (folder / "anime.csv").write_text(
        "anime_id,name,genre,type,episodes,rating,members\n20,Crimson Voyage,Drama,TV,12,7.5,9\n"
    )
    show_prepared("mal_2016")
    counts, where = printed.getvalue().splitlines()
    assert counts == "Prepared tables of mal_2016: 2 entries (rejected: 1, duplicates: 1)"
    assert Path(where, "report.json").is_file()


def test_get_does_not_point_back_at_itself(printed: io.StringIO) -> None:
    show_origin("mal_2016")
    assert "Files: missing\n" in printed.getvalue()
    assert "data get" not in printed.getvalue()


def test_sources_are_those_of_the_composed_config(printed: io.StringIO) -> None:
    assert compose_source("mal_2020").folder == Path(datasets.default_paths()["data"]) / "mal-2020"
    assert compose_source("demo_ratings").options()["n_users"] == 2000


def test_validate_reports_missing_files(tmp_path: Path, printed: io.StringIO) -> None:
    validate = ["validate", "-m", "dataset=mal_2016,mal_2018,demo_ratings", "seed=1,2"]
    result = CliRunner().invoke(app, validate)
    assert result.exit_code == 0
    assert "6 jobs, no problems" in result.stdout
    assert "mal_2016: 2 of 2 files are missing" in result.stderr
    assert "mal_2018: 2 of 2 files are missing" in result.stderr
    write_dump(tmp_path / "data", tmp_path / "cache", n_rows=1)
    joined = CliRunner().invoke(app, ["validate", "dataset=mal_2016", "joined=mal_2020"]).stderr
    assert "mal_2020: 3 of 3 files are missing" in joined
    assert "mal_2016" not in joined
    assert CliRunner().invoke(app, ["validate", "dataset=mal_2016"]).stderr == ""


def test_validate_lists_the_files_that_a_run_reads(tmp_path: Path, printed: io.StringIO) -> None:
    write_dump(tmp_path / "data", tmp_path / "cache", n_rows=1)
    folder = tmp_path / "data" / "safebooru"
    folder.mkdir()
    for number in range(12):
        (folder / f"page_{number:02}.json{'l' * (number % 2)}").write_text("x" * 1_000)
    jobs = "dataset=mal_2016,demo_ratings"
    assert CliRunner().invoke(app, ["validate", "-m", jobs, "split=random,k_fold"]).stdout.splitlines()[1:] == [
        f"dataset.source (mal_2016): 2 files, 2 bytes, in {tmp_path / 'data' / 'mal-2016'}",
        "  rating.csv  1 bytes",
        "  anime.csv  1 bytes",
    ]
    posts = CliRunner().invoke(app, ["validate", "dataset=safebooru", "model=tag_mean"]).stdout.splitlines()
    assert posts[1:3] == [f"dataset.source (safebooru): 12 files, 12 kB, in {folder}", "  page_00.json  1.0 kB"]
    assert posts[-2:] == ["  page_09.jsonl  1.0 kB", "  and 2 more"]
