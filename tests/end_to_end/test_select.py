"""`anirec select`, and sweeps with `select`."""

from pathlib import Path

import polars as pl
import pytest
import torch

from .conftest import SMALL, Anirec, content, runs

SWEEP = [*SMALL, "metrics=ratings_only", "split.seed=1,2"]


def sweep_of(folder: Path) -> Path:
    (sweep,) = folder.glob("outputs/sweeps/*")
    return sweep


def is_tested(run: Path) -> bool:
    return any(name.startswith("test/") for name in content(run, "metrics.json"))


@pytest.mark.slow
def test_only_the_chosen_configuration_is_tested(anirec: Anirec, tmp_path: Path) -> None:
    stopped_early = ["callbacks=early_stopping", "callbacks.early_stopping.min_delta=0.5"]
    output = anirec("run", "-m", *SWEEP, "model=svd,popularity", *stopped_early, "select=best").stdout
    assert "Chosen by val/rmse from 2 configurations (4 runs): svd" in output
    assert "optimistic: it is the best of 2" in output
    assert all(is_tested(run) for run in runs(tmp_path, "svd"))
    assert not any(is_tested(run) for run in runs(tmp_path, "popularity"))
    found = content(sweep_of(tmp_path), "selection.json")
    assert (found["metric"], found["configurations"], found["n_runs"], len(found["looks"])) == ("val/rmse", 2, 4, 1)
    for run in runs(tmp_path, "svd"):
        # Nothing is trained again, although the run stopped early, and its history is kept.
        history = pl.read_csv(run / "history.csv")
        assert history["epoch"].to_list() == [0, 1, 2, 3]
        assert content(run, "metrics.json")["val/rmse"] == history["val/rmse"].min()
        assert set(pl.read_parquet(run / "predictions.parquet")["split"]) == {"val", "test"}
        assert "select: best" in (run / "config.yaml").read_text()
        assert "device" in content(run, "provenance.json")["tested"]
        assert content(run, "metrics.json")["test/rmse"] in found["test"]["test/rmse"]["values"]
    before = [(run / "metrics.json").stat().st_mtime_ns for run in runs(tmp_path)]
    again = anirec("select", str(sweep_of(tmp_path))).stdout
    assert "times for this sweep" not in again
    assert [(run / "metrics.json").stat().st_mtime_ns for run in runs(tmp_path)] == before
    anirec("select", str(sweep_of(tmp_path)), "--metric", "test/rmse", expect=2)

    # A refit reads the test set again, which is recorded and reported.
    output = anirec("select", str(sweep_of(tmp_path)), "--refit").stdout
    assert "read 2 times" in output
    assert "retrained on training and validation rows" in output
    refits = [run for run in runs(tmp_path, "svd") if "refits" in content(run, "provenance.json")]
    assert len(refits) == 2
    split = content(refits[0], "provenance.json")["split"]
    assert (split["n_val"], split["n_test"]) == (
        0,
        content(runs(tmp_path, "svd")[0], "provenance.json")["split"]["n_test"],
    )
    assert content(refits[0], "provenance.json")["tags"] == ["refit"]
    assert not any(name.startswith("val/") for name in content(refits[0], "metrics.json"))
    anirec("select", str(sweep_of(tmp_path)), "--refit")
    assert len(runs(tmp_path, "svd")) == 4
    assert len(content(sweep_of(tmp_path), "selection.json")["looks"]) == 2


@pytest.mark.slow
def test_a_refit_trains_as_many_epochs_as_the_best_checkpoint(anirec: Anirec, tmp_path: Path) -> None:
    overfitted = ["model=svd", "model.reg=0", "model.lr=0.1", "model.lr_decay=1", "split.val=0.1"]
    anirec("run", "-m", *SMALL, "metrics=ratings_only", *overfitted, "select=refit")
    first, refit = runs(tmp_path, "svd")
    errors = pl.read_csv(first / "history.csv")["val/rmse"]
    assert not is_tested(first)
    epochs = torch.load(refit / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] + 1
    assert epochs == errors.arg_min() + 1 < len(errors)  # type: ignore[operator]

    # A checkpoint that says it has an epoch left is not trained further.
    last = first / "checkpoints" / "last.ckpt"
    doctored = torch.load(last, weights_only=True)
    doctored["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] -= 1
    torch.save(doctored, last)
    before = last.read_bytes()
    assert "not from the end of the training" in anirec("select", str(sweep_of(tmp_path)), expect=2).stderr
    assert last.read_bytes() == before
    assert not is_tested(first)


def test_select_is_checked_before_any_run(anirec: Anirec, tmp_path: Path) -> None:
    output = anirec("validate", "-m", "seed=1,2", "select=bset", expect=2).stderr
    assert "select=bset: unknown value; did you mean best? Choices: best, refit, null" in output
    output = anirec("validate", "-m", "seed=1,2", "select=best", "objective=null", expect=2).stderr
    assert "needs an objective to choose by" in output
    assert "add -m" in anirec("run", *SMALL, "select=best", expect=1).stderr
    assert not runs(tmp_path)
    assert "No such folder" in anirec("select", "nowhere", expect=2).stderr
