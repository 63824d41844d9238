"""The model of an earlier run as it stands, evaluated on newer data. `anirec update` configures it."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.models.base import RatingModel
from anirec.models.checkpoint import restore
from anirec.models.one_pass import MemoryBased
from anirec.models.warm_start import WarmStart


class Earlier(MemoryBased, RatingModel):
    """Predict and rank as the model of an earlier run does, without any training.

    Users and items are matched by their ids. Those that the earlier run lacks are unknown to it; such items are in no
    list. At the test of a split in time, a `HistoryReader` reads the training and validation rows of the newer data, as
    the updated model does.

    Args:
        model: The model of the earlier run, untrained.
        run: Folder of the earlier run, which has a checkpoint.
    """

    replicates: ClassVar[frozenset[str]] = frozenset({"run"})
    uses_seed: ClassVar[bool] = False
    user_index: Tensor
    item_index: Tensor

    def __init__(self, *, model: RatingModel, run: str) -> None:
        super().__init__()
        self.model, self.run = model, run
        self.requires = model.requires  # type: ignore[misc]
        self.predicts_ratings, self.ranks_by_rating = model.predicts_ratings, model.ranks_by_rating
        self.rates_by_bias = model.rates_by_bias

    def allocate(self) -> None:
        super().allocate()
        self.register_buffer("user_index", torch.full((self.n_users + 1,), -1))
        self.register_buffer("item_index", torch.full((self.n_items + 1,), -1))

    def solve(self) -> None:
        earlier = WarmStart(Path(self.run))
        earlier.match(self.data)
        self.user_index[:-1], self.item_index[:-1] = earlier.index.values()
        restore(self.model, earlier.path)
        self.model.eval().to(self.device)

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.model(RatingBatch(self.user_index[batch.user], self.item_index[batch.item], batch.rating))

    def score_items(self, users: Tensor) -> Tensor:
        item = self.item_index[:-1]
        return self.model.score_items(self.user_index[users])[:, item].masked_fill_(item < 0, -torch.inf)

    def rows_of_parts(self, rows: Interactions) -> Interactions:
        """Return the rows of users and items of the earlier run, with its indices."""
        user, item = self.user_index.cpu().numpy()[rows.user], self.item_index.cpu().numpy()[rows.item]
        order = np.lexsort((item, user))
        kept = order[(user[order] >= 0) & (item[order] >= 0)]
        time = None if rows.time is None else rows.time[kept]
        n_users = self.model.n_users
        return Interactions(user[kept].astype("i4"), item[kept].astype("i4"), rows.rating[kept], n_users, time)

    def provenance(self) -> dict[str, Any]:
        return {**super().provenance(), "fit_seconds": None, "compile_seconds": None}
