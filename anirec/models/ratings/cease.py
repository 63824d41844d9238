"""CEASE: EASE with side information about titles, in closed form."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.sparse import hstack

from anirec.features.branch import Branch
from anirec.models.branched import Branched, branch_features
from anirec.models.ratings.ease import EASE
from anirec.settings import NonNegative


class CEASE(Branched, EASE):
    """Rank items by X B, where B minimises the error of EASE + weight x |F' - F' B|², with a zero diagonal.

    The rows of F are the features of the titles, such as the words of their names: one B reconstructs the histories
    and the features. Titles with equal features thus count for each other before many users have watched both.

    Args:
        branches: Branches by name, which encode the features of a title; all must be frozen.
        weight: Weight of the features, in units of interactions for rows of length 1; >= 0. 0: EASE.
        **settings: Arguments of `EASE`.

    Raises:
        UserError: A branch is not frozen.

    References:
        Jeunen, Van Balen & Goethals, Closed-Form Models for Collaborative Filtering with Side-Information, RecSys 2020.
    """

    constraints = "anirec.models.constraints:check_frozen"

    def __init__(self, *, branches: Mapping[str, Branch], weight: NonNegative, **settings: Any) -> None:
        super().__init__(branches=branches, **settings)
        self.weight = weight

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and not self.is_fitted:
            self.fit(self.data.items[np.unique(self.training_rows(self.data).item)])
            self.is_fitted = True

    def weighted_rows(self) -> Any:
        """Return the rows of EASE, and below them those of the features, times the root of their weight."""
        from anirec.models.ratings.kernels.sparse_rows import SparseRows

        self.look(self.data.items, cache=self.data.cache, device=self.device)
        every, rows = torch.arange(self.n_items), super().weighted_rows()
        of_title = hstack([branch_features(self.branch(name), every) for name in self.branches])
        below = of_title.T.tocsr()
        below.sort_indices()
        value = (self.weight**0.5 * below.data).astype(np.float32)
        return SparseRows(
            np.append(rows.start, rows.start[-1] + below.indptr[1:].astype(np.int64)),
            np.append(rows.column, below.indices.astype(np.int32)),
            np.append(rows.value, value),
        )
