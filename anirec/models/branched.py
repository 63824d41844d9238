"""Models that see titles through branches: fitted on training titles once, kept in the checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import nn

from anirec.features.branch import Branch
from anirec.features.encoders import check_fingerprint
from anirec.models.base import Model


class Branched(Model):
    """A model with branches, each one kind of information about a title.

    Args:
        branches: By name.
    """

    def __init__(self, *, branches: Mapping[str, Branch], **settings: Any) -> None:
        super().__init__(**settings)
        self.branches = nn.ModuleDict(branches)
        self.is_fitted = False

    def branch(self, name: str) -> Branch:
        return self.branches[name]  # type: ignore[return-value]

    def provenance(self) -> dict[str, Any]:
        """What each branch saw, and which weights of a frozen encoder saw it."""
        seen = {
            name: {**branch.coverage, "fingerprint": branch.description().get("fingerprint")}  # type: ignore[dict-item, operator]
            for name, branch in self.branches.items()
        }
        return {"branches": seen} if seen else {}

    def fit(self, titles: pl.DataFrame) -> None:
        """Learn vocabularies and scales from the training titles."""
        for branch in self.branches.values():
            branch.fit(titles)  # type: ignore[operator]

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        """Let the branches read these titles; batches refer to them by row."""
        for branch in self.branches.values():
            branch.look(titles, cache=cache, device=device)  # type: ignore[operator]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["branches"] = {name: branch.description() for name, branch in self.branches.items()}  # type: ignore[operator]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.is_fitted:
            for name, description in checkpoint["branches"].items():
                found = self.branch(name).description().get("fingerprint")
                check_fingerprint(name, description.get("fingerprint"), found or "none")
        else:
            for name, description in checkpoint["branches"].items():
                self.branch(name).restore(description)
            self.is_fitted = True
        super().on_load_checkpoint(checkpoint)
