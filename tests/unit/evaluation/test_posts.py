"""PostEvaluation inside real Lightning loops, around a model that knows its predictions and a datamodule of arrays."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torch import Tensor
from torch.utils.data import DataLoader

from anirec.data.posts.datamodule import PostBatch
from anirec.errors import UserError
from anirec.evaluation.posts import PostEvaluation
from anirec.lightning import LightningDataModule, LightningModule, Trainer

N = 2000
BANDS = [0, 1, 2, 3, 5, 10]
EMPTY = torch.zeros(1, dtype=torch.int64), torch.empty(0, dtype=torch.int32)


class Votes(LightningDataModule):
    """Posts of which most have a score of 0; of the test part only some zeros are sampled, or all."""

    def __init__(self, *, sampled: float = 0.3, score: Any = None) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        self.score = np.where(random.random(N) < 0.7, 0, random.geometric(0.4, N) - 2 * (random.random(N) < 0.05))
        self.score = np.asarray(self.score if score is None else score, dtype=np.float32)
        self.posts = pl.DataFrame({"post_id": np.arange(N) * 3 + 1})
        part = random.choice(3, N, p=[0.5, 0.1, 0.4])
        kept = (self.score != 0) | (random.random(N) < sampled)
        self.population, self.train_population = np.flatnonzero(part == 2), np.flatnonzero(part == 0)
        self.train, self.val, self.test = (np.flatnonzero((part == wanted) & kept) for wanted in range(3))

    def batches(self, index: np.ndarray) -> DataLoader[PostBatch]:
        batches = [
            PostBatch(torch.from_numpy(some), torch.from_numpy(self.score[some]), *EMPTY)
            for some in np.array_split(index, 3)
        ]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[PostBatch]:
        return self.batches(self.val)

    def test_dataloader(self) -> DataLoader[PostBatch]:
        return self.batches(self.population)


class Oracle(LightningModule):
    """Says what it was given, whatever a post is like."""

    def __init__(self, prediction: Any) -> None:
        super().__init__()
        self.prediction = torch.as_tensor(np.asarray(prediction, dtype=np.float32))

    def validation_step(self, batch: PostBatch, batch_index: int) -> Tensor:
        return self.prediction[batch.index]

    test_step = validation_step


def measured(data: Votes, prediction: Any, **changed: Any) -> PostEvaluation:
    callback = PostEvaluation(
        **{"names": ["rmse", "mae", "r2", "spearman"], "bands": BANDS, "torchmetrics": {}, **changed}
    )
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    for stage in (trainer.validate, trainer.test):
        stage(Oracle(prediction), datamodule=data, verbose=False)
    return callback


def noisy(data: Votes) -> Any:
    return 0.6 * data.score + np.random.default_rng(1).normal(0.2, 0.4, N)


@pytest.fixture(scope="module")
def finished() -> tuple[Votes, np.ndarray, PostEvaluation]:
    data = Votes()
    return data, noisy(data), measured(data, noisy(data))


def test_metrics_are_scikit_learns_on_the_sample_and_on_all(
    finished: tuple[Votes, np.ndarray, PostEvaluation],
) -> None:
    data, prediction, callback = finished
    for split, index, segment in (
        ("val", data.val, ""),
        ("test", data.test, ""),
        ("test", data.population, "/population"),
    ):
        true, said = data.score[index], prediction[index]
        for name, expected in {
            "rmse": root_mean_squared_error(true, said),
            "mae": mean_absolute_error(true, said),
            "r2": r2_score(true, said),
            "spearman": spearmanr(true, said).statistic,
        }.items():
            assert callback.metrics[f"{split}/{name}{segment}"] == pytest.approx(expected, rel=1e-4), (split, name)
    assert callback.metrics["test/bias/population"] == pytest.approx(
        (prediction - data.score)[data.population].mean(), abs=1e-6
    )


def test_constants_are_those_of_the_posts_that_they_are_compared_on(
    finished: tuple[Votes, np.ndarray, PostEvaluation],
) -> None:
    """Of the training sample beside the test sample, of the whole training part beside the whole test part."""
    data, _, callback = finished
    for segment, train, test in (("", data.train, data.test), ("population_", data.train_population, data.population)):
        for which, constant in (("mean", data.score[train].mean()), ("median", np.median(data.score[train]))):
            always = np.full(len(test), constant)
            for name, metric in (("mae", mean_absolute_error), ("rmse", root_mean_squared_error)):
                expected = metric(data.score[test], always)
                assert callback.metrics[f"test/{name}/{segment}by_{which}"] == pytest.approx(expected, rel=1e-5)
    assert callback.metrics["test/mae/by_median"] != callback.metrics["test/mae/population_by_median"]


def test_bands_are_of_the_true_score(finished: tuple[Votes, np.ndarray, PostEvaluation]) -> None:
    data, prediction, callback = finished
    true, error = data.score[data.test], (prediction - data.score)[data.test]
    for name, low, high in (("below_0", -np.inf, 0), ("0_1", 0, 1), ("3_5", 3, 5), ("from_10", 10, np.inf)):
        wanted = (true >= low) & (true < high)
        assert callback.metrics[f"test/mae/score_{name}"] == pytest.approx(np.abs(error[wanted]).mean(), rel=1e-4)
        assert callback.metrics[f"test/bias/score_{name}"] == pytest.approx(error[wanted].mean(), abs=1e-5)
    assert not any("val/" in name and "score_" in name for name in callback.metrics)


def test_predictions_are_kept_of_the_sample_and_of_all(finished: tuple[Votes, np.ndarray, PostEvaluation]) -> None:
    data, prediction, callback = finished
    table = callback.tables["predictions"]
    for split, index in (("test", data.test), ("population", data.population)):
        rows = table.filter(split=split)
        assert rows["post_id"].to_list() == (index * 3 + 1).tolist()
        assert rows["target"].to_list() == data.score[index].tolist()
        np.testing.assert_allclose(rows["prediction"], prediction[index], rtol=1e-6)
    assert table["split"].unique().sort().to_list() == ["population", "test"]


def test_findings_set_the_model_beside_the_better_constant(
    finished: tuple[Votes, np.ndarray, PostEvaluation],
) -> None:
    data, _, callback = finished
    values = callback.metrics
    sample, every = callback.findings
    gain = 1 - values["test/rmse"] / values["test/rmse/by_mean"]
    assert f"Better than the training median: MAE {values['test/mae']:.3f}" in sample
    assert (
        f"Better than the training mean: RMSE {values['test/rmse']:.3f} on {len(data.test):,} test posts, "
        f"{gain:.1%} lower than {values['test/rmse/by_mean']:.3f}"
    ) in sample
    assert f"on all {len(data.population):,} test posts, sampled or not" in every
    assert f"{values['test/mae/population_by_median']:.3f}" in every


def test_without_a_sample_there_is_no_population() -> None:
    data = Votes(sampled=1.0)
    callback = measured(data, noisy(data))
    assert not any("population" in name for name in callback.metrics)
    assert callback.tables["predictions"]["split"].unique().to_list() == ["test"]
    assert len(callback.findings) == 1


@pytest.mark.filterwarnings("ignore:Undefined on this data")
def test_a_constant_is_said_to_be_no_better_than_itself() -> None:
    data = Votes()
    callback = measured(data, np.full(N, np.median(data.score[data.train])))
    error = f"{callback.metrics['test/mae']:.3f}"
    assert f"Equal to the training median: MAE {error} on " in callback.findings[0]


@pytest.mark.filterwarnings("ignore:Undefined on this data")
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_scores_that_a_constant_knows_are_no_division_by_zero() -> None:
    callback = measured(Votes(sampled=1.0, score=np.zeros(N)), np.full(N, 0.5))
    assert "Worse than the training mean: MAE 0.500" in callback.findings[0]
    assert "higher than 0.000" in callback.findings[0]
    assert set(callback.figures) == {"error_by_band", "residuals"}


def test_metrics_without_an_error_have_no_finding() -> None:
    data = Votes()
    callback = measured(data, noisy(data), names=["spearman"], bands=[])
    assert callback.findings == []
    assert set(callback.figures) == {"residuals"}
    assert "test/mae/by_median" in callback.metrics


def test_figures_can_be_drawn_and_name_their_axes(finished: tuple[Votes, np.ndarray, PostEvaluation]) -> None:
    data, _, callback = finished
    assert set(callback.figures) == {"error_by_band", "residuals"}
    for figure in callback.figures.values():
        figure.draw_without_rendering()
        (axes,) = figure.axes
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        n_in_bands = [int(label.get_text().split("\n")[-1].replace(",", "")) for label in axes.get_xticklabels()]
        assert sum(n_in_bands) == len(data.test)


def test_nothing_is_kept_before_a_test() -> None:
    callback = PostEvaluation(names=["rmse"], bands=[], torchmetrics={})
    assert callback.tables == callback.figures == {}
    assert callback.findings == []


def test_what_is_not_finite_is_a_clear_error() -> None:
    data = Votes()
    prediction = noisy(data)
    prediction[data.val[:2]] = np.nan, np.inf
    with pytest.raises(UserError, match=f"Oracle predicted NaN or infinity for 2 of {len(data.val)} val posts"):
        measured(data, prediction)


def test_wrong_settings_are_refused_before_anything_runs() -> None:
    with pytest.raises(UserError, match=r"bands=\[1, 0\]: expected increasing"):
        PostEvaluation(names=["rmse"], bands=[1, 0], torchmetrics={})
    with pytest.raises(UserError, match="ndcg@10: not available in this evaluation"):
        PostEvaluation(names=["ndcg@10"], bands=[], torchmetrics={})
