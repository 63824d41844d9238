"""Blend: the weighted mean of what several models say. Neighbours and factors err differently, and less together.

Source: Bell & Koren, Lessons from the Netflix Prize Challenge, SIGKDD Explorations 9, 2007.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from anirec.data.interactions import RatingBatch
from anirec.errors import UserError
from anirec.models.base import RatingModel, SelfTaught
from anirec.settings import PositiveInt


class Blend(SelfTaught, RatingModel):
    """Models that learn beside each other from the same batches, each for its own number of epochs.

    Args:
        models: By name; such as learn by counting or by a kernel of their own.
        weights: Of each model's ratings and ranking scores; they sum to 1.
        epochs: What the trainer counts to: the most that any of them needs.

    Raises:
        UserError: A model learns by gradients, or the weights do not fit.
    """

    def __init__(self, *, models: Mapping[str, RatingModel], weights: Mapping[str, float], epochs: PositiveInt) -> None:
        super().__init__()
        if by_gradient := [name for name, model in models.items() if not isinstance(model, SelfTaught)]:
            raise UserError(f"model.models.{by_gradient[0]} learns by gradients; blend those that do not, such as svd")
        if set(weights) != set(models) or abs(sum(weights.values()) - 1) > 1e-6:
            raise UserError(
                f"model.weights={dict(weights)}: expected one for each of {', '.join(models)}; their sum is 1"
            )
        rows = {type(model).training_rows for model in models.values()}
        if len(rows) > 1 or rows != {RatingModel.training_rows}:
            raise UserError("model.models: all learn from the same batches; one with rows of its own cannot be blended")
        self.models, self.weights, self.epochs = nn.ModuleDict(models), dict(weights), epochs

    def parts(self) -> Iterator[Any]:
        return iter(self.models.values())

    def at_work(self) -> Iterator[Any]:
        """Those that have not learned for all of their epochs."""
        return (part for part in self.parts() if self.current_epoch < getattr(part, "epochs", 1))

    def setup(self, stage: str) -> None:
        super().setup(stage)
        for part in self.parts():
            part.trainer = self.trainer
            part.setup(stage)

    def allocate(self) -> None:
        for part in self.parts():
            part.n_users, part.n_items = self.n_users, self.n_items
            part.configure_model()

    def on_train_start(self) -> None:
        if len({part.uses_unrated for part in self.parts()}) > 1 and self.data.train_and_unrated is not self.data.train:
            raise UserError("dataset.unrated=keep: of the blended models only some learn from rows without a rating")
        for part in self.parts():
            part.on_train_start()

    def on_train_epoch_start(self) -> None:
        for part in self.at_work():
            part.on_train_epoch_start()

    def training_step(self, batch: RatingBatch, batch_index: int) -> None:
        for part in self.at_work():
            part.training_step(batch, batch_index)

    def on_train_batch_end(self, outputs: Any, batch: RatingBatch, batch_index: int) -> None:
        for part in self.at_work():
            part.on_train_batch_end(outputs, batch, batch_index)

    def forward(self, batch: RatingBatch) -> Tensor:
        return sum(self.weights[name] * part(batch) for name, part in self.models.items())

    def score_items(self, users: Tensor) -> Tensor:
        scored = {name: part.score_items(users) for name, part in self.models.items()}  # type: ignore[operator]
        return sum(self.weights[name] * scores for name, scores in scored.items())

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        scored = {name: part.fold_in(batch, n) for name, part in self.models.items()}  # type: ignore[operator]
        return sum(self.weights[name] * scores for name, scores in scored.items())
