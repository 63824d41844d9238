"""Base class of two-tower rating networks, with their objectives, training loop and evaluation."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, logsigmoid
from torch.nn.utils import get_total_norm

from anirec.data.ratings.interactions import RatingBatch
from anirec.data.ratings.loaders import ShuffledInteractions
from anirec.models.base import RatingModel
from anirec.models.cost import Cost, Counts, size_of, trainable_size_of
from anirec.models.one_pass import History
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.towers import Head
from anirec.models.training import GradientModel, HeadTraining, RowAdamW
from anirec.models.warm_start import WarmStart
from anirec.settings import Count, NonNegative

Objective = Literal["mse", "mae", "bpr", "softmax"]
RATING_OBJECTIVES = ("mse", "mae")  # the others learn rankings
OPERATIONS = 0.5  # of each parameter of the head, for a row in a step; products of matrices are fast
UPDATE = 170  # operations on each number of a row's vectors in a step: gathering, the loss, AdamW
SAMPLED = 30  # operations on each number of the vector of a sampled item (bpr), which is gathered for each row
SAMPLED_COPIES = 12  # bytes for each of these numbers: the vector, its product with the user's, and the gradient
ITEM_BLOCK = 512  # items scored together: 256 users x 512 items x 32 numbers take 16 MB


class Step(NamedTuple):
    """What an objective reads: B rows, their users, and k distinct items that include those of the rows.

    Attributes:
        batch: The rows.
        users: Projected user of each row, (B, projected_width).
        own_items: Projected item of each row, (B, projected_width + 1).
        items: The distinct items, int64 (k,).
        projected: The distinct items, projected, (k, projected_width + 1).
        own: Position of each row's item among the distinct items, int64 (B,).
        sampled: Positions of the sampled items: (B, n) for bpr, (n,) for softmax.
    """

    batch: RatingBatch
    users: Tensor
    own_items: Tensor
    items: Tensor
    projected: Tensor
    own: Tensor
    sampled: Tensor

    def seen(self) -> tuple[Tensor, Tensor]:
        """Return which distinct items each user of the batch has, and the user number of each row.

        Such items are no negatives. Their shapes are (n_batch_users, k), bool, and (B,).
        """
        users, user_of_row = self.batch.user.unique(return_inverse=True)
        is_seen = torch.zeros(len(users), len(self.items), dtype=torch.bool, device=users.device)
        is_seen[user_of_row, self.own] = True
        return is_seen, user_of_row


class RatingNetwork(GradientModel, RatingModel):
    """Base class of two-tower networks on top of the bias model: mean + b_u + b_i + head(u, i).

    A subclass defines `project_batch` and `project_all`, the two towers, and sets `head`, which scores projected users
    against projected items, before `allocate`. After every epoch the projections of all users and items are stored in
    tables for prediction and ranking.

    Args:
        objective: Loss. "mse" (squared error) and "mae" (absolute error) learn ratings and rank by the predicted
            rating. "bpr" and "softmax" learn to rank interactions above other items; predicted ratings then come from
            the bias model.
        negatives: Number of sampled items per row (bpr, >= 1) or per batch (softmax, which also uses the batch's
            items).
        reg: L2 penalty on the projected vectors, per row; >= 0.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.
        training: Epochs, batch size (interactions) and learning rate.

    Raises:
        UserError: `objective` is "bpr" and `negatives` is 0.

    References:
        Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.
        Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation, ACL 2015 (sampled softmax).
    """

    constraints: ClassVar[str] = "anirec.models.constraints:check_objective"
    whole_users: ClassVar[bool] = False
    bytes_per_row: ClassVar[int] = 24  # the bias model, before training; the order of the rows, in training
    instead: ClassVar[str] = "narrower layers or vectors, or fewer sampled items"
    matmul_precision: ClassVar[str] = "high"
    head: Head
    user_table: Tensor
    item_table: Tensor
    log_share: Tensor

    def __init__(
        self,
        *,
        objective: Objective,
        negatives: Count,
        reg: NonNegative,
        damping_user: NonNegative,
        damping_item: NonNegative,
        training: HeadTraining,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.objective = objective
        self.ranks_by_rating = objective in RATING_OBJECTIVES
        self.negatives, self.reg = negatives, reg
        self.damping_user = damping_user
        self.damping_item = damping_item
        self.training_settings = training

    @abstractmethod
    def project_batch(self, batch: RatingBatch, items: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return projected items (k, projected_width + 1) and the projected user of each row, (B, projected_width).

        The projected user of a row must not depend on the rating of that row.

        Args:
            batch: The rows.
            items: The distinct items to project, int64 (k,): those of the batch, and the sampled ones.
            place: Position of each row's item in `items`, int64 (B,).
        """

    @abstractmethod
    def project_all(self) -> tuple[Tensor, Tensor]:
        """Return projected items and projected users, (n_users + 1, projected_width); unknown ids are last."""

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: parameters, two moments of each, and tables that are replaced each epoch."""
        network = self.shapes(counts)
        size, moments = size_of(network), 2 * trainable_size_of(network)
        per_row = OPERATIONS * (size_of(network.head) / 4 + UPDATE * network.head.width)
        sampled = self.negatives * (network.head.projected_width + 1)
        per_row += {"bpr": SAMPLED * sampled, "softmax": OPERATIONS * sampled}.get(self.objective, 0)
        of_step = {"bpr": sampled, "softmax": self.negatives}.get(self.objective, 0)
        n_in_step = min(self.training_settings.batch_size, counts.n_rows)
        return Cost(
            memory=2 * size + moments + self.bytes_per_row * counts.n_rows + SAMPLED_COPIES * of_step * n_in_step,
            checkpoint=size + moments,
            operations=self.training_settings.epochs * counts.n_rows * per_row,
        )

    def allocate(self) -> None:
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("user_table", torch.zeros(self.n_users + 1, self.head.projected_width))
        self.register_buffer("item_table", torch.zeros(self.n_items + 1, self.head.projected_width + 1))
        self.register_buffer("log_share", torch.zeros(self.n_items))

    def start_from(self, earlier: WarmStart) -> str:
        return self.copy_from(earlier)

    def batches(self, data: Any, rank: int, world_size: int) -> Iterable[RatingBatch]:
        self.seed = torch.initial_seed() % 2**32
        return ShuffledInteractions(
            self.training_rows(data),
            rows=self.training_settings.batch_size,
            seed=self.seed,
            epoch=lambda: self.current_epoch,
            whole_users=self.whole_users,
            shuffled=self.training_settings.shuffle,
            rank=rank,
            world_size=world_size,
            device=lambda: self.device,
        )

    def on_train_start(self) -> None:
        """Fit the bias model on the histories of training users, and compute each item's probability as a candidate."""
        rows, known = self.training_rows(self.data), self.data.history
        is_trained = np.diff(rows.indptr) > 0
        if not is_trained[self.data.given.user].all():
            known = known.where(is_trained[known.user])
        self.baseline.fit(History.of(known).to(self.device), self.damping_user, self.damping_item)
        self.fit_given_users()
        item = torch.from_numpy(rows.item).to(self.device)
        count = torch.bincount(item, minlength=self.n_items).double()
        own = self.training_settings.batch_size
        self.trained = count.nonzero()[:, 0]
        at_random = (count > 0) * (self.negatives / len(self.trained))
        share = (own * count / count.sum() + at_random) / (own + self.negatives)
        self.log_share = share.clamp_min(1e-12).log().float()

    def fit_given_users(self) -> None:
        """Fit the offsets of users who have a history but no training row."""
        given = self.data.given
        batch = RatingBatch(*(column.to(self.device) for column in given.rows(0, len(given))))
        offset_u = self.baseline.new_user_offsets(batch, self.n_users + 1, self.damping_user)
        trained = np.flatnonzero(np.diff(self.training_rows(self.data).indptr))
        offset_u[trained] = self.baseline.user[trained]
        self.baseline.user = offset_u

    def training_step(self, batch: RatingBatch, batch_index: int) -> Tensor:
        n, sampled = len(batch.item), self.sample_negatives(len(batch.item))
        items, place = self.distinct(torch.cat([batch.item, sampled.flatten()]))
        projected, users = self.project_batch(batch, items, place[:n])
        # `embedding` instead of indexing, whose gradient is slower and depends on the order of threads.
        step = Step(
            batch, users, embedding(place[:n], projected), items, projected, place[:n], place[n:].view_as(sampled)
        )
        loss = getattr(self, self.objective)(step)
        loss = loss + self.reg * (users.square().sum(1) + step.own_items[:, :-1].square().sum(1)).mean()
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.user), sync_dist=True)
        return loss

    def distinct(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distinct values of index (n,), and the position of each element among them, (n,).

        A GPU would have to wait for their number. Where nothing depends on their being distinct, it gets all elements.
        """
        if self.has_sparse_gradients or self.objective not in RATING_OBJECTIVES:
            return index.unique(return_inverse=True)
        return index, torch.arange(len(index), device=index.device)

    @property
    def has_sparse_gradients(self) -> bool:
        """Whether a step costs as much as the rows of its batch, not as the whole tables.

        In several processes gradients are dense, since DDP sums whole tables. On a GPU, a pass over tables of a few
        hundred MB takes less time than waiting for the number of distinct rows.
        """
        return self.device.type == "cpu" and self.trainer.world_size == 1

    def embed_rows(self, table: nn.Parameter, rows: Tensor) -> Tensor:
        """Return rows (k,) of a table, (k, width); with sparse gradients, they must be distinct."""
        if not self.has_sparse_gradients:
            return embedding(rows, table)
        self.optimizer.catch_up(table, rows)
        return embedding(rows, table, sparse=True)

    @property
    def optimizer(self) -> RowAdamW:
        return self.optimizers(use_pl_optimizer=False)  # type: ignore[return-value]

    def sample_negatives(self, n_rows: int) -> Tensor:
        """Sample the items that a ranking objective compares with those of a batch, int64: (B, n) for bpr, else (n,).

        They have a training row, since held-out items must not become negatives.
        """
        shapes = {"bpr": (n_rows, max(1, self.negatives)), "softmax": (self.negatives,)}
        drawn = torch.randint(len(self.trained), shapes.get(self.objective, (0,)), device=self.trained.device)
        return self.trained[drawn]

    def mse(self, step: Step) -> Tensor:
        error, n_rated = self.rating_errors(step)
        return error.square().sum() / n_rated

    def mae(self, step: Step) -> Tensor:
        error, n_rated = self.rating_errors(step)
        return error.abs().sum() / n_rated

    def rating_errors(self, step: Step) -> tuple[Tensor, Tensor]:
        """Return prediction errors (B,), 0 for rows without a rating, and the number of rows with one."""
        batch, offsets = step.batch, self.baseline
        residual = batch.rating - offsets.mean - offsets.user[batch.user] - offsets.item[batch.item]
        is_rated = ~residual.isnan()
        error = self.head.score_pairs(step.users, step.own_items) - residual.nan_to_num(nan=0.0)
        return error * is_rated, is_rated.sum()

    def bpr(self, step: Step) -> Tensor:
        negative = self.head.score_pairs(step.users[:, None], embedding(step.sampled, step.projected))
        is_seen, user_of_row = step.seen()
        is_negative = ~is_seen[user_of_row[:, None], step.sampled]
        positive = self.head.score_pairs(step.users, step.own_items)[:, None]
        return -(logsigmoid(positive - negative) * is_negative).mean()

    def softmax(self, step: Step) -> Tensor:
        candidates = torch.cat([step.own, step.sampled])
        projected = torch.cat([step.own_items, embedding(step.sampled, step.projected)])
        logits = self.head.score_all_pairs(step.users, projected) - self.log_share[step.items[candidates]]
        row = torch.arange(len(step.users), device=logits.device)
        is_seen, user_of_row = step.seen()
        is_positive = is_seen[:, candidates][user_of_row]
        is_positive[row, row] = False
        return cross_entropy(logits.masked_fill(is_positive, -torch.inf), row)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: RatingBatch, batch_index: int) -> None:
        if self.trainer.is_last_batch:
            self.optimizer.finish()
            self.eval()
            self.item_table, self.user_table = self.project_all()
            self.train()

    def forward(self, batch: RatingBatch) -> Tensor:
        offsets = self.baseline.mean + self.baseline.user[batch.user] + self.baseline.item[batch.item]
        if self.objective not in RATING_OBJECTIVES:
            return self.baseline.within_range(offsets)
        match = self.head.score_pairs(self.user_table[batch.user], self.item_table[batch.item])
        return self.baseline.within_range(offsets + match)

    def score_items(self, users: Tensor) -> Tensor:
        offsets = self.baseline.mean + self.baseline.user[users]
        return self.scores(self.user_table[users], offsets)

    def scores(self, users: Tensor, offsets: Tensor) -> Tensor:
        """Return ranking scores (B, n_items) of projected users; `offsets` (B,) are the mean plus the user offset."""
        parts = self.item_table[:-1].split(ITEM_BLOCK)
        scores = torch.cat([self.head.score_all_pairs(users, part) for part in parts], dim=1)
        return scores + offsets[:, None] + self.baseline.item[:-1] if self.objective in RATING_OBJECTIVES else scores

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip sparse gradients too, which torch does not, like the dense gradients that they stand for."""
        if gradient_clip_val is None:
            return
        gradients = []
        for parameter in self.parameters():
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()
                gradients.append(parameter.grad.values())
            elif parameter.grad is not None:
                gradients.append(parameter.grad)
        if gradient_clip_algorithm == "value":
            limits = (-gradient_clip_val, gradient_clip_val)
            for gradient in gradients:
                gradient.clamp_(*limits)
        else:
            factor = (gradient_clip_val / (get_total_norm(gradients) + 1e-6)).clamp(max=1)
            for gradient in gradients:
                gradient.mul_(factor)
