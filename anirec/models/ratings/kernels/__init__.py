"""Loops that NumPy and torch have no words for, compiled by numba and cached on disk after the first call."""

from typing import Any, Generic, NamedTuple, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from anirec.data.ratings.interactions import RatingBatch

TensorOrArray = TypeVar("TensorOrArray")  # a tensor, or a view of its memory as a NumPy array


class Block(NamedTuple, Generic[TensorOrArray]):
    """Whole users: the rows of `users[k]` (n,) are `start[k]:start[k + 1]` of `item` and `rating` (rows,)."""

    users: TensorOrArray
    start: TensorOrArray
    item: TensorOrArray
    rating: TensorOrArray


class Factors(NamedTuple, Generic[TensorOrArray]):
    """What is learned, changed in place; float32. `y_if` is (0, f) for a model without implicit feedback."""

    mean: TensorOrArray
    bias_u: TensorOrArray
    bias_i: TensorOrArray
    p_uf: TensorOrArray
    q_if: TensorOrArray
    y_if: TensorOrArray


class Rates(NamedTuple):
    """Step size and penalties of one sweep."""

    lr: float
    reg: float
    reg_bias: float


def block_of(batch: RatingBatch) -> Block[Tensor]:
    """A batch of whole users, with its users and where their rows begin."""
    users, counts = torch.unique_consecutive(batch.user, return_counts=True)
    return Block(users, pad(counts.cumsum(0), (1, 0)), batch.item, batch.rating)


def as_numpy(tensors: tuple[Tensor, ...]) -> list[NDArray[Any]]:
    """The same memory as arrays; for tensors on the CPU."""
    return [tensor.numpy() for tensor in tensors]


def fit_new_user(q_rf: Tensor, left_r: Tensor, rates: Rates) -> tuple[Tensor, Tensor]:
    """The offset () and factors p (F,) of somebody new, from what is left of their ratings (R,) of items q (R, F).

    The items are held fixed. What sweeps minimise is then Σ (left - offset - p · q)² + R (reg_bias offset² + reg |p|²),
    a ridge regression; but sweeps stop early, the earlier the fewer ratings somebody has. So does this: it is where
    gradient flow has come to in `rates.lr`, the step sizes of all sweeps added up.
    """
    x_rf = torch.cat([torch.ones_like(left_r)[:, None], q_rf], dim=1).double()
    penalty_f = torch.full_like(x_rf[0], rates.reg)
    penalty_f[0] = rates.reg_bias
    slope_f, axes_ff = torch.linalg.eigh(x_rf.T @ x_rf + torch.diag(len(x_rf) * penalty_f))
    slope_f = slope_f.clamp(min=1e-9)  # to divide by: there may be more factors than ratings, and no penalty
    solved_f = axes_ff @ (-torch.expm1(-rates.lr * slope_f) / slope_f * (axes_ff.T @ (x_rf.T @ left_r.double())))
    return solved_f[0].float(), solved_f[1:].float()
