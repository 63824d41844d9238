"""A tree is read without a key: every box has its numbers, every edge its tag, and nothing stands on another."""

from itertools import combinations

import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from anirec.figures.tree import draw_tree

pytestmark = pytest.mark.slow

COLUMNS = {
    "node": pl.Int64,
    "left": pl.Int64,
    "right": pl.Int64,
    "tag": pl.String,
    "n": pl.Int64,
    "mean": pl.Float64,
    "sd": pl.Float64,
}
TAGS = ["kantai_collection", "female_admiral_(kantai_collection)", "translation_request", "1girl", "$_$"]


def full(depth: int) -> pl.DataFrame:
    """Nodes numbered as in a heap; children 2i + 1 without, 2i + 2 with the tag."""
    n_nodes, first_leaf = 2 ** (depth + 1) - 1, 2**depth - 1
    rows = [
        (i, 2 * i + 1, 2 * i + 2, TAGS[i % 5], 2_200_000 - i, i / n_nodes, 1.0)
        if i < first_leaf
        else (i, None, None, None, 1_000_000 + i, i / n_nodes, None)
        for i in range(n_nodes)
    ]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


UNEVEN = pl.DataFrame(
    [
        (0, 1, 2, "original", 100, 0.5, None),
        (1, None, None, None, 60, 0.25, None),
        (2, 3, 4, "comic", 40, 0.875, None),
        (3, None, None, None, 30, 1.0, None),
        (4, None, None, None, 10, 0.5, None),
    ],
    schema=COLUMNS,
    orient="row",
)


def height(axes, words: str) -> float:
    """Of that text above the bottom, in inches."""
    return next(axes.get_ylim()[0] - text.get_position()[1] for text in axes.texts if text.get_text() == words)


@pytest.mark.parametrize("depth", [1, 4, 6])
def test_nothing_overlaps_and_all_is_on_the_page(depth):
    figure = draw_tree(full(depth))
    renderer = FigureCanvasAgg(figure).get_renderer()
    (axes,) = figure.axes
    extents = [text.get_window_extent(renderer) for text in axes.texts]
    assert not [pair for pair in combinations(extents, 2) if Bbox.intersection(*pair)]
    assert all(figure.bbox.containsx(e.x0) and figure.bbox.containsx(e.x1) for e in extents)
    assert all(figure.bbox.containsy(e.y0) and figure.bbox.containsy(e.y1) for e in extents)


def test_names_stay_out_of_the_boxes():
    figure = draw_tree(full(4))
    renderer = FigureCanvasAgg(figure).get_renderer()
    (axes,) = figure.axes
    boxes = [patch.get_window_extent(renderer) for patch in axes.patches]
    names = [text.get_window_extent(renderer) for text in axes.texts if text.get_ha() == "left"]
    assert not [1 for name in names for box in boxes if Bbox.intersection(name, box)]


def test_depth_four_fits_a_page():
    assert draw_tree(full(4)).get_figwidth() == pytest.approx(7)


def test_boxes_have_means_and_numbers_and_edges_have_tags():
    (axes,) = draw_tree(UNEVEN).axes
    words = [text.get_text() for text in axes.texts]
    assert {"0.88", "40", "0.25", "60"} <= set(words)
    assert {"original", "not original", "comic", "not comic"} <= set(words)
    assert len(axes.patches) == 5
    assert height(axes, "original") > height(axes, "not original")
    assert height(axes, "40") > height(axes, "60")


def test_leaves_are_evenly_spread():
    (axes,) = draw_tree(UNEVEN).axes
    heights = [height(axes, n) for n in ("10", "30", "60")]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2])


def test_the_higher_the_mean_the_darker_the_box():
    (axes,) = draw_tree(UNEVEN).axes
    means = [text for text in axes.texts if "." in text.get_text()]
    lightness = {float(mean.get_text()): sum(box_of(axes, mean).get_facecolor()[:3]) for mean in means}
    assert sorted(lightness, key=lightness.get) == sorted(lightness, reverse=True) == [1.0, 0.88, 0.5, 0.25]


def box_of(axes, text):
    x, y = text.get_position()
    return next(box for box in axes.patches if box.get_bbox().contains(x, y))


@pytest.mark.parametrize("n_nodes", [0, 1])
def test_tiny_trees_are_drawn(n_nodes, saved):
    figure = draw_tree(full(0).head(n_nodes))
    saved(figure)
    assert [len(axes.patches) for axes in figure.axes] == [n_nodes]
