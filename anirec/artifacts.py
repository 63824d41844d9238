"""Artifacts of a run besides metrics: tables, figures and findings that data, model and evaluation contribute."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ArtifactSource:
    """Base class of objects that contribute tables, figures and findings to a run; all empty by default."""

    @property
    def tables(self) -> Mapping[str, pl.DataFrame | Iterable[pl.DataFrame]]:
        """Tables to save in the run folder, by file name; large ones in parts that are made when they are written."""
        return {}

    @property
    def figures(self) -> dict[str, "Figure"]:
        """Figures to save in the run folder, by file name; drawn on access."""
        return {}

    @property
    def findings(self) -> list[str]:
        """Plain-language sentences that summarise the results."""
        return []
