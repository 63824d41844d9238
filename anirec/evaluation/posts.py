"""PostEvaluation: metrics of predicted votes for posts, compared with constant predictions."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.evaluation.base import Evaluation, check_finite
from anirec.evaluation.gain import Gain, row_gain
from anirec.evaluation.results import ScoreRows
from anirec.evaluation.segments import Bands, row_values
from anirec.lightning import LightningModule, Trainer
from anirec.metrics.rating import mae, rmse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONSTANTS: dict[str, Callable[..., Any]] = {"mean": np.mean, "median": np.median}
CONSTANT_METRICS = {"mae": mae, "rmse": rmse}  # metrics of the constant predictions


class PostEvaluation(Evaluation):
    """Compute metrics of predicted votes, on the sampled and on all test posts, and of constant predictions.

    Most posts have no vote, so a small error means little by itself. For a finished model it therefore adds, besides
    `names`: `test/mae/by_median` and the like, errors of always predicting a constant of the training posts; where
    posts were sampled, `test/mae/population` and `test/mae/population_by_median` on all test posts, with constants of
    all training posts; and for each band `mae` and `bias` (mean signed error), such as `test/mae/score_1_2`.

    It fills the table `predictions` and the figures `error_by_band` and `residuals`.

    Args:
        names: Metrics of predictions, such as mae or spearman; the first is shown in the progress bar.
        bands: Increasing scores that divide all posts into bands; empty for none.

    Raises:
        UserError: If a name is wrong; during the run, if the model predicts NaN or infinity.
    """

    kinds = frozenset({"rating"})

    def __init__(self, *, names: Sequence[str], bands: Sequence[float], **settings: Any) -> None:
        super().__init__(names=names, **settings)
        self.bands = Bands.of(bands)
        self.predictions: dict[str, pl.DataFrame] = {}
        self.constants: dict[str, float] = {}
        self.gains: dict[str, list[tuple[str, Gain]]] = {}

    def collect(self, batch: Any, outputs: Any) -> tuple[Any, ...]:
        return batch.index, batch.score, outputs

    def measure(
        self, trainer: Trainer, model: LightningModule, batches: list[tuple[Any, ...]], split: str, *, is_final: bool
    ) -> dict[str, float]:
        data = trainer.datamodule  # type: ignore[attr-defined]
        every = ScoreRows.from_batches(batches)
        check_finite(model, split, "posts", np.isfinite(every.prediction))
        if not is_final or split == "val":
            return dict(row_values(self.names, every))
        self.constants = constants(data.score[data.train])
        rows = every.where(np.isin(every.index, data.test))
        self.keep(data.posts, split, rows)
        self.keep_gains(split, self.constants, rows)
        values = dict(row_values(self.names, rows)) | dict(self.details(rows))
        if len(rows) < len(every):
            self.keep(data.posts, "population", every)
            values |= {f"{name}/population": value for name, value in row_values(self.names, every)}
            values["bias/population"] = float(every.error.mean())
            of_population = constants(data.score[data.train_population])
            self.keep_gains("population", of_population, every)
            values |= {
                f"{name}/population_by_{which}": value for name, which, value in constant_errors(of_population, every)
            }
        return values

    def details(self, rows: ScoreRows) -> Iterator[tuple[str, float]]:
        """Yield the errors of the constants and the errors by band."""
        for name, which, value in constant_errors(self.constants, rows):
            yield f"{name}/by_{which}", value
        for name, mask in self.bands.masks(rows.target):
            yield f"mae/{name}", mae(rows.prediction[mask], rows.target[mask])
            yield f"bias/{name}", float(rows.error[mask].mean())

    def keep(self, posts: pl.DataFrame, split: str, rows: ScoreRows) -> None:
        ids = posts["post_id"].gather(rows.index)
        columns = {"post_id": ids, "target": pl.Series(rows.target), "prediction": pl.Series(rows.prediction)}
        self.predictions[split] = pl.DataFrame(columns).with_columns(split=pl.lit(split))

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """`predictions` of the test posts and, where posts were sampled, of all test posts, split `population`."""
        return {"predictions": pl.concat(self.predictions.values())} if self.predictions else {}

    @property
    def figures(self) -> dict[str, "Figure"]:
        from anirec.evaluation.figures import band_label, draw_residuals
        from anirec.figures.posts import draw_error_by_band

        if (test := self.predictions.get("test")) is None:
            return {}
        drawn = {"residuals": draw_residuals(test)}
        target, prediction = (test[name].to_numpy() for name in ("target", "prediction"))
        rows = [
            {"band": band_label(name), "n": int(mask.sum())}
            | {"model": mae(prediction[mask], target[mask])}
            | {which: mae(constant, target[mask]) for which, constant in self.constants.items()}
            for name, mask in self.bands.masks(target)
        ]
        return drawn | ({"error_by_band": draw_error_by_band(pl.DataFrame(rows))} if rows else {})

    @property
    def findings(self) -> list[str]:
        return [self.finding(split) for split in self.predictions if self.gains.get(split)]

    def finding(self, split: str) -> str:
        """Return one sentence per error metric that compares the model with the better constant."""
        n = len(self.predictions[split])
        rows = f"all {n:,} test posts, sampled or not" if split == "population" else f"{n:,} test posts"
        return " ".join(gain.sentence(f"the training {which}", rows=rows) for which, gain in self.gains[split])

    def keep_gains(self, split: str, constant: dict[str, float], rows: ScoreRows) -> None:
        """Test the gain of each error metric over the better constant."""
        self.gains[split] = []
        for metric in [CONSTANT_METRICS[name.metric] for name in self.names if name.metric in CONSTANT_METRICS]:
            _, which = min((metric(value, rows.target), which) for which, value in constant.items())
            columns = rows.prediction, constant[which], rows.target
            self.gains[split].append((which, row_gain(metric, *columns, unit=rows.index, unit_name="posts")))


def constants(score: NDArray[np.floating]) -> dict[str, float]:
    """Return the mean and the median of the scores.

    >>> constants(np.array([0.0, 0.0, 3.0]))
    {'mean': 1.0, 'median': 0.0}
    """
    return {which: float(function(score, axis=None)) for which, function in CONSTANTS.items()}


def constant_errors(constant: dict[str, float], rows: ScoreRows) -> Iterator[tuple[str, str, float]]:
    """Yield metric, constant, and the error of always predicting that constant."""
    for name, metric in CONSTANT_METRICS.items():
        for which, value in constant.items():
            yield name, which, metric(value, rows.target)
