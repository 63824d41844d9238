"""ALS: matrix factorisation of implicit feedback by alternating least squares."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import RatingModel, popularity_tie_break
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import History, MemoryBased, exchange_rows, explained_singularity
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.kernels.als_sweep import Entries, half_step
from anirec.models.warm_start import WarmStart
from anirec.settings import NonNegative, Positive, PositiveInt

STEPS = 6  # of conjugate gradients in a half-step, about
TOLERANCE = 1e-3  # relative error of a half-step; 1e-5 takes a fifth longer for equal NDCG@10 (mal_2016)


class ALS(MemoryBased, RatingModel):
    """Rank items by p_u · q_i, the factorisation of a user-item matrix of preferences with confidence weights.

    Minimises Σ_ui c_ui (x_ui - p_u · q_i)² + reg (Σ_u |p_u|² + Σ_i |q_i|²), where x_ui is the preference (about 1 if
    user u has interacted with item i, negative if u disliked it; see `Baseline.preferences`), and 0 without an
    interaction; c_ui is 1 + alpha for interactions and 1 elsewhere. Each epoch solves for all items, then for all
    users, by conjugate gradients from the previous factors. Scores of implicit feedback are no ratings, so predicted
    ratings come from the bias model.

    Args:
        n_factors: Length of p_u and q_i; >= 1.
        epochs: Number of sweeps over items and users; >= 1.
        alpha: Additional confidence of an interaction; > 0.
        weighting: "equal": the same alpha for all interactions; "rating": alpha x rating / mean rating, where unrated
            interactions count as the mean.
        reg: L2 penalty on p_u and q_i; > 0.
        init_std: Standard deviation of the initial user factors; > 0.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.

    Raises:
        SettingsError: A number is out of its range.

    References:
        Hu, Koren & Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008.
        Takács, Pilászy & Tikk, Applications of the Conjugate Gradient Method for Implicit Feedback Collaborative
        Filtering, RecSys 2011.
    """

    version: ClassVar[int] = 2
    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id"})
    uses_unrated: ClassVar[bool] = True
    ranks_by_rating = False
    rates_by_bias = True
    bytes_per_row: ClassVar[int] = 24  # the entries by user and by item
    instead: ClassVar[str] = "a smaller model.n_factors"
    operations_per_second: ClassVar[float] = 1e10
    user_factors: Tensor
    item_factors: Tensor
    count_i: Tensor
    sweeps: Tensor

    def __init__(
        self,
        *,
        n_factors: PositiveInt,
        epochs: PositiveInt,
        alpha: Positive,
        weighting: Literal["equal", "rating"],
        reg: Positive,
        init_std: Positive,
        damping_user: NonNegative,
        damping_item: NonNegative,
    ) -> None:
        super().__init__()
        self.n_factors, self.epochs = n_factors, epochs
        self.alpha, self.weighting, self.reg = alpha, weighting, reg
        self.init_std = init_std
        self.damping_user = damping_user
        self.damping_item = damping_item

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: each row of factors is read twice per interaction and step."""
        per_step = 2 * counts.n_rows * self.n_factors
        whitening = 3 * (counts.n_users + counts.n_items) * self.n_factors**2
        return super().cost(counts) + Cost(operations=self.epochs * (2 * STEPS * per_step + whitening))

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        # The last row, of zeros, stands for unknown users and items.
        self.register_buffer("user_factors", torch.zeros(self.n_users + 1, self.n_factors))
        self.register_buffer("item_factors", torch.zeros(self.n_items + 1, self.n_factors))
        self.register_buffer("count_i", torch.zeros(self.n_items))
        self.register_buffer("sweeps", torch.zeros((), dtype=torch.int64))

    def start_from(self, earlier: WarmStart) -> str:
        why_not = self.copy_from(earlier)
        self.sweeps.zero_()
        return why_not

    def on_train_start(self) -> None:
        self.sides: tuple[Entries, Entries] | None = None  # the entries by user and by item
        if self.sweeps == 0:
            noise = torch.Generator().manual_seed(torch.initial_seed() % 2**63)
            drawn_uf = self.init_std * torch.randn(self.n_users, self.n_factors, generator=noise)
            is_new_u = ~self.user_factors[:-1].any(1)  # all, unless the factors of an earlier run have been copied
            self.user_factors[:-1][is_new_u] = drawn_uf.to(self.device)[is_new_u]

    def on_train_end(self) -> None:
        self.sides = None

    def solve(self) -> None:
        if self.sweeps == 0:
            self.baseline.fit(self.history, self.damping_user, self.damping_item)
            self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()
        if self.sides is None:  # the same in every sweep
            by_user = self.entries(self.history)
            self.sides = by_user, by_user.transpose(self.n_items + 1)
        by_user, by_item = self.sides
        self.half_step(by_item, self.user_factors, self.item_factors)
        self.half_step(by_user, self.item_factors, self.user_factors)
        self.sweeps += 1
        self.history = History(self.n_users)  # no longer needed, so that the checkpoint stays small

    def half_step(self, entries: Entries, fixed_jf: Tensor, solved_nf: Tensor) -> None:
        """Solve for factors in place; each process solves for its share of the rows."""
        bounds, first, last = self.share_of_work(entries.start.diff().cpu().numpy() + 8)
        mine = entries.rows(first, last)
        with explained_singularity(self.reg):
            solved_nf[first:last] = half_step(mine, fixed_jf, solved_nf[first:last], reg=self.reg, tolerance=TOLERANCE)
        exchange_rows(solved_nf, bounds, self.device)

    def entries(self, history: History) -> Entries:
        """Return the preference and the additional confidence of each interaction."""
        weight = torch.full_like(history.rating, self.alpha)
        if self.weighting == "rating":
            weight *= (history.rating / self.baseline.mean).nan_to_num(nan=1.0)
        return Entries(history.indptr, history.item, self.baseline.preferences_of(history), weight)

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_items(self, users: Tensor) -> Tensor:
        return self.scores(self.user_factors[users])

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        """Solve for the factors of new users as a sweep would, with item factors fixed, and score all items."""
        entries, unknown_nf = (
            self.entries(History.of_new_users(batch, n)),
            self.item_factors.new_zeros(n + 1, self.n_factors),
        )
        user_factors = half_step(entries, self.item_factors, unknown_nf, reg=self.reg, tolerance=TOLERANCE)
        return self.scores(user_factors[:-1])

    def scores(self, factor_bf: Tensor) -> Tensor:
        return (factor_bf @ self.item_factors[:-1].T).add_(popularity_tie_break(self.count_i))
