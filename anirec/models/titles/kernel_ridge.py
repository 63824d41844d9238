"""Kernel ridge regression: titles are judged like those they resemble, each branch with a resemblance of its own."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor, nn

from anirec.data.titles.loaders import TitleBatch
from anirec.errors import UserError
from anirec.features.branch import Branch
from anirec.metrics.variation import standard_deviation
from anirec.models.frozen_features import check_frozen, seen
from anirec.models.titles.closed_form import ClosedForm
from anirec.settings import Positive

MOST_TITLES = 20_000  # the kernel takes 8 bytes for each pair of titles: 3.2 GB


class KernelRidge(ClosedForm):
    """Ridge regression on a weighted sum of kernels, one a branch (Saunders, Gammerman & Vovk, ICML 1998).

    `linear`: the product of two rows, over the mean squared length of the training rows (for TF-IDF the cosine). `rbf`:
    exp(-d² / width) of the distance d between rows whose columns are standardised on the training titles. In every
    kernel the likeness of a training title to itself is 1 in the mean, so that the weights of branches, and `alpha`
    beside them, mean the same whatever a branch measures.

    Args:
        branches: By name; frozen ones only.
        kernels: linear or rbf, of each branch.
        weights: Of each branch's kernel; > 0.
        alpha: The penalty, on the same scale as the weights; > 0.
    """

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
        check_frozen(branches)
        for name, setting in (("kernels", kernels), ("weights", weights)):
            if set(setting) != set(branches):
                raise UserError(
                    f"model.{name} is for {', '.join(setting)}; expected one for each of {', '.join(branches)}"
                )
        self.kernels, self.alpha = dict(kernels), alpha
        self.weights = {name: float(weight) for name, weight in weights.items()}

    def allocate(self) -> None:
        self.known = nn.ModuleDict({name: KERNELS[kernel]() for name, kernel in self.kernels.items()})
        self.register_buffer("dual", torch.empty(0, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))

    def learn(self, titles: TitleBatch) -> None:
        n = len(titles.index)
        if n > MOST_TITLES:
            raise UserError(f"{n} training titles; kernel ridge holds {MOST_TITLES} at most: choose model=tfidf_ridge")
        gram = np.zeros((n, n))
        for name, weight in self.weights.items():
            gram += weight * self.known[name].fit(seen(self.branch(name), titles.index))  # type: ignore[operator]
        score = titles.score.double().cpu().numpy()
        gram[np.diag_indices(n)] += self.alpha
        dual = cho_solve(cho_factor(gram, lower=True, overwrite_a=True), score - score.mean())
        for name, weight in self.weights.items():
            self.known[name].keep(weight * dual)  # type: ignore[operator]
        self.mean = torch.tensor(score.mean())

    def forward(self, batch: TitleBatch) -> Tensor:
        score: Any = float(self.mean)
        for name in self.weights:
            score = score + self.known[name](seen(self.branch(name), batch.index))
        return torch.from_numpy(score.astype(np.float32)).to(batch.index.device)


class Linear(nn.Module):
    """The product of rows whose squared length is 1 in the mean; the titles fold into one coefficient a column."""

    coefficient: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("coefficient", torch.empty(0, dtype=torch.float64))

    def fit(self, rows: csr_matrix) -> NDArray[np.float64]:
        """(n, n): likeness of the training titles; they are remembered until `keep`."""
        self.rows, self.square = rows, float(rows.multiply(rows).sum()) / rows.shape[0] or 1.0
        return (rows @ rows.T).toarray() / self.square

    def keep(self, dual: NDArray[np.float64]) -> None:
        self.coefficient = torch.from_numpy(self.rows.T @ dual / self.square)
        del self.rows, self.square

    def forward(self, rows: csr_matrix) -> NDArray[np.float64]:
        """(B,): the likeness to each training title, times its weight, summed."""
        return np.asarray(rows @ self.coefficient.cpu().numpy())


class Gaussian(nn.Module):
    """exp(-d² / width) of standardised columns; the training titles are kept."""

    centre: Tensor
    scale: Tensor
    rows: Tensor
    dual: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("centre", "scale", "rows", "dual"):
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    def fit(self, rows: csr_matrix) -> NDArray[np.float64]:
        dense = rows.toarray().astype(np.float64)
        self.centre = torch.from_numpy(dense.mean(axis=0))
        self.scale = torch.from_numpy(standard_deviation(dense))
        self.rows = torch.from_numpy(self.standardised(dense))
        return self.likeness(dense)

    def keep(self, dual: NDArray[np.float64]) -> None:
        self.dual = torch.from_numpy(dual)

    def forward(self, rows: csr_matrix) -> NDArray[np.float64]:
        return self.likeness(rows.toarray().astype(np.float64)) @ self.dual.cpu().numpy()

    def standardised(self, dense: NDArray[np.float64]) -> NDArray[np.float64]:
        return (dense - self.centre.cpu().numpy()) / self.scale.cpu().numpy()

    def likeness(self, dense: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B, n)."""
        return rbf_kernel(self.standardised(dense), self.rows.cpu().numpy(), gamma=1 / dense.shape[1])


KERNELS: dict[str, type[nn.Module]] = {"linear": Linear, "rbf": Gaussian}
