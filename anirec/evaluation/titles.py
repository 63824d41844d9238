"""ScoreEvaluation: metrics of predicted title scores, prediction intervals, and findings about fit and impact."""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.scale import Scale
from anirec.data.schema import MAL
from anirec.data.titles.surface import modalities
from anirec.errors import UserError
from anirec.evaluation import findings as impact
from anirec.evaluation.base import Evaluation, check_finite
from anirec.evaluation.difficulty import Difficulty
from anirec.evaluation.findings import Curves
from anirec.evaluation.gain import Gain, row_gain
from anirec.evaluation.results import ScoreRows
from anirec.evaluation.segments import Bands, row_values
from anirec.evaluation.shift import Reference, measure_shift
from anirec.lightning import LightningModule, Trainer
from anirec.metrics.conformal import METHODS, Calibration, Ends, Method, min_calibration_size
from anirec.metrics.rank_correlation import spearman
from anirec.metrics.rating import mae, pearson, rmse, unit_mse
from anirec.settings import PositiveShare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAIN = "train/unit_mse"


BANDS = (5, 6, 7, 8)  # points, for a message
CENTRE = (1.9, 9.1)  # points: without a tenth of the scale at both ends


class ScoreEvaluation(Evaluation):
    """Compute metrics of predicted scores overall and by score band, prediction intervals, and findings.

    Half of the validation franchises calibrate the intervals. The metrics of `val`, which choose the epoch and the
    settings, are those of the other half. `trainer.validate` calibrates, so it must run before `trainer.test`. Both
    fill the table `predictions`, with the ends of the test titles' intervals; calibration titles have the split
    `calibration`. There are the figures `predicted_vs_true`, `residuals` and, after more than one epoch,
    `learning_curves`. Besides `names` they add these metrics: `test/interval_width`, the mean in points;
    `test/interval_coverage`, the share of test titles whose true score is inside their interval, also by score band and
    by modality; both for each other method, such as `test/interval_width/plain`, and for `weighted`, the chosen method
    with the weights that `anirec predict` gives to a file of the test titles, see `anirec.evaluation.shift`; `mae` and
    `bias` (mean signed error) of each band, such as `test/mae/score_6_7`. The table `interval_coverage` also has the
    years.

    The learning curves of a model that logs `train/unit_mse` after each epoch are judged; see `findings.py`.

    Args:
        names: Metrics of predictions, such as rmse or spearman; the first is shown in the progress bar.
        bands: Increasing scores that divide all titles into bands; empty for none.
        interval: Promised coverage of the intervals, such as 0.9; None for no intervals.
        intervals: Method of the intervals: plain, normalised or banded; see `anirec.metrics.conformal`.

    Raises:
        UserError: If a name or number is wrong; during the run, if the model predicts NaN or infinity.
    """

    kinds = frozenset({"rating", "score"})

    def __init__(
        self,
        *,
        names: Sequence[str],
        bands: Sequence[float],
        interval: PositiveShare | None,
        intervals: Method,
        **settings: Any,
    ) -> None:
        super().__init__(names=names, **settings)
        self.bands = Bands.of(bands)
        self.interval, self.intervals = interval, intervals
        self.curves = Curves()
        self.epoch = 0
        self.constant: float | None = None
        self.gain: Gain | None = None
        self.calibrating: list[tuple[Any, ...]] = []  # batches
        self.calibration: Calibration | None = None
        self.difficulty: Difficulty | None = None
        self.coverage: pl.DataFrame | None = None
        self.reference: Reference | None = None
        self.predictions: dict[str, pl.DataFrame] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raise a UserError before training if the bands do not fit the rating scale of the data."""
        scale, edges = trainer.datamodule.scale, self.bands.edges  # type: ignore[attr-defined]
        # On another scale than 1-10, bands of 1-10 are all at one end, or outside.
        is_plausible = any(CENTRE[0] < scale.to_points(edge) < CENTRE[1] for edge in edges)
        if edges and scale != MAL and not is_plausible:
            fitting = ",".join(f"{scale.from_points(edge):g}" for edge in BANDS)
            raise UserError(
                f"metrics.bands={list(edges)}: the scores of this dataset go from {scale}; "
                f"try metrics.bands=[{fitting}]"
            )

    def state_dict(self) -> dict[str, Any]:
        return {"curves": self.curves.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the curves; also called with the best checkpoint, which lacks later epochs."""
        self.curves.restore(state["curves"])

    def collect(self, batch: Any, outputs: Any) -> tuple[Any, ...]:
        return batch.index.to(outputs.device), batch.score, outputs

    def evaluate(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Keep the calibration titles out of the metrics of the validation set."""
        if split == "val" and self.interval is not None and not trainer.sanity_checking and self.batches:
            data = trainer.datamodule  # type: ignore[attr-defined]
            held = is_calibrating(data.titles["cluster"].to_numpy(), data.val)
            marks = [torch.from_numpy(held[batch[0].cpu().numpy()]) for batch in self.batches]
            self.calibrating = [of_batch(mark, *batch) for mark, batch in zip(marks, self.batches, strict=True)]
            self.batches = [of_batch(~mark, *batch) for mark, batch in zip(marks, self.batches, strict=True)]
        super().evaluate(trainer, model, split)

    def measure(
        self, trainer: Trainer, model: LightningModule, batches: list[tuple[Any, ...]], split: str, *, is_final: bool
    ) -> dict[str, float]:
        data = trainer.datamodule  # type: ignore[attr-defined]
        known = data.titles["score"].to_numpy()[data.train].astype(np.float64)
        rows = ScoreRows.from_batches(batches, span=float(np.ptp(known)))
        check_finite(model, split, "scores", np.isfinite(rows.prediction))
        if split == "val":
            self.constant = unit_mse(np.full(len(rows.target), known.mean()), rows.target, rows.span)
        if not is_final:
            self.curves.val[trainer.current_epoch] = unit_mse(rows.prediction, rows.target, rows.span)
        if is_final and split == "test":
            clusters = data.titles["cluster"].to_numpy()[rows.index]
            columns = rows.prediction, known.mean(), rows.target
            self.gain = row_gain(rmse, *columns, unit=clusters, unit_name="franchises")
        values = dict(row_values(self.names, rows))
        return values | self.details(model, rows, data, split) if is_final else values

    def details(self, model: LightningModule, rows: ScoreRows, data: Any, split: str) -> dict[str, float]:
        """Return what is computed for a finished model only: errors by band, and intervals."""
        values = {}
        for name, mask in self.bands.masks(rows.target):
            values[f"mae/{name}"] = mae(rows.prediction[mask], rows.target[mask])
            values[f"bias/{name}"] = float(rows.error[mask].mean())
        table = rows.table(data.titles, split)
        if split == "val" and self.interval is not None:
            self.calibrate(model, rows, data)
        if split == "test" and self.calibration is not None and self.difficulty is not None:
            hard = self.difficulty.predict(data.titles[rows.index], rows.prediction)
            ends: dict[str, Ends] = {one: self.calibration.intervals(one, rows.prediction, hard) for one in METHODS}
            if self.reference:  # as `anirec predict` does for the titles of a file
                shift = measure_shift(self.reference, data.titles[rows.index])
                weights = {"weights": shift.weights, "own_weights": shift.own_weights}
                ends["weighted"] = self.calibration.intervals(self.intervals, rows.prediction, hard, **weights)
            self.coverage = coverage_table(ends, rows, self.bands, data.titles[rows.index])
            values |= coverage_metrics(self.coverage, self.intervals)
            low, high = ends[self.intervals]
            table = table.with_columns(
                low=pl.Series(low).cast(pl.Float32), high=pl.Series(high).cast(pl.Float32), difficulty=pl.Series(hard)
            )
        self.predictions[split] = table
        return values

    def calibrate(self, model: LightningModule, rows: ScoreRows, data: Any) -> None:
        """Learn the difficulty of titles from the other validation titles, and calibrate the intervals."""
        held = ScoreRows.from_batches(self.calibrating, rows.span)
        check_finite(model, "calibration", "scores", np.isfinite(held.prediction))
        self.difficulty = Difficulty.fit(data.titles[rows.index], rows.prediction, rows.error)
        hard = self.difficulty.predict(data.titles[held.index], held.prediction)
        table = held.table(data.titles, "calibration").with_columns(difficulty=pl.Series(hard))
        self.predictions["calibration"] = table
        calibration = calibration_of(table, self.bands.edges, self.interval or 0.0, data.scale)
        self.calibration = calibration if calibration.is_possible else None
        if self.calibration and "synopsis" in data.titles.columns:
            self.reference = Reference.of(data.titles[data.train], data.titles[held.index])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        self.record_training_error(trainer)
        # Lightning keeps the last epoch's value; remove it so that it is not taken for this epoch's.
        trainer.callback_metrics.pop(TRAIN, None)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epoch = trainer.current_epoch
        self.record_training_error(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # A model may log its error in its own on_train_epoch_end, which runs after that of the callbacks.
        self.record_training_error(trainer)
        checkpoint["callbacks"][self.state_key] = self.state_dict()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.record_training_error(trainer)

    def record_training_error(self, trainer: Trainer) -> None:
        """Keep this epoch's training error, if the model has logged one."""
        if TRAIN in trainer.callback_metrics:
            self.curves.train[self.epoch] = float(trainer.callback_metrics[TRAIN])

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """`predictions` of all splits evaluated so far; `interval_coverage`; and what intervals of new titles need.

        That is `difficulty`, a regression of the error, and the `Reference` of the shift: `titles_surface` and
        `training_words`.
        """
        tables = {"predictions": pl.concat(self.predictions.values(), how="diagonal")} if self.predictions else {}
        if self.coverage is not None:
            tables["interval_coverage"] = self.coverage
        if self.calibration and self.difficulty:
            tables["difficulty"] = self.difficulty.table()
        if self.reference:
            tables |= {"titles_surface": self.reference.surface, "training_words": self.reference.words}
        return tables

    @property
    def figures(self) -> dict[str, "Figure"]:
        from anirec.evaluation.figures import draw_learning_curves, draw_predicted_vs_true, draw_residuals

        drawn = {}
        if len(curves := self.curves.table()) > 1:
            drawn["learning_curves"] = draw_learning_curves(curves, self.constant)
        if (test := self.predictions.get("test")) is not None:
            drawn |= {
                "predicted_vs_true": draw_predicted_vs_true(test, self.interval),
                "residuals": draw_residuals(test),
            }
        return drawn

    @property
    def findings(self) -> list[str]:
        return [] if self.gain is None else [*self.fit_findings(self.gain), *self.interval_findings()]

    def fit_findings(self, gain: Gain) -> list[str]:
        """Return findings about the gain over the mean, the learning curves, and the impact of the model's inputs."""
        test = self.predictions["test"]
        found = [gain.sentence("the training mean", rows=f"{len(test):,} test titles")]
        if self.constant is not None and isfinite(self.constant) and (fit := self.curves.fit(self.constant)):
            found.append(self.curves.describe(fit, self.constant, is_gain=gain.is_shown))
        linear, ordinal = (function(test["prediction"], test["target"]) for function in (pearson, spearman))
        if gain.is_shown and isfinite(linear) and isfinite(ordinal):
            found.append(impact.impact_sentence(linear, ordinal))
        return found

    def interval_findings(self) -> list[str]:
        """Return a finding about the width and coverage of the intervals, or why there are none."""
        if self.interval is None:
            return []
        if self.calibration is None or self.coverage is None:
            n, needed = len(self.predictions.get("calibration", [])), min_calibration_size(self.interval)
            return [
                f"No intervals: {n} calibration titles, half of the validation franchises, are too few for "
                f"{self.interval:.0%}; it takes {needed}."
            ]
        own = self.coverage.filter(method=self.intervals)
        (everything,) = own.filter(group="all").iter_rows(named=True)
        found = [
            f"Intervals ({self.intervals}): calibrated on {len(self.calibration.target):,} validation titles, which "
            f"chose neither epoch nor settings, to contain the true score of {self.interval:.0%} of new titles. They "
            f"contain that of {everything['coverage']:.1%} of the {everything['n']:,} test titles; their mean width is "
            f"{everything['width']:.2f} points."
        ]
        groups = own.filter(pl.col("group") != "all", pl.col("n") >= LEAST)
        if len(groups):
            worst = groups.sort("coverage", maintain_order=True).row(0, named=True)
            where = worst["group"].replace("_", " ")
            found.append(
                f"Lowest coverage of the groups of at least {LEAST} test titles: {worst['coverage']:.1%} of "
                f"{worst['n']:,} titles ({where}). All groups and methods: interval_coverage.parquet."
            )
        return found


LEAST = 20  # titles of a group


def is_calibrating(clusters: NDArray[np.integer], val: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which titles calibrate, (n_titles,): those of about half of the validation franchises.

    The choice depends on the franchises alone, so that every epoch and every model of a sweep has the same.
    """
    own, inverse, sizes = np.unique(clusters[val], return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(own))
    chosen = np.zeros(len(own), dtype=bool)
    chosen[order[sizes[order].cumsum() <= len(val) / 2]] = True
    held = np.zeros(len(clusters), dtype=bool)
    held[val] = chosen[inverse]
    return held


def of_batch(mark: Tensor, *columns: Tensor) -> tuple[Tensor, ...]:
    return tuple(column[mark.to(column.device)] for column in columns)


def calibration_of(table: pl.DataFrame, edges: Sequence[float], level: float, scale: Scale) -> Calibration:
    """Return the calibration by rows of the table `predictions`."""
    target, prediction, difficulty = (
        table[name].to_numpy().astype(np.float64) for name in ("target", "prediction", "difficulty")
    )
    return Calibration(target, prediction, difficulty, edges, level, scale.low, scale.high)


def coverage_table(
    ends: dict[str, Ends],
    rows: ScoreRows,
    bands: Bands,
    titles: pl.DataFrame,
) -> pl.DataFrame:
    """Return coverage and mean width of the intervals by method and group of titles, with the number of titles.

    The groups are all titles, the bands of true scores, years of first airing, and titles with and without a
    modality that some lack.
    """
    groups = {"all": np.ones(len(rows), dtype=bool), **dict(bands.masks(rows.target))}
    varying = [column for column in modalities(titles) if column.n_unique() > 1]
    for name, has in ((column.name, column) for column in varying):
        groups |= {f"with_{name}": has.to_numpy(), f"without_{name}": ~has.to_numpy()}
    if "aired_from" in titles.columns:
        years = titles["aired_from"].dt.year()
        groups |= {
            f"year_{year}": (years == year).fill_null(False).to_numpy() for year in years.drop_nulls().unique().sort()
        }
    found = []
    for method, (low, high) in ends.items():
        # To the precision of the scores, so that a score at an end is inside.
        inside = (low.astype(np.float32) <= rows.target) & (rows.target <= high.astype(np.float32))
        found += [
            (method, name, int(mask.sum()), float(inside[mask].mean()), float((high - low)[mask].mean()))
            for name, mask in groups.items()
            if mask.any()
        ]
    return pl.DataFrame(found, schema=["method", "group", "n", "coverage", "width"], orient="row")


def coverage_metrics(coverage: pl.DataFrame, method: Method) -> dict[str, float]:
    """Return metrics of the method's intervals, by group without years, and of all titles by the other methods."""
    values: dict[str, float] = {}
    for one, group, _, share, width in coverage.iter_rows():
        segment = "" if (one, group) == (method, "all") else f"/{one if group == 'all' else group}"
        if group == "all" or (one == method and not group.startswith("year_")):
            values |= {f"interval_coverage{segment}": share, f"interval_width{segment}": width}
    return values
