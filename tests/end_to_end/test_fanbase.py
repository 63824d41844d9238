"""`anirec fanbase` on runs of generated data."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from anirec.cli import app
from anirec.errors import UserError
from anirec.inference.predict import load
from anirec.models.ratings.hybrid import Hybrid

from .conftest import SMALL, Anirec, runs

TITLES = [
    {"title": "Paper Kingdom", "type": "tv", "genres": ["comedy", "Romanse"], "synopsis": "Two clerks rule."},
    {"genres": ["sci-fi", "Horror"]},
]
WORLD = ["dataset.source.n_items=160", "dataset.source.rank=2", "split.val=0.15"]


@pytest.fixture(scope="module")
def made(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file of titles and runs of two models on two splits; the cache was deleted."""
    folder = tmp_path_factory.mktemp("fanbase")
    anirec = anirec_in(folder, ANIREC_CACHE=str(folder / "cache"))
    choices = ["model=hybrid,bias", "split=whole_items,random", "metrics=ratings_only"]
    anirec("run", "-m", *SMALL, *WORLD, *choices)
    shutil.rmtree(folder / "cache")
    (folder / "titles.json").write_text(json.dumps(TITLES))
    return folder


def run_of(made: Path, split: str, model: str = "hybrid") -> Path:
    (run,) = (run for run in runs(made, model) if split in (run / "config.yaml").read_text())
    return run


def fanbase(run: Path, titles: Path, *arguments: str) -> tuple[str, list[dict[str, Any]]]:
    """Return what the command prints and what it writes."""
    command = ["fanbase", str(run), "--input", str(titles), "--json", str(run / "fanbase.json"), *arguments]
    printed = CliRunner().invoke(app, command, catch_exceptions=False).stdout
    return printed, json.loads((run / "fanbase.json").read_text())


def test_new_titles_get_a_score_tastes_and_nearest_titles(made: Path) -> None:
    printed, (first, second) = fanbase(
        run_of(made, "WholeItems"), made / "titles.json", "--tastes", "4", "--nearest", "3"
    )
    assert max(map(len, printed.splitlines())) <= 80
    for part in (
        "Paper Kingdom",
        "90% interval",
        "this run does not use it: synopsis",
        "genres, ignored: Romanse; did you mean Romance?",
    ):
        assert part in " ".join(printed.split())
    assert first["interval"]["low"] < first["score"] < first["interval"]["high"]
    assert second["notes"][0] == "Not given, treated as unknown: type."
    for title in (first, second):
        tastes = title["tastes"]
        assert sum(taste["users"] for taste in tastes) == 200
        assert sum(taste["fans"] for taste in tastes) == pytest.approx(1)
        assert [taste["lift"] for taste in tastes] == sorted((taste["lift"] for taste in tastes), reverse=True)
        assert sum(taste["audience"] * taste["rating"] for taste in tastes) == pytest.approx(title["score"])
        assert sum(taste["audience"] * taste["share"] for taste in tastes) == pytest.approx(title["share"])
        assert sum(taste["audience"] * taste["lift"] for taste in tastes) == pytest.approx(0, abs=1e-6)
        assert [len(taste["loves"]) for taste in tastes] == [3] * 4
        assert len(title["nearest"]) == 3
    assert first["seen"] == {"genres": ["Comedy", "Romanse"], "type": "TV"}
    assert "Comedy" in first["nearest"][0]["genres"]


def test_a_title_gets_the_predictions_of_a_held_out_title_with_the_same_content(made: Path) -> None:
    run = run_of(made, "WholeItems")
    rows = pl.read_parquet(run / "predictions.parquet").filter(split="test")
    title = pl.read_parquet(run / "items.parquet").filter(item_id=rows["item_id"][0]).select("type", "genres")
    rows = rows.filter(item_id=rows["item_id"][0])
    model = load(run)
    assert isinstance(model, Hybrid)
    with torch.inference_mode():
        (content,) = model.content_of(title, cache=run)
        rating_u = model.predict_unrated_title(content).numpy()
    users = model.vocabularies["user_id"].encode(rows["user_id"])
    np.testing.assert_allclose(rating_u[users], rows["prediction"].to_numpy(), rtol=2**-13)  # as saved
    assert rating_u.std() > 0.1


def test_the_output_is_deterministic(made: Path) -> None:
    run, titles = run_of(made, "WholeItems"), made / "titles.json"
    assert fanbase(run, titles) == fanbase(run, titles)


def test_a_higher_threshold_means_fewer_fans(made: Path) -> None:
    run, titles = run_of(made, "WholeItems"), made / "titles.json"
    shares = [fanbase(run, titles, "--threshold", threshold)[1][0]["share"] for threshold in ("1", "8", "10")]
    assert shares[0] == 1 > shares[1] > shares[2]


def test_there_is_no_interval_unless_whole_titles_were_held_out(made: Path) -> None:
    printed, (first, _) = fanbase(run_of(made, "Random"), made / "titles.json", "--nearest", "0")
    assert first["interval"] is None
    assert first["nearest"] == []
    assert "split=whole_items" in " ".join(printed.split())


def test_a_title_of_the_run_is_predicted_as_if_it_were_new(made: Path) -> None:
    run = run_of(made, "WholeItems")
    items = pl.read_parquet(run / "items.parquet")
    title = items.select("title", "type", "genres").row(3, named=True)
    (made / "same.json").write_text(json.dumps(title))
    _, expected = fanbase(run, made / "same.json")
    for name in (title["title"].upper(), f"#{items['item_id'][3]}"):
        command = ["fanbase", str(run), "--title", name, "--json", str(run / "fanbase.json")]
        CliRunner().invoke(app, command, catch_exceptions=False)
        assert json.loads((run / "fanbase.json").read_text())[0]["score"] == expected[0]["score"]
    for arguments, message in (
        (["--title", "qwertyuiop"], "no title of this run has a similar name"),
        ([], "one of the two"),
        (["--title", "#3", "--input", str(made / "same.json")], "one of the two"),
    ):
        with pytest.raises(UserError, match=message):
            CliRunner().invoke(app, ["fanbase", str(run), *arguments], catch_exceptions=False)


def test_mistakes_are_explained(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Bias does not predict ratings of new titles"):
        fanbase(run_of(made, "Random", "bias"), tmp_path / "missing.json")
    (tmp_path / "wrong.json").write_text('{"genre": ["Comedy"]}')
    with pytest.raises(UserError, match="did you mean genres"):
        fanbase(run_of(made, "WholeItems"), tmp_path / "wrong.json")
    with pytest.raises(UserError, match="--tastes 999: the run has 200 users"):
        fanbase(run_of(made, "WholeItems"), made / "titles.json", "--tastes", "999")
