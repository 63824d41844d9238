"""Base class of autoencoders: networks from a user's history to scores of all items, trained on whole users."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.data.ratings.loaders import ShuffledInteractions
from anirec.models.base import popularity_tie_break
from anirec.models.cost import Cost, Counts, trainable_size_of
from anirec.models.one_pass import History, HistoryScorer
from anirec.models.ratings.bias import Baseline
from anirec.models.training import GradientModel, HeadTraining
from anirec.settings import NonNegative

TABLES = 6  # of the shape (users of a batch, n_items) that a step keeps
PASSES = 3  # forward and backward, in units of a forward pass


class Autoencoder(GradientModel, HistoryScorer):
    """Base class of networks that reconstruct the history of a user, and rank items by the reconstruction.

    A history is a row of the user-item matrix of preferences: about 1 for most interactions, negative for dislikes (see
    `Baseline.preferences`), 0 elsewhere. A step reads whole users. A subclass defines `reconstruct` and `loss`.
    Predicted ratings come from the bias model.

    Args:
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.
        training: Epochs, batch size (interactions, of whole users) and learning rate.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id"})
    uses_unrated: ClassVar[bool] = True
    ranks_by_rating = False
    rates_by_bias = True
    bytes_per_row: ClassVar[int] = 32  # the bias model, before training; the order of the rows, in training
    instead: ClassVar[str] = "a smaller model.training.batch_size, or model=rp3beta"
    matmul_precision: ClassVar[str] = "high"
    operations_per_second: ClassVar[float] = 2e10
    count_i: Tensor

    def __init__(
        self, *, damping_user: NonNegative, damping_item: NonNegative, training: HeadTraining, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.damping_user = damping_user
        self.damping_item = damping_item
        self.training_settings = training

    @abstractmethod
    def reconstruct(self, rows: RatingBatch, bounds: Tensor, preference: Tensor) -> Tensor:
        """Return scores (n, n_items) of n users from their histories.

        Args:
            rows: Rows of users 0 to n - 1, sorted by user.
            bounds: Bounds of each user in them, int64 (n + 1,).
            preference: Preference of each row, (B,).
        """

    @abstractmethod
    def loss(self, rows: RatingBatch, bounds: Tensor, preference: Tensor, preference_bi: Tensor) -> Tensor:
        """Return the mean loss of n users.

        Args:
            rows: See `reconstruct`.
            bounds: See `reconstruct`.
            preference: See `reconstruct`.
            preference_bi: The same as a dense matrix, (n, n_items).
        """

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: two moments of each parameter, and the dense rows of a batch of users."""
        trained = trainable_size_of(self.shapes(counts))
        users = min(counts.n_users, self.training_settings.batch_size * counts.n_users / max(1, counts.n_rows))
        per_user = trained / 4  # each parameter of the last layer is multiplied once for each user
        return super().cost(counts) + Cost(
            memory=trained + 4 * TABLES * (users + 1) * counts.n_items,
            checkpoint=2 * trained,
            operations=PASSES * self.training_settings.epochs * counts.n_users * per_user,
        )

    def allocate(self) -> None:
        self.baseline, self.history = Baseline(self.n_users, self.n_items), History(self.n_users)
        self.register_buffer("count_i", torch.zeros(self.n_items))

    def batches(self, data: Any, rank: int, world_size: int) -> Iterable[RatingBatch]:
        self.seed = torch.initial_seed() % 2**32
        return ShuffledInteractions(
            self.training_rows(data),
            rows=self.training_settings.batch_size,
            seed=self.seed,
            epoch=lambda: self.current_epoch,
            whole_users=True,
            shuffled=self.training_settings.shuffle,
            rank=rank,
            world_size=world_size,
            device=lambda: self.device,
        )

    def on_train_start(self) -> None:
        self.history = History.of(self.training_rows(self.data)).to(self.device)
        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()

    def training_step(self, batch: RatingBatch, batch_index: int) -> Tensor:
        _, user, count = batch.user.unique_consecutive(return_inverse=True, return_counts=True)
        rows, bounds = batch._replace(user=user), torch.cat([count.new_zeros(1), count.cumsum(0)])
        preference = self.baseline.preferences(rows, len(count))
        preference_bi = preference.new_zeros(len(count), self.n_items)
        preference_bi[rows.user, rows.item] = preference
        loss = self.loss(rows, bounds, preference, preference_bi)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(count), sync_dist=True)
        return loss

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    @torch.no_grad()
    def score_history(self, history: History, users: Tensor) -> Tensor:
        rows, bounds = history.rows_of(users)
        scores_bi = self.reconstruct(rows, bounds, self.baseline.preferences(rows, len(users)))
        return scores_bi + popularity_tie_break(self.count_i)
