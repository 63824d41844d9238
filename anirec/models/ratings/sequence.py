"""Base class of sequence models: networks that rank what a user watches next from the history in the order of time."""

from abc import abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Interval
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, embedding, layer_norm, logsigmoid

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.data.ratings.sequences import (
    N_GAPS,
    SequenceBatch,
    SequenceBatches,
    Sequences,
    gap_classes,
    sequences_of_new_users,
)
from anirec.models.base import HistoryReader
from anirec.models.cost import Cost, Counts, size_of, trainable_size_of
from anirec.models.one_pass import History
from anirec.models.ratings.bias import DISLIKED, Baseline
from anirec.models.training import HeadTraining
from anirec.models.warm_start import WarmStart
from anirec.settings import NonNegative, PositiveInt, Share

USERS_AT_ONCE = 512  # users encoded together after an epoch
TENSORS = 20  # of the shape (positions, n_factors) per block that a step keeps for the gradient
PASSES = 3  # forward and backward, in units of a forward pass


class SequenceModel(HistoryReader):
    """Base class of networks on histories in the order of time; a subclass defines the block.

    Each entry of a history is an item vector times its preference (see `Baseline.preferences`), plus a vector for the
    preference and one for the position. Training reads dislikes as entries without a rating. In a ranking, dislikes
    count against what they would raise as likes: with the prediction u from the other entries and v from all, the user
    vector is u - (v - u) / 2. Blocks with causal attention turn it into a prediction of the next item, whose
    scores are products with the same item vectors. Training predicts every entry of a history from those before it; the
    first from none. Longer histories are divided into windows of `max_length`, and the newest window counts in a
    ranking.

    The loss is the cross-entropy of a softmax over all items with a training row, or gBCE with sampled ones, uniform
    among all but the target: it corrects the overconfidence of binary cross-entropy with few of the negatives.

    The order of entries with equal times is not known: it is drawn at random in each epoch. Entries without a time come
    first, in random order. New users' histories count in the order in which they are given. Predicted ratings come from
    the bias model. The preference depends on the mean of all ratings of the user, also of later ones.

    In the test of a split in time, the history of a user includes the validation rows; see `HistoryReader`.

    Args:
        n_factors: Length of the vectors, divisible by `n_heads`; >= 1.
        n_blocks: Number of blocks; >= 1.
        n_heads: Number of attention heads; >= 1.
        max_length: Largest number of entries of a window; >= 1.
        dropout: Dropout of vectors in training; 0 <= dropout < 1.
        init_std: Standard deviation of the initial item vectors; >= 0.
        use_ratings: Whether preferences enter the input; otherwise all entries count alike.
        use_gaps: Whether the time between two entries enters the attention. That of new users' entries is unknown.
        negatives: Sampled items per target of gBCE, >= 1; None: softmax over all items.
        calibration: The t of gBCE, 0 to 1; 0: binary cross-entropy, 1: as if all negatives were used. None for softmax.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.
        training: Epochs, batch size (windows) and learning rate.

    Raises:
        UserError: A number is out of its range, or no row has a time.

    References:
        Klenitskiy & Vasilev, Turning Dross Into Gold Loss: is BERT4Rec really better than SASRec?, RecSys 2023, on the
        full softmax. Petrov & Macdonald, gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with
        Negative Sampling, RecSys 2023, on gBCE.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id", "timestamp"})
    constraints: ClassVar[str] = "anirec.models.constraints:check_sequence"
    uses_unrated: ClassVar[bool] = True
    uses_order = True
    ranks_by_rating = False
    rates_by_bias = True
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
        negatives: PositiveInt | None,
        calibration: Annotated[float, Interval(ge=0, le=1)] | None,
        damping_user: NonNegative,
        damping_item: NonNegative,
        training: HeadTraining,
    ) -> None:
        super().__init__()
        self.n_factors, self.n_blocks, self.n_heads = n_factors, n_blocks, n_heads
        self.max_length, self.dropout, self.init_std = max_length, dropout, init_std
        self.use_ratings, self.use_gaps = use_ratings, use_gaps
        self.negatives, self.calibration = negatives, calibration
        self.damping_user, self.damping_item = damping_user, damping_item
        self.training_settings = training

    @abstractmethod
    def block(self) -> nn.Module:
        """Return a block, which maps (B, T, n_factors) to the same shape; no position depends on later ones.

        Its further argument is the class of the time between two entries, int64 (B, T, T), or None.
        """

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
        self.known = self.histories(self.known_rows) if len(self.data.given) else self.sequences

    def on_train_epoch_start(self) -> None:
        """Seed each epoch separately, so that a resumed run draws the same numbers as an uninterrupted one."""
        seed = np.random.SeedSequence((self.seed, self.current_epoch, self.global_rank)).generate_state(1)
        torch.manual_seed(int(seed[0]))

    def encode(self, batch: SequenceBatch) -> Tensor:
        """Return what each position predicts, (B, T, n_factors); a position depends on those before it only."""
        vector = embedding(batch.item % (self.n_items + 1), self.item_factors) * self.n_factors**0.5
        if self.use_ratings:
            preference = batch.preference.where(batch.preference > 0, 1)[..., None]
            vector = vector * preference + (preference - 1) * self.liking
        vector = dropout(vector + self.position[: vector.shape[1]], self.dropout, self.training)
        gap_btt = gap_classes(batch.hours[:, :, None] - batch.hours[:, None]) if self.use_gaps else None
        for block in self.blocks:
            vector = block(vector, gap_btt)
        return layer_norm(vector, vector.shape[-1:])

    def training_step(self, batch: SequenceBatch, batch_index: int) -> Tensor:
        is_target = batch.target >= 0
        loss = self.loss(self.encode(batch)[is_target], batch.target[is_target])
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.item), sync_dist=True)
        return loss

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of targets (N,), among the items with a training row."""
        if self.negatives is None:
            logits = (predicted @ self.item_factors[:-1].T).masked_fill(self.untrained, -torch.inf)
            return cross_entropy(logits, target)
        (trained,) = torch.nonzero(~self.untrained, as_tuple=True)
        place = torch.searchsorted(trained, target)[:, None]
        drawn = torch.randint(max(1, len(trained) - 1), (len(target), self.negatives), device=target.device)
        others = trained[(drawn + (drawn >= place)) % len(trained)]
        logits = (embedding(torch.cat([target[:, None], others], 1), self.item_factors) @ predicted[..., None])[..., 0]
        return gbce(logits, n_items=len(trained), calibration=float(self.calibration or 0))

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: SequenceBatch, batch_index: int) -> None:
        if self.trainer.is_last_batch:
            if self.known is not self.sequences:
                self.known.shuffle_ties(np.random.default_rng((self.seed, self.current_epoch)))
            self.eval()
            self.user_table = self.encode_newest(self.known)
            self.train()

    def read_histories(self, rows: Interactions) -> None:
        sequences = self.histories(rows)
        sequences.shuffle_ties(np.random.default_rng(0))
        self.user_table = self.encode_newest(sequences)

    def histories(self, rows: Interactions) -> Sequences:
        sequences = Sequences(rows)
        history = History.of(rows).to(self.device)
        sequences.set_preferences(self.baseline.preferences_of(history).cpu().numpy())
        return sequences

    def encode_newest(self, sequences: Sequences) -> Tensor:
        """Return what follows the history of each user, (n_users + 1, n_factors); the last one is of unknown users."""
        everyone = np.arange(len(sequences.start) - 1)
        table = self.encode_users(sequences, everyone)
        if self.use_ratings and len(sequences.dislikers):
            users = torch.from_numpy(sequences.dislikers).to(self.device)
            without = self.encode_users(sequences.without_dislikes(), sequences.dislikers)
            table[users] = without + DISLIKED * (table[users] - without)
        return table

    def encode_users(self, sequences: Sequences, users: NDArray[np.int64]) -> Tensor:
        """Return what follows the history of users (U,), (U, n_factors)."""
        n = np.minimum(np.diff(sequences.start)[users], self.max_length)
        order = np.argsort(n, kind="stable")  # windows of similar lengths have little padding
        table = torch.empty(len(users), self.n_factors, device=self.device)
        for some in np.array_split(order, -(-len(order) // USERS_AT_ONCE)):
            batch = SequenceBatch(*(t.to(self.device) for t in sequences.newest_batch(users[some], self.max_length)))
            last = torch.arange(len(some), device=self.device), batch.length - 1
            table[torch.from_numpy(some).to(self.device)] = self.encode(batch)[last]
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


def gbce(logits: Tensor, *, n_items: int, calibration: float) -> Tensor:
    """Return the mean of generalised binary cross-entropy, log(p⁺^β ∏ (1 - p⁻)), over all logits.

    With k of |I| - 1 negatives, a = k / (|I| - 1) and β = a (t (1 - 1 / a) + 1 / a).

    Args:
        logits: Logits of N targets (first column) and of their k negatives, (N, 1 + k).
        n_items: Number of items, |I|.
        calibration: t, from 0 (β = 1: binary cross-entropy) to 1 (β = a).
    """
    rate = min(1.0, (logits.shape[1] - 1) / max(1, n_items - 1))
    power = rate * (calibration * (1 - 1 / rate) + 1 / rate)
    return -(power * logsigmoid(logits[:, 0]).sum() + logsigmoid(-logits[:, 1:]).sum()) / logits.numel()


class RelativeBias(nn.Module):
    """What is added to the attention logits of two entries: by their distance, and by the time between them.

    Args:
        n_heads: Number of attention heads.
        max_length: Largest number of positions.
        use_gaps: Whether there is a bias by the time.
    """

    def __init__(self, n_heads: int, max_length: int, *, use_gaps: bool) -> None:
        super().__init__()
        self.distance = nn.Parameter(torch.zeros(max_length, n_heads))
        self.gap = nn.Parameter(torch.zeros(N_GAPS, n_heads)) if use_gaps else None

    def forward(self, length: int, gap_btt: Tensor | None) -> Tensor:
        """Return the biases (1 or B, n_heads, T, T); -inf for later entries.

        Args:
            length: Number of positions, T.
            gap_btt: Class of the time between each two entries, int64 (B, T, T); None without this bias.
        """
        place = torch.arange(length, device=self.distance.device)
        distance_tt = place[:, None] - place
        bias = embedding(distance_tt.clamp(min=0), self.distance)[None]
        if self.gap is not None and gap_btt is not None:
            bias = bias + embedding(gap_btt, self.gap)
        return bias.permute(0, 3, 1, 2).masked_fill(distance_tt < 0, -torch.inf)
