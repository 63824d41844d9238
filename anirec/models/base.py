"""Base classes of all models: what every model provides, and what rating models provide in addition."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.artifacts import ArtifactSource
from anirec.data.ratings.interactions import Interactions, RatingBatch, UserBlocks, Vocabulary
from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.lightning import LightningModule
from anirec.memory import available_memory
from anirec.models.checkpoint import DamagedTensorError, check_shape
from anirec.models.cost import Cost, Counts, check_memory, size_of, warn_if_long, without_memory
from anirec.models.warm_start import WarmStart
from anirec.settings import Configurable

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData

PREDICTION_ROWS = 1 << 17  # rows per batch when predicting rows of a file
POPULARITY = 1e-6  # largest addition to a ranking score: orders items that a model scores equally


class Model(LightningModule, ArtifactSource, Configurable, ABC):
    """A LightningModule whose `forward(batch)` gives one prediction per row, in the data's unit.

    Attributes:
        requires: Names of the dataset columns that the model reads. A dataset that lacks one of them is rejected before
            any work starts.
        replicates: Names of the settings in the model's YAML, at any depth, that are seeds. Runs that differ only in
            them are replicates and are averaged.
        version: Version of the algorithm; increase it when the same settings give other results, so that runs of before
            count as other experiments. 0: the first version.
        uses_seed: Whether the key `seed` changes the model. False: every seed gives the same run, and a sweep runs one.
            A subclass does not inherit False, as it may add randomness.
        instead: What needs less memory than this model, for the message that it does not fit.
        matmul_precision: Precision of products of float32 matrices on a GPU: "highest", or "high" to allow
            TensorFloat-32, which has ten bits of mantissa: enough for gradients, not for systems of equations.
        operations_per_second: Rough number of the operations in `cost` that one core does in a second.
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    replicates: ClassVar[frozenset[str]] = frozenset()
    version: ClassVar[int] = 0
    uses_seed: ClassVar[bool] = True
    instead: ClassVar[str] = ""
    matmul_precision: ClassVar[str] = "highest"
    operations_per_second: ClassVar[float] = 2e9
    is_allocated = False
    warm_start: WarmStart | None = None  # the earlier run from which training is to continue

    @abstractmethod
    def batches(self, data: Any, rank: int, world_size: int) -> Iterable[Any]:
        """Return the training batches of one epoch: the share of this process, without repeated rows."""

    @property
    @abstractmethod
    def counts(self) -> Counts:
        """Counts of the training data of the trainer."""

    def cost(self, counts: Counts) -> Cost:
        """Return what training on data with these counts needs. No trainer is needed, and nothing is allocated.

        By default, this is the memory of one copy of what the model holds now.
        """
        return Cost(memory=size_of(self), checkpoint=size_of(self), operations=counts.n_rows)

    def seconds(self, counts: Counts) -> float:
        """Return a rough estimate of the CPU seconds of training."""
        return self.cost(counts).operations / self.operations_per_second

    def setup(self, stage: str) -> None:
        """Refuse to train before anything is allocated if the memory does not suffice; warn about long training."""
        device = self.trainer.strategy.root_device
        torch.set_float32_matmul_precision(self.matmul_precision if device.type == "cuda" else "highest")
        if stage != "fit":
            return
        name, counts = type(self).__name__, self.counts
        # Several processes share the main memory of a machine.
        share = 1 if device.type == "cuda" else self.trainer.num_devices
        check_memory(name, self.cost, counts, available_memory(device) / share, self.instead)
        if device.type == "cpu":
            warn_if_long(name, self.seconds(counts), counts)

    def allocate(self) -> None:
        """Create the parameters and buffers whose shapes depend on the data; called once, when the sizes are known."""

    def configure_model(self) -> None:
        """Call `allocate` once. Lightning calls this hook before every stage; learned values are kept."""
        if not self.is_allocated:
            self.allocate()
            self.is_allocated = True
            if self.warm_start:
                self.warm_start.match(self.trainer.datamodule)  # type: ignore[attr-defined]
                self.warm_start.why_not = self.start_from(self.warm_start)

    def start_from(self, earlier: WarmStart) -> str:
        """Take over the parameters of an earlier run, for the users and items that the data still have.

        Returns:
            Why training starts from scratch instead; empty if it continues. By default, no model continues.
        """
        return "it keeps nothing from which its training could continue"

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Register the saved buffers: some are as long as the training set.

        Raises:
            DamagedTensorError: A tensor has another shape than the model allocates.
        """
        self.configure_model()
        learned, allocated = {name for name, _ in self.named_parameters()}, self.state_dict()
        for name, saved in checkpoint["state_dict"].items():
            check_shape(name, saved, allocated.get(name))
            owner, _, leaf = name.rpartition(".")
            if name not in learned:
                self.get_submodule(owner).register_buffer(leaf, torch.empty_like(saved, device=self.device))

    def provenance(self) -> dict[str, Any]:
        """Return facts about the trained model for `provenance.json`, as plain values."""
        return {}

    @abstractmethod
    def predict_rows(self, rows: pl.DataFrame, *, cache: Path) -> tuple[NDArray[np.float32], dict[str, int]]:
        """Predict rows that are not part of a dataset.

        Args:
            rows: Rows of a file, with the columns that the model needs.
            cache: Folder for embeddings that are computed once.

        Returns:
            Predictions, shape (n,), and the number of rows with each kind of missing input, such as unknown users.

        Raises:
            UserError: A column is missing or has the wrong type.
        """

    def validation_step(self, batch: Any, batch_index: int) -> Tensor:
        return self(batch)

    def test_step(self, batch: Any, batch_index: int) -> Tensor:
        return self(batch)

    def predict_step(self, batch: Any, batch_index: int) -> Tensor:
        return self(batch)


def tensor_versions(module: nn.Module) -> list[tuple[int, int]]:
    """Return address and version of each tensor of a module; they differ after torch has changed or replaced one."""
    tensors = (*module.parameters(), *module.buffers())
    return [(tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]


class ManualOptimization(Model):
    """A model that updates itself in `training_step`, in closed form or by its own kernel, without an optimiser."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.automatic_optimization = False

    def configure_optimizers(self) -> None:
        """Return no optimiser."""

    def count_step(self) -> None:
        """Increase Lightning's step count, without which it saves no new checkpoint."""
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()


class RatingModel(Model):
    """A model that predicts a user's rating of an item and ranks the whole catalogue for a user.

    `n_users` and `n_items` come from the data or from the checkpoint. Tables indexed by user or item have one row more:
    index -1, which stands for an unknown id, selects the fallback in the last row.

    Models learn, predict and score in points; see `anirec.data.scale`. Steps and `predict_rows` return predictions in
    the unit of the data.

    Attributes:
        uses_unrated: Whether the model also trains on interactions without a rating.
        predicts_ratings: Whether the model predicts ratings at all; imported lists do not.
        rates_by_bias: Whether the predicted ratings are those of the bias model, as of models made for lists.
        uses_order: Whether the order of the rows of a new user, from first to last, changes what `fold_in` returns.
        ranks_by_rating: Whether the scores of `score_items` and `fold_in` are predicted ratings.
        block_rows: Target number of rows per training batch, which holds whole users.
        users_at_once: Number of users that `score_items` scores in the least time per user on the CPU; None: as many as
            have 4 MB of scores.
        bytes_per_row: Memory that training needs for each training row, beyond the data.
        rating_scale: That of the data.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id", "rating"})
    uses_unrated: ClassVar[bool] = False
    predicts_ratings: bool = True
    uses_order: bool = False
    ranks_by_rating: bool = True
    rates_by_bias: bool = False
    block_rows: ClassVar[int] = 1 << 18
    users_at_once: ClassVar[int | None] = None
    bytes_per_row: ClassVar[int] = 0
    rating_scale: Scale = Scale()

    def training_rows(self, data: "RatingData") -> Interactions:
        return data.train_and_unrated if self.uses_unrated else data.train

    def batches(self, data: "RatingData", rank: int, world_size: int) -> Iterable[RatingBatch]:
        return UserBlocks(self.training_rows(data), rows=self.block_rows, rank=rank, world_size=world_size)

    @property
    def counts(self) -> Counts:
        return Counts(len(self.training_rows(self.data)), n_users=self.data.n_users, n_items=self.data.n_items)

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: by default two copies of the tables that `allocate` creates, and the rows."""
        size = size_of(self.shapes(counts))
        rows = self.bytes_per_row * counts.n_rows
        return Cost(memory=2 * size + rows, checkpoint=size, operations=counts.n_rows)

    def shapes(self, counts: Counts) -> Self:
        """Return a copy of the model as `allocate` creates it for these counts, with tensors that have no memory."""
        model = copy.copy(self)
        for registered in ("_parameters", "_buffers", "_modules"):
            model.__dict__[registered] = copy.copy(getattr(self, registered))
        model.n_users, model.n_items = counts.n_users, counts.n_items
        with without_memory():
            model.allocate()
        return model

    @torch.no_grad()
    def copy_from(self, earlier: WarmStart) -> str:
        """Copy all parameters and buffers of an earlier run; rows of new users and items keep their initial values.

        Returns:
            Why they cannot be copied, because of other settings for example; empty if they have been.
        """
        n_users, n_items = self.n_users, self.n_items
        sizes = [(n_users, n_items), (n_users + 1, n_items), (n_users, n_items + 1)]
        shapes, more_users, more_items = (
            {name: tensor.shape for name, tensor in tensors_of(self.shapes(Counts(1, n_users=u, n_items=i))).items()}
            for u, i in sizes
        )
        own = tensors_of(self)
        axes: dict[str, str | None] = dict.fromkeys(own)
        for axis, longer in (("user_id", more_users), ("item_id", more_items)):
            axes |= {name: axis for name in own if name in shapes and longer[name][:1] != shapes[name][:1]}
        if problem := next(filter(None, (earlier.why_unlike(name, own[name], axes[name]) for name in own)), ""):
            return problem
        for name, tensor in own.items():
            earlier.copy_rows(name, tensor, axes[name])
        return ""

    def setup(self, stage: str) -> None:
        self.n_users, self.n_items, self.rating_scale = self.data.n_users, self.data.n_items, self.data.scale
        if stage == "fit" and "rating" in self.requires and np.isnan(self.data.train.rating).all():
            raise UserError(
                f"{type(self).__name__} learns from ratings, and no training row has a rating. Use a dataset with "
                "ratings, filters that keep rated rows, or a model that ranks without ratings, such as ease."
            )
        super().setup(stage)

    @property
    def data(self) -> "RatingData":
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sizes"] = {"n_users": self.n_users, "n_items": self.n_items}
        checkpoint["scale"] = self.rating_scale.record()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.n_users, self.n_items = (
            checkpoint["sizes"]["n_users"],
            checkpoint["sizes"]["n_items"],
        )
        self.rating_scale = Scale.of(checkpoint.get("scale"))
        ids = checkpoint.get("RatingData", {})
        self.vocabularies = {name: Vocabulary.restored(values) for name, values in ids.items()}
        for name, n in zip(("user_id", "item_id"), (self.n_users, self.n_items), strict=True):
            if ids and len(self.vocabularies[name]) != n:
                raise DamagedTensorError(f"{name} has {len(self.vocabularies[name])} ids, expected {n}")
        super().on_load_checkpoint(checkpoint)

    def predict_rows(self, rows: pl.DataFrame, *, cache: Path) -> tuple[NDArray[np.float32], dict[str, int]]:
        require_columns(rows, {"user_id", "item_id"})
        user, item = (encode_ids(self.vocabularies[name], rows[name]) for name in ("user_id", "item_id"))
        unrated = torch.full((len(rows),), float("nan"))
        batches = zip(*(column.split(PREDICTION_ROWS) for column in (user, item, unrated)), strict=True)
        predictions = torch.cat([self(RatingBatch(*batch)) for batch in batches])
        unknown = {"unknown users": int((user < 0).sum()), "unknown titles": int((item < 0).sum())}
        return self.rating_scale.from_points(predictions).numpy(), unknown

    @torch.no_grad()
    def on_test_start(self) -> None:
        """Let each `HistoryReader` read the histories at test: this model, or models of which it consists."""
        data, readers = self.data, [part for part in self.modules() if isinstance(part, HistoryReader)]
        self.of_training = {name: dict(module._buffers) for name, module in self.named_modules() if readers}
        if readers and data.split.val_is_earlier and len(data.val):
            for reader in readers:
                rows = reader.training_rows(data).merge(data.given).merge(data.val_in_points)
                reader.read_histories(self.rows_of_parts(rows))

    def on_test_end(self) -> None:
        for name, buffers in self.of_training.items():
            self.get_submodule(name)._buffers.update(buffers)

    def rows_of_parts(self, rows: Interactions) -> Interactions:
        """Return rows of the data as the models of which this one consists number users and items."""
        return rows

    def validation_step(self, batch: RatingBatch, batch_index: int) -> Tensor:
        return self.rating_scale.from_points(self(batch))

    def test_step(self, batch: RatingBatch, batch_index: int) -> Tensor:
        return self.rating_scale.from_points(self(batch))

    def predict_step(self, batch: RatingBatch, batch_index: int) -> Tensor:
        return self.rating_scale.from_points(self(batch))

    def score_items(self, users: Tensor) -> Tensor:
        """Return ranking scores of all items, shape (B, n_items), float; higher is better.

        By default, the score of an item is its predicted rating.

        Args:
            users: User indices, int64 (B,); -1 for an unknown user.
        """
        items = torch.arange(self.n_items, device=users.device)
        unrated = torch.empty(0, device=users.device)
        rows = [self(RatingBatch(user.expand(len(items)), items, unrated)) for user in users]
        return torch.stack(rows)


class HistoryReader(RatingModel):
    """Base class of models that rank by a user's newest entries, whose history is therefore longer at test.

    The parameters are always those learned from the training rows. Where the validation rows of a user are earlier
    than the test rows, as in splits in time, they are part of the history from which the test lists are made. This is
    the usual protocol of next-item recommendation, such as that of RecBole. The training history counts again after
    the test, in validation and in the checkpoint. This also holds for a model within another one; see
    `RatingModel.on_test_start`.
    """

    @abstractmethod
    def read_histories(self, rows: Interactions) -> None:
        """Make `score_items` rank by these rows of all users; only buffers change, and none of them in place."""


@runtime_checkable
class SupportsFoldIn(Protocol):
    """Protocol of rating models that also rank for new users, that is, models that define `fold_in`."""

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        """Return ranking scores for users who were not in training, shape (n, n_items), as `score_items` does.

        Args:
            batch: Histories of the new users, numbered 0 to n - 1; the rating is NaN where there is none. Rows with
                item -1 are ignored; if a pair occurs twice, its last rating counts.
            n: Number of new users. One without a row gets the scores of an unknown user.
        """
        ...


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def require_columns(rows: pl.DataFrame, columns: Collection[str]) -> None:
    """Raise UserError if the rows lack one of the columns."""
    if missing := sorted(set(columns) - set(rows.columns)):
        raise UserError(f"no column {', '.join(missing)}; there are {', '.join(rows.columns)}")


def popularity_tie_break(count_i: Tensor) -> Tensor:
    """Return a tiny addition to the ranking scores, (n_items,), proportional to each item's interaction count."""
    return POPULARITY * count_i / count_i.max()


def encode_ids(vocabulary: Vocabulary, raw: pl.Series) -> Tensor:
    """Return the indices of raw ids, int64 (n,); -1 for an id that was not in the run's data."""
    is_integer = vocabulary.ids.dtype.is_integer()
    if is_integer and raw.dtype == pl.String:  # as cells of CSV are read; 20.0 as pandas writes it
        cells, raw = raw, raw.str.strip_chars().str.strip_suffix(".0").cast(pl.Int64, strict=False)
        if (broken := (cells.is_not_null() & raw.is_null()).arg_true()).len():
            row = int(broken[0])
            raise UserError(
                f"column {raw.name}, row {row + 1}: {cells[row]!r} is no whole number, as ids of this run are"
            )
    if is_integer != raw.dtype.is_integer():
        kind = "whole numbers" if is_integer else "text"
        raise UserError(f"column {raw.name} holds {raw.dtype}, expected {kind}, as in the data of this run")
    return torch.from_numpy(vocabulary.encode(raw.cast(vocabulary.ids.dtype)).astype("int64"))
