from pathlib import Path

import polars as pl
import pytest
import torch

from .conftest import SMALL, Anirec, content, runs

SWEEP = [*SMALL, "metrics=ratings_only", "split.seed=1,2"]


def sweep_of(folder: Path) -> Path:
    (sweep,) = folder.glob("outputs/sweeps/*")
    return sweep


def met_test(run: Path) -> bool:
    return any(name.startswith("test/") for name in content(run, "metrics.json"))


@pytest.mark.slow
def test_only_what_a_sweep_chose_meets_the_test_set(anirec: Anirec, tmp_path: Path) -> None:
    stopped_early = ["trainer.max_epochs=6", "callbacks=early_stopping", "callbacks.early_stopping.min_delta=0.5"]
    told = anirec("run", "-m", *SWEEP, "model=svd,popularity", *stopped_early, "select=best").stdout
    assert "chosen of 2 configurations (4 runs): svd" in told
    assert "optimistic, as the best of 2" in told
    assert all(met_test(run) for run in runs(tmp_path, "svd"))
    assert not any(met_test(run) for run in runs(tmp_path, "popularity"))
    found = content(sweep_of(tmp_path), "selection.json")
    assert (found["metric"], found["configurations"], found["n_runs"], len(found["looks"])) == ("val/rmse", 2, 4, 1)
    for run in runs(tmp_path, "svd"):
        # Tested as it was: nothing was trained again, though it had stopped early, and its record stands.
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

    # Chosen by something else, or refitted, the test set is read once more; that is kept, and said.
    told = anirec("select", str(sweep_of(tmp_path)), "--refit").stdout
    assert "read 2 times" in told
    assert "trained anew on training and validation rows" in told
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
def test_a_refit_takes_as_many_epochs_as_the_best_model_had_seen(anirec: Anirec, tmp_path: Path) -> None:
    overfitted = ["model=svd", "model.reg=0", "model.lr=0.1", "model.lr_decay=1", "split.val=0.1"]
    anirec("run", "-m", *SMALL, "metrics=ratings_only", *overfitted, "select=refit")
    first, refit = runs(tmp_path, "svd")
    errors = pl.read_csv(first / "history.csv")["val/rmse"]
    assert not met_test(first)
    epochs = torch.load(refit / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] + 1
    assert epochs == errors.arg_min() + 1 < len(errors)  # type: ignore[operator]

    # A checkpoint that claims to have an epoch to go is not trained on.
    last = first / "checkpoints" / "last.ckpt"
    doctored = torch.load(last, weights_only=True)
    doctored["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] -= 1
    torch.save(doctored, last)
    before = last.read_bytes()
    assert "not from the end of the training" in anirec("select", str(sweep_of(tmp_path)), expect=2).stderr
    assert last.read_bytes() == before
    assert not met_test(first)


def test_select_is_checked_before_anything_runs(anirec: Anirec, tmp_path: Path) -> None:
    told = anirec("validate", "-m", "seed=1,2", "select=bset", expect=2).stderr
    assert "select=bset: there is no such way; did you mean best? There are: best, refit, null" in told
    told = anirec("validate", "-m", "seed=1,2", "select=best", "objective=null", expect=2).stderr
    assert "nothing to choose by" in told
    assert "add -m" in anirec("run", *SMALL, "select=best", expect=1).stderr
    assert not runs(tmp_path)
    assert "No such folder" in anirec("select", "nowhere", expect=2).stderr
