"""ScoreEvaluation: how well does a model predict what titles are judged, and what does that say?"""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pytorch_lightning import LightningModule, Trainer

from anirec.evaluation import impact
from anirec.evaluation.bands import Bands
from anirec.evaluation.base import Evaluation, check_finite
from anirec.evaluation.learning_curve import Curves
from anirec.evaluation.results import ScoreRows
from anirec.evaluation.values import row_values
from anirec.metrics import conformal
from anirec.metrics.rank_correlation import spearman
from anirec.metrics.rating import mae, pearson, unit_mse
from anirec.settings import PositiveShare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAIN = "train/unit_mse"


class ScoreEvaluation(Evaluation):
    """Metrics of predicted scores, overall and by score band; intervals; and the reading of the learning curves.

    `trainer.validate` measures the width of intervals on the validation titles, and so comes before `trainer.test`.
    They fill the table `predictions`, with the ends of the test titles' intervals; the figures `predicted_vs_true`,
    `residuals` and, after more than one epoch, `learning_curves`; and beside `names` the metrics
    `val/interval_half_width`; `test/interval_width`, the mean in points; `test/interval_coverage`, the share of titles
    whose true score lies in theirs; `mae` and `bias` (mean error, with its sign) of each band: `test/mae/score_6_7`.

    A model that logs `train/unit_mse` once an epoch has its learning curves judged; see `learning_curve.py`.

    Args:
        names: Metrics of predictions, such as rmse or spearman; the first is shown in the progress bar.
        bands: Rising scores that cut all titles into bands; empty for none.
        interval: How many of the intervals shall hold the truth, such as 0.9; None for no intervals.

    Raises:
        UserError: If a name or number is wrong; while running, if the model predicts what is not a finite number.
    """

    kinds = frozenset({"rating", "score"})

    def __init__(self, *, names: Sequence[str], bands: Sequence[float], interval: PositiveShare | None) -> None:
        super().__init__(names=names)
        self.bands = Bands.of(bands)
        self.interval = interval
        self.curves = Curves()
        self.epoch = 0
        self.constant: float | None = None
        self.n_val = 0
        self.half_width = np.inf
        self.predictions: dict[str, pl.DataFrame] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"curves": self.curves.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Also called when the best checkpoint is validated, which knows of no later epoch."""
        self.curves.restore(state["curves"])

    def collected(self, batch: Any, outputs: Any) -> tuple[Any, ...]:
        return batch.index, batch.score, outputs

    def measure(
        self, trainer: Trainer, model: LightningModule, batches: list[tuple[Any, ...]], split: str, *, is_final: bool
    ) -> dict[str, float]:
        data = trainer.datamodule  # type: ignore[attr-defined]
        known = data.titles["score"].to_numpy()[data.train].astype(np.float64)
        rows = ScoreRows.collected(batches, span=float(np.ptp(known)))
        check_finite(model, split, "scores", np.isfinite(rows.prediction))
        if split == "val":
            self.constant = unit_mse(np.full(len(rows.target), known.mean()), rows.target, rows.span)
        if not is_final:
            self.curves.val[trainer.current_epoch] = unit_mse(rows.prediction, rows.target, rows.span)
        values = dict(row_values(self.names, rows))
        return values | self.details(rows, data.titles, split) if is_final else values

    def details(self, rows: ScoreRows, titles: pl.DataFrame, split: str) -> dict[str, float]:
        """What only a finished model is asked: errors by band, and intervals."""
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
            low, high = conformal.interval(rows.prediction, self.half_width)
            values["interval_coverage"] = float(((low <= rows.target) & (rows.target <= high)).mean())
            values["interval_width"] = float((high - low).mean(dtype=np.float64))
        table = rows.table(titles, split)
        self.predictions[split] = table.with_columns(low=pl.Series(low), high=pl.Series(high)).fill_nan(None)
        return values

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.remember(trainer)
        # Lightning keeps the last epoch's value; this epoch shall say its own.
        trainer.callback_metrics.pop(TRAIN, None)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epoch = trainer.current_epoch
        self.remember(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # A model's own end of the epoch, where it may log its error, comes after the callbacks'.
        self.remember(trainer)
        checkpoint["callbacks"][self.state_key] = self.state_dict()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.remember(trainer)

    def remember(self, trainer: Trainer) -> None:
        """Keep this epoch's training error, if the model has logged one."""
        if TRAIN in trainer.callback_metrics:
            self.curves.train[self.epoch] = float(trainer.callback_metrics[TRAIN])

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """`predictions` of all splits evaluated so far."""
        return {"predictions": pl.concat(self.predictions.values())} if self.predictions else {}

    @property
    def figures(self) -> dict[str, "Figure"]:
        from anirec.evaluation.figures import learning_curves, predicted_vs_true, residuals

        drawn = {}
        if len(curves := self.curves.table()) > 1:
            drawn["learning_curves"] = learning_curves(curves, self.constant)
        if (test := self.predictions.get("test")) is not None:
            drawn |= {"predicted_vs_true": predicted_vs_true(test), "residuals": residuals(test, self.bands)}
        return drawn

    @property
    def findings(self) -> list[str]:
        return [] if "test" not in self.predictions else [*self.of_fit(), *self.of_intervals()]

    def of_fit(self) -> list[str]:
        """How the learning curves look, and what correlation and fit together say of the impact."""
        test = self.predictions["test"]
        linear, ordinal = (function(test["prediction"], test["target"]) for function in (pearson, spearman))
        if not (isfinite(linear) and isfinite(ordinal)):
            return ["The predictions for the test titles do not vary: they correlate with nothing."]
        constant = self.constant if self.constant is not None and isfinite(self.constant) else None
        fit = self.curves.verdict(constant) if constant is not None else None
        curves = [self.curves.described(fit, constant)] if fit and constant is not None else []
        return [*curves, impact.reading(linear, ordinal, fit, n=test["cluster"].n_unique())]

    def of_intervals(self) -> list[str]:
        """How wide the intervals are, and how good; or why there are none."""
        if self.interval is None:
            return []
        if not self.n_val:
            return ["There are no validation titles to measure errors on, and so no intervals."]
        if not isfinite(self.half_width):
            needed = conformal.fewest(self.interval)
            return [
                f"No intervals: {self.n_val} validation titles are too few for {self.interval:.0%}; it takes {needed}."
            ]
        coverage, n = self.metrics["test/interval_coverage"], len(self.predictions["test"])
        return [
            f"The prediction ± {self.half_width:.2f} points is made to hold the true score of {self.interval:.0%} "
            f"of new titles; it holds that of {coverage:.1%} of the {n:,} test titles."
        ]
