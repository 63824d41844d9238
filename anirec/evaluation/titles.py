"""ScoreEvaluation: metrics of predicted title scores, prediction intervals, and findings about fit and impact."""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from anirec.data.schema import MAL
from anirec.errors import UserError
from anirec.evaluation import findings as impact
from anirec.evaluation.base import Evaluation, check_finite
from anirec.evaluation.findings import Curves
from anirec.evaluation.gain import Gain, row_gain
from anirec.evaluation.results import ScoreRows
from anirec.evaluation.segments import Bands, row_values
from anirec.lightning import LightningModule, Trainer
from anirec.metrics import conformal
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

    `trainer.validate` determines the width of the intervals on the validation titles, so it must run before
    `trainer.test`. Both fill the table `predictions`, with the ends of the test titles' intervals; the figures
    `predicted_vs_true`, `residuals` and, after more than one epoch, `learning_curves`. Besides `names` they add these
    metrics: `val/interval_half_width`; `test/interval_width`, the mean in points; `test/interval_coverage`, the share
        of
    test titles whose true score is inside their interval; `mae` and `bias` (mean signed error) of each band, such as
    `test/mae/score_6_7`.

    The learning curves of a model that logs `train/unit_mse` after each epoch are judged; see `findings.py`.

    Args:
        names: Metrics of predictions, such as rmse or spearman; the first is shown in the progress bar.
        bands: Increasing scores that divide all titles into bands; empty for none.
        interval: Promised coverage of the intervals, such as 0.9; None for no intervals.

    Raises:
        UserError: If a name or number is wrong; during the run, if the model predicts NaN or infinity.
    """

    kinds = frozenset({"rating", "score"})

    def __init__(
        self, *, names: Sequence[str], bands: Sequence[float], interval: PositiveShare | None, **settings: Any
    ) -> None:
        super().__init__(names=names, **settings)
        self.bands = Bands.of(bands)
        self.interval = interval
        self.curves = Curves()
        self.epoch = 0
        self.constant: float | None = None
        self.gain: Gain | None = None
        self.n_val = 0
        self.half_width = np.inf
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
        return values | self.details(rows, data, split) if is_final else values

    def details(self, rows: ScoreRows, data: Any, split: str) -> dict[str, float]:
        """Return what is computed for a finished model only: errors by band, and intervals."""
        values = {}
        for name, mask in self.bands.masks(rows.target):
            values[f"mae/{name}"] = mae(rows.prediction[mask], rows.target[mask])
            values[f"bias/{name}"] = float(rows.error[mask].mean())
        low = high = np.full_like(rows.prediction, np.nan)
        if split == "val" and self.interval is not None:
            self.n_val = len(rows.error)
            self.half_width = conformal.half_width(rows.error, self.interval)
            values |= {"interval_half_width": self.half_width} if isfinite(self.half_width) else {}
        if split == "test" and isfinite(self.half_width):
            low, high = conformal.prediction_interval(rows.prediction, self.half_width, data.scale.low, data.scale.high)
            values["interval_coverage"] = float(((low <= rows.target) & (rows.target <= high)).mean())
            values["interval_width"] = float((high - low).mean(dtype=np.float64))
        table = rows.table(data.titles, split)
        self.predictions[split] = table.with_columns(low=pl.Series(low), high=pl.Series(high)).fill_nan(None)
        return values

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
        """`predictions` of all splits evaluated so far."""
        return {"predictions": pl.concat(self.predictions.values())} if self.predictions else {}

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
        if not self.n_val:
            return ["No intervals: there are no validation titles to calibrate them on."]
        if not isfinite(self.half_width):
            needed = conformal.min_calibration_size(self.interval)
            return [
                f"No intervals: {self.n_val} validation titles are too few for {self.interval:.0%}; it takes {needed}."
            ]
        coverage, n = self.metrics["test/interval_coverage"], len(self.predictions["test"])
        return [
            f"Intervals: the prediction ± {self.half_width:.2f} points is calibrated to contain the true score of "
            f"{self.interval:.0%} of new titles; it contains that of {coverage:.1%} of the {n:,} test titles."
        ]
