"""The base class of branches, which turn one modality of a title into vectors, and the pooling of vectors.

A branch is fitted on training titles. It then prepares the inputs of any titles and returns the vectors of their rows:

    branch.fit(train)                                     # vocabulary, idf, tokenizer of `tiny`; creates the submodules
    branch.look(titles, cache=cache, device=device)       # tokens, pixels or frozen vectors, kept on the CPU
    branch(index).values                                  # (B, M, width)
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.settings import Configurable


@dataclass(frozen=True)
class Members:
    """The vectors of B titles with up to M members each (characters, portraits); M = 1 for one vector per title.

    Args:
        values: (B, M, width) float32; not to be used where absent.
        present: (B, M) bool, which members exist.
    """

    values: Tensor
    present: Tensor


class Branch(nn.Module, Configurable, ABC):
    """One modality of titles as vectors.

    `requires` names the columns of the dataset that the branch uses. `width` is the length of its vectors, known after
    `fit` or `restore`. `frozen` says that the branch has no trained parameters, so that its vectors are computed in
    `look`. `coverage`, set by `look`, counts the titles with an input and the inputs that were left out.
    """

    requires: frozenset[str] = frozenset()
    later: ClassVar[bool] = False  # whether it uses facts that are known only once a title is in production
    width: int
    frozen: bool = False
    anchor: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.coverage: dict[str, Any] = {}
        self.register_buffer("anchor", torch.empty(0), persistent=False)

    @property
    def device(self) -> torch.device:
        """The device of the vectors. The numbers of titles are on the CPU, where their inputs are."""
        return self.anchor.device

    @abstractmethod
    def fit(self, titles: pl.DataFrame) -> None:
        """Fit everything that needs no gradients on training titles, and create the submodules.

        Raises:
            UserError: The titles lack columns or values, or the encoder cannot be loaded.
        """

    @abstractmethod
    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        """Prepare the inputs of titles and keep them on the CPU; frozen vectors are computed on `device`."""

    @abstractmethod
    def forward(self, index: Tensor) -> Members:
        """Return the vectors of rows (B,) int64 of the titles in the last call of `look`."""

    @abstractmethod
    def lengths(self) -> NDArray[np.int64]:
        """Return the cost of each title in the last call of `look`, in tokens, (n_titles,); 1 if all cost the same."""

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """Return what `restore` needs in addition to the state dict, as values for `torch.load(weights_only=True)`."""

    @abstractmethod
    def restore(self, description: Mapping[str, Any]) -> None:
        """Create the submodules for the state dict from a description, without downloads or files."""


def first_token(values: Tensor, _: Tensor) -> Tensor:
    """Return the vector at position 0: [CLS] if padding is on the right; may be padding if it is on the left."""
    return values[:, 0]


def last_token(values: Tensor, present: Tensor) -> Tensor:
    """Return the vector at the last position that is present."""
    position = torch.arange(present.shape[1], device=present.device)
    return values[torch.arange(len(values), device=values.device), (position * present).argmax(1)]


def mean_pool(values: Tensor, present: Tensor) -> Tensor:
    """Return the mean of the vectors that are present, (B, width); zeros where none is.

    Args:
        values: (B, M, width).
        present: (B, M) bool.

    >>> mean_pool(torch.tensor([[[2.0], [4.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[3.]])
    """
    weight = present.unsqueeze(2).to(values.dtype)
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1)


WIDEST = 128  # of the hidden layer of attention; concatenated frozen vectors have thousands of columns


class AttentionPool(nn.Module):
    """A learned weighted mean: a small network scores each vector, and the softmax of the scores weights them.

    Initially the weights are equal. Returns zeros where no vector is present.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = min(width, WIDEST)
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))
        nn.init.zeros_(self.score[2].weight)  # type: ignore[arg-type]

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Return the weighted mean (B, width) of `values` (B, M, width), of which `present` (B, M) exist."""
        return (self.weights(values, present).unsqueeze(2) * values).sum(1)

    def weights(self, values: Tensor, present: Tensor) -> Tensor:
        """Return the weight of each vector, (B, M); zero for absent ones."""
        score = self.score(values).squeeze(2).float().masked_fill(~present, -1e30)
        return score.softmax(1) * present


TOKEN_POOLING = {"first": first_token, "last": last_token, "mean": mean_pool}
