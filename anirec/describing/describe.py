"""`anirec data describe`: what is in a dataset, as ratings, as titles to be judged, or as posts; tables and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anirec.data.posts.datamodule import EVALUATION_ROWS, Posts
from anirec.data.sources.base import Source
from anirec.data.titles.catalogue import FIRST, Catalogue, prepare_all, sources_by_name
from anirec.data.titles.cleaning import Cleaning
from anirec.describing import tables
from anirec.describing.datasets import CONSOLE, FORMATS, OF_ANY, composed, made, refuse_unread, show, source_of, write
from anirec.describing.summary import (
    before_ablation,
    by_band,
    cleaning_steps,
    corpus_lines,
    facts,
    histogram,
    of_all,
    with_score,
)
from anirec.describing.tables import band_table, cleaning_table, correlation_table, grid
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


OF_CORPUS = (*OF_ANY, "dataset.joined", "dataset.cleaning")  # what the description of titles depends on


def show_description(name: str, overrides: Sequence[str], figure: Path | None) -> None:
    """Print what was read, what there is of ratings and, with synopses and scores, of titles to be judged.

    Args:
        overrides: Of the keys `OF_CORPUS`.
        figure: Where to draw the titles.

    Raises:
        UserError: Overrides are wrong or change nothing here; files are missing; there are no titles to draw.
    """
    if figure and figure.suffix.lower() not in FORMATS:
        raise UserError(f"--figure {figure}: expected a file that ends in {', '.join(FORMATS)}")
    if "tags" in source_of(name)[0].columns:
        show_posts(name, overrides, figure)
        return
    config = composed(name, overrides, datamodule="corpus", keys=OF_CORPUS)
    sources, cache = sources_by_name(made(config.dataset.source), made(config.dataset.joined)), Path(config.paths.cache)
    prepared = prepare_all({FIRST: sources[FIRST]}, cache)
    lacking = lacking_columns(sources, prepared[FIRST].report)
    if lacking:
        why = f"{name} has no {' and no '.join(lacking)} here, and so no titles to be judged"
        refuse_unread(name, overrides, OF_ANY, f"{why}.")
        if figure:
            raise UserError(f"--figure {figure}: {why}, which it would draw")
    elif prepared[FIRST].interactions:
        CONSOLE.print("Ratings by users\n", style="bold")
    show(grid(facts(sources[FIRST], prepared[FIRST])))
    if bars := histogram(prepared[FIRST]):
        show(grid(bars))
    if not lacking:
        prepared |= prepare_all({key: source for key, source in sources.items() if key != FIRST}, cache)
        CONSOLE.print("Titles to be judged\n", style="bold")
        show_titles(Catalogue(sources, prepared), made(config.dataset.cleaning), figure)


def lacking_columns(sources: Mapping[str, Source], report: Mapping[str, Any]) -> list[str]:
    """What a corpus must have and no source has; the first's copy of its dump may lack what others of its kind have."""
    columns = frozenset().union(*(source.columns for source in sources.values())) - set(report["empty_columns"])
    return [column for column in ("synopsis", "score") if column not in columns]


def show_titles(catalogue: Catalogue, cleaning: Cleaning, figure: Path | None) -> None:
    """Print what cleaning drops and what the kept titles are like; draw them if asked to."""
    titles, removed = catalogue.clean(cleaning)
    show(cleaning_table(cleaning_steps(cleaning, removed, len(catalogue.characters()))))
    show(grid(corpus_lines(titles)))
    bands = by_band(titles)
    show(band_table(bands, of_all(titles)))
    if cleaning.ablate_below is None:
        show(correlation_table({f"{len(titles):,} titles": with_score(titles)}))
        CONSOLE.print("dataset.cleaning.ablate_below=0.2 drops long synopses of well-judged titles")
        CONSOLE.print("until their length says less of the score.")
    else:
        whole, _ = catalogue.clean(before_ablation(cleaning))
        both = {f"{len(whole):,} before ablation": whole, f"{len(titles):,} after ablation": titles}
        show(correlation_table({which: with_score(table) for which, table in both.items()}))
        CONSOLE.print(
            f"The ablation dropped {removed['ablate_below']:,} titles, those with the longest synopses, of all\n"
            f"with a score from {cleaning.ablate_min_score:g} and more than {cleaning.ablate_min_words} words."
        )
    if figure:
        from anirec.describing.tables import by_score

        write(by_score(bands), figure)
        CONSOLE.print(f"The figure is in {figure}", soft_wrap=True, markup=False)
    else:
        CONSOLE.print("--figure FILE.png draws words and main characters by score.")
