"""Warm start: training continues from the parameters of an earlier run, on newer data with other users and items."""

import copy
import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from anirec.data.ratings.interactions import Vocabulary
from anirec.errors import UserError
from anirec.models.checkpoint import best_or_last, read_checkpoint
from anirec.notices import warn

IDS = {"user_id": "users", "item_id": "titles"}
FEW = 0.1  # a share of the ids; fewer are hardly those of the same dataset


class WarmStart:
    """The best checkpoint of an earlier run of a rating model, and which of its users and items the data still have.

    Args:
        run: Folder of the earlier run.

    Attributes:
        index: For each user and item of the new data, its index in the earlier run, int64; -1 for a new one.
        sizes: Number of users and of items of the earlier run.
        why_not: Why the model was trained from scratch; empty if it has continued.

    Raises:
        UserError: The run kept no checkpoint, a damaged one, or is not one of ratings.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        path = best_or_last(run)
        if path is None:
            raise UserError(f"warm_start={run}: no checkpoint there. Run its config again with checkpoints=best")
        self.path, self.checkpoint = path, read_checkpoint(path)
        if "RatingData" not in self.checkpoint:
            raise UserError(f"warm_start={run}: not a run of a rating model, so that no user or title can be matched")
        self.index: dict[str, Tensor] = {}
        self.sizes: dict[str, int] = {}
        self.why_not = ""

    def match(self, data: Any) -> None:
        """Find the users and items of the data in the earlier run.

        Raises:
            UserError: The earlier run has learned from rows that the data hold out, or none of the ids is in both.
        """
        self.check_times(data.bounds)
        for name, own in zip(IDS, (data.user_vocabulary, data.item_vocabulary), strict=True):
            earlier = Vocabulary.restored(self.checkpoint["RatingData"][name])
            ids = own.ids.cast(earlier.ids.dtype, strict=False)
            self.index[name], self.sizes[name] = torch.from_numpy(earlier.encode(ids).astype(np.int64)), len(earlier)
        known = {name: int((index >= 0).sum()) for name, index in self.index.items()}
        counts = " and ".join(f"{known[name]:,} of {len(self.index[name]):,} {what}" for name, what in IDS.items())
        if not any(known.values()):
            raise UserError(f"warm_start={self.run}: that run knows {counts} of the data. Use data with the same ids.")
        if any(known[name] < FEW * min(len(self.index[name]), self.sizes[name]) for name in IDS):
            warn(f"The earlier run knows only {counts}; the others count as new. Have the ids changed?")

    def check_times(self, bounds: dict[str, str]) -> None:
        """Raise a UserError unless all rows that the data hold out are later than what the earlier run has learned."""
        try:
            learned = json.loads((self.run / "provenance.json").read_text(encoding="utf-8"))["split"].get("train_until")
        except (OSError, ValueError, LookupError, AttributeError) as error:
            raise UserError(f"{self.run / 'provenance.json'}: missing or damaged: {error}") from None
        if not bounds or not isinstance(learned, str):
            which = "this split" if not bounds else f"the split of {self.run}"
            raise UserError(
                f"warm_start: {which} does not divide the rows at one time, so that the earlier run may have learned "
                "from rows that are tested now. Use split=temporal, rolling or air_date for both runs."
            )
        if learned >= bounds["held_out_from"]:
            raise UserError(
                f"warm_start={self.run}: that run has learned from rows until {learned}, and this split holds out rows "
                f"from {bounds['held_out_from']} on. Use newer data or a later window, such as a larger split.fold."
            )

    def why_unlike(self, name: str, own: Tensor, axis: str | None) -> str:
        """Return why a tensor of the earlier run cannot be copied into one of the new model; empty if it can be.

        Args:
            name: Name of the tensor in the checkpoint.
            own: The tensor of the new model.
            axis: Whose rows it has: "user_id", "item_id", or None for those of neither.
        """
        old: Tensor | None = self.checkpoint["state_dict"].get(name)
        if old is not None:
            size = list(old.shape)
            if size and axis:
                size[0] += len(self.index[axis]) - self.sizes[axis]
            if size == list(own.shape):
                return ""
        return f"{name} has the shape {tuple(own.shape)}, and had {None if old is None else tuple(old.shape)}"

    def copy_rows(self, name: str, own: Tensor, axis: str | None) -> None:
        """Copy a tensor of the earlier run into `own`, by the ids of its rows.

        Rows of new users and items keep their initial values, and so do rows that are 0 in the earlier run, which has
        not trained them.
        """
        old: Tensor = self.checkpoint["state_dict"][name]
        if axis is None:
            own.copy_(old)
            return
        n = len(self.index[axis])
        fallback = torch.arange(len(own) - n)  # the rows that stand for unknown ids
        source = torch.cat([self.index[axis], self.sizes[axis] + fallback])
        target = torch.nonzero(source >= 0)[:, 0]
        rows = old[source[target]]
        is_trained = (rows != 0).reshape(len(rows), -1).any(1)
        own.index_copy_(0, target[is_trained].to(own.device), rows[is_trained].to(own.device))

    def of_part(self, prefix: str) -> Self:
        """Return the parameters of a model within the model, whose names begin with `prefix`."""
        part, state = copy.copy(self), self.checkpoint["state_dict"]
        own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        part.checkpoint = {**self.checkpoint, "state_dict": own}
        return part

    def provenance(self) -> dict[str, Any]:
        n = {name: int((index >= 0).sum()) for name, index in self.index.items()}
        return {"warm_start": {"run": str(self.run), "why_not": self.why_not, "known": n}}
