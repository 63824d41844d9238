"""What every dataset promises Lightning and a run: it is prepared once, loaded once, and says which data it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from pytorch_lightning import LightningDataModule

from anirec.artifacts import ArtifactSource
from anirec.errors import UserError
from anirec.settings import Configurable


class Data(LightningDataModule, ArtifactSource, Configurable, ABC):
    """A dataset, cleaned and split, as Lightning wants it. Its training batches are those that the model asks for."""

    is_loaded = False

    @abstractmethod
    def load(self) -> None:
        """Read the prepared tables, clean, split."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, float]:
        """What is known about the data beforehand, such as the best reachable error of what was generated."""

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Fingerprints of the data and of the split; runs of the same `family` may be ranked together."""

    def setup(self, stage: str) -> None:
        if not self.is_loaded:
            self.load()
            self.is_loaded = True

    def train_dataloader(self) -> Iterable[Any]:
        trainer: Any = self.trainer
        return trainer.lightning_module.batches(self, trainer.global_rank, trainer.world_size)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse a checkpoint of other data: to its model, indices would mean something else."""
        if state != self.state_dict():
            raise UserError(
                "The checkpoint was made on other data than this config reads; start a new run (resume=false)."
            )
