"""From many vectors to one: over the tokens of a text, over the members of a title."""

import torch
from torch import Tensor, nn


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


OVER_TOKENS = {"first": first_token, "last": last_token, "mean": mean_pool}
