from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import Module

from anirec.data.ratings.interactions import RatingBatch
from anirec.inference.people import Person, explain
from anirec.models.base import SupportsFoldIn
from anirec.models.ratings.bias import Baseline

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


class LinearWithRatings(Module):
    """Score an item by the sum of rating x weight, so that a low rating of an unlike title raises a score."""

    def __init__(self) -> None:
        super().__init__()
        self.baseline = Baseline(2, 4)
        for name, value in (("mean", 7.0), ("lowest", 1.0), ("highest", 10.0)):
            getattr(self.baseline, name).fill_(value)
        self.weight_ij = torch.tensor([[0.0, 0, 5, 0], [0, 0, 1, 3], [0, 0, 0, 0], [0, 0, 0, 0]])

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        return torch.zeros(n, 4).index_add_(0, batch.user, batch.rating[:, None].abs() * self.weight_ij[batch.item])


@pytest.mark.parametrize(("rating", "reasons"), [(1.0, [[], [1]]), (8.0, [[0], [1]])])
def test_a_disliked_title_is_no_reason(rating: float, reasons: list[list[int]]) -> None:
    person = Person(
        torch.tensor([0, 1]), torch.tensor([rating, 9.0]), torch.zeros(4), torch.tensor([]), torch.tensor([])
    )
    assert person.explain(LinearWithRatings(), torch.tensor([2, 3])) == reasons  # type: ignore[arg-type]


def test_a_history_of_dislikes_gives_no_reasons() -> None:
    person = Person(torch.tensor([0, 1]), torch.tensor([1.0, 1.0]), torch.zeros(4), torch.tensor([]), torch.tensor([]))
    assert person.explain(LinearWithRatings(), torch.tensor([2, 3])) == [[], []]  # type: ignore[arg-type]
