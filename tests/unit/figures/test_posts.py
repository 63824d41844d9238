"""A reader of the pictures of scores sees every post counted, the spike, and every predictor."""

import polars as pl
import pytest

from anirec.figures.posts import draw_error_by_band, draw_score_histogram

pytestmark = pytest.mark.slow

COUNTS = pl.DataFrame(
    {
        "score": [-13, -8, 0, 1, 15, 16, 17, 40, 250],
        "population": [3, 4, 900_000, 200_000, 10, 700, 9, 1, 5],
        "sample": [0, 1, 9_000, 2_000, 0, 7, 0, 0, 1],
    }
)
ERRORS = pl.DataFrame(
    {
        "band": ["0", "1 to 4", "from 5"],
        "n": [70_912, 28_000, 820],
        "model": [0.35, 0.9, 6.1],
        "median": [0.0, 1.7, None],
    }
)


def bars(axes) -> dict[str, dict[float, float]]:
    """Heights by group and score."""
    return {
        patch.get_label(): dict(zip(patch.get_data().edges + 0.5, patch.get_data().values, strict=False))
        for patch in axes.patches
    }


def test_every_score_has_its_count_and_the_ends_gather_those_beyond():
    axes = draw_score_histogram(COUNTS).axes[0]
    population = bars(axes)["population"]
    assert axes.get_yscale() == "log"
    assert population[-8] == 7
    assert population[40] == 6
    assert population[16] > 50 * population[15]
    assert sum(population.values()) == COUNTS["population"].sum()
    assert [bars(axes)["sample"][score] for score in (0, 2, 16)] == [9_000, 0, 7]
    assert 16 in axes.get_xticks()


def test_groups_look_different():
    axes = draw_score_histogram(COUNTS).axes[0]
    assert [patch.get_fill() for patch in axes.patches] == [True, False]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["population", "sample"]


def test_each_predictor_is_a_line_over_the_bands():
    figure = draw_error_by_band(ERRORS)
    axes = figure.axes[0]
    model, median = axes.get_lines()
    assert list(model.get_ydata()) == [0.35, 0.9, 6.1]
    assert list(median.get_ydata()[:2]) == [0, 1.7]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["model", "median"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0\n70,912", "1 to 4\n28,000", "from 5\n820"]
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 6.1


@pytest.mark.parametrize("n", [0, 1, 2])
def test_tiny_tables_are_drawn(n, saved):
    histogram, errors = draw_score_histogram(COUNTS.head(n)), draw_error_by_band(ERRORS.head(n))
    saved(histogram)
    saved(draw_score_histogram(COUNTS.head(n).select("score")))
    saved(errors)
    saved(draw_error_by_band(ERRORS.head(n).select("band", "n", "median")))
    assert sum(bars(histogram.axes[0])["population"].values()) == COUNTS.head(n)["population"].sum()
    assert list(errors.axes[0].get_lines()[0].get_ydata()) == ERRORS.head(n)["model"].to_list()
