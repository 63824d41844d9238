"""Ridge regression on what any branches see: TF-IDF, frozen embeddings, counts, or all of them joined."""

from collections.abc import Mapping

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn import linear_model
from torch import Tensor

from anirec.data.titles.loaders import TitleBatch
from anirec.errors import UserError
from anirec.features.branch import Branch
from anirec.metrics.variation import ROUNDING
from anirec.models.frozen_features import check_frozen, n_columns, seen
from anirec.models.titles.closed_form import ClosedForm
from anirec.settings import NonNegative, Positive

TOLERANCE = 1e-10  # of the iterative solver; scikit-learn's exact one agrees to 1e-6


class Ridge(ClosedForm):
    """Least squares with a penalty on the squared coefficients, the intercept left free.

    Each branch's columns are centred, and scaled as one block so that a title's row has the length 1 in the mean; then
    `weights` say how much each branch may speak. Whether a title lacks a modality is a column too. Sparse blocks stay
    sparse: scikit-learn's LSQR (Paige & Saunders, ACM TOMS 1982) needs only products with them.

    Args:
        branches: By name; frozen ones only.
        alpha: The penalty, for rows of length 1; > 0.
        weights: Length of a row of each branch, relative to the others; branches that are not named have 1.
    """

    coefficient: Tensor
    scale: Tensor
    intercept: Tensor

    def __init__(
        self, *, branches: Mapping[str, Branch], alpha: Positive, weights: Mapping[str, NonNegative] | None
    ) -> None:
        super().__init__(branches=branches)
        check_frozen(branches)
        if unknown := sorted(set(weights or {}) - set(branches)):
            raise UserError(f"model.weights names {', '.join(unknown)}; the branches are {', '.join(branches)}")
        self.alpha = alpha
        self.weights = {name: float((weights or {}).get(name, 1.0)) for name in branches}

    def allocate(self) -> None:
        width = sum(n_columns(self.branch(name)) for name in self.weights)
        for name in ("coefficient", "scale"):
            self.register_buffer(name, torch.zeros(width, dtype=torch.float64))
        self.register_buffer("intercept", torch.zeros((), dtype=torch.float64))

    def learn(self, titles: TitleBatch) -> None:
        blocks = [seen(self.branch(name), titles.index) for name in self.weights]
        scale = np.concatenate(
            [
                np.full(block.shape[1], weight / rms_length(block))
                for block, weight in zip(blocks, self.weights.values(), strict=True)
            ]
        )
        # The solver centres the columns without making them dense.
        solver = linear_model.Ridge(alpha=self.alpha, solver="lsqr", tol=TOLERANCE)
        solver.fit(hstack(blocks).tocsr().multiply(scale).tocsr(), titles.score.double().cpu().numpy())
        self.coefficient.copy_(torch.from_numpy(solver.coef_))
        self.scale.copy_(torch.from_numpy(scale))
        self.intercept.fill_(solver.intercept_)

    def forward(self, batch: TitleBatch) -> Tensor:
        x = hstack([seen(self.branch(name), batch.index) for name in self.weights]).tocsr()
        score = x @ (self.coefficient * self.scale).cpu().numpy() + float(self.intercept)
        return torch.from_numpy(score.astype(np.float32)).to(batch.index.device)


def rms_length(block: csr_matrix) -> float:
    """The root of the mean squared length of the centred rows; 1 where the rows do not vary."""
    centre = np.asarray(block.mean(axis=0)).ravel()
    square = float(block.multiply(block).sum() / block.shape[0])
    left = square - float(centre @ centre)
    return left**0.5 if left > ROUNDING * square else 1.0
