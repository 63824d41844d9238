"""Base class of sequence models: networks that rank what a user watches next from the history in the order of time."""

from abc import abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, embedding, layer_norm

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.data.ratings.sequences import N_GAPS, SequenceBatch, SequenceBatches, Sequences, sequences_of_new_users
from anirec.models.base import RatingModel
from anirec.models.cost import Cost, Counts, size_of, trainable_size_of
from anirec.models.one_pass import History
from anirec.models.ratings.bias import Baseline
from anirec.models.training import HeadTraining
from anirec.models.warm_start import WarmStart
from anirec.settings import NonNegative, PositiveInt, Share

USERS_AT_ONCE = 512  # users encoded together after an epoch
TENSORS = 20  # of the shape (positions, n_factors) per block that a step keeps for the gradient
PASSES = 3  # forward and backward, in units of a forward pass


class SequenceModel(RatingModel):
    """Base class of networks on histories in the order of time; a subclass defines the block.

    Each entry of a history is an item vector times its preference (see `Baseline.preferences`), plus a vector for the
    preference, one for the position, and one for the time gap. Blocks with causal attention turn it into a prediction
    of the next item, whose scores are products with the same item vectors. The loss is the cross-entropy of a softmax
    over all items. Training predicts every entry of a history
    from those before it; the first from none. Longer histories are divided into windows of `max_length`, and the newest
    window counts in a ranking.

    The order of entries with equal times is not known: it is drawn at random in each epoch. Entries without a time come
    first, in random order. New users' histories count in the order in which they are given. Predicted ratings come from
    the bias model. The preference depends on the mean of all ratings of the user, also of later ones.

    Args:
        n_factors: Length of the vectors, divisible by `n_heads`; >= 1.
        n_blocks: Number of blocks; >= 1.
        n_heads: Number of attention heads; >= 1.
        max_length: Largest number of entries of a window; >= 1.
        dropout: Dropout of vectors in training; 0 <= dropout < 1.
        init_std: Standard deviation of the initial item vectors; >= 0.
        use_ratings: Whether preferences enter the input; otherwise all entries count alike.
        use_gaps: Whether the time since the entry before enters the input.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.
        training: Epochs, batch size (windows) and learning rate.

    Raises:
        UserError: A number is out of its range, or no row has a time.

    References:
        Klenitskiy & Vasilev, Turning Dross Into Gold Loss: is BERT4Rec really better than SASRec?, RecSys 2023, on the
        full softmax.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id", "timestamp"})
    constraints: ClassVar[str] = "anirec.models.constraints:check_sequence"
    uses_unrated: ClassVar[bool] = True
    uses_order: ClassVar[bool] = True
    ranks_by_rating = False
    bytes_per_row: ClassVar[int] = 72  # the rows in the order of time, with their windows
    instead: ClassVar[str] = "a smaller model.training.batch_size"
    matmul_precision: ClassVar[str] = "high"
    operations_per_second: ClassVar[float] = 1e10
    user_table: Tensor

    def __init__(
        self,
        *,
        n_factors: PositiveInt,
        n_blocks: PositiveInt,
        n_heads: PositiveInt,
        max_length: PositiveInt,
        dropout: Share,
        init_std: NonNegative,
        use_ratings: bool,
        use_gaps: bool,
        damping_user: NonNegative,
        damping_item: NonNegative,
        training: HeadTraining,
    ) -> None:
        super().__init__()
        self.n_factors, self.n_blocks, self.n_heads = n_factors, n_blocks, n_heads
        self.max_length, self.dropout, self.init_std = max_length, dropout, init_std
        self.use_ratings, self.use_gaps = use_ratings, use_gaps
        self.damping_user, self.damping_item = damping_user, damping_item
        self.training_settings = training

    @abstractmethod
    def block(self) -> nn.Module:
        """Return a block, which maps (B, T, n_factors) to the same shape; no position depends on later ones."""

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: parameters, two moments of each, and the intermediate results of a step."""
        network, training = self.shapes(counts), self.training_settings
        size, trained = size_of(network), trainable_size_of(network)
        positions = min(training.batch_size * self.max_length, counts.n_rows)
        width = TENSORS * self.n_blocks * self.n_factors + self.n_blocks * self.n_heads * self.max_length
        per_row = size_of(network.blocks) / 4 + self.n_factors * (counts.n_items + 2 * self.n_blocks * self.max_length)
        return Cost(
            memory=2 * size
            + 3 * trained
            + 4 * positions * (width + 3 * counts.n_items)
            + self.bytes_per_row * counts.n_rows,
            checkpoint=size + 2 * trained,
            operations=PASSES * training.epochs * counts.n_rows * per_row,
        )

    def allocate(self) -> None:
        self.baseline = Baseline(self.n_users, self.n_items)
        # The last row stands for "no entry", with which a history starts.
        self.item_factors = nn.Parameter(self.init_std * torch.randn(self.n_items + 1, self.n_factors))
        self.position = nn.Parameter(self.init_std * torch.randn(self.max_length, self.n_factors))
        if self.use_ratings:
            self.liking = nn.Parameter(torch.zeros(self.n_factors))
        if self.use_gaps:
            self.gap_factors = nn.Parameter(torch.zeros(N_GAPS, self.n_factors))
        self.blocks = nn.ModuleList(self.block() for _ in range(self.n_blocks))
        self.register_buffer("user_table", torch.zeros(self.n_users + 1, self.n_factors))

    def start_from(self, earlier: WarmStart) -> str:
        return self.copy_from(earlier)

    def batches(self, data: Any, rank: int, world_size: int) -> Iterable[SequenceBatch]:  # type: ignore[override]
        self.seed = torch.initial_seed() % 2**32
        return SequenceBatches(
            self.sequences,
            length=self.max_length,
            size=self.training_settings.batch_size,
            seed=self.seed,
            epoch=lambda: self.current_epoch,
            shuffled=self.training_settings.shuffle,
            rank=rank,
            world_size=world_size,
        )

    @cached_property
    def sequences(self) -> Sequences:
        return Sequences(self.training_rows(self.data))

    @property
    def known_rows(self) -> Interactions:
        """The training rows, and the histories of users who are not trained on."""
        return self.training_rows(self.data).merge(self.data.given)

    def on_train_start(self) -> None:
        rows = self.training_rows(self.data)
        history = History.of(rows)
        self.baseline.fit(history.to(self.device), self.damping_user, self.damping_item)
        self.sequences.set_preferences(self.baseline.preferences_of(history).cpu().numpy())
        count = np.bincount(rows.item, minlength=self.n_items)
        self.untrained = torch.from_numpy(count == 0).to(self.device)
        self.known = self.sequences
        if len(self.data.given):
            self.known = Sequences(self.known_rows)
            self.known.set_preferences(self.baseline.preferences_of(History.of(self.known_rows)).cpu().numpy())

    def on_train_epoch_start(self) -> None:
        """Seed each epoch separately, so that a resumed run draws the same numbers as an uninterrupted one."""
        seed = np.random.SeedSequence((self.seed, self.current_epoch, self.global_rank)).generate_state(1)
        torch.manual_seed(int(seed[0]))

    def encode(self, batch: SequenceBatch) -> Tensor:
        """Return what each position predicts, (B, T, n_factors); a position depends on those before it only."""
        vector = embedding(batch.item % (self.n_items + 1), self.item_factors) * self.n_factors**0.5
        if self.use_ratings:
            vector = vector * batch.preference[..., None] + (batch.preference[..., None] - 1) * self.liking
        if self.use_gaps:
            vector = vector + embedding(batch.gap, self.gap_factors)
        vector = dropout(vector + self.position[: vector.shape[1]], self.dropout, self.training)
        for block in self.blocks:
            vector = block(vector)
        return layer_norm(vector, vector.shape[-1:])

    def training_step(self, batch: SequenceBatch, batch_index: int) -> Tensor:
        is_target = batch.target >= 0
        loss = self.loss(self.encode(batch)[is_target], batch.target[is_target])
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.item), sync_dist=True)
        return loss

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of targets (N,), among the items with a training row."""
        logits = (predicted @ self.item_factors[:-1].T).masked_fill(self.untrained, -torch.inf)
        return cross_entropy(logits, target)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: SequenceBatch, batch_index: int) -> None:
        if self.trainer.is_last_batch:
            if self.known is not self.sequences:
                self.known.shuffle_ties(np.random.default_rng((self.seed, self.current_epoch)))
            self.eval()
            self.user_table = self.encode_newest(self.known)
            self.train()

    def encode_newest(self, sequences: Sequences) -> Tensor:
        """Return what follows the history of each user, (n_users + 1, n_factors); the last one is of unknown users."""
        n = np.minimum(np.diff(sequences.start), self.max_length)
        order = np.argsort(n, kind="stable")  # windows of similar lengths have little padding
        table = torch.empty(len(n), self.n_factors, device=self.device)
        for users in np.array_split(order, -(-len(order) // USERS_AT_ONCE)):
            batch = SequenceBatch(*(t.to(self.device) for t in sequences.newest_batch(users, self.max_length)))
            last = torch.arange(len(users), device=self.device), batch.length - 1
            table[torch.from_numpy(users).to(self.device)] = self.encode(batch)[last]
        return table

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_items(self, users: Tensor) -> Tensor:
        return self.user_table[users] @ self.item_factors[:-1].T

    @torch.no_grad()
    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        """Return ranking scores of new users; their rows are in the order in which they were watched."""
        sequences = sequences_of_new_users(batch, n)
        rows = sequences.rows.rows(0, len(sequences.rows))
        rows = RatingBatch(*(column.to(self.device) for column in rows))
        sequences.set_preferences(self.baseline.preferences(rows, n).cpu().numpy())
        return self.encode_newest(sequences)[:-1] @ self.item_factors[:-1].T

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        fused = not str(self.trainer.precision).endswith("mixed")  # a fused optimiser does not allow clipping there
        optimizer = settings.optimizer(nn.Module(), self, fused=fused)
        schedule = settings.scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def provenance(self) -> dict[str, Any]:
        return {"order": self.sequences.order_counts}

    @property
    def findings(self) -> list[str]:
        n_rows, n_unknown_time, n_tied = self.sequences.order_counts.values()
        n_long = int((np.diff(self.sequences.start) > self.max_length).sum())
        found = []
        if n_unknown_time or n_tied:
            found.append(
                f"Of {n_rows:,} training rows, {n_unknown_time:,} have no time and come first in their histories; "
                f"{n_tied:,} have the same time as another row of the same user. The order of both is drawn at random."
            )
        if n_long:
            found.append(
                f"{n_long:,} histories have more than {self.max_length} entries: they are trained on in windows, and "
                "only the newest window counts in a ranking (model.max_length)."
            )
        return found
