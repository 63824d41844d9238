"""Rating metrics: errors of predicted ratings or scores, R² and Pearson's correlation.

>>> rmse([7.0, 9.0], [8.0, 6.0])
2.23606797749979
>>> mae([7.0, 9.0], [8.0, 6.0])
2.0

R² is 1 for perfect predictions, 0 for predicting the mean of the targets, and negative for anything worse. It is
undefined where the targets do not vary.

>>> r2([7.0, 7.0], [8.0, 6.0]), r2([8.0, 6.0], [8.0, 6.0]), r2([7.0, 8.0], [6.1, 6.1])
(0.0, 1.0, nan)

Pearson's r measures linear association, whatever the slope and intercept. It is undefined where predictions or targets
do not vary.

>>> round(pearson([1.0, 2.0, 4.0], [8.0, 7.0, 5.0]), 12), pearson([7.1, 7.1], [8.0, 6.0])
(-1.0, nan)

`unit_mse` and `unit_mae` are errors on the unit scale, where 0 is the lowest and 1 the highest training score; the last
argument is the distance between these two in points.

>>> unit_mse([7.0, 9.0], [8.0, 6.0], 5.0), unit_mae([7.0, 9.0], [8.0, 6.0], 5.0)
(0.2, 0.4)
"""

from typing import Any

from anirec.metrics.definition import RowMetric
from anirec.metrics.variation import ratio, variation

mse = RowMetric(
    "mse",
    better="lower",
    terms=lambda prediction, target: ((prediction - target) ** 2,),
    value=lambda n, squares: squares / n,
)

rmse = RowMetric(
    "rmse",
    better="lower",
    terms=lambda prediction, target: ((prediction - target) ** 2,),
    value=lambda n, squares: (squares / n) ** 0.5,
)

mae = RowMetric(
    "mae",
    better="lower",
    terms=lambda prediction, target: (abs(prediction - target),),
    value=lambda n, distances: distances / n,
)


def r_squared(n: Any, squares: Any, targets: Any, squared_targets: Any) -> Any:
    return 1 - ratio(squares, variation(n, targets, squared_targets))


# Values are shifted by the minimum first: sums of large squares would lose the variation to rounding.
r2 = RowMetric(
    "r2",
    better="higher",
    terms=lambda prediction, target: (
        (prediction - target) ** 2,
        target - target.min(),
        (target - target.min()) ** 2,
    ),
    value=r_squared,
)


def correlation(n: Any, *sums: Any) -> Any:
    """Compute Pearson's r from sums; NaN where a column does not vary."""
    p, t, pp, tt, pt = sums
    p_varies, t_varies = variation(n, p, pp), variation(n, t, tt)
    # Take the roots before multiplying: the product of two very small variations would underflow to 0.
    return ratio(pt - p * t / n, p_varies**0.5 * t_varies**0.5)


def products(prediction: Any, target: Any) -> tuple[Any, ...]:
    p, t = prediction - prediction.min(), target - target.min()
    return p, t, p**2, t**2, p * t


pearson = RowMetric("pearson", better="higher", terms=products, value=correlation)

unit_mse = RowMetric(
    "unit_mse",
    better="lower",
    columns=("prediction", "target", "span"),
    terms=lambda prediction, target, span: (ratio(prediction - target, span) ** 2,),
    value=lambda n, squares: squares / n,
)

unit_mae = RowMetric(
    "unit_mae",
    better="lower",
    columns=("prediction", "target", "span"),
    terms=lambda prediction, target, span: (ratio(abs(prediction - target), span),),
    value=lambda n, distances: distances / n,
)
