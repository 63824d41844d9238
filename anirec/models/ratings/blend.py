"""Blend: weighted mean of the predictions of several rating models."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from torch import Tensor, nn

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.errors import UserError
from anirec.models.base import ManualOptimization, RatingModel, SupportsFoldIn
from anirec.models.cost import Cost, Counts
from anirec.models.warm_start import WarmStart
from anirec.settings import PositiveInt, SumsTo

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData


class Blend(ManualOptimization, RatingModel):
    """Predict the weighted mean of several models, Σ_m w_m r_m(u, i), for ratings and for ranking scores.

    The models are trained in one run, each on the same batches and for the same number of epochs as it would be alone.
    The blend ranks for new users (`fold_in`) if all of its models do.

    Args:
        models: Models by name. They must train without a PyTorch optimiser, as svd does (see `ManualOptimization`).
        weights: Weight of each model, by name; they sum to 1.
        epochs: Number of epochs; the largest that any of the models needs.

    Raises:
        UserError: A model needs a PyTorch optimiser, a model has no weight, or the weights do not sum to 1.

    References:
        Bell & Koren, Lessons from the Netflix Prize Challenge, SIGKDD Explorations 9, 2007.
    """

    constraints = "anirec.models.constraints:check_blend"
    instead: ClassVar[str] = "one of its models alone"

    def __init__(
        self,
        *,
        models: Mapping[str, RatingModel],
        weights: Annotated[Mapping[str, float], SumsTo(1)],
        epochs: PositiveInt,
    ) -> None:
        super().__init__()
        if by_gradient := [name for name, model in models.items() if not isinstance(model, ManualOptimization)]:
            raise UserError(
                f"model.models.{by_gradient[0]} needs a PyTorch optimiser; a blend accepts only models without one, "
                "such as svd"
            )
        self.models, self.weights, self.epochs = nn.ModuleDict(models), dict(weights), epochs
        self.ranks_by_rating = all(model.ranks_by_rating for model in models.values())
        if all(isinstance(model, SupportsFoldIn) for model in models.values()):
            # Set on the instance, so that isinstance(blend, SupportsFoldIn) depends on its models.
            self.fold_in = self.fold_in_blend

    def parts(self) -> Iterator[Any]:
        return iter(self.models.values())

    def unfinished(self) -> Iterator[tuple[str, Any]]:
        """Return the names and models that have epochs left."""
        return ((name, part) for name, part in self.models.items() if self.current_epoch < getattr(part, "epochs", 1))

    def cost(self, counts: Counts) -> Cost:
        """Return the sum of the costs of all models, which are trained at the same time."""
        return sum((part.cost(counts) for part in self.parts()), Cost())

    def seconds(self, counts: Counts) -> float:
        return sum(part.seconds(counts) for part in self.parts())

    def setup(self, stage: str) -> None:
        super().setup(stage)
        for part in self.parts():
            part.trainer = self.trainer
            part.setup(stage)

    def allocate(self) -> None:
        for part in self.parts():
            part.n_users, part.n_items = self.n_users, self.n_items
            part.configure_model()

    def start_from(self, earlier: WarmStart) -> str:
        """Return why none of the models continues; empty if one does, and the others are trained from scratch."""
        reasons = []
        for name, part in zip(self.models, self.parts(), strict=True):
            part.warm_start = earlier.of_part(f"models.{name}.")
            part.warm_start.why_not = part.start_from(part.warm_start)
            reasons.append(part.warm_start.why_not)
        return "" if "" in reasons else reasons[0]

    def training_rows(self, data: "RatingData") -> Interactions:
        """Return the training rows of the model that uses the most."""
        return max((part.training_rows(data) for part in self.parts()), key=len)

    def batches(self, data: "RatingData", rank: int, world_size: int) -> Iterable[Any]:
        return ParallelBatches({name: part.batches(data, rank, world_size) for name, part in self.models.items()})  # type: ignore[operator]

    def on_train_start(self) -> None:
        for part in self.parts():
            part.on_train_start()

    def on_train_end(self) -> None:
        for part in self.parts():
            part.on_train_end()

    def on_train_epoch_start(self) -> None:
        for _, part in self.unfinished():
            part.on_train_epoch_start()

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        for name, part in self.unfinished():
            if batch[name] is not None:
                part.training_step(batch[name], batch_index)

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Any] | None, batch_index: int) -> None:
        """Call the hook of each model; one whose own batches ran out earlier solves after the last batch of all.

        Args:
            outputs: Unused.
            batch: Batch of each model; None in a blend of a blend whose own batches ran out.
            batch_index: Number of the batch.
        """
        for name, part in self.unfinished():
            part.on_train_batch_end(outputs, batch and batch[name], batch_index)

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
        models = {name: part.provenance() for name, part in self.models.items()}  # type: ignore[operator]
        return {"models": models} if any(models.values()) else {}


class ParallelBatches:
    """Iterate over the batches of several models in parallel, by model name; None for a model that has no more."""

    def __init__(self, batches: Mapping[str, Iterable[Any]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return max(len(of_model) for of_model in self.batches.values())  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batches in zip_longest(*self.batches.values()):
            yield dict(zip(self.batches, batches, strict=True))
