"""Ridge regression on the features of branches: TF-IDF, frozen embeddings, counts, or several of them joined."""

from collections.abc import Mapping

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn import linear_model
from torch import Tensor

from anirec.data.titles.loaders import TitleBatch
from anirec.features.branch import Branch
from anirec.metrics.variation import ROUNDING
from anirec.models.branched import branch_features, n_features
from anirec.models.titles.base import ClosedForm
from anirec.settings import NonNegative, Positive

TOLERANCE = 1e-10  # of the iterative solver; scikit-learn's exact one agrees to 1e-6


class Ridge(ClosedForm):
    """Linear regression with an L2 penalty: minimise |y - b - X w|² + alpha |w|².

    The columns of each branch are centred and scaled as one block, so that the root mean squared length of a title's
    row equals the weight of the branch. Modalities that a title may lack add an indicator column. Sparse blocks stay
    sparse: the LSQR solver needs only matrix-vector products.

    Args:
        branches: Branches by name; all must be frozen.
        alpha: L2 penalty for rows of length 1; > 0.
        weights: Weight of each branch, >= 0; 1 for branches that are not named.

    Raises:
        UserError: A branch is not frozen, or `weights` names an unknown branch.

    References:
        Paige & Saunders, LSQR: An Algorithm for Sparse Linear Equations and Sparse Least Squares, ACM TOMS 8, 1982.
    """

    constraints = "anirec.models.constraints:check_ridge"
    coefficient: Tensor
    scale: Tensor
    intercept: Tensor

    def __init__(
        self, *, branches: Mapping[str, Branch], alpha: Positive, weights: Mapping[str, NonNegative] | None
    ) -> None:
        super().__init__(branches=branches)
        self.alpha = alpha
        self.weights = {name: float((weights or {}).get(name, 1.0)) for name in branches}

    def allocate(self) -> None:
        width = sum(n_features(self.branch(name)) for name in self.weights)
        for name in ("coefficient", "scale"):
            self.register_buffer(name, torch.zeros(width, dtype=torch.float64))
        self.register_buffer("intercept", torch.zeros((), dtype=torch.float64))

    def learn(self, titles: TitleBatch) -> None:
        blocks = [branch_features(self.branch(name), titles.index) for name in self.weights]
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
        x = hstack([branch_features(self.branch(name), batch.index) for name in self.weights]).tocsr()
        score = x @ (self.coefficient * self.scale).cpu().numpy() + float(self.intercept)
        return torch.from_numpy(score.astype(np.float32)).to(self.device)


def rms_length(block: csr_matrix) -> float:
    """Return the root mean squared length of the centred rows; 1 if the rows do not vary."""
    centre = np.asarray(block.mean(axis=0)).ravel()
    square = float(block.multiply(block).sum() / block.shape[0])
    variation = square - float(centre @ centre)
    return variation**0.5 if variation > ROUNDING * square else 1.0
