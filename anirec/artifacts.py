"""What data, model and evaluation have to show of a run, beside numbers: each what it knows."""

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ArtifactSource:
    """Tables and figures by the names of their files, and sentences; nothing unless a class says so."""

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """What to keep for later comparisons."""
        return {}

    @property
    def figures(self) -> dict[str, "Figure"]:
        """Pictures, drawn when asked for."""
        return {}

    @property
    def findings(self) -> list[str]:
        """What the numbers and figures say, in sentences for people."""
        return []
