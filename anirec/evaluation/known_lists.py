"""Ranked lists of the model that was ranked last: validation and test rank the same users with the same scores."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anirec.evaluation.top_items import TopItems
from anirec.lightning import LightningModule
from anirec.models.base import tensor_versions


class KnownLists:
    """Lists of a model on a dataset by split, kept until the model or the dataset is another one."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all lists."""
        self.source: tuple[Any, ...] = (None, None, [])
        self.by_split: dict[str, TopItems] = {}

    def complete(
        self,
        model: LightningModule,
        data: Any,
        users: NDArray[np.int64],
        splits: Sequence[str],
        rank: Callable[[NDArray[np.int64]], list[TopItems]],
    ) -> TopItems:
        """Return the lists of users for the first split, after ranking for those whose lists are not known.

        Args:
            model: The model. Its lists are forgotten if torch has changed one of its tensors.
            data: The dataset.
            users: User indices, ascending, (U,).
            splits: Splits for which `rank` makes lists.
            rank: Returns the lists of users for each split.
        """
        versions = tensor_versions(model)
        if self.source[0] is not model or self.source[1] is not data or self.source[2] != versions:
            self.source, self.by_split = (model, data, versions), {}
        nobody = TopItems(users[:0], np.empty((0, 0), np.int32), np.empty((0, 0), np.float32))
        missing = np.setdiff1d(users, self.by_split.get(splits[0], nobody).users)
        if len(missing):
            for split, top in zip(splits, rank(missing), strict=True):
                self.by_split[split] = self.by_split[split].merge(top) if split in self.by_split else top
        known = self.by_split[splits[0]]
        return known.where(np.isin(known.users, users))
