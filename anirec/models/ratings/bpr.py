"""BPR: matrix factorisation that learns to rank interactions above other items."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from annotated_types import MaxLen
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.models.one_pass import History
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.ncf import NCF

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData

RIDGE = 1e-3  # penalty of the map to user vectors, in units of the mean diagonal of its Gram matrix
USERS_AT_ONCE = 4096  # in the sums for this map


class BPR(NCF):
    """Rank items by p_u · q_i + b_i, learned from pairs of an item in the history and a sampled other item.

    The loss of a pair is -log sigmoid of the difference of both scores. Dislikes (see `Baseline.preferences`) are not
    trained on. Predicted ratings come from the bias model.

    The vector of a new user is a linear map of the sum of preference x q_i over the history. The map is fitted to the
    vectors of the training users by ridge regression after each epoch.

    Args:
        objective: "bpr".
        hidden: []; there is no MLP.
        sampling: Distribution of the sampled items: "uniform", or "popularity" for proportional to their interactions.
        **settings: Arguments of `NCF`.

    References:
        Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id"})
    uses_unrated: ClassVar[bool] = True
    encoder_ff: Tensor

    def __init__(
        self,
        *,
        objective: Literal["bpr"],
        hidden: Annotated[list[int], MaxLen(0)],
        sampling: Literal["uniform", "popularity"],
        **settings: Any,
    ) -> None:
        super().__init__(objective=objective, hidden=hidden, **settings)
        self.sampling = sampling
        self.liked: Interactions | None = None

    def training_rows(self, data: "RatingData") -> Interactions:
        """Return the interactions that are no dislikes."""
        if self.liked is None:
            rows, baseline = super().training_rows(data), Baseline(data.n_users, data.n_items)
            baseline.fit(History.of(rows), self.damping_user, self.damping_item)
            self.liked = rows.where(baseline.preferences_of(History.of(rows)).numpy() > 0)
        return self.liked

    def allocate(self) -> None:
        super().allocate()
        self.register_buffer("encoder_ff", torch.zeros(self.head.projected_width, self.head.projected_width))

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.sampling == "popularity":
            self.trained = torch.from_numpy(self.training_rows(self.data).item).long().to(self.device)  # of random rows

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: RatingBatch, batch_index: int) -> None:
        super().on_train_batch_end(outputs, batch, batch_index)
        if self.trainer.is_last_batch:
            history = History.of(super().training_rows(self.data)).to(self.device)
            users = history.indptr.diff().nonzero()[:, 0]
            sums_uf = torch.cat([self.sums(history, some) for some in users.split(USERS_AT_ONCE)])
            gram_ff = sums_uf.T @ sums_uf
            gram_ff.diagonal().add_(RIDGE * gram_ff.diagonal().mean())
            self.encoder_ff = torch.linalg.solve(gram_ff, sums_uf.T @ self.user_table[users])

    def sums(self, history: History, users: Tensor) -> Tensor:
        """Return the sums of preference x item vector over the root of the history's length, (B, n_factors)."""
        rows, bounds = history.rows_of(users)
        preference = self.baseline.preferences(rows, len(users))
        factors_if = self.item_table[:-1, :-1].contiguous()
        sums_bf = embedding_bag(rows.item, factors_if, bounds[:-1], mode="sum", per_sample_weights=preference)
        return sums_bf / bounds.diff().clamp(min=1).sqrt()[:, None]

    @torch.no_grad()
    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        users = torch.arange(n, device=batch.user.device)
        vectors_nf = self.sums(History.of_new_users(batch, n), users) @ self.encoder_ff
        return self.scores(vectors_nf, self.baseline.mean.expand(n))
