"""Kernels of rating models: loops compiled by numba, cached on disk after the first call, and tensor operations."""

from typing import Any, Generic, NamedTuple, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

TensorOrArray = TypeVar("TensorOrArray")  # a tensor, or a view of its memory as a NumPy array


class Factors(NamedTuple, Generic[TensorOrArray]):
    """Parameters of SVD and SVD++, float32, updated in place; `y_if` is (0, f) for SVD."""

    mean: TensorOrArray
    bias_u: TensorOrArray
    bias_i: TensorOrArray
    p_uf: TensorOrArray
    q_if: TensorOrArray
    y_if: TensorOrArray


class Rates(NamedTuple):
    """Learning rate and penalties of one sweep."""

    lr: float
    reg: float
    reg_bias: float


def as_numpy(tensors: tuple[Tensor, ...]) -> list[NDArray[Any]]:
    """Return tensors on the CPU as arrays that share their memory."""
    return [tensor.numpy() for tensor in tensors]


def fit_new_user(q_rf: Tensor, residual_r: Tensor, rates: Rates) -> tuple[Tensor, Tensor]:
    """Return the offset () and factors p (F,) of a new user, with item factors q (R, F) held fixed.

    With fixed items, sweeps minimise Σ (residual - offset - p · q)² + R (reg_bias offset² + reg |p|²), a ridge
    regression. But sweeps stop before convergence, the earlier the fewer ratings a user has. This function stops at the
    same point: it computes the gradient flow from 0 over the time `rates.lr`.

    Args:
        q_rf: Factors of the R items that the user has rated.
        residual_r: Their ratings minus mean, item offset and implicit part, (R,).
        rates: Penalties, and as `lr` the sum of the learning rates of all sweeps.
    """
    x_rf = torch.cat([torch.ones_like(residual_r)[:, None], q_rf], dim=1).double()
    penalty_f = torch.full_like(x_rf[0], rates.reg)
    penalty_f[0] = rates.reg_bias
    slope_f, axes_ff = torch.linalg.eigh(x_rf.T @ x_rf + torch.diag(len(x_rf) * penalty_f))
    slope_f = slope_f.clamp(min=1e-9)  # a divisor; 0 if there are more factors than ratings and no penalty
    solved_f = axes_ff @ (-torch.expm1(-rates.lr * slope_f) / slope_f * (axes_ff.T @ (x_rf.T @ residual_r.double())))
    return solved_f[0].float(), solved_f[1:].float()
