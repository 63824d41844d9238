"""Networks that predict ratings or rank: what their training and evaluation have in common, whatever their towers."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, logsigmoid

from anirec.data.ratings.interactions import RatingBatch
from anirec.data.ratings.loaders import ShuffledInteractions
from anirec.errors import UserError
from anirec.models.base import RatingModel
from anirec.models.one_pass import History
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.towers import Head
from anirec.models.training import HeadTraining, RowAdamW
from anirec.settings import Count, NonNegative

Objective = Literal["mse", "mae", "bpr", "softmax"]
OF_RATINGS = ("mse", "mae")
ITEMS_AT_ONCE = 512  # in ranking: 256 users x 512 items x 32 numbers are 16 MB


class RatingNetwork(RatingModel):
    """Define the two towers, `sides`; what they say is added to the offsets of the bias model.

    A subclass makes `head`, which puts a user's side and an item's together, before `allocate`. After every epoch the
    sides of all users and items are kept in tables, which predict and rank.

    Args:
        objective: "mse" and "mae" learn ratings, as means or as medians, and rank by them; "bpr" and "softmax" learn to
            rank what was rated or seen before what was not (Rendle et al. 2009; Jean et al. 2015), and leave ratings to
            the bias model.
        negatives: Items drawn at random a row (bpr), or a batch (softmax, which also takes the batch's own items).
        reg: Penalty on the squared lengths of the sides, per row; >= 0.
        damping_user: Of the bias model; >= 0.
        damping_item: Likewise for items.
        training: Epochs, batch size (interactions), rates.
    """

    whole_users: ClassVar[bool] = False
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
        if objective == "bpr" and not negatives:
            raise UserError("model.negatives=0: objective=bpr compares each row with at least one item; >= 1")
        self.objective = objective
        self.negatives, self.reg = negatives, reg
        self.damping_user = damping_user
        self.damping_item = damping_item
        self.training_settings = training

    @abstractmethod
    def sides(self, batch: RatingBatch) -> tuple[Tensor, Tensor]:
        """The items' sides (n_items + 1, side + 1); and each row's user's (B, side), without what the row tells."""

    @abstractmethod
    def everyone(self) -> tuple[Tensor, Tensor]:
        """Likewise, and the users' sides (n_users + 1, side) from all training rows; the unknown ones are last."""

    def allocate(self) -> None:
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("user_table", torch.zeros(self.n_users + 1, self.head.side))
        self.register_buffer("item_table", torch.zeros(self.n_items + 1, self.head.side + 1))
        self.register_buffer("log_share", torch.zeros(self.n_items))

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
        )

    def on_train_start(self) -> None:
        """Offsets from all that is known of the training users, and how often an item is drawn as a negative."""
        rows, known = self.training_rows(self.data), self.data.history
        known = known.where(np.isin(known.user, np.unique(rows.user)))
        history = History(self.n_users).to(self.device)
        history.append(RatingBatch(*(column.to(self.device) for column in known.rows(0, len(known)))))
        history.close()
        self.baseline.fit(history, self.damping_user, self.damping_item)
        self.know_given()
        item = torch.from_numpy(rows.item).to(self.device)
        count = torch.bincount(item, minlength=self.n_items).double()
        own = self.training_settings.batch_size
        self.trained = count.nonzero()[:, 0]
        at_random = (count > 0) * (self.negatives / len(self.trained))
        share = (own * count / count.sum() + at_random) / (own + self.negatives)
        self.log_share = share.clamp_min(1e-12).log().float()

    def know_given(self) -> None:
        """Offsets of those users of whom there is a history, but no training row."""
        given = self.data.given
        batch = RatingBatch(*(column.to(self.device) for column in given.rows(0, len(given))))
        of_people = self.baseline.of_people(batch, self.n_users + 1, self.damping_user)
        trained = np.unique(self.training_rows(self.data).user)
        of_people[trained] = self.baseline.user[trained]
        self.baseline.user = of_people

    def on_train_epoch_start(self) -> None:
        """Chances as in a run that was never interrupted: each epoch draws its own."""
        own = np.random.SeedSequence((self.seed, self.current_epoch, self.global_rank)).generate_state(1)
        torch.manual_seed(int(own[0]))

    def training_step(self, batch: RatingBatch, batch_index: int) -> Tensor:
        items, users = self.sides(batch)
        # As items[batch.item], with a gradient that is faster, and the same whatever order the threads come in.
        of_row = embedding(batch.item, items)
        loss = getattr(self, self.objective)(batch, users, of_row, items)
        loss = loss + self.reg * (users.square().sum(1) + of_row[:, :-1].square().sum(1)).mean()
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.user), sync_dist=True)
        return loss

    def rows_of(self, table: nn.Parameter, index: Tensor) -> Tensor:
        """The table's rows of an index (B,), (B, width); a step then costs as much as these rows, not as the table.

        Several processes, and the clipping of gradients, know dense gradients only.
        """
        # embedding, not [...]: the gradient of an index adds up in whatever order the threads come.
        if self.trainer.world_size > 1 or self.training_settings.clip is not None:
            return embedding(index, table)
        rows, place = index.unique(return_inverse=True)
        self.optimizer.catch_up(table, rows)
        return embedding(place, embedding(rows, table, sparse=True))

    @property
    def optimizer(self) -> RowAdamW:
        return self.optimizers(use_pl_optimizer=False)  # type: ignore[return-value]

    def mse(self, batch: RatingBatch, users: Tensor, of_row: Tensor, items: Tensor) -> Tensor:
        return self.errors(batch, users, of_row).square().mean()

    def mae(self, batch: RatingBatch, users: Tensor, of_row: Tensor, items: Tensor) -> Tensor:
        return self.errors(batch, users, of_row).abs().mean()

    def errors(self, batch: RatingBatch, users: Tensor, of_row: Tensor) -> Tensor:
        """Of the rows that have a rating."""
        left = batch.rating - self.baseline.mean - self.baseline.user[batch.user] - self.baseline.item[batch.item]
        rated = ~batch.rating.isnan()
        return self.head.matched(users, of_row)[rated] - left[rated]

    def bpr(self, batch: RatingBatch, users: Tensor, of_row: Tensor, items: Tensor) -> Tensor:
        drawn = self.drawn(len(users), max(1, self.negatives))
        worse = self.head.matched(users[:, None], embedding(drawn, items))
        done, person = self.done(batch)
        is_worse = ~done[person[:, None], drawn]
        return -(logsigmoid(self.head.matched(users, of_row)[:, None] - worse) * is_worse).mean()

    def drawn(self, *shape: int) -> Tensor:
        """Items at random, of those with a training row: held-out titles are no wrong answers."""
        return self.trained[torch.randint(len(self.trained), shape, device=self.trained.device)]

    def softmax(self, batch: RatingBatch, users: Tensor, of_row: Tensor, items: Tensor) -> Tensor:
        drawn = self.drawn(self.negatives)
        candidates = torch.cat([batch.item, drawn])
        logits = self.head.crossed(users, torch.cat([of_row, embedding(drawn, items)])) - self.log_share[candidates]
        row = torch.arange(len(users), device=users.device)
        done, person = self.done(batch)
        also_right = done[:, candidates][person]
        also_right[row, row] = False
        return cross_entropy(logits.masked_fill(also_right, -torch.inf), row)

    def done(self, batch: RatingBatch) -> tuple[Tensor, Tensor]:
        """What each user of the batch has done in it: no wrong answers. (P, n_items) bool; each row's user, (B,)."""
        users, person = batch.user.unique(return_inverse=True)
        done = torch.zeros(len(users), self.n_items, dtype=torch.bool, device=users.device)
        done[person, batch.item] = True
        return done, person

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: RatingBatch, batch_index: int) -> None:
        if self.trainer.is_last_batch:
            self.optimizer.finish()
            self.eval()
            self.item_table, self.user_table = self.everyone()
            self.train()

    def forward(self, batch: RatingBatch) -> Tensor:
        offsets = self.baseline.mean + self.baseline.user[batch.user] + self.baseline.item[batch.item]
        if self.objective not in OF_RATINGS:
            return self.baseline.within_range(offsets)
        match = self.head.matched(self.user_table[batch.user], self.item_table[batch.item])
        return self.baseline.within_range(offsets + match)

    def score_items(self, users: Tensor) -> Tensor:
        offsets = self.baseline.mean + self.baseline.user[users]
        return self.scores(self.user_table[users], offsets)

    def scores(self, users: Tensor, offsets: Tensor) -> Tensor:
        """(B, n_items) of users' sides (B, side) and, where ratings were learned, their offsets (B,)."""
        parts = self.item_table[:-1].split(ITEMS_AT_ONCE)
        scores = torch.cat([self.head.crossed(users, part) for part in parts], dim=1)
        return scores + offsets[:, None] + self.baseline.item[:-1] if self.objective in OF_RATINGS else scores

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        # A fused optimiser unscales gradients by itself, which neither clipping nor sparse ones allow.
        fused = not str(self.trainer.precision).endswith("mixed")
        optimizer = settings.optimizer(nn.Module(), self, fused=fused)
        schedule = settings.scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
