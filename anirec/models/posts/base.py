"""Base class of models that predict a post's score from its tags."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from anirec.data.posts.datamodule import PostBatch, Posts, posts_of
from anirec.models.base import Model
from anirec.models.cost import Counts

BATCH_ROWS = 1 << 15


class PostModel(Model):
    """A model that predicts the score of a post, in points, from those of its tags that the dataset selected."""

    requires: ClassVar[frozenset[str]] = frozenset({"tags", "score"})

    @property
    def data(self) -> Posts:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    @property
    def n_tags(self) -> int:
        return len(self.tags)

    def batches(self, data: Posts, rank: int, world_size: int) -> Iterable[PostBatch]:
        return data.blocks(data.train, rows=BATCH_ROWS, rank=rank, world_size=world_size)

    @property
    def counts(self) -> Counts:
        return Counts(len(self.data.train), n_tags=len(self.data.tags))

    def setup(self, stage: str) -> None:
        self.tags: list[str] = self.data.tags["tag"].to_list()
        super().setup(stage)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["tags"] = self.tags

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.tags = checkpoint["tags"]
        if not all(isinstance(tag, str) for tag in self.tags):
            raise TypeError("checkpoint: expected tags as text")
        super().on_load_checkpoint(checkpoint)

    def predict_rows(self, rows: pl.DataFrame, *, cache: Path) -> tuple[NDArray[np.float32], dict[str, int]]:
        """Predict scores of posts, also of hypothetical ones; `tags` are lists, or text separated by spaces."""
        found = [posts_of(part, self.tags) for part in rows.iter_slices(BATCH_ROWS)]
        lacking = {what: sum(counts[what] for _, counts in found) for what in found[0][1]}
        return torch.cat([self(batch) for batch, _ in found]).numpy(), lacking
