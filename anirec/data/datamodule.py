"""The base class of the datamodules of ratings, titles and posts."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from anirec.artifacts import ArtifactSource
from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.lightning import LightningDataModule
from anirec.settings import Configurable


class Data(LightningDataModule, ArtifactSource, Configurable, ABC):
    """A cleaned and split dataset as a LightningDataModule; the model defines its training batches."""

    is_loaded = False
    scale: Scale = Scale()  # of ratings and scores

    @abstractmethod
    def load(self) -> None:
        """Read the prepared tables, clean and split them; called once, by `setup`."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, float]:
        """Known values of metrics, such as the best reachable error of generated data; empty if there are none."""

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Return fingerprints of the data and of the split; runs of the same `family` may be ranked together."""

    def setup(self, stage: str) -> None:
        if not self.is_loaded:
            self.load()
            self.is_loaded = True

    def train_dataloader(self) -> Iterable[Any]:
        trainer: Any = self.trainer
        return trainer.lightning_module.batches(self, trainer.global_rank, trainer.world_size)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raise a UserError for a checkpoint of other data, where the same indices mean other users, titles or tags."""
        own = self.state_dict()
        if state.keys() != own.keys() or not all(np.array_equal(state[name], own[name]) for name in own):
            raise UserError(
                "The checkpoint was trained on other data than this config reads. Start a new run with resume=false."
            )
