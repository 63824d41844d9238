"""Blend: the weighted mean of what several models say. Neighbours and factors err differently, and less together.

Source: Bell & Koren, Lessons from the Netflix Prize Challenge, SIGKDD Explorations 9, 2007.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.errors import UserError
from anirec.models.base import ManualOptimization, RatingModel, SupportsFoldIn
from anirec.settings import PositiveInt

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData


class Blend(ManualOptimization, RatingModel):
    """Models that are trained side by side, each on the batches and for the number of epochs that it would get alone.

    It ranks for people who were not in training (`fold_in`) if all of its models do.

    Args:
        models: By name; models that learn by counting or by a kernel of their own.
        weights: Of each model's ratings and ranking scores; they sum to 1.
        epochs: What the trainer counts to: the most that any of them needs.

    Raises:
        UserError: A model learns by gradients, or the weights do not fit.
    """

    def __init__(self, *, models: Mapping[str, RatingModel], weights: Mapping[str, float], epochs: PositiveInt) -> None:
        super().__init__()
        if by_gradient := [name for name, model in models.items() if not isinstance(model, ManualOptimization)]:
            raise UserError(f"model.models.{by_gradient[0]} learns by gradients; blend those that do not, such as svd")
        if set(weights) != set(models) or abs(sum(weights.values()) - 1) > 1e-6:
            raise UserError(
                f"model.weights={dict(weights)}: expected one for each of {', '.join(models)}; their sum is 1"
            )
        self.models, self.weights, self.epochs = nn.ModuleDict(models), dict(weights), epochs
        if all(isinstance(model, SupportsFoldIn) for model in models.values()):
            self.fold_in = self.fold_in_blend  # on the object: `SupportsFoldIn` looks for it

    def parts(self) -> Iterator[Any]:
        return iter(self.models.values())

    def unfinished(self) -> Iterator[tuple[str, Any]]:
        """Names and models of those that have not learned for all of their epochs."""
        return ((name, part) for name, part in self.models.items() if self.current_epoch < getattr(part, "epochs", 1))

    def setup(self, stage: str) -> None:
        super().setup(stage)
        for part in self.parts():
            part.trainer = self.trainer
            part.setup(stage)

    def allocate(self) -> None:
        for part in self.parts():
            part.n_users, part.n_items = self.n_users, self.n_items
            part.configure_model()

    def training_rows(self, data: "RatingData") -> Interactions:
        """The rows of the model that learns from most."""
        return max((part.training_rows(data) for part in self.parts()), key=len)

    def batches(self, data: "RatingData", rank: int, world_size: int) -> Iterable[Any]:
        return ParallelBatches({name: part.batches(data, rank, world_size) for name, part in self.models.items()})  # type: ignore[operator]

    def on_train_start(self) -> None:
        for part in self.parts():
            part.on_train_start()

    def on_train_epoch_start(self) -> None:
        for _, part in self.unfinished():
            part.on_train_epoch_start()

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        for name, part in self.unfinished():
            if batch[name] is not None:
                part.training_step(batch[name], batch_index)

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Any], batch_index: int) -> None:
        """A model that has had its last batch waits: it solves after the last batch of all."""
        for name, part in self.unfinished():
            part.on_train_batch_end(outputs, batch[name], batch_index)

    def forward(self, batch: RatingBatch) -> Tensor:
        return sum(self.weights[name] * part(batch) for name, part in self.models.items())

    def score_items(self, users: Tensor) -> Tensor:
        scored = {name: part.score_items(users) for name, part in self.models.items()}  # type: ignore[operator]
        return sum(self.weights[name] * scores for name, scores in scored.items())

    def fold_in_blend(self, batch: RatingBatch, n: int) -> Tensor:
        scored = {name: part.fold_in(batch, n) for name, part in self.models.items()}  # type: ignore[operator]
        return sum(self.weights[name] * scores for name, scores in scored.items())

    @property
    def findings(self) -> list[str]:
        return [sentence for part in self.parts() for sentence in part.findings]

    def provenance(self) -> dict[str, Any]:
        told = {name: part.provenance() for name, part in self.models.items()}  # type: ignore[operator]
        return {"models": told} if any(told.values()) else {}


class ParallelBatches:
    """The batches of several models by their names, one of each at a time; None for a model that has no more."""

    def __init__(self, batches: Mapping[str, Iterable[Any]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return max(len(of_model) for of_model in self.batches.values())  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batches in zip_longest(*self.batches.values()):
            yield dict(zip(self.batches, batches, strict=True))
