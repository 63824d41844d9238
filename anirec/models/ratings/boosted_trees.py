"""Gradient-boosted trees of scikit-learn, stored as tensors, so that a checkpoint holds no pickled object."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.models.checkpoint import DamagedTensorError
from anirec.settings import Configurable, Positive, PositiveInt

NODE = 28  # bytes
BUFFERS = {"feature": torch.int32, "threshold": torch.float64, "child": torch.int32, "value": torch.float64}


class BoostedTrees(Configurable, nn.Module):
    """A sum of regression trees, each fitted to the gradient of the loss after those before it.

    The fit is repeatable for any number of threads: it uses one.

    Args:
        n_trees: Number of trees.
        lr: Weight of each tree.
        leaves: Leaves per tree, at most.
        min_rows: Rows per leaf, at least.

    References:
        Friedman, Greedy Function Approximation: A Gradient Boosting Machine, Annals of Statistics 29, 2001.
        Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 2017 (histograms of features).
    """

    start: Tensor
    root: Tensor
    feature: Tensor
    threshold: Tensor
    child: Tensor
    value: Tensor
    n_features = 0  # of a row; the check of a checkpoint needs it

    def __init__(self, *, n_trees: PositiveInt, lr: Positive, leaves: PositiveInt, min_rows: PositiveInt) -> None:
        super().__init__()
        self.n_trees, self.lr, self.leaves, self.min_rows = n_trees, lr, leaves, min_rows
        self.register_buffer("start", torch.zeros((), dtype=torch.float64))
        self.register_buffer("root", torch.zeros(n_trees, dtype=torch.int32))
        for name, kind in BUFFERS.items():
            self.register_buffer(name, torch.empty((0, 2) if name == "child" else 0, dtype=kind))

    @property
    def size(self) -> int:
        """Size of the fitted trees in bytes, at most."""
        return NODE * self.n_trees * (2 * self.leaves - 1)

    def fit(
        self, rows_nf: NDArray[np.float32], target_n: NDArray[Any], *, loss: Literal["squared", "log"], seed: int
    ) -> None:
        """Fit the trees.

        Args:
            rows_nf: Features, (n, F), finite.
            target_n: Numbers (loss "squared") or booleans (loss "log"), (n,).
            loss: The loss of the sum; "log" takes it for the logarithm of odds.
            seed: Of the sample of rows from which the bins of features are computed.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        kind = HistGradientBoostingRegressor if loss == "squared" else HistGradientBoostingClassifier
        model: Any = kind(
            max_iter=self.n_trees,
            learning_rate=self.lr,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.min_rows,
            early_stopping=False,
            random_state=seed,
        )
        with threadpool_limits(1):  # sums of gradients depend on the number of threads
            model.fit(rows_nf, target_n)
        trees = [tree.nodes for (tree,) in model._predictors]
        sizes = np.array([len(nodes) for nodes in trees])
        first = np.cumsum(sizes) - sizes
        nodes, offset = np.concatenate(trees), np.repeat(first, sizes)
        child = np.stack([nodes["left"], nodes["right"]], 1).astype(np.int64) + offset[:, None]
        child[nodes["is_leaf"] == 1] = 0
        found = {
            "feature": nodes["feature_idx"],
            "threshold": nodes["num_threshold"],
            "child": child,
            "value": nodes["value"],
        }
        self.start = torch.tensor(float(np.ravel(model._baseline_prediction)[0]), dtype=torch.float64)
        self.root = torch.from_numpy(first.astype(np.int32))
        for name, kind_of in BUFFERS.items():
            setattr(self, name, torch.from_numpy(np.ascontiguousarray(found[name])).to(kind_of))

    def check_tensors(self, n_items: int) -> None:
        """Raise an error if a node refers to no later node, or to no feature: `sum_trees` checks neither."""
        root, feature, threshold, child, value = (self.get_buffer(name).cpu().numpy() for name in ("root", *BUFFERS))
        is_inner, own = (child != 0).any(1), np.arange(len(child))[:, None]
        if (
            len({len(feature), len(threshold), len(child), len(value)}) > 1
            or not ((root >= 0) & (root < len(child))).all()
            or not ((child > own) & (child < len(child)))[is_inner].all()
            or not ((feature >= 0) & (feature < self.n_features))[is_inner].all()
        ):
            raise DamagedTensorError("the boosted trees are damaged")

    def forward(self, rows_nf: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the sum of the trees for each row, (n,)."""
        from anirec.models.ratings.kernels.trees import sum_trees

        root, feature, threshold, child, value = (self.get_buffer(name).cpu().numpy() for name in ("root", *BUFFERS))
        rows_nf = np.ascontiguousarray(rows_nf, dtype=np.float32)
        return float(self.start) + sum_trees(rows_nf, root, feature, threshold, child, value)
