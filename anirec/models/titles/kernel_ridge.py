"""Kernel ridge regression on titles, with one kernel for each branch."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor, nn

from anirec.data.titles.loaders import TitleBatch
from anirec.features.branch import Branch
from anirec.metrics.variation import standard_deviation
from anirec.models.branched import branch_features
from anirec.models.cost import Cost, Counts
from anirec.models.titles.base import ClosedForm
from anirec.settings import Positive

COPIES = 3  # of the kernel matrix: the sum, one kernel, and its temporary values


class KernelRidge(ClosedForm):
    """Kernel ridge regression on a weighted sum of kernels, one per branch.

    The prediction for title x is mean + Σ_t a_t Σ_b w_b k_b(x, t) over training titles t and branches b, with
    a = (K + alpha I)⁻¹ (y - mean). Kernel "linear" is the dot product of two rows divided by the mean squared length of
    the training rows (for TF-IDF, the cosine). Kernel "rbf" is exp(-d² / width), where d is the distance of rows whose
    columns are standardised on the training titles and width is the number of columns. The diagonal of each training
    kernel matrix has mean 1, so `weights` and `alpha` do not depend on the units of a branch.

    Args:
        branches: Branches by name; all must be frozen.
        kernels: Kernel of each branch, "linear" or "rbf".
        weights: Weight of each branch's kernel; > 0.
        alpha: L2 penalty, on the scale of the weights; > 0.

    Raises:
        UserError: A branch is not frozen, lacks a kernel or a weight, or the kernel matrix does not fit in memory.

    References:
        Saunders, Gammerman & Vovk, Ridge Regression Learning Algorithm in Dual Variables, ICML 1998.
    """

    constraints = "anirec.models.constraints:check_kernel_ridge"
    instead: ClassVar[str] = "model=tfidf_ridge"
    operations_per_second: ClassVar[float] = 1e10
    dual: Tensor
    mean: Tensor

    def __init__(
        self,
        *,
        branches: Mapping[str, Branch],
        kernels: Mapping[str, Literal["linear", "rbf"]],
        weights: Mapping[str, Positive],
        alpha: Positive,
    ) -> None:
        super().__init__(branches=branches)
        self.kernels, self.alpha = dict(kernels), alpha
        self.weights = {name: float(weight) for name, weight in weights.items()}

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: matrices of titles x titles, and the solution of as many equations."""
        n = counts.n_rows
        return super().cost(counts) + Cost(memory=8 * COPIES * n**2, operations=n**3 / 3)

    def allocate(self) -> None:
        self.known = nn.ModuleDict({name: KERNELS[kernel]() for name, kernel in self.kernels.items()})
        self.register_buffer("dual", torch.empty(0, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))

    def learn(self, titles: TitleBatch) -> None:
        n = len(titles.index)
        gram = np.zeros((n, n))
        for name, weight in self.weights.items():
            gram += weight * self.known[name].fit(branch_features(self.branch(name), titles.index))  # type: ignore[operator]
        score = titles.score.double().cpu().numpy()
        gram[np.diag_indices(n)] += self.alpha
        dual = cho_solve(cho_factor(gram, lower=True, overwrite_a=True), score - score.mean())
        for name, weight in self.weights.items():
            self.known[name].set_dual(weight * dual)  # type: ignore[operator]
        self.mean = torch.tensor(score.mean())

    def forward(self, batch: TitleBatch) -> Tensor:
        score: Any = float(self.mean)
        for name in self.weights:
            score = score + self.known[name](branch_features(self.branch(name), batch.index))
        return torch.from_numpy(score.astype(np.float32)).to(self.device)


class Linear(nn.Module):
    """Linear kernel of rows scaled to mean squared length 1; keeps one coefficient per column, no training rows."""

    coefficient: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("coefficient", torch.empty(0, dtype=torch.float64))

    def fit(self, rows: csr_matrix) -> NDArray[np.float64]:
        """Return the kernel matrix of the training titles, (n, n); their rows are kept until `set_dual`."""
        self.rows, self.square = rows, float(rows.multiply(rows).sum()) / rows.shape[0] or 1.0
        return (rows @ rows.T).toarray() / self.square

    def set_dual(self, dual: NDArray[np.float64]) -> None:
        """Set the dual coefficients (n,) of the training titles."""
        self.coefficient = torch.from_numpy(self.rows.T @ dual / self.square)
        del self.rows, self.square

    def forward(self, rows: csr_matrix) -> NDArray[np.float64]:
        """Return the sum over training titles of kernel value times dual coefficient, (B,)."""
        return np.asarray(rows @ self.coefficient.cpu().numpy())


class Gaussian(nn.Module):
    """Gaussian kernel exp(-d² / width) of standardised columns; keeps the training rows."""

    centre: Tensor
    scale: Tensor
    rows: Tensor
    dual: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("centre", "scale", "rows", "dual"):
            self.register_buffer(name, torch.empty((0, 0) if name == "rows" else 0, dtype=torch.float64))

    def fit(self, rows: csr_matrix) -> NDArray[np.float64]:
        dense = rows.toarray().astype(np.float64)
        self.centre = torch.from_numpy(dense.mean(axis=0))
        self.scale = torch.from_numpy(standard_deviation(dense))
        self.rows = torch.from_numpy(self.standardise(dense))
        return self.kernel_matrix(dense)

    def set_dual(self, dual: NDArray[np.float64]) -> None:
        self.dual = torch.from_numpy(dual)

    def forward(self, rows: csr_matrix) -> NDArray[np.float64]:
        return self.kernel_matrix(rows.toarray().astype(np.float64)) @ self.dual.cpu().numpy()

    def standardise(self, dense: NDArray[np.float64]) -> NDArray[np.float64]:
        return (dense - self.centre.cpu().numpy()) / self.scale.cpu().numpy()

    def kernel_matrix(self, dense: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the kernel values between rows and training titles, (B, n)."""
        return rbf_kernel(self.standardise(dense), self.rows.cpu().numpy(), gamma=1 / dense.shape[1])


KERNELS: dict[str, type[nn.Module]] = {"linear": Linear, "rbf": Gaussian}
