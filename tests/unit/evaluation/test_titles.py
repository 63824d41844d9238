"""ScoreEvaluation inside real Lightning loops, around a model of one weight and a datamodule of arrays."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.evaluation.titles import ScoreEvaluation, is_calibrating
from anirec.lightning import LightningDataModule, LightningModule, ModelCheckpoint, Trainer
from anirec.metrics.names import MetricName
from anirec.metrics.rank_correlation import kendall, spearman
from anirec.metrics.rating import mae, mse, pearson, rmse

N = 900
NAMES = ["rmse", "mse", "mae", "r2", "pearson", "spearman", "kendall", "unit_mse", "unit_mae"]


class Batch(NamedTuple):
    index: Tensor
    score: Tensor


class Titles(LightningDataModule):
    scale = Scale()

    def __init__(self, rows: int = 64, n_val: int = 200) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        score = random.normal(6.6, 0.9, size=N).clip(1, 10).astype(np.float32)
        self.rows = rows
        self.known = torch.from_numpy(score - 6.6 + random.normal(0, 0.8, size=N).astype(np.float32))
        self.titles = pl.DataFrame(
            {
                "item_id": np.arange(N) * 10,
                "title": [f"Anime {index}" for index in range(N)],
                "score": score,
                "cluster": random.integers(N // 3, size=N).astype(np.int32),
            }
        )
        order = random.permutation(N)
        self.train, self.val, self.test = order[:500], order[500 : 500 + n_val], order[700:]

    def batches(self, index: np.ndarray) -> DataLoader[Batch]:
        columns = torch.from_numpy(index), torch.from_numpy(self.titles["score"].to_numpy()[index])
        batches = [Batch(*part) for part in zip(*(column.split(self.rows) for column in columns), strict=True)]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[Batch]:
        return self.batches(self.train)

    def val_dataloader(self) -> Any:
        return self.batches(self.val) if len(self.val) else []

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.batches(self.test)


class Line(LightningModule):
    """Learns how much of a noisy hint to believe; `late` logs its training error at the very end of an epoch."""

    def __init__(self, data: Titles, *, lr: float = 0.2, late: bool = False) -> None:
        super().__init__()
        self.known, self.lr, self.late = data.known, lr, late
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.errors: list[float] = []

    def forward(self, batch: Batch) -> Tensor:
        return 6.6 + self.weight * self.known[batch.index]

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        error = ((self(batch) - batch.score) ** 2).mean()
        if not self.late:
            self.log("train/unit_mse", error.detach() / 25, on_step=False, on_epoch=True, batch_size=len(batch.index))
        return error

    def on_train_epoch_end(self) -> None:
        if self.late:
            self.log("train/unit_mse", 0.01 * (self.current_epoch + 1))

    def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
        return self(batch)

    test_step = validation_step

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def evaluation(**changed: Any) -> ScoreEvaluation:
    return ScoreEvaluation(
        **{"names": NAMES, "bands": [5, 6, 7, 8], "interval": 0.9, "intervals": "plain", "torchmetrics": {}, **changed}
    )


def trainer(callback: ScoreEvaluation, *others: Any, epochs: int = 3) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[callback, *others],
        logger=False,
        enable_checkpointing=bool(others),
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def run(data: Titles, model: Line, callback: ScoreEvaluation, *, epochs: int = 3, saved: Path | None = None) -> Trainer:
    """Fit, validate and test, from a checkpoint if there is one."""
    keep = [ModelCheckpoint(dirpath=saved, save_last=True, save_top_k=-1, filename="{epoch}")] if saved else []
    one = trainer(callback, *keep, epochs=epochs)
    last = saved / "last.ckpt" if saved else None
    one.fit(model, datamodule=data, ckpt_path=last if last and last.exists() else None, weights_only=True)
    one.validate(model, datamodule=data, ckpt_path=saved / "epoch=0.ckpt" if saved else None, verbose=False)
    one.test(model, datamodule=data, verbose=False)
    return one


@pytest.fixture(scope="module")
def finished() -> tuple[Titles, ScoreEvaluation]:
    data, callback = Titles(), evaluation()
    run(data, Line(data, lr=0.02), callback)
    return data, callback


def test_every_metric_agrees_with_its_definition(finished: tuple[Titles, ScoreEvaluation]) -> None:
    data, callback = finished
    table = callback.tables["predictions"]
    span = np.ptp(data.titles["score"].to_numpy()[data.train])
    held = is_calibrating(data.titles["cluster"].to_numpy(), data.val)[data.val]
    for split, index in {"val": data.val[~held], "calibration": data.val[held], "test": data.test}.items():
        rows = table.filter(split=split)
        assert rows["item_id"].to_list() == (index * 10).tolist()
        if split == "calibration":
            continue
        columns = rows["prediction"].to_numpy(), rows["target"].to_numpy()
        for metric in (rmse, mae, pearson, spearman, kendall):
            assert callback.metrics[f"{split}/{metric.name}"] == metric(*columns)
        assert callback.metrics[f"{split}/unit_mse"] == pytest.approx(mse(*columns) / span**2, rel=1e-6)
        assert callback.metrics[f"{split}/unit_mae"] == pytest.approx(mae(*columns) / span, rel=1e-6)


def test_table_has_what_intervals_and_people_need(finished: tuple[Titles, ScoreEvaluation]) -> None:
    data, callback = finished
    table = callback.tables["predictions"]
    assert set(table.columns) == {
        *("item_id", "title", "cluster", "target", "prediction", "span", "split", "low", "high", "difficulty")
    }
    expected = table.join(data.titles, on="item_id", maintain_order="left")
    assert table["cluster"].equals(expected["cluster_right"], check_names=False)
    assert table["target"].equals(expected["score"], check_names=False)
    untested = table.filter(pl.col("split") != "test")
    assert untested["low"].null_count() == len(untested) == len(data.val)
    assert table.filter(split="test")["low"].null_count() == 0


def test_calibration_titles_choose_nothing_and_their_intervals_hold_the_truth_on_test(
    finished: tuple[Titles, ScoreEvaluation],
) -> None:
    _, callback = finished
    table = callback.tables["predictions"]
    val, held, test = (table.filter(split=split) for split in ("val", "calibration", "test"))
    assert not set(val["cluster"]) & set(held["cluster"])
    assert 80 <= len(held) <= 100
    assert callback.metrics["val/rmse"] == rmse(val["prediction"].to_numpy(), val["target"].to_numpy())
    rank = int(np.ceil(round(0.9 * (len(held) + 1), 9)))
    half = np.sort((held["prediction"].cast(pl.Float64) - held["target"]).abs().to_numpy())[rank - 1]
    assert (test["high"] - test["prediction"]).to_numpy() == pytest.approx(half, rel=1e-5)
    inside = test.select(pl.col("target").is_between("low", "high").mean()).item()
    assert callback.metrics["test/interval_coverage"] == inside
    assert 0.83 < inside < 0.97
    assert callback.metrics["test/interval_width"] == pytest.approx(2 * half, rel=0.01)


def test_an_epoch_is_judged_without_the_calibration_titles() -> None:
    """Wrong scores of calibration titles change no validation metric in training, but those of others do."""
    errors = []
    for held in (None, True, False):
        data = Titles()
        marks = is_calibrating(data.titles["cluster"].to_numpy(), data.val)[data.val]
        score = data.titles["score"].to_numpy().copy()
        if held is not None:
            score[data.val[marks == held]] = 1
        data.titles = data.titles.with_columns(score=pl.Series(score))
        one = trainer(evaluation())
        one.fit(Line(data), datamodule=data)
        errors.append(float(one.callback_metrics["val/rmse"]))
    assert errors[0] == errors[1] != errors[2]


def test_coverage_is_counted_by_method_band_year_and_modality() -> None:
    data, callback = Titles(), evaluation(intervals="banded")
    years = pl.Series([2018 + index % 3 for index in range(N)])
    data.titles = data.titles.with_columns(
        aired_from=pl.date(years, 1, 1), n_main_characters=pl.Series([index % 2 for index in range(N)], dtype=pl.Int32)
    )
    run(data, Line(data), callback)
    test = callback.tables["predictions"].filter(split="test").join(data.titles, on="item_id")
    inside, coverage = pl.col("target").is_between("low", "high"), callback.tables["interval_coverage"]
    for group, mask in {
        "all": pl.lit(True),
        "score_6_7": pl.col("target").is_between(6, 7, closed="left"),
        "year_2019": pl.col("aired_from").dt.year() == 2019,
        "without_characters": pl.col("n_main_characters") == 0,
    }.items():
        (row,) = coverage.filter(method="banded", group=group).iter_rows(named=True)
        rows = test.filter(mask)
        assert (row["n"], row["coverage"]) == (len(rows), rows.select(inside.mean()).item()), group
    assert set(coverage["method"]) == {"plain", "normalised", "banded"}
    assert callback.metrics["test/interval_width/plain"] < callback.metrics["test/interval_width"]
    assert not any("year" in name for name in callback.metrics)
    assert min(callback.metrics[f"test/interval_coverage/score_{band}"] for band in ("5_6", "6_7", "7_8")) > 0.75


def test_bands_are_segments_and_empty_ones_are_left_out(finished: tuple[Titles, ScoreEvaluation]) -> None:
    _, callback = finished
    test = callback.tables["predictions"].filter(split="test")
    rows = test.filter(pl.col("target").is_between(6, 7, closed="left"))
    columns = rows["prediction"].to_numpy(), rows["target"].to_numpy()
    assert callback.metrics["test/mae/score_6_7"] == mae(*columns)
    assert callback.metrics["test/bias/score_6_7"] == pytest.approx((columns[0] - columns[1]).mean(), abs=1e-6)
    assert MetricName.parse("test/mae/score_6_7") == MetricName("test", "mae", None, "score_6_7")
    low, high = (callback.metrics[f"test/bias/score_{name}"] for name in ("below_5", "from_8"))
    assert high < 0 < low, "predictions are drawn to the mean"
    data, narrow = Titles(), evaluation(bands=[0.5, 9.99])
    run(data, Line(data), narrow, epochs=1)
    assert {name for name in narrow.metrics if "mae/" in name and "score" in name} == {
        "val/mae/score_0.5_9.99",
        "test/mae/score_0.5_9.99",
    }


def test_bands_outside_the_rating_scale_stop_before_training() -> None:
    data = Titles()
    data.scale = Scale.parse("1-100")
    with pytest.raises(UserError, match=r"bands=\[5\.0, 8\.0\].*from 1 to 100.*try metrics\.bands=\[45,56,67,78\]"):
        run(data, Line(data), evaluation(bands=[5, 8]), epochs=1)


def test_training_logs_validation_metrics_only() -> None:
    data, callback = Titles(), evaluation()
    one = trainer(callback)
    one.fit(Line(data), datamodule=data)
    assert set(one.callback_metrics) == {*(f"val/{name}" for name in NAMES), "train/unit_mse"}
    assert callback.metrics == callback.tables == {}
    assert set(callback.figures) == {"learning_curves"}
    assert callback.findings == []


def test_batch_size_changes_no_digit() -> None:
    results = []
    for rows in (7, 1000):
        data, callback = Titles(rows), evaluation()
        for stage in (trainer(callback).validate, trainer(callback).test):
            stage(Line(data), datamodule=data, verbose=False)
        results.append(callback.metrics)
    assert results[0] == results[1]


@pytest.mark.parametrize("late", [False, True])
def test_curves_survive_a_resume_and_the_best_checkpoint(tmp_path: Path, late: bool) -> None:
    """A run in two parts remembers the curves of one that was never stopped, whenever the model logs its error."""
    data, whole = Titles(), evaluation()
    run(data, Line(data, late=late), whole, epochs=4)
    run(data, Line(data, late=late), evaluation(), epochs=2, saved=tmp_path)
    resumed = evaluation()
    run(data, Line(data, late=late), resumed, epochs=4, saved=tmp_path)
    assert whole.curves.table()["epoch"].to_list() == [0, 1, 2, 3]
    assert whole.curves.table().null_count().sum_horizontal().item() == 0
    for name, errors in whole.curves.state().items():
        assert resumed.curves.state()[name] == pytest.approx(errors)
    if late:
        assert whole.curves.train == pytest.approx({epoch: 0.01 * (epoch + 1) for epoch in range(4)})


def test_findings_and_figures_of_a_finished_run(finished: tuple[Titles, ScoreEvaluation], tmp_path: Path) -> None:
    _, callback = finished
    gain, curves, impact, intervals, worst = callback.findings
    assert gain.startswith(
        f"Better than the training mean: RMSE {callback.metrics['test/rmse']:.3f} on 200 test titles"
    )
    assert "Learning curves: " in curves
    assert "epoch 3 of 3" in curves
    assert f"Pearson {callback.metrics['test/pearson']:.2f}" in impact
    assert f"{callback.metrics['test/interval_coverage']:.1%} of the 200 test titles" in intervals
    assert worst.startswith("Lowest coverage of the groups of at least 20 test titles: ")
    assert set(callback.figures) == {"learning_curves", "predicted_vs_true", "residuals"}
    for name, figure in callback.figures.items():
        figure.savefig(tmp_path / f"{name}.png")
        assert all(axis.get_label_text() for axes in figure.axes for axis in (axes.xaxis, axes.yaxis))
    (axes,) = callback.figures["residuals"].axes
    n_in_bands = [int(label.get_text().rpartition("\n")[2].replace(",", "")) for label in axes.get_xticklabels()]
    assert sum(n_in_bands) == 200


def test_one_epoch_has_no_curve_to_draw_or_to_judge() -> None:
    data, callback = Titles(), evaluation(interval=None)
    run(data, Line(data), callback, epochs=1)
    assert set(callback.figures) == {"predicted_vs_true", "residuals"}
    gain, impact = callback.findings
    assert gain.startswith("Better than the training mean")
    assert "correlate" in impact
    assert not any("interval" in name for name in callback.metrics)


@pytest.mark.parametrize(
    ("n_val", "words"), [(0, "No intervals: 0 calibration titles"), (16, "too few for 90%; it takes 9")]
)
def test_too_few_validation_titles_mean_no_intervals_and_say_so(n_val: int, words: str) -> None:
    data, callback = Titles(n_val=n_val), evaluation(bands=[])
    run(data, Line(data), callback)
    assert "low" not in callback.tables["predictions"].columns
    assert not any("interval" in name for name in callback.metrics)
    assert words in callback.findings[-1]
    assert set(callback.figures) == {"learning_curves", "predicted_vs_true", "residuals"}


def test_a_model_that_always_says_the_same_has_no_correlation(caplog: pytest.LogCaptureFixture) -> None:
    data, callback = Titles(), evaluation()
    run(data, Line(data, lr=0.0), callback)
    assert "Undefined on this data and left out: test/kendall, test/pearson, test/spearman" in caplog.messages
    assert not any("pearson" in name for name in callback.metrics)
    assert callback.findings[0].startswith("No significant difference from the training mean")
    assert not any("correlate" in sentence for sentence in callback.findings)


def test_a_model_of_noise_is_not_said_to_have_learned(finished: tuple[Titles, ScoreEvaluation]) -> None:
    data, callback = Titles(), evaluation()
    data.known = torch.from_numpy(np.random.default_rng(7).normal(size=N).astype(np.float32))
    run(data, Line(data, lr=0.02), callback)
    gain, *others = callback.findings
    assert gain.startswith(("No significant difference from the training mean", "Worse than the training mean"))
    assert not any(word in sentence for sentence in others for word in ("correlate", "good", "impact"))


def test_wrong_settings_are_refused_before_anything_runs() -> None:
    with pytest.raises(UserError, match=r"interval=90"):
        evaluation(interval=90)
    with pytest.raises(UserError, match=r"bands=\[6, 5\]: expected increasing"):
        evaluation(bands=[6, 5])
    with pytest.raises(UserError, match=r"ndcg@10: not available in this evaluation; available: kendall, mae"):
        evaluation(names=["rmse", "ndcg@10"])


def test_a_diverged_model_is_a_clear_error() -> None:
    data = Titles()
    data.known[data.val[0]] = torch.nan
    with pytest.raises(UserError, match=r"Line predicted NaN or infinity for 1 of [0-9]+ (val|calibration) scores"):
        trainer(evaluation()).validate(Line(data), datamodule=data, verbose=False)
