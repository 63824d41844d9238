"""Base class of rating networks that use title content, encoded by frozen branches."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy.sparse import hstack
from sklearn.linear_model import Ridge
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch, UserBlocks
from anirec.features.branch import Branch
from anirec.models.branched import Branched, branch_features, n_features
from anirec.models.ratings.network import RatingNetwork

TYPICAL_WIDTH = 100  # of the features of a branch that is not fitted yet, for the cost
OFFSET_PENALTY = 10.0  # L2 penalty of the ridge regression; content rows have length 1


class Content(Branched, RatingNetwork):
    """A rating network with content features of all items.

    Content is centred on the training titles and scaled so that the root mean squared length of their rows is 1. The
    offset of a title without ratings is predicted from its content by ridge regression.

    Args:
        branches: Branches by name; all must be frozen.
        **settings: Arguments of `RatingNetwork`.

    Attributes:
        content: Content features, float32 (n_items + 1, width); 0 for the unknown item, which is last.
        known: 1 for items with a training row, else 0, float32 (n_items + 1, 1).
    """

    constraints = "anirec.models.constraints:check_frozen"
    content: Tensor
    known: Tensor
    centre: Tensor
    length: Tensor
    offset_weight: Tensor
    offset_start: Tensor

    def __init__(self, *, branches: Mapping[str, Branch], **settings: Any) -> None:
        super().__init__(branches=branches, **settings)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if not self.is_fitted:
            data = self.data
            self.fit(data.items[np.unique(self.training_rows(data).item)])
            self.look(data.items, cache=data.cache, device=self.trainer.strategy.root_device)
            self.is_fitted = True

    def allocate_content(self) -> None:
        """Register the content buffers; the branches must be fitted."""
        width = sum(n_features(self.branch(name)) if self.is_fitted else TYPICAL_WIDTH for name in self.branches)
        sizes = {
            "content": (self.n_items + 1, width),
            "known": (self.n_items + 1, 1),
            "centre": (width,),
            "offset_weight": (width,),
        }
        for name, size in sizes.items():
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("length", torch.ones(()))
        self.register_buffer("offset_start", torch.zeros(()))

    def on_train_start(self) -> None:
        super().on_train_start()
        raw, known = self.encode_branches(self.n_items), np.unique(self.training_rows(self.data).item)
        self.known[known] = 1
        self.centre.copy_(raw[known].mean(0))
        self.length.copy_((raw[known] - raw[known].mean(0)).square().sum(1).mean().sqrt().clamp_min(1e-6))
        self.content[:-1] = self.scale(raw.to(self.device))
        self.fit_content_offsets()

    def fit_content_offsets(self) -> None:
        """Fit the regression of item offsets on content, with weights n / (n + damping_item) for n ratings."""
        rows = self.training_rows(self.data)
        n_ratings = np.bincount(rows.item[~np.isnan(rows.rating)], minlength=self.n_items)
        rated, own = np.flatnonzero(n_ratings), self.baseline.item[:-1].cpu().numpy()
        trust = n_ratings[rated] / (n_ratings[rated] + self.damping_item)
        content = self.content[:-1].cpu().numpy()[rated]
        ridge = Ridge(alpha=OFFSET_PENALTY).fit(content, own[rated], sample_weight=trust)
        self.offset_weight.copy_(torch.from_numpy(ridge.coef_))
        self.offset_start.fill_(float(ridge.intercept_))
        unrated = np.flatnonzero(n_ratings == 0)
        self.baseline.item[unrated] = self.content_offsets(self.content[unrated])

    def content_offsets(self, content: Tensor) -> Tensor:
        """Return the predicted offsets (n,) of unrated titles from their content (n, width)."""
        return content @ self.offset_weight + self.offset_start

    def content_of(self, titles: pl.DataFrame, *, cache: Path) -> Tensor:
        """Return the content features of any titles, (n, width). The branches then hold these titles only."""
        self.look(titles, cache=cache, device=self.device)
        return self.scale(self.encode_branches(len(titles)).to(self.device))

    def encode_branches(self, n: int) -> Tensor:
        """Return the unscaled features of the n titles that the branches encoded last, (n, width)."""
        columns = [branch_features(self.branch(name), torch.arange(n)) for name in self.branches]
        return torch.from_numpy(hstack(columns).toarray().astype(np.float32))

    def scale(self, raw: Tensor) -> Tensor:
        return (raw - self.centre) / self.length

    def histories(self) -> Iterator[tuple[slice, RatingBatch, Tensor]]:
        """Yield all histories in blocks: users, their rows with users numbered from 0, and each row's user offset."""
        for batch in UserBlocks(self.data.history, rows=self.block_rows):
            user, item, rating = (column.to(self.device) for column in batch)
            users = slice(int(user[0]), int(user[-1]) + 1)
            yield users, RatingBatch(user - users.start, item, rating), self.baseline.user[user]

    def residuals(self, batch: RatingBatch, offset: Tensor) -> Tensor:
        """Return the residuals (B,) of the bias model, with user offsets `offset` (B,); 0 for unrated rows."""
        return (batch.rating - self.baseline.mean - offset - self.baseline.item[batch.item]).nan_to_num(nan=0.0)
