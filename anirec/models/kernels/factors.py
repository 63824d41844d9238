"""What a sweep over user blocks reads and writes, whichever solver makes it. Axes: u user, i item, f factor."""

from typing import Any, Generic, NamedTuple, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from anirec.data.interactions import RatingBatch

Array = TypeVar("Array")  # a tensor, or a view of its memory as a NumPy array


class Block(NamedTuple, Generic[Array]):
    """Whole users: the rows of `users[k]` (n,) are `start[k]:start[k + 1]` of `item` and `rating` (rows,)."""

    users: Array
    start: Array
    item: Array
    rating: Array


class Factors(NamedTuple, Generic[Array]):
    """What is learned, changed in place; float32. `y_if` is (0, f) for a model without implicit feedback."""

    mean: Array
    bias_u: Array
    bias_i: Array
    p_uf: Array
    q_if: Array
    y_if: Array


class Rates(NamedTuple):
    """Step size and penalties of one sweep."""

    lr: float
    reg: float
    reg_bias: float


def block_of(batch: RatingBatch) -> Block[Tensor]:
    """A batch of whole users, with its users and where their rows begin."""
    users, counts = torch.unique_consecutive(batch.user, return_counts=True)
    return Block(users, pad(counts.cumsum(0), (1, 0)), batch.item, batch.rating)


def shared_with_numpy(tensors: tuple[Tensor, ...]) -> list[NDArray[Any]]:
    """The same memory as arrays; for tensors on the CPU."""
    return [tensor.numpy() for tensor in tensors]
