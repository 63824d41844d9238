from collections.abc import Sequence

import torch
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.inference.people import explain
from anirec.models.base import SupportsFoldIn

NAN = float("nan")


class Linear(SupportsFoldIn):
    """Score an item by the sum of the weights of the history, plus the same offset for all items."""

    def __init__(self, weight_ij: Sequence[Sequence[float]]) -> None:
        self.weight_ij = torch.tensor(weight_ij, dtype=torch.float32)

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        scores = torch.zeros(n, len(self.weight_ij)).index_add_(0, batch.user, self.weight_ij[batch.item])
        return scores + batch.user.bincount(minlength=n)[:, None]


def test_the_entries_that_raise_a_score_most_are_its_reasons() -> None:
    model = Linear([[0, 0, 0, 5, 0], [0, 0, 0, 0, 3], [0, 0, 0, 4, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    history, ratings = torch.tensor([0, 1, 2]), torch.tensor([9.0, 8.0, NAN])
    assert explain(model, history, ratings, torch.tensor([3, 4])) == [[0, 2], [1]]


def test_an_entry_that_raises_all_scores_alike_is_no_reason() -> None:
    model = Linear([[2.0] * 4, [1.0, 2.0, 3.0, 4.0], [0.0] * 4, [0.0] * 4])
    assert explain(model, torch.tensor([0]), torch.tensor([9.0]), torch.tensor([2, 3])) == [[], []]
    assert explain(model, torch.tensor([0, 1]), torch.tensor([9.0, 9.0]), torch.tensor([3])) == [[1]]
