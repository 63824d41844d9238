"""How far predicted ratings, or scores, are from the true ones, and how closely they move with them.

>>> rmse([7.0, 9.0], [8.0, 6.0])
2.23606797749979
>>> mae([7.0, 9.0], [8.0, 6.0])
2.0

R² is 1 for perfect predictions, 0 for predicting the mean of the targets, negative for worse.

>>> r2([7.0, 7.0], [8.0, 6.0]), r2([8.0, 6.0], [8.0, 6.0])
(0.0, 1.0)

Pearson's r asks for a straight line only, whatever its slope and place; undefined where either side does not vary.

>>> round(pearson([1.0, 2.0, 4.0], [8.0, 7.0, 5.0]), 12), pearson([7.1, 7.1], [8.0, 6.0])
(-1.0, nan)

Errors on the unit scale, where 0 is the lowest training score and 1 the highest: the last column is their distance.

>>> unit_mse([7.0, 9.0], [8.0, 6.0], 5.0), unit_mae([7.0, 9.0], [8.0, 6.0], 5.0)
(0.2, 0.4)
"""

from typing import Any

from anirec.metrics.declared import RowMetric

ROUNDING = 1e-12  # of the sum of squares: a variance below is what rounding left

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

r2 = RowMetric(
    "r2",
    better="higher",
    terms=lambda prediction, target: ((prediction - target) ** 2, target, target**2),
    value=lambda n, squares, targets, squared_targets: 1 - squares / (squared_targets - targets**2 / n),
)


def correlation(n: Any, *sums: Any) -> Any:
    """Pearson's r of sums; infinite or NaN where a column does not vary."""
    p, t, pp, tt, pt = sums
    p_varies, t_varies = pp - p**2 / n, tt - t**2 / n
    # A flag is 1 or 0 in a division: of what does not vary, not even rounding errors correlate.
    is_defined = (p_varies > ROUNDING * pp) & (t_varies > ROUNDING * tt)
    return (pt - p * t / n) / (p_varies * t_varies) ** 0.5 / is_defined


pearson = RowMetric(
    "pearson",
    better="higher",
    terms=lambda prediction, target: (prediction, target, prediction**2, target**2, prediction * target),
    value=correlation,
)

unit_mse = RowMetric(
    "unit_mse",
    better="lower",
    columns=("prediction", "target", "span"),
    terms=lambda prediction, target, span: (((prediction - target) / span) ** 2,),
    value=lambda n, squares: squares / n,
)

unit_mae = RowMetric(
    "unit_mae",
    better="lower",
    columns=("prediction", "target", "span"),
    terms=lambda prediction, target, span: (abs(prediction - target) / span,),
    value=lambda n, distances: distances / n,
)
