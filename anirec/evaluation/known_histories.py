"""Scores of evaluated users by their known histories, also of users whom the model was not trained on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anirec.models.base import HistoryReader, SupportsFoldIn
from anirec.models.one_pass import History


def scorer(model: Any, data: Any) -> Callable[[Tensor], Tensor]:
    """Return a function like `model.score_items` that folds in users with a given history, where the model can.

    A split such as whole_users gives a part of a user's ratings as history, on which no model is trained. The folded
    history consists of these and of the user's training rows, if there are any, in the order of time if it counts. A
    `HistoryReader` has read the given histories in training, with their times.

    Args:
        model: A rating model.
        data: The `RatingData`.
    """
    can_fold_in = isinstance(model, SupportsFoldIn) and not isinstance(model, HistoryReader)
    if not data.given or not can_fold_in:
        return model.score_items
    known = (data.train_and_unrated if model.uses_unrated else data.train).merge(data.given)
    history = History.of(known.sort_by_time(keep_unknown=True) if model.uses_order else known).to(model.device)
    is_given = torch.from_numpy(np.diff(data.given.indptr) > 0).to(model.device)

    def score(users: Tensor) -> Tensor:
        given, others = ((is_given[users] == side).nonzero()[:, 0] for side in (True, False))
        parts = [model.fold_in(history.rows_of(users[given])[0], len(given))] if len(given) else []
        parts += [model.score_items(users[others])] if len(others) else []
        return torch.cat(parts)[torch.cat([given, others]).argsort()]

    return score
