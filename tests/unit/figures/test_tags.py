"""The pictures of tags pick the strongest, name them, and survive names that look like formulas."""

import polars as pl
import pytest

from anirec.figures.posts import draw_explained_variance, draw_tag_effects, draw_tag_pairs, draw_tag_ties

pytestmark = pytest.mark.slow

EFFECTS = pl.DataFrame(
    {
        "tag": [f"tag_{i}" for i in range(-20, 21)] + ["unknown"],
        "effect": [i / 10 for i in range(-20, 21)] + [None],
    }
).with_columns(low=pl.col("effect") - 0.1, high=pl.col("effect") + 0.1)
PAIRS = pl.DataFrame(
    {
        "tag": [f"tag_{i}" for i in range(30)],
        "other": ["solo"] * 30,
        "phi": [(-1) ** i * i / 30 for i in range(29)] + [float("nan")],
        "n_both": range(1_000, 1_030),
    }
)
TIES = pl.DataFrame(
    {
        "tag": ["1girl", "1boy", *(f"tag_{i}" for i in range(-9, 21))],
        "1girl": [1.0, -0.4, *(i / 30 for i in range(-9, 21))],
        "1boy": [-0.4, 1.0, *(-i / 30 for i in range(-9, 21))],
    }
)
COMPONENTS = pl.DataFrame(
    {
        "component": range(1, 13),
        "share": [0.04] * 12,
        "tags": [["+1girl", "\N{MINUS SIGN}1boy", "+dress"]] * 12,
    }
)


def names(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_effects_are_the_strongest_up_above_the_strongest_down():
    axes = draw_tag_effects(EFFECTS).axes[0]
    assert names(axes) == [f"tag_{i}" for i in [*range(20, 5, -1), *range(-6, -21, -1)]]
    assert axes.yaxis_inverted()


def test_effects_without_an_interval_are_dots_alone(saved):
    figure = draw_tag_effects(EFFECTS.with_columns(low=None, high=None))
    saved(figure)
    assert len(names(figure.axes[0])) == 30


def test_pairs_are_the_strongest_of_either_sign():
    axes = draw_tag_pairs(PAIRS).axes[0]
    assert names(axes) == [f"tag_{i} + solo" for i in range(28, 8, -1)]
    assert [bar.get_width() for bar in axes.patches[:2]] == pytest.approx([28 / 30, -27 / 30])
    assert "1,028" in {text.get_text() for text in axes.texts}


def test_ties_have_a_panel_for_each_tag_and_never_the_tag_itself():
    girl, boy = draw_tag_ties(TIES, ["1girl", "1boy"]).axes
    assert names(girl) == [*(f"tag_{i}" for i in range(20, 8, -1)), "tag_-7", "tag_-8", "tag_-9", "1boy"]
    assert names(boy)[:2] == ["tag_-9", "tag_-8"]
    assert "1boy" not in names(boy)
    assert "1boy" in boy.get_xlabel()


def test_a_place_without_a_panel_is_blank():
    figure = draw_tag_ties(TIES.with_columns(solo="1boy"), ["1girl", "1boy", "solo"])
    assert [axes.axison for axes in figure.axes] == [True, True, True, False]


def test_components_add_up_and_the_first_ten_are_named():
    total, each = draw_explained_variance(COMPONENTS).axes
    assert list(total.get_lines()[0].get_ydata()) == pytest.approx([4.0 * i for i in range(1, 13)])
    assert total.texts[0].get_text() == "12 components: 48%"
    assert names(each) == [str(i) for i in range(1, 11)]
    assert each.texts[0].get_text() == "+1girl  \N{MINUS SIGN}1boy  +dress"


@pytest.mark.parametrize("n", [0, 1, 2])
def test_tiny_tables_are_drawn(n, saved):
    figures = [
        draw_tag_effects(EFFECTS.head(n)),
        draw_tag_pairs(PAIRS[1:][:n]),
        draw_explained_variance(COMPONENTS.head(n)),
    ]
    for figure in (
        *figures,
        draw_tag_ties(TIES.head(n), ["1girl", "1boy"][:n]),
        draw_tag_ties(TIES.head(n), ["1girl", "1boy"]),
    ):
        saved(figure)
    assert [len(names(figure.axes[-1])) for figure in figures] == [n] * 3


def test_empty_columns_need_no_type(saved):
    for figure in (
        draw_tag_effects(pl.DataFrame({"tag": [], "effect": [], "low": [], "high": []})),
        draw_tag_pairs(pl.DataFrame({"tag": [], "other": [], "phi": [], "n_both": []})),
        draw_explained_variance(pl.DataFrame({"component": [], "share": [], "tags": []})),
        draw_tag_ties(pl.DataFrame({"tag": [], "1girl": []}), ["1girl"]),
    ):
        saved(figure)
        assert names(figure.axes[-1]) == []


def test_names_are_no_formulas(saved):
    odd = ["$_$", "^_^", "$", "{$_{$"]
    effects = draw_tag_effects(pl.DataFrame({"tag": odd, "effect": [1.0, 2, 3, -4]}).with_columns(low=None, high=None))
    tied = draw_tag_ties(pl.DataFrame({"tag": odd, "$_$": [1.0, 0.1, 0.2, -0.3]}), ["$_$"])
    variance = draw_explained_variance(pl.DataFrame({"component": [1], "share": [0.1], "tags": [odd]}))
    for figure in (effects, tied, variance):
        saved(figure)
    written = [name.replace("$", r"\$") for name in odd]
    assert sorted(names(effects.axes[0])) == sorted(written)
    assert sorted(names(tied.axes[0])) == sorted(written[1:])
    assert variance.axes[1].texts[0].get_text() == "  ".join(written)
