"""Models of a title's score that are solved at once from all training titles."""

from abc import abstractmethod
from collections.abc import Iterable

from torch import Tensor

from anirec.data.titles.datamodule import Corpus
from anirec.data.titles.loaders import TitleBatch, TitleBlocks
from anirec.models.one_pass import OnePass
from anirec.models.titles.base import ScoreModel


class ClosedForm(OnePass, ScoreModel):
    """Define `learn(titles)`; corpora are small, so that every process sees all titles and finds the same."""

    def batches(self, data: Corpus, rank: int, world_size: int) -> Iterable[TitleBatch]:
        return TitleBlocks(data.train, data.score, rows=len(data.train))

    def accumulate(self, batch: TitleBatch) -> None:
        self.titles = batch

    def reduce(self) -> None:
        """Nothing: no process has a part only."""

    def solve(self) -> None:
        self.learn(self.titles)
        self.log("train/unit_mse", self.unit_mse(self(self.titles), self.titles.score))

    @abstractmethod
    def learn(self, titles: TitleBatch) -> None:
        """Turn the training titles into the solution, in buffers."""


class Mean(ClosedForm):
    """The mean of the training scores for every title: what any other model must beat."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__(branches={})

    def allocate(self) -> None:
        self.register_buffer("mean", self.low.new_zeros(()))

    def learn(self, titles: TitleBatch) -> None:
        self.mean = titles.score.mean()

    def forward(self, batch: TitleBatch) -> Tensor:
        return self.mean.expand(len(batch.index))
