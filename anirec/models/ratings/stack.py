"""Stack: ratings from ridge regression and boosted trees over the predictions of several rating models."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import MinLen
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.models.base import RatingModel
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import History
from anirec.models.ratings.boosted_trees import BoostedTrees
from anirec.models.ratings.item_facts import FACTS, rating_facts
from anirec.models.ratings.staged import Folds, Staged
from anirec.settings import NonNegative

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData

PREDICTED_ROWS = 1 << 16


class Stack(Staged):
    """Predict w · r(u, i) + f(r(u, i), facts of u, facts of i), where r(u, i) are the predictions of several models.

    The weights w of a ridge regression and the trees f, which are fitted to its residuals, are learned from predictions
    for rows that the models were not trained on. Facts are number, mean and standard deviation of the ratings of the
    user and of the item. Models may need a PyTorch optimiser. For lists, all items are ranked by their predicted
    rating, which takes long.

    Args:
        models: Models by name.
        folds: Number of folds, >= 2; of each user's ratings, every fold holds the same share.
        reg: L2 penalty on the weights of the predictions; >= 0.
        trees: The trees, fitted with squared loss; None for ridge regression alone.

    References:
        Wolpert, Stacked Generalization, Neural Networks 5, 1992.
        Sill et al., Feature-Weighted Linear Stacking, arXiv:0911.0460, 2009 (facts of users and items).
    """

    instead: ClassVar[str] = "one of its models alone"
    weight_m: Tensor
    intercept: Tensor
    user_facts: Tensor
    item_facts: Tensor
    span: Tensor

    def __init__(
        self,
        *,
        models: Annotated[Mapping[str, RatingModel], MinLen(1)],
        folds: Folds,
        reg: NonNegative,
        trees: BoostedTrees | None,
    ) -> None:
        super().__init__(models=models, folds=folds)
        self.reg, self.trees = reg, trees
        self.collected: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: the models, and the features of all training rows."""
        features = 4 * (len(self.models) + 2 * FACTS) * counts.n_rows
        facts = 4 * FACTS * (counts.n_users + counts.n_items) + (self.trees.size if self.trees else 0)
        return super().cost(counts) + Cost(3 * features + facts, facts)

    def allocate(self) -> None:
        super().allocate()
        self.register_buffer("weight_m", torch.zeros(len(self.models)))
        self.register_buffer("intercept", torch.zeros(()))
        self.register_buffer("span", torch.zeros(2))
        self.register_buffer("user_facts", torch.zeros(self.n_users + 1, FACTS))
        self.register_buffer("item_facts", torch.zeros(self.n_items + 1, FACTS))
        if self.trees is not None:
            self.trees.n_features = len(self.models) + 2 * FACTS

    def held_out(
        self, rank: NDArray[np.int64], count: NDArray[np.int64], user: NDArray[np.int32]
    ) -> Iterable[NDArray[np.bool_]]:
        # A user with few rows has some in the first folds only; adding the number of the user balances them.
        return ((rank + user) % self.folds == fold for fold in range(self.folds))

    def learn_fold(self, parts: Mapping[str, Any], kept: "RatingData", held_out: Interactions) -> None:
        facts = (
            rating_facts(kept.train, kept.train.user, self.n_users),
            rating_facts(kept.train, kept.train.item, self.n_items),
        )
        self.collected.append((self.features(parts, facts, held_out.rows(0, len(held_out))), held_out.rating))

    def solve_stage(self, data: "RatingData", seed: int) -> None:
        from anirec.models.ratings.kernels.dense import one_blas_thread

        rows_nf, target_n = (np.concatenate(column) for column in zip(*self.collected, strict=True))
        self.collected.clear()
        is_rated = ~np.isnan(target_n)
        rows_nf, target_n = rows_nf[is_rated], target_n[is_rated].astype(np.float64)
        with one_blas_thread():
            predicted_nm = rows_nf[:, : len(self.models)].astype(np.float64)
            centre_m, mean = predicted_nm.mean(0), target_n.mean()
            predicted_nm -= centre_m
            gram = predicted_nm.T @ predicted_nm + (self.reg + 1e-9 * len(target_n)) * np.eye(len(centre_m))
            weight_m = np.linalg.solve(gram, predicted_nm.T @ (target_n - mean))
            residual_n = target_n - mean - predicted_nm @ weight_m
        self.weight_m = torch.from_numpy(weight_m).float().to(self.device)
        self.intercept = torch.tensor(mean - centre_m @ weight_m, dtype=torch.float32, device=self.device)
        self.span = torch.tensor([target_n.min(), target_n.max()], dtype=torch.float32, device=self.device)
        for name, index, n in (("user", data.train.user, self.n_users), ("item", data.train.item, self.n_items)):
            setattr(self, f"{name}_facts", torch.from_numpy(rating_facts(data.train, index, n)).to(self.device))
        if self.trees is not None:
            self.trees.fit(rows_nf, residual_n, loss="squared", seed=seed)
        self.history = History(self.n_users)  # no longer needed, so that the checkpoint stays small

    @staticmethod
    def features(
        parts: Mapping[str, Any], facts: tuple[NDArray[np.float32], NDArray[np.float32]], rows: RatingBatch
    ) -> NDArray[np.float32]:
        """Return the predictions of each model, and the facts of user and item, (n, F)."""
        hidden = RatingBatch(rows.user, rows.item, torch.full_like(rows.rating, float("nan")))
        with torch.no_grad():
            predicted = [
                torch.cat(
                    [part(RatingBatch(*some)) for some in zip(*(c.split(PREDICTED_ROWS) for c in hidden), strict=True)]
                )
                for part in parts.values()
            ]
        known = [facts[0][rows.user.cpu().numpy()], facts[1][rows.item.cpu().numpy()]]
        return np.column_stack([torch.stack(predicted, 1).float().cpu().numpy(), *known])

    def forward(self, batch: RatingBatch) -> Tensor:
        if not len(batch.item):
            return torch.zeros(0, device=batch.item.device)
        unrated = torch.full(batch.item.shape, float("nan"), device=batch.item.device)
        facts = self.user_facts.cpu().numpy(), self.item_facts.cpu().numpy()
        rows_nf = self.features(dict(self.named_parts()), facts, RatingBatch(batch.user, batch.item, unrated))
        predicted_nm = torch.from_numpy(rows_nf[:, : len(self.models)]).to(self.device)
        rating = self.intercept + (predicted_nm * self.weight_m).sum(1)
        if self.trees is not None:
            rating = rating + torch.from_numpy(self.trees(rows_nf)).float().to(self.device)
        return rating.clamp(*self.span.tolist())
