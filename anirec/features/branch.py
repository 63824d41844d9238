"""What every branch promises: one kind of information about a title, turned into vectors.

A branch is fitted on training titles, looks at any titles, then answers for rows of the titles it last looked at:

    branch.fit(train)                                     # vocabulary, idf, tokenizer of `tiny`; creates the submodules
    branch.look(titles, cache=cache, device=device)       # tokens, pixels or ready vectors, kept on the CPU
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
    """The vectors of B titles, of which each has up to M members (characters, portraits); M = 1 for one vector a title.

    Args:
        values: (B, M, width) float32; zero where absent, and never to be read there.
        present: (B, M) bool.
    """

    values: Tensor
    present: Tensor


class Branch(nn.Module, Configurable, ABC):
    """One kind of information about a title.

    `requires` names the columns of the dataset that it reads; `width` is the length of its vectors, known after `fit`
    or `restore`; `frozen` says that no gradient flows into it: its vectors are ready once it has looked; `coverage`
    says, after `look`, how many titles have anything to look at, and what was left out.
    """

    requires: frozenset[str] = frozenset()
    later: ClassVar[bool] = False  # uses what exists only after money is spent
    width: int
    frozen: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.coverage: dict[str, Any] = {}

    @abstractmethod
    def fit(self, titles: pl.DataFrame) -> None:
        """Learn what is learned without gradients, from training titles only, and create the submodules.

        Raises:
            UserError: The titles or the encoder lack what is asked for.
        """

    @abstractmethod
    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        """Prepare the inputs of any titles; they stay on the CPU until `forward`. `device` computes frozen vectors."""

    @abstractmethod
    def forward(self, index: Tensor) -> Members:
        """The vectors of rows (B,) int64 of the titles last looked at."""

    @abstractmethod
    def lengths(self) -> NDArray[np.int64]:
        """(n_titles,): the cost of each title looked at, in tokens; 1 where all cost the same."""

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What `restore` needs beside the state dict: plain values, as `torch.load(weights_only=True)` accepts."""

    @abstractmethod
    def restore(self, description: Mapping[str, Any]) -> None:
        """Create the submodules that the state dict fills, from a description; neither downloads nor reads files."""


def first_token(values: Tensor, _: Tensor) -> Tensor:
    """The vector at position 0, whether or not it is padding: as published, and [CLS] where padding is on the right."""
    return values[:, 0]


def last_token(values: Tensor, present: Tensor) -> Tensor:
    """The vector of the last position that is present."""
    position = torch.arange(present.shape[1], device=present.device)
    return values[torch.arange(len(values), device=values.device), (position * present).argmax(1)]


def mean_pool(values: Tensor, present: Tensor) -> Tensor:
    """(B, M, width), (B, M) bool -> (B, width): the mean of those present; zeros where none is.

    >>> mean_pool(torch.tensor([[[2.0], [4.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[3.]])
    """
    weight = present.unsqueeze(2).to(values.dtype)
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1)


WIDEST = 128  # of attention's hidden layer: a weight needs no more, and frozen vectors joined are thousands wide


class AttentionPool(nn.Module):
    """A learned weighted mean: one layer scores each vector, the softmax of those present weighs them.

    Zeros where none is present. It starts as the plain mean.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = min(width, WIDEST)
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))
        nn.init.zeros_(self.score[2].weight)  # type: ignore[arg-type]

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """(B, M, width), (B, M) bool -> (B, width)."""
        return (self.weights(values, present).unsqueeze(2) * values).sum(1)

    def weights(self, values: Tensor, present: Tensor) -> Tensor:
        """(B, M): the share of each vector; zero for those absent."""
        score = self.score(values).squeeze(2).float().masked_fill(~present, -1e30)
        return score.softmax(1) * present


TOKEN_POOLING = {"first": first_token, "last": last_token, "mean": mean_pool}
