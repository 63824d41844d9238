"""Generated titles with text, portraits and score, part of the package: no download, and the best prediction known."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from annotated_types import Ge

from anirec.data.sources.base import Source
from anirec.data.synthetic.title_world import TitleWorld
from anirec.settings import NonNegative, Seed


class DemoCorpus(Source):
    """What `anirec.data.synthetic.title_world.TitleWorld` generates; it takes the same arguments."""

    columns: ClassVar = frozenset(
        {
            "item_id",
            "title",
            "type",
            "genres",
            "studios",
            "score",
            "scored_by",
            "members",
            "synopsis",
            "character_id",
            "name",
            "description",
            "portrait",
            "role",
        }
    )
    version = 1

    def __init__(
        self,
        *,
        n_titles: Annotated[int, Ge(10)],
        synopsis: NonNegative,
        descriptions: NonNegative,
        portraits: NonNegative,
        franchise: NonNegative,
        noise: NonNegative,
        seed: Seed,
    ) -> None:
        self.settings: dict[str, Any] = {
            "n_titles": n_titles,
            "synopsis": synopsis,
            "descriptions": descriptions,
            "portraits": portraits,
            "franchise": franchise,
            "noise": noise,
            "seed": seed,
        }

    @cached_property
    def world(self) -> TitleWorld:
        return TitleWorld(**self.settings)

    def options(self) -> Mapping[str, Any]:
        return self.settings

    def facts(self) -> Mapping[str, float]:
        return self.world.facts()

    def items(self) -> pl.LazyFrame:
        return self.world.items().lazy()

    def characters(self) -> pl.LazyFrame:
        return self.world.characters().lazy()

    def appearances(self) -> pl.LazyFrame:
        return self.world.appearances().lazy()

    def draw(self, folder: Path) -> None:
        self.world.draw(folder)
