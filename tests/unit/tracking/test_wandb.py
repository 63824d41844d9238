"""Results of a run folder for W&B, and the W&B sweeps of the studies. No W&B run is started here."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from anirec.config.validate import validate
from anirec.metrics.names import lower_is_better
from anirec.tracking import wandb_results as results

SWEEPS = sorted((Path(__file__).parents[3] / "experiments").glob("*/wandb_sweep.yaml"))
FORMS = {("values",), ("distribution", "max", "min")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small run folder."""
    (tmp_path / "history.csv").write_text("val/rmse,val/ndcg@10,epoch\n1.5,.1,0\n1.25,.3,1\n1.75,.2,2\n")
    (tmp_path / "metrics.json").write_text(
        json.dumps({"val/rmse": 1.25, "val/ndcg@10": 0.2, "test/rmse": 1.5, "test/rmse/cold_users": 2.0})
    )
    provenance = {
        "identity": {"run": "8f14eb76", "experiment": "c0ffee", "settings": {}},
        "wall_seconds": 3.5,
        "split": {"fingerprint": "abc"},
    }
    (tmp_path / "provenance.json").write_text(json.dumps(provenance))
    pl.DataFrame({"item_id": range(500), "prediction": 7.0}).write_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(b"best")
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"last")
    return tmp_path


def test_the_summary_has_the_best_epoch_the_kept_checkpoint_and_costs(folder: Path) -> None:
    assert results.run_summary(folder) == {
        "wall_seconds": 3.5,
        "val/rmse": {"min": 1.25, "final": 1.25},
        "val/ndcg@10": {"max": 0.3, "final": 0.2},
        "test/rmse": 1.5,
        "test/rmse/cold_users": 2.0,
    }


def test_a_table_of_many_predictions_is_a_sample_with_its_size(folder: Path) -> None:
    first, again = (results.prediction_table(folder, 20) for _ in range(2))
    assert (first["predictions_shown"], first["predictions_of"]) == (20, 500)
    items = first["predictions"].get_column("item_id")
    assert items == again["predictions"].get_column("item_id") == sorted(set(items))
    assert max(items) > 100
    assert results.prediction_table(folder, 1000)["predictions_shown"] == 500
    assert results.prediction_table(folder, 0) == {}


def test_predictions_of_items_are_shown_with_their_titles(folder: Path) -> None:
    items = pl.DataFrame({"item_id": range(499, -1, -1)}).with_columns(title=pl.format("Anime {}", "item_id"))
    items.write_parquet(folder / "items.parquet")
    shown = results.prediction_table(folder, 20)["predictions"]
    ids = shown.get_column("item_id")
    assert shown.get_column("title") == [f"Anime {item}" for item in ids]
    assert ids == sorted(ids)


def test_the_model_artifact_has_provenance_and_metrics(folder: Path) -> None:
    artifact = results.model_artifact(folder, "best", name="model-1")
    assert artifact.metadata["identity"] == {"run": "8f14eb76", "experiment": "c0ffee"}
    assert artifact.metadata["fingerprints"] == {"data": None, "split": "abc"}
    assert artifact.metadata["metrics"] == {"val/rmse": 1.25, "val/ndcg@10": 0.2, "test/rmse": 1.5}
    assert results.checkpoint_aliases(folder, "best") == ["best"]
    (folder / "checkpoints" / "best.ckpt").unlink()
    (folder / "checkpoints" / "best.ckpt").hardlink_to(folder / "checkpoints" / "last.ckpt")
    assert results.checkpoint_aliases(folder, "best") == ["best", "last"]


def test_a_metric_without_direction_has_no_best_value() -> None:
    assert [results.best_key(f"val/{name}") for name in ("rmse", "ndcg@10", "bias", "unknown_users")] == [
        "min",
        "max",
        None,
        None,
    ]


def test_without_an_objective_the_last_model_is_kept(folder: Path) -> None:
    (folder / "checkpoints" / "best.ckpt").unlink()
    assert results.checkpoint_path(folder, "best").name == "last.ckpt"
    assert results.checkpoint_aliases(folder, "best") == ["last"]


def extremes(parameter: dict[str, Any]) -> list[Any]:
    """The first and last of the values, or the ends of the range."""
    values = parameter.get("values") or [parameter["min"], parameter["max"]]
    return [values[0], values[-1]]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.parent.name)
def test_the_extremes_of_a_wandb_sweep_are_valid_and_do_not_test(path: Path) -> None:
    sweep = yaml.safe_load(path.read_text())
    program, verb, *overrides, varied = sweep["command"]
    assert (program, verb, varied) == ("anirec", "run", "${args_no_hyphens}")
    assert {"logger=wandb", "select=best"} <= set(overrides)
    metric = sweep["metric"]
    assert metric["goal"] == ("minimize" if lower_is_better(metric["name"]) else "maximize")
    assert metric["name"] in ("val/rmse", *(o.removeprefix("objective=") for o in overrides))
    assert {tuple(sorted(parameter)) for parameter in sweep["parameters"].values()} <= FORMS
    for end in zip(*map(extremes, sweep["parameters"].values()), strict=True):
        chosen = {name: {"value": value} for name, value in zip(sweep["parameters"], end, strict=True)}
        arguments = create_sweep_command_args({"args": chosen})["args_no_hyphens"]
        assert validate([*overrides, *arguments]) == 1
