"""Intervals of predicted scores of new titles, wider where a title is unlike the training titles of the run."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.titles.datamodule import titles_of
from anirec.evaluation.difficulty import Difficulty
from anirec.evaluation.shift import Reference, measure_shift
from anirec.evaluation.titles import calibration_of
from anirec.inference.run_tables import run_scale, scan_parquet
from anirec.models.base import Model
from anirec.models.titles.base import ScoreModel
from anirec.notices import warn
from anirec.report.run_files import read_run_config

UNLIKE = "unlike_training"


def interval_bounds(
    run: Path, model: Model, rows: pl.DataFrame, predictions: NDArray[np.float32]
) -> dict[str, pl.Series]:
    """Return `low` and `high` of each prediction, as the run calibrated them.

    Titles that are unlike the training titles have wider intervals, and a reason in the column `unlike_training`.
    Empty if the model predicts no scores of titles, or the run has no calibrated intervals.
    """
    if not isinstance(model, ScoreModel):
        return {}
    titles = titles_of(rows, cut_at=model.cut_texts_at)
    metrics = read_run_config(run / "config.yaml").get("metrics") or {}
    rows = scan_parquet(run / "predictions.parquet").filter(split="calibration").collect()
    if not len(rows) or not (run / "difficulty.parquet").exists():
        return {}
    difficulty = Difficulty.from_table(scan_parquet(run / "difficulty.parquet").collect())
    calibration = calibration_of(rows, metrics["bands"], metrics["interval"], run_scale(run))
    tables = (scan_parquet(run / f"{name}.parquet").collect() for name in ("titles_surface", "training_words"))
    shift = measure_shift(Reference(*tables), titles)
    for sentence in shift.sentences():
        warn(sentence)
    low, high = calibration.intervals(
        metrics["intervals"],
        predictions,
        difficulty.predict(titles, predictions),
        weights=shift.weights,
        own_weights=shift.own_weights,
    )
    return {"low": pl.Series(low, dtype=pl.Float32), "high": pl.Series(high, dtype=pl.Float32), UNLIKE: shift.reasons}
