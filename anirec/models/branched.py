"""Models with branches: encoders of title metadata, fitted on the training titles and saved in the checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from anirec.features.branch import Branch, mean_pool
from anirec.features.encoders import check_fingerprint
from anirec.features.tfidf import TfIdf
from anirec.models.base import Model


class Branched(Model):
    """Base class of models that read titles through branches, one for each kind of information about a title.

    Args:
        branches: Branches by name.
    """

    def __init__(self, *, branches: Mapping[str, Branch], **settings: Any) -> None:
        super().__init__(**settings)
        self.branches = nn.ModuleDict(branches)
        self.is_fitted = False

    def branch(self, name: str) -> Branch:
        return self.branches[name]  # type: ignore[return-value]

    def provenance(self) -> dict[str, Any]:
        """Return the coverage of each branch and the fingerprint of its frozen encoder."""
        branches = {
            name: {**branch.coverage, "fingerprint": branch.description().get("fingerprint")}  # type: ignore[dict-item, operator]
            for name, branch in self.branches.items()
        }
        return {"branches": branches} if branches else {}

    def fit(self, titles: pl.DataFrame) -> None:
        """Fit the branches, that is, their vocabularies and scales, on the training titles."""
        for branch in self.branches.values():
            branch.fit(titles)  # type: ignore[operator]

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        """Let the branches encode these titles; batches refer to them by row number."""
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


def branch_features(branch: Branch, index: Tensor) -> csr_matrix:
    """Return the features of titles, shape (B, n_features(branch)).

    They are TF-IDF weights, or the mean vector of a title's members (such as its characters) followed by an indicator
    of whether it has any.
    """
    if isinstance(branch, TfIdf):
        return branch.matrix(index.cpu().numpy())
    members = branch(index)
    present = members.present.any(dim=1, keepdim=True)
    rows = torch.cat([mean_pool(members.values, members.present), present], dim=1)
    return csr_matrix(rows.double().cpu().numpy())


def n_features(branch: Branch) -> int:
    """Return the number of columns of `branch_features`."""
    return branch.width + (not isinstance(branch, TfIdf))
