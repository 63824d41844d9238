"""A picture of what ought to say nothing of the score: length of synopses and size of casts by score.

Source: Armenta-Segura & Sidorov, PeerJ CS 11:e2715, 2025, figure 1.
"""

import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anirec.describing.tables import band_name
from anirec.figures.style import BLUE, COLUMN, GREY, STYLE

TICK = 6.5  # points: the counts of nine bands stand side by side


@rc_context(STYLE)
def by_score(bands: pl.DataFrame) -> Figure:
    """Two panels over the bands of the score, with the number of titles under each band.

    Args:
        bands: As `anirec.describing.surface_features.by_band` makes them.
    """
    figure = Figure(figsize=(2 * COLUMN + 0.4, 2.6), layout="constrained")
    words, characters = figure.subplots(1, 2)
    words.vlines(bands["from"], bands["words_low"], bands["words_high"], color=GREY, linewidth=4, alpha=0.4)
    means(words, bands, "words_mean", "words in the synopsis\n(mean, and the middle half)")
    means(characters, bands, "characters_mean", "main characters\n(mean)")
    return figure


def means(axes: Axes, bands: pl.DataFrame, column: str, label: str) -> None:
    axes.plot(bands["from"], bands[column], "o-", color=BLUE, markersize=4)
    ticks = [f"{band_name(first)}\n{n:,}" for first, n in bands.select("from", "titles").iter_rows()]
    axes.set_xticks(bands["from"].to_list(), ticks, fontsize=TICK)
    axes.margins(x=0.08)
    axes.set_ylim(0, 1.08 * max(axes.dataLim.ymax, 1))
    axes.set_xlabel("score, and number of titles")
    axes.set_ylabel(label)
