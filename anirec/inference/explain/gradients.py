"""Integrated gradients: the exact effect of each input of a differentiable function along a straight line.

References:
    Sundararajan, Taly & Yan, Axiomatic Attribution for Deep Networks, ICML 2017.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

STEPS = 16  # of the first quadrature; doubled until the effects are complete
MOST_STEPS = 128
TOLERANCE = 0.01  # missing share of the total effect

Function = Callable[[Tensor], Tensor]


def integrated_gradients(
    function: Function, x: Tensor, baseline: Tensor, *, steps: int = STEPS, tolerance: float = TOLERANCE
) -> tuple[Tensor, float]:
    """Return the effect of each element of x, of its shape, and f(x) - f(baseline), to which the effects sum.

    The number of points is doubled until the sum is complete up to the tolerance, or `MOST_STEPS` is reached.

    Args:
        function: Maps inputs (steps, *x.shape) to values (steps,); differentiable.
        x: The input.
        baseline: Its counterpart without information, of the same shape.
        steps: Number of points to start with; 1 is exact for linear functions.
        tolerance: Share of the total that may be missing.

    >>> effects, total = integrated_gradients(lambda x: x[:, 0] * x[:, 1], torch.tensor([2.0, 3.0]), torch.zeros(2))
    >>> effects.tolist(), total
    ([3.0, 3.0], 6.0)
    """
    with torch.no_grad():
        ends = function(torch.stack([baseline, x])).double()
    total = float(ends[1] - ends[0])
    while True:
        effects = (x - baseline) * mean_gradient(function, x, baseline, steps)
        if abs(float(effects.sum()) - total) <= tolerance * max(abs(total), tolerance) or steps >= MOST_STEPS:
            return effects, total
        steps *= 2


def mean_gradient(function: Function, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """Return the mean gradient between baseline and x, by Gauss-Legendre quadrature."""
    nodes, weights = (torch.from_numpy(part).to(x) for part in np.polynomial.legendre.leggauss(steps))
    total = torch.zeros_like(x)
    for at, weight in zip(((nodes + 1) / 2).split(STEPS), (weights / 2).split(STEPS), strict=True):
        shape = (-1, *[1] * x.ndim)
        with torch.enable_grad():
            points = (baseline + at.view(shape) * (x - baseline)).requires_grad_()
            (gradient,) = torch.autograd.grad(function(points).sum(), points)
        total += (weight.view(shape) * gradient).sum(0)
    return total
