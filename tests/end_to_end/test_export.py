"""The lists of a run's users: referenced by fingerprint, or copied into the run folder by `anirec export`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from anirec.cli import app
from anirec.errors import UserError

from .conftest import Anirec

N_USERS, N_ITEMS = 30, 24
CODES = {"completed": 2, "dropped": 4, "plan_to_watch": 6}


def entries() -> pl.DataFrame:
    """Return lists: for each user 8 rated titles, 3 dropped and unrated, and 5 planned, of which the last is rated."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(N_USERS):
        items = random.permutation(N_ITEMS)[:16].tolist()
        status = ["completed"] * 8 + ["dropped"] * 3 + ["plan_to_watch"] * 5
        rating = [*random.integers(5, 11, 8).tolist(), *[0] * 7, 9]
        rows += [(user, item + 1, given, of) for item, given, of in zip(items, rating, status, strict=True)]
    return pl.DataFrame(rows, schema=["user_id", "anime_id", "rating", "status"], orient="row")


def write_dump(folder: Path) -> None:
    folder.mkdir(parents=True)
    votes = ",".join(f"Score-{score}" for score in range(10, 0, -1))
    header = f"MAL_ID,Name,Score,Genres,Type,Episodes,Ranked,Popularity,Members,{votes}"
    titles = [f"{i},Title {i},7.5,Drama,TV,12,{i},{i},{900 - i}" + ",1" * 10 for i in range(1, N_ITEMS + 1)]
    (folder / "anime.csv").write_text("\n".join([header, *titles, ""]))
    synopses = ["MAL_ID,Name,Score,Genres,sypnopsis", "1,Title 1,7.5,Drama,A story.", ""]
    (folder / "anime_with_synopsis.csv").write_text("\n".join(synopses))
    table = entries().with_columns(watching_status=pl.col("status").replace_strict(CODES), watched_episodes=1)
    table.drop("status").write_csv(folder / "animelist.csv")


@pytest.fixture(scope="module")
def made(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dump, a cache and a run of EASE."""
    folder = tmp_path_factory.mktemp("export")
    write_dump(folder / "data" / "mal-2020")
    anirec = anirec_in(folder, ANIREC_DATA=str(folder / "data"), ANIREC_CACHE=str(folder / "cache"))
    anirec("run", "dataset=mal_2020", "model=ease", "dataset.unrated=keep", "trainer=cpu", "metrics.segments=false")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the folder, which a test may change."""
    shutil.copytree(made, tmp_path / "place")
    monkeypatch.setenv("ANIREC_DATA", str(tmp_path / "place" / "data"))
    monkeypatch.setenv("ANIREC_CACHE", str(tmp_path / "place" / "cache"))
    return tmp_path / "place"


def run_of(place: Path) -> Path:
    (run,) = place.glob("outputs/mal_2020/ease/*")
    return run


def recommended(run: Path) -> pl.DataFrame:
    """Return the recommendations for user 3, as many as there are titles."""
    command = ["recommend", str(run), "--user", "3", "-k", "100", "--sequels", "--csv", str(run / "list.csv")]
    CliRunner().invoke(app, command, catch_exceptions=False)
    return pl.read_csv(run / "list.csv")


def test_planned_titles_are_recommended_with_a_note_and_seen_ones_are_not(place: Path) -> None:
    own = entries().filter(user_id=3)
    planned = set(own.filter(status="plan_to_watch", rating=0)["anime_id"])
    assert len(planned) == 4, "a planned title with a rating counts as seen"
    table = recommended(run_of(place))
    assert set(table["item_id"]) == set(range(1, N_ITEMS + 1)) - set(own["anime_id"]) | planned
    noted = table.filter(pl.col("reason").str.starts_with("On your watchlist. "))
    assert set(noted["item_id"]) == planned


def test_a_run_counts_entries_by_status_and_reports_plans(place: Path) -> None:
    run = run_of(place)
    assert json.loads((run / "provenance.json").read_text())["data"]["statuses"] == {
        "completed": {"rows": 240, "rated": 240},
        "dropped": {"rows": 90, "rated": 0},
        "plan_to_watch": {"rows": 150, "rated": 30},
    }
    assert "120 list entries are plans to watch" in (run / "findings.txt").read_text()


def test_a_run_finds_the_lists_in_the_cache_or_the_dump(place: Path) -> None:
    run = run_of(place)
    assert {path.name for path in run.glob("*.parquet")} == {
        *("items.parquet", "predictions.parquet", "recommendations.parquet")
    }
    expected = recommended(run)
    shutil.rmtree(place / "cache")
    assert recommended(run).equals(expected)
    assert list((place / "cache" / "tables").glob("mal_2020-*"))


def test_without_cache_and_dump_the_error_says_what_to_do(place: Path) -> None:
    run, lists = run_of(place), place / "data" / "mal-2020" / "animelist.csv"
    shutil.rmtree(place / "cache")
    lists.write_text(lists.read_text() + "3,1,9,2,1\n")
    with pytest.raises(
        UserError, match=r"(?s)lists of its users are missing.*holds other data \(fingerprint.*anirec export"
    ):
        recommended(run)
    shutil.rmtree(place / "data")
    with pytest.raises(UserError, match=r"(?s)not in the cache.*files are missing.*ANIREC_DATA"):
        recommended(run)


def test_an_exported_run_needs_neither_cache_nor_dump(place: Path) -> None:
    run = run_of(place)
    expected = recommended(run)
    printed = CliRunner().invoke(app, ["export", str(run)], catch_exceptions=False).stdout
    assert "interactions.parquet: 480 list entries" in printed
    assert not list(run.glob(".interactions*")), "no temporary file is left"
    for folder in ("cache", "data"):
        shutil.rmtree(place / folder)
    assert recommended(run).equals(expected)


@pytest.mark.parametrize(
    "data",
    [
        {"source": {"name": "../../elsewhere"}, "sources": {"source": "0" * 64}},
        {"source": {"name": "mal_2020"}, "sources": {"source": "../../../elsewhere"}},
        {"source": {"name": "mal_2020"}, "sources": {"source": "0" * 63}},
        {},
    ],
)
def test_an_invalid_reference_to_the_data_is_an_error(place: Path, data: dict[str, Any]) -> None:
    path = run_of(place) / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": data}))
    with pytest.raises(UserError, match=r"provenance.json: .*expected the name of a dataset and 64 hex digits"):
        recommended(run_of(place))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("anirec.data.sources.mal_2020.Mal2020", "os.system", "not a source of anirec"),
        ("anirec.data.sources.mal_2020.Mal2020", "anirec.data.ratings.datamodule.RatingData", "not a source of anirec"),
        ("/mal-2020", "/../outside/mal-2020", "is outside"),
        ("/mal-2020", "/${oc.env:HOME}", "is not resolved"),
    ],
)
def test_an_untrusted_config_creates_only_a_source_below_the_data_folder(
    place: Path, old: str, new: str, message: str
) -> None:
    run = run_of(place)
    shutil.copytree(place / "data", place / "outside")
    shutil.rmtree(place / "cache")
    config = (run / "config.yaml").read_text()
    assert old in config
    (run / "config.yaml").write_text(config.replace(old, new))
    with pytest.raises(UserError, match=message):
        recommended(run)


def test_an_invalid_copy_of_the_lists_is_an_error(place: Path) -> None:
    path = run_of(place) / "interactions.parquet"
    pl.DataFrame({"user_id": ["3"], "rating": [1.0]}).write_parquet(path)
    with pytest.raises(UserError, match=r"interactions.parquet: damaged.*wrong types: user_id, item_id, rating"):
        recommended(run_of(place))
    path.write_text("no parquet")
    with pytest.raises(UserError, match=r"interactions.parquet: cannot be read"):
        recommended(run_of(place))
