"""Importance of settings: silent about noise, in units of the metric where settings predict it."""

from typing import Any

import numpy as np
import pytest

from anirec.report.page.importance import importance


def settings(n: int, seed: int) -> tuple[list[list[Any]], np.random.Generator]:
    """A learning rate on a logarithmic scale, a whole number and a name for each of n configurations."""
    random = np.random.default_rng(seed)
    lr, factors, name = 10 ** random.uniform(-3, 0, n), random.integers(1, 5, n) * 10, random.choice(["a", "b", "c"], n)
    return [lr.tolist(), factors.tolist(), name.tolist()], random


@pytest.mark.parametrize("n", [9, 20, 50])
def test_noise_has_no_importance(n: int) -> None:
    n_claims = 0
    for seed in range(200):
        values, random = settings(n, seed)
        n_claims += importance(values, random.normal(size=n)) is not None
    assert n_claims <= 20  # of 200 tests at 5%; 10 on average


@pytest.mark.parametrize(("n", "fewest"), [(9, 10), (20, 20), (50, 20)])
def test_a_planted_effect_is_found(n: int, fewest: int) -> None:
    n_found = 0
    for seed in range(20):
        values, random = settings(n, seed)
        found = importance(values, np.log10(values[0]) + random.normal(scale=0.3, size=n))
        n_found += found is not None and int(np.argmax(found)) == 0
    assert n_found >= fewest


def test_importance_is_in_units_of_the_metric() -> None:
    values, random = settings(30, 0)
    metric = np.log10(values[0]) + random.normal(scale=0.1, size=30)
    one, hundred = importance(values, metric), importance(values, 100 * metric)
    assert one is not None
    assert hundred == pytest.approx([100 * rise for rise in one])
    assert 0.5 * metric.std() < one[0] < 2 * metric.std()
    assert max(one[1:]) < 0.1 * one[0]


def test_fewer_than_eight_configurations_have_no_importance() -> None:
    assert importance([[1, 2, 3, 4, 5, 6, 7]], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) is None
    assert importance([[1, 2, 3, 4, 5, 6, 7, 8]], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]) is not None


def test_an_equal_metric_has_no_importance() -> None:
    assert importance([[1, 2, 3] * 3], [0.5] * 9) is None
