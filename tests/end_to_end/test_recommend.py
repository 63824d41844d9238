"""Lists that people can use, from a run folder; asked for in this process, which has loaded everything once."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from anirec.cli import app
from anirec.data.synthetic.rating_world import World
from anirec.errors import UserError

from .conftest import SMALL, Anirec, runs

LIKES = ["--likes", "crimson vojage=9; Silent Academy=10; #23"]


@pytest.fixture(scope="module")
def made(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of EASE and one of the bias model, whose prepared tables are gone: they are made again."""
    folder = tmp_path_factory.mktemp("recommend")
    anirec = anirec_in(folder, ANIREC_CACHE=str(folder / "cache"))
    anirec("run", "-m", *SMALL, "model=ease,bias")
    shutil.rmtree(folder / "cache")
    return folder


def recommend(run: Path, *arguments: str) -> str:
    """What the command prints."""
    return CliRunner().invoke(app, ["recommend", str(run), *arguments], catch_exceptions=False).stdout


def listed(run: Path, *arguments: str) -> pl.DataFrame:
    """The list that the command writes."""
    recommend(run, *arguments, "--csv", str(run / "list.csv"))
    return pl.read_csv(run / "list.csv")


def test_somebody_who_is_in_no_dump_gets_a_list_with_reasons(made: Path) -> None:
    (run,) = runs(made, "ease")
    told = recommend(run, *LIKES, "-k", "5", "--csv", str(run / "list.csv"), "--json", str(run / "list.json"))
    assert "crimson vojage -> Crimson Voyage" in told
    assert max(map(len, told.splitlines())) <= 80
    table = pl.read_csv(run / "list.csv")
    assert table["rank"].to_list() == [1, 2, 3, 4, 5]
    assert not set(table["title"]) & {"Crimson Voyage", "Silent Academy"}
    assert 23 not in table["item_id"]
    assert table["because"].str.contains("Crimson Voyage 9|Silent Academy 10").any()
    assert [row["title"] for row in json.loads((run / "list.json").read_text())] == table["title"].to_list()


def test_filters_hold(made: Path) -> None:
    (run,) = runs(made, "ease")
    films = listed(run, *LIKES, "--type", "movie", "--not-genre", "drama,horror", "--min-ratings", "5")
    assert set(films["type"]) == {"Movie"}
    assert not films["genres"].str.contains("Drama|Horror").any()
    assert films["n_ratings"].min() >= 5  # type: ignore[operator]


@pytest.mark.parametrize("model", ["ease", "bias"])
def test_a_user_is_told_nothing_that_they_have_seen(made: Path, model: str) -> None:
    (run,) = runs(made, model)
    world = World(n_users=200, n_items=80, ratings_per_user=20, rank=4, noise=1.0, seed=0)
    seen = set(world.interactions().filter(user_id=7)["item_id"])
    everything = set(pl.read_parquet(run / "items.parquet")["item_id"])
    assert set(listed(run, "--user", "7", "-k", "100", "--novelty", "0.3")["item_id"]) == everything - seen
    assert set(listed(run, "--user", "7", "-k", "100", "--seen")["item_id"]) == everything


def test_less_what_anybody_is_told_leaves_the_popular_behind(made: Path) -> None:
    (run,) = runs(made, "bias")
    assert listed(run, *LIKES)["score"].n_unique() == 10
    assert listed(run, *LIKES, "--personal", "1")["score"].round(4).n_unique() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --user ID and --likes"),
        (["--user", "99999"], "not among the 200 users"),
        (["--user", "somebody"], "not among the 200 users"),
        (["--likes", "Crimson=9"], "which one is meant"),
        (["--user", "7", "--genre", "Dramma"], "no title has the genre Dramma"),
        (["--user", "7", "--year", "2005-2015"], "say nothing of a title's year"),
        (["--user", "7", "--novelty", "3"], "expected a number from 0 to 1"),
    ],
)
def test_mistakes_are_told_in_words(made: Path, arguments: list[str], message: str) -> None:
    (run,) = runs(made, "bias")
    with pytest.raises(UserError, match=message):
        listed(run, *arguments)


def test_a_run_from_before_runs_kept_their_titles_is_refused(made: Path, tmp_path: Path) -> None:
    (run,) = runs(made, "bias")
    older = shutil.copytree(run, tmp_path / "older")
    (older / "items.parquet").unlink()
    with pytest.raises(UserError, match="made by an older anirec"):
        listed(older, "--user", "7")
    with pytest.raises(UserError, match="no run folder"):
        listed(tmp_path, "--user", "7")
