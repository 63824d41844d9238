"""What every model of a post's score shares: it sees the post's tags."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from anirec.data.posts.datamodule import PostBatch, Posts, posts_of
from anirec.models.base import Model

TRAINING_ROWS = 1 << 15


class PostModel(Model):
    """Predicts the votes for a post, in points, from the tags that it has among those that the dataset chose."""

    requires: ClassVar[frozenset[str]] = frozenset({"tags", "score"})

    @property
    def data(self) -> Posts:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    @property
    def n_tags(self) -> int:
        return len(self.tags)

    def batches(self, data: Posts, rank: int, world_size: int) -> Iterable[PostBatch]:
        return data.blocks(data.train, rows=TRAINING_ROWS, rank=rank, world_size=world_size)

    def setup(self, stage: str) -> None:
        self.tags: list[str] = self.data.tags["tag"].to_list()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["tags"] = self.tags

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.tags = checkpoint["tags"]
        if not all(isinstance(tag, str) for tag in self.tags):
            raise TypeError("tags that are no text")
        super().on_load_checkpoint(checkpoint)

    def predict_rows(self, rows: pl.DataFrame, *, cache: Path) -> tuple[NDArray[np.float32], dict[str, int]]:
        """Scores of posts that need not exist: `tags` as text with spaces between, or lists."""
        found = [posts_of(some, self.tags) for some in rows.iter_slices(TRAINING_ROWS)]
        lacking = {what: sum(counts[what] for _, counts in found) for what in found[0][1]}
        return torch.cat([self(batch) for batch, _ in found]).numpy(), lacking
