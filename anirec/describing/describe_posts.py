"""`anirec data describe` of posts: their scores, what their tags do to them, and which tags go together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anirec.data.posts.datamodule import EVALUATION_ROWS, Posts
from anirec.describing import post_tables as tables
from anirec.describing.config import FORMATS, OF_ANY, composed, made, show, write
from anirec.describing.datasets import CONSOLE
from anirec.describing.summary import facts
from anirec.describing.tables import grid
from anirec.errors import UserError
from anirec.evaluation.posts import constants
from anirec.metrics.rating import mae, rmse
from anirec.models.posts.tag_pca_ols import TagPcaOls

OF_POSTS = (*OF_ANY, "dataset.sampling", "dataset.tags", "dataset.ties")
COMPONENTS = 100  # of at most as many tags,
POSTS_EACH = 10  # and of so many posts each: fewer say nothing


def show_posts(name: str, overrides: Sequence[str], figure: Path | None) -> None:
    """Print what was read, the scores and what constants come to, the effects of tags, and tags that go together.

    Args:
        overrides: Of the keys `OF_POSTS`.
        figure: Names the files of figures: for posts.png posts_scores.png, posts_tag_effects.png and so on.

    Raises:
        UserError: Overrides are wrong or change nothing here; files are missing; no tag is frequent enough.
    """
    if figure and figure.suffix.lower() not in FORMATS:
        raise UserError(f"--figure {figure}: expected a file that ends in {', '.join(FORMATS)}")
    config = composed(name, overrides, datamodule="posts", keys=OF_POSTS)
    parts = {key: made(config.dataset[key]) for key in ("source", "sampling", "tags")}
    data = Posts(**parts, ties=list(config.dataset.ties), split=made(config.split), cache=config.paths.cache)
    data.read()
    show(grid(facts(data.source, data.prepared)))
    if len(data.scores):
        show(tables.score_table(data.scores))
        show(tables.constant_table(of_constants(data)))
    data.choose()
    regression = fitted(data) if data.sampled().any() else None
    if regression:
        n = regression.components
        CONSOLE.print(f"What tags do to the score, in points, as far as {n} components of them tell\n")
        show(tables.effect_table(regression.tables["effects"]))
    else:
        CONSOLE.print("What tags do to the score cannot be told: no post with a score is sampled.\n")
    show(tables.pair_table(data.tables["tag_pairs"]))
    if "tag_ties" in data.tables:
        show(tables.tie_table(data.tables["tag_ties"]))
    for sentence in regression.findings if regression else []:
        CONSOLE.print(sentence)
    if figure:
        for drawn, picture in {**data.figures, **(regression.figures if regression else {})}.items():
            path = figure.with_stem(f"{figure.stem}_{drawn}")
            write(picture, path)
            CONSOLE.print(f"A figure is in {path}", soft_wrap=True, markup=False)
    else:
        CONSOLE.print("--figure FILE.png draws all of this, in files whose names begin so.")


def of_constants(data: Posts) -> dict[tuple[str, str], dict[str, float]]:
    """Value, mean absolute error and RMSE of always predicting the mean and the median, of all posts and the sample."""
    found = {}
    for of_whom, kept in (("all posts", np.isfinite(data.score)), ("sampled posts", data.sampled())):
        if kept.any():
            score = data.score[kept]
            for which, value in constants(score).items():
                found[which, of_whom] = {"value": value, "mae": mae(value, score), "rmse": rmse(value, score)}
    return found


def fitted(data: Posts) -> TagPcaOls:
    """Least squares on the components of the sampled posts' tags."""
    index = np.flatnonzero(data.sampled())
    model = TagPcaOls(components=min(COMPONENTS, len(data.tags), max(1, len(index) // POSTS_EACH)))
    model.tags = data.tags["tag"].to_list()
    model.configure_model()
    for batch in data.blocks(index, rows=EVALUATION_ROWS):
        model.accumulate(batch)
    model.solve()
    return model
