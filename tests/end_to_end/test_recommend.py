"""`anirec recommend` on runs of generated data; called in this process, which saves the imports."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from anirec.cli import app
from anirec.data.synthetic.demo_ratings import World
from anirec.errors import UserError

from .conftest import SMALL, Anirec, runs

LIKES = ["--likes", "crimson vojage=9; Silent Academy=10; #23"]


@pytest.fixture(scope="module")
def made(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs of EASE and Bias; the cache was deleted, so that tables are prepared again."""
    folder = tmp_path_factory.mktemp("recommend")
    anirec = anirec_in(folder, ANIREC_CACHE=str(folder / "cache"))
    anirec("run", "-m", *SMALL, "model=ease,bias")
    shutil.rmtree(folder / "cache")
    return folder


def recommend(run: Path, *arguments: str) -> str:
    """Return what the command prints."""
    return CliRunner().invoke(app, ["recommend", str(run), *arguments], catch_exceptions=False).stdout


def recommended(run: Path, *arguments: str) -> pl.DataFrame:
    """Return the list that the command writes."""
    recommend(run, *arguments, "--csv", str(run / "list.csv"))
    return pl.read_csv(run / "list.csv")


def test_a_new_user_gets_recommendations_with_reasons(made: Path) -> None:
    (run,) = runs(made, "ease")
    printed = recommend(run, *LIKES, "-k", "5", "--csv", str(run / "list.csv"), "--json", str(run / "list.json"))
    assert "crimson vojage -> Crimson Voyage" in printed
    assert max(map(len, printed.splitlines())) <= 80
    table = pl.read_csv(run / "list.csv")
    assert table["rank"].to_list() == [1, 2, 3, 4, 5]
    assert not set(table["title"]) & {"Crimson Voyage", "Silent Academy"}
    assert 23 not in table["item_id"]
    assert table["because"].str.contains("Crimson Voyage 9|Silent Academy 10").any()
    assert [row["title"] for row in json.loads((run / "list.json").read_text())] == table["title"].to_list()


def test_filters_apply(made: Path) -> None:
    (run,) = runs(made, "ease")
    films = recommended(run, *LIKES, "--type", "movie", "--not-genre", "drama,horror", "--min-ratings", "5")
    assert set(films["type"]) == {"Movie"}
    assert not films["genres"].str.contains("Drama|Horror").any()
    assert films["n_ratings"].min() >= 5  # type: ignore[operator]


@pytest.mark.parametrize("model", ["ease", "bias"])
def test_seen_titles_are_recommended_only_with_seen(made: Path, model: str) -> None:
    (run,) = runs(made, model)
    world = World(n_users=200, n_items=80, ratings_per_user=20, rank=4, noise=1.0, seed=0)
    seen = set(world.interactions().filter(user_id=7)["item_id"])
    everything = set(pl.read_parquet(run / "items.parquet")["item_id"])
    assert set(recommended(run, "--user", "7", "-k", "100", "--novelty", "0.3")["item_id"]) == everything - seen
    assert set(recommended(run, "--user", "7", "-k", "100", "--seen")["item_id"]) == everything


def test_personal_1_removes_the_scores_of_an_unknown_user(made: Path) -> None:
    (run,) = runs(made, "bias")
    assert recommended(run, *LIKES)["score"].n_unique() == 10
    assert recommended(run, *LIKES, "--personal", "1")["score"].round(4).n_unique() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Set either --user ID or --likes"),
        (["--user", "99999"], "not among the 200 users"),
        (["--user", "somebody"], "not among the 200 users"),
        (["--likes", "Crimson=9"], "may be one of several titles"),
        (["--user", "7", "--genre", "Dramma"], "No title has the genre Dramma"),
        (["--user", "7", "--year", "2005-2015"], "have no year of titles"),
        (["--user", "7", "--novelty", "3"], "expected a number from 0 to 1"),
    ],
)
def test_mistakes_are_explained(made: Path, arguments: list[str], message: str) -> None:
    (run,) = runs(made, "bias")
    with pytest.raises(UserError, match=message):
        recommended(run, *arguments)


def test_a_run_without_its_titles_is_an_error(made: Path, tmp_path: Path) -> None:
    (run,) = runs(made, "bias")
    older = shutil.copytree(run, tmp_path / "older")
    (older / "items.parquet").unlink()
    with pytest.raises(UserError, match="if an older version of anirec made this run"):
        recommended(older, "--user", "7")
    with pytest.raises(UserError, match="not a run folder"):
        recommended(tmp_path, "--user", "7")
