"""Run folders as `anirec run` leaves them, with tables that agree with their metrics."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from anirec.config.identity import identify
from anirec.metrics.rank_correlation import kendall, spearman
from anirec.metrics.ranking import ndcg
from anirec.metrics.rating import mae, pearson, r2, rmse, unit_mse

N_USERS, PER_USER, K = 300, 6, 10
WriteRun = Callable[..., Path]


def fake_tables(quality: float, seed: int, fold: int | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predictions off by about 1 / quality, lists with about quality / 10 of the relevant items."""
    truth, random = np.random.default_rng(fold or 0), np.random.default_rng(seed + 100 * (fold or 0))
    user = np.repeat(np.arange(N_USERS), PER_USER) * 7
    target = truth.integers(1, 11, size=len(user)).astype(np.float32)
    prediction = (target + random.normal(size=len(user)) / quality).astype(np.float32)
    rows = {"user_id": user, "item_id": truth.integers(500, size=len(user)), "target": target, "prediction": prediction}
    lists = {
        "user_id": np.repeat(np.unique(user), K),
        "rank": np.tile(np.arange(1, K + 1), N_USERS),
        "relevant": random.random(N_USERS * K) < quality / 10,
        "n_relevant": np.full(N_USERS * K, PER_USER),
    }
    predictions, recommendations = (pl.DataFrame(one).with_columns(split=pl.lit("test")) for one in (rows, lists))
    return predictions.with_columns(title=pl.lit("Monster")), recommendations


def fake_metrics(predictions: pl.DataFrame, recommendations: pl.DataFrame) -> dict[str, float]:
    columns = predictions["prediction"].to_numpy(), predictions["target"].to_numpy()
    hits = recommendations["relevant"].to_numpy().reshape(N_USERS, K)
    return {
        "val/rmse": rmse(*columns) - 0.01,
        "test/rmse": rmse(*columns),
        "test/mae": mae(*columns),
        "test/r2": r2(*columns),
        "test/hit_rate@10": float(hits.any(axis=1).mean()),
        "test/ndcg@10": float(ndcg(hits, np.full(N_USERS, PER_USER)).mean()),
        "test/coverage@10": 0.31,
        "test/gini@10": 0.87,
        "test/popularity@10": 843.25,
        "test/unknown_users": 0.0,
        "test/rmse/cold_users": rmse(*columns) + 0.2,
    }


@pytest.fixture
def write_score_run(write_run: WriteRun) -> WriteRun:
    """Write a finished run that predicted scores of titles in franchises of six, alike within; returns its folder."""

    def write(model: str = "tfidf_ridge", *, quality: float = 0.5, seed: int = 1, **settings: Any) -> Path:
        truth, random = np.random.default_rng(0), np.random.default_rng(seed)
        cluster = np.repeat(np.arange(200, dtype=np.int32) * 3, 6)
        shared, own = truth.normal(0, 0.8, size=200)[cluster // 3], truth.normal(0, 0.3, size=len(cluster))
        target = (6.6 + shared + own).clip(1, 10).round(2)
        prediction = 6.6 + quality * (target - 6.6) + random.normal(0, 0.3, size=200)[cluster // 3]
        columns = {"item_id": np.arange(len(cluster)), "cluster": cluster, "target": target, "prediction": prediction}
        table = pl.DataFrame(columns).with_columns(title=pl.lit("Monster"), span=7.27, split=pl.lit("test"))
        metrics = {f"test/{one.name}": one(prediction, target) for one in (rmse, r2, kendall, mae, spearman, pearson)}
        metrics["test/unit_mse"] = unit_mse(prediction, target, 7.27)
        metrics |= {"test/interval_coverage": 0.85 + quality / 10, "test/interval_width": 2.2 - quality}
        folder = write_run(model, seed=seed, **settings)
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "recommendations.parquet").unlink()
        table.write_parquet(folder / "predictions.parquet")
        return folder

    return write


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write a finished run, or one that is not (`state`); returns its folder."""

    def write(
        model: str = "svdpp",
        *,
        quality: float = 0.85,
        seed: int = 1,
        fold: int | None = None,
        family: str = "a1b2c3",
        dataset: str = "mal_2016",
        split: str = "random",
        state: str = "finished",
        error: str | None = None,
        config: dict[str, Any] | None = None,
        metrics: dict[str, float] | None = None,
        tables: bool = True,
        seconds: float = 12.3,
    ) -> Path:
        number = len(list(tmp_path.glob("outputs/*/*/*")))
        folder = tmp_path / "outputs" / dataset / model / f"2026-03-01_10-{number // 60:02}-{number % 60:02}_{family}"
        folder.mkdir(parents=True)
        (folder / "status.json").write_text(json.dumps({"state": state, "error": error}))
        resolved = {
            "dataset": {"_target_": "anirec.data.ratings.datamodule.RatingData", "min_user_ratings": 1},
            "split": {"_target_": "anirec.data.splits.base.Random", "test": 0.1, "seed": 42},
            "model": {"_target_": f"anirec.models.{model}", "n_factors": 80},
            "trainer": {"_target_": "pytorch_lightning.Trainer", "max_epochs": 12, "default_root_dir": str(folder)},
            "metrics": {"relevant_from": None},
            "objective": "val/rmse",
            "seed": seed,
            "run": {"folder": str(folder), "name": f"{model}/{folder.name}", "sweep": None},
            "tags": [f"seed {seed}"],
        }
        if fold is not None:
            resolved["split"]["fold"] = fold  # type: ignore[index]
        for key, value in (config or {}).items():
            section, _, leaf = key.partition(".")
            if leaf:
                resolved[section][leaf] = value  # type: ignore[index]
            else:
                resolved[section] = value
        (folder / "config.yaml").write_text(yaml.safe_dump(resolved))
        found = identify(resolved, {}, ["seed", "split.seed", "split.fold", "model.random_state"])
        provenance = {"identity": found.record(), "dataset": dataset, "model": model, "seed": seed, "sweep": None}
        (folder / "provenance.json").write_text(json.dumps(provenance))
        if state != "finished":
            return folder
        provenance |= {
            "data": {"fingerprint": "d00d"},
            "split": {
                "name": split,
                "fingerprint": "feed",
                "family": family,
                "n_test": N_USERS * PER_USER,
            },
            "wall_seconds": seconds + seed,
            "fit_seconds": seconds,
            "peak_memory_mb": 812.0,
            "device": "cpu",
        }
        (folder / "provenance.json").write_text(json.dumps(provenance))
        predictions, recommendations = fake_tables(quality, seed, fold)
        (folder / "metrics.json").write_text(json.dumps(fake_metrics(predictions, recommendations) | (metrics or {})))
        if tables:
            predictions.write_parquet(folder / "predictions.parquet")
            recommendations.write_parquet(folder / "recommendations.parquet")
        return folder

    return write
