"""Content ridge: kernel ridge regression of who watches a title on its content, for titles that nobody has rated."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from anirec.features.branch import Branch
from anirec.models.branched import Branched, branch_features
from anirec.models.one_pass import explained_singularity
from anirec.models.ratings.ease import EASE
from anirec.settings import NonNegative, Positive

ROWS_AT_ONCE = 512  # of the matrix of distances


class ContentRidge(Branched, EASE):
    """Rank items by X W, where W follows from the similarity of the items' content.

    X is the user-item matrix of preferences, as in `EASE`. Its column of an unrated item i is predicted from those of
    the training items T by kernel ridge regression: W_Ti = (K_TT + reg I)⁻¹ K_Ti. The column of a training item is
    predicted from those of the others, with the weights W_ji = -P_ji / P_ii, where P = (K_TT + reg I)⁻¹, as in EASE,
    but with similar content in place of common users. The kernel is Gaussian, K_ij = exp(-Σ_b w_b d_b(i, j)²), where
    d_b is the distance of the features of branch b, in units of their standard deviation over the training items.
    Predicted ratings come from the bias model; the offset of an unrated item is predicted by the same regression.

    Time and memory grow as those of `EASE`.

    Args:
        branches: Branches by name; all must be frozen.
        weights: Weight w_b of each branch; > 0. The kernel of a branch with a larger one is narrower.
        reg: L2 penalty; > 0. The kernel of an item with itself is 1.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.

    References:
        Saunders, Gammerman & Vovk, Ridge Regression Learning Algorithm in Dual Variables, ICML 1998.
        Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, equations 2.25 and 5.12 (one left out).
    """

    constraints = "anirec.models.constraints:check_content_ridge"
    instead: ClassVar[str] = "model=hybrid"
    rates_by_bias = False  # its title offsets come from content

    def __init__(
        self,
        *,
        branches: Mapping[str, Branch],
        weights: Mapping[str, Positive],
        reg: Positive,
        damping_user: NonNegative,
        damping_item: NonNegative,
    ) -> None:
        settings = {"reg": reg, "damping_user": damping_user, "damping_item": damping_item}
        super().__init__(branches=branches, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, **settings)
        self.weights = {name: float(weight) for name, weight in weights.items()}

    def solve(self) -> None:
        from anirec.models.ratings.kernels.dense import invert_in_place, multiply_rows

        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()
        is_known = self.count_i.cpu().numpy() > 0
        known, unrated = np.flatnonzero(is_known), np.flatnonzero(~is_known)
        kernel_ij = self.kernel(known)
        inverse_tt = kernel_ij[np.ix_(known, known)]
        inverse_tt[np.diag_indices(len(known))] += self.reg
        with explained_singularity(self.reg):
            invert_in_place(inverse_tt)
        of_unrated_it = multiply_rows(kernel_ij[np.ix_(unrated, known)], inverse_tt)
        inverse_tt /= -inverse_tt.diagonal().copy()
        np.fill_diagonal(inverse_tt, 0)
        kernel_ij.fill(0)  # from here on the weights, in the same memory
        kernel_ij[np.ix_(known, known)] = inverse_tt
        kernel_ij[np.ix_(known, unrated)] = of_unrated_it.T
        self.weight_ij = torch.from_numpy(kernel_ij).to(self.device)
        offset_i = self.baseline.item.cpu()
        offset_i[unrated] = torch.from_numpy(multiply_rows(of_unrated_it, offset_i[known, None].numpy())[:, 0])
        self.baseline.item = offset_i.to(self.device)

    def kernel(self, known: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the similarity of all items, float32 (n_items, n_items); distances are in units of the known ones."""
        data = self.data
        self.fit(data.items[known])
        self.look(data.items, cache=data.cache, device=self.device)
        self.is_fitted = True
        distance_ij: Any = np.zeros((self.n_items, self.n_items), np.float32)
        for name, weight in self.weights.items():
            rows = branch_features(self.branch(name), torch.arange(self.n_items)).astype(np.float32)
            square_i = np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
            variance = square_i[known].mean() - np.square(rows[known].mean(axis=0)).sum()
            for first in range(0, self.n_items, ROWS_AT_ONCE):
                some = slice(first, first + ROWS_AT_ONCE)
                square_bj = square_i[some, None] + square_i - 2 * (rows[some] @ rows.T).toarray()
                distance_ij[some] += weight / max(float(variance), 1e-6) * square_bj
        return np.exp(-distance_ij.clip(min=0, out=distance_ij), out=distance_ij)
