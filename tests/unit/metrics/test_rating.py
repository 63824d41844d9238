import numpy as np
import polars as pl
import pytest
import scipy.stats
import torch
import torchmetrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from anirec.metrics.definition import RowMetric
from anirec.metrics.rating import mae, mse, pearson, r2, rmse, unit_mae, unit_mse

REFERENCES = {
    mse: sklearn_metrics.mean_squared_error,
    rmse: sklearn_metrics.root_mean_squared_error,
    mae: sklearn_metrics.mean_absolute_error,
    r2: sklearn_metrics.r2_score,
    pearson: lambda target, prediction: scipy.stats.pearsonr(target, prediction).statistic,
}
ratings = arrays(np.float32, (2, 20), elements=st.floats(1, 10, width=32))


@pytest.mark.parametrize("metric", REFERENCES, ids=lambda metric: metric.name)
@given(columns=ratings)
def test_agrees_with_sklearn_and_scipy(metric: RowMetric, columns: np.ndarray) -> None:
    prediction, target = columns.astype(np.float64)
    if target.std() > 1e-3 and (prediction.std() > 1e-3 or metric is not pearson):
        assert metric(prediction, target) == pytest.approx(REFERENCES[metric](target, prediction), rel=1e-6, abs=1e-9)


def test_sums_in_float64_whatever_comes_in() -> None:
    prediction = np.full(1_000_000, 7.1, dtype=np.float32)
    assert mae(prediction, np.zeros_like(prediction)) == pytest.approx(float(np.float32(7.1)), rel=1e-12)


def test_r2_of_equal_targets_is_undefined() -> None:
    assert np.isnan(r2([7.0, 8.0], [6.0, 6.0]))


@pytest.mark.parametrize("metric", REFERENCES, ids=lambda metric: metric.name)
def test_one_definition_serves_tensors_and_polars(metric: RowMetric) -> None:
    prediction, target = np.random.default_rng(0).uniform(1, 10, size=(2, 50))
    tensors = [term.sum() for term in metric.terms(torch.from_numpy(prediction), torch.from_numpy(target))]
    frame = pl.DataFrame({"prediction": prediction, "target": target})
    terms = metric.terms(pl.col("prediction"), pl.col("target"))
    columns = frame.select(term.sum().alias(str(i)) for i, term in enumerate(terms)).row(0)
    assert float(metric.value(50, *tensors)) == pytest.approx(metric(prediction, target))
    assert metric.value(50, *columns) == pytest.approx(metric(prediction, target))


def test_pearson_agrees_with_torchmetrics() -> None:
    prediction, target = np.random.default_rng(1).uniform(1, 10, size=(2, 500))
    expected = torchmetrics.functional.pearson_corrcoef(torch.from_numpy(prediction), torch.from_numpy(target))
    assert pearson(prediction, target) == pytest.approx(float(expected))


@pytest.mark.parametrize("constant", [7.1, 6.6123, 1 / 3])
def test_what_does_not_vary_correlates_with_nothing_not_even_by_rounding(constant: float) -> None:
    target = np.random.default_rng(0).normal(6.6, 0.9, size=1286).astype(np.float32)
    same = np.full_like(target, constant)
    assert np.isnan(pearson(same, target))
    assert np.isnan(pearson(target, same))


def test_unit_errors_are_those_of_scores_scaled_as_published() -> None:
    train = np.array([1.85, 6.0, 9.12])
    prediction, target = np.random.default_rng(2).uniform(1, 10, size=(2, 100))
    scaled = [(column - train.min()) / np.ptp(train) for column in (prediction, target)]
    assert unit_mse(prediction, target, np.ptp(train)) == pytest.approx(mse(*scaled))
    assert unit_mae(prediction, target, np.ptp(train)) == pytest.approx(mae(*scaled))
