"""How far predicted ratings are from the true ones.

>>> rmse([7.0, 9.0], [8.0, 6.0])
2.23606797749979
>>> mae([7.0, 9.0], [8.0, 6.0])
2.0

R² is 1 for perfect predictions, 0 for predicting the mean of the targets, negative for worse.

>>> r2([7.0, 7.0], [8.0, 6.0]), r2([8.0, 6.0], [8.0, 6.0])
(0.0, 1.0)
"""

from anirec.metrics.declared import RowMetric

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
