"""`anirec data describe`: tables and figures about the ratings, titles or posts of a dataset.

Torch and Matplotlib are imported only by the functions that need them, so that a description starts quickly.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anirec.data.sources.base import Source
from anirec.data.titles.catalogue import FIRST, Catalogue, prepare_all, sources_by_name
from anirec.data.titles.cleaning import Cleaning
from anirec.describing import tables
from anirec.describing.datasets import (
    CONSOLE,
    FORMATS,
    SOURCE_KEYS,
    compose_dataset,
    create_object,
    create_source,
    print_table,
    refuse_unread,
    save_figure,
)
from anirec.describing.summary import (
    before_ablation,
    cleaning_steps,
    corpus_lines,
    dataset_facts,
    histogram,
    score_correlations,
    statistics_by_band,
    statistics_of_all,
)
from anirec.describing.tables import band_table, cleaning_table, correlation_table, grid
from anirec.errors import UserError
from anirec.metrics.rating import mae, rmse

if TYPE_CHECKING:
    from anirec.data.posts.datamodule import Posts
    from anirec.models.posts.tag_pca_ols import TagPcaOls

POST_KEYS = (*SOURCE_KEYS, "dataset.sampling", "dataset.tags", "dataset.ties")
MAX_COMPONENTS = 100
POSTS_PER_COMPONENT = 10  # with fewer, the regression would overfit


def show_posts(name: str, overrides: Sequence[str], figure: Path | None, config_dir: str | None = None) -> None:
    """Print a summary of posts: their scores, the errors of constant predictions, and effects and correlations of tags.

    Args:
        name: Dataset of posts.
        overrides: Overrides of the keys `POST_KEYS`.
        figure: Stem and format of figure files: posts.png gives posts_scores.png, posts_tag_effects.png and so on.

    Raises:
        UserError: An override is invalid or has no effect, a file is missing, or no tag is frequent enough.
    """
    from anirec.data.posts.datamodule import Posts

    if figure and figure.suffix.lower() not in FORMATS:
        raise UserError(f"--figure {figure}: expected a file name that ends in {', '.join(FORMATS)}")
    config = compose_dataset(name, overrides, datamodule="posts", keys=POST_KEYS, config_dir=config_dir)
    parts = {key: create_object(config.dataset[key]) for key in ("source", "sampling", "tags")}
    data = Posts(**parts, ties=list(config.dataset.ties), split=create_object(config.split), cache=config.paths.cache)
    data.read()
    print_table(grid(dataset_facts(data.source, data.prepared)))
    if len(data.scores):
        print_table(tables.score_table(data.scores))
        print_table(tables.constant_table(constant_errors(data)))
    data.choose()
    regression = fit_tag_effects(data) if data.sampled().any() else None
    if regression:
        n = regression.components
        CONSOLE.print(f"Effects of tags on the score, in points, from a regression on {n} principal components\n")
        print_table(tables.effect_table(regression.tables["effects"]))
    else:
        CONSOLE.print("Effects of tags on the score cannot be estimated: the sample has no post with a score.\n")
    print_table(tables.pair_table(data.tables["tag_pairs"]))
    if "tag_ties" in data.tables:
        print_table(tables.tie_table(data.tables["tag_ties"]))
    for sentence in regression.findings if regression else []:
        CONSOLE.print(sentence)
    if figure:
        for figure_name, picture in {**data.figures, **(regression.figures if regression else {})}.items():
            path = figure.with_stem(f"{figure.stem}_{figure_name}")
            save_figure(picture, path, name)
            CONSOLE.print(f"Figure written to {path}", soft_wrap=True, markup=False)
    else:
        CONSOLE.print("Add --figure FILE.png to draw these tables, in files FILE_scores.png and so on.")


def constant_errors(data: "Posts") -> dict[tuple[str, str], dict[str, float]]:
    """Return value, MAE and RMSE of always predicting the mean and the median, for all posts and for the sample."""
    from anirec.evaluation.posts import constants

    found = {}
    for posts, kept in (("all posts", np.isfinite(data.score)), ("sampled posts", data.sampled())):
        if kept.any():
            score = data.score[kept]
            for which, value in constants(score).items():
                found[which, posts] = {"value": value, "mae": mae(value, score), "rmse": rmse(value, score)}
    return found


def fit_tag_effects(data: "Posts") -> "TagPcaOls":
    """Fit the scores of the sampled posts by least squares on the principal components of their tags."""
    from anirec.data.posts.datamodule import EVALUATION_ROWS
    from anirec.models.posts.tag_pca_ols import TagPcaOls

    index = np.flatnonzero(data.sampled())
    model = TagPcaOls(components=min(MAX_COMPONENTS, len(data.tags), max(1, len(index) // POSTS_PER_COMPONENT)))
    model.tags = data.tags["tag"].to_list()
    model.configure_model()
    for batch in data.blocks(index, rows=EVALUATION_ROWS):
        model.accumulate(batch)
    model.solve()
    return model


TITLE_KEYS = (*SOURCE_KEYS, "dataset.joined", "dataset.cleaning")


def show_description(name: str, overrides: Sequence[str], figure: Path | None, config_dir: str | None = None) -> None:
    """Print a summary of a dataset: its posts, or its ratings and, if it has synopses and scores, its titles.

    Args:
        name: Dataset.
        overrides: Overrides of the keys `TITLE_KEYS`, or `POST_KEYS` for posts.
        figure: File of the figure about titles, or stem of the figures about posts.

    Raises:
        UserError: An override is invalid or has no effect, a file is missing, or there are no titles to draw.
    """
    if figure and figure.suffix.lower() not in FORMATS:
        raise UserError(f"--figure {figure}: expected a file name that ends in {', '.join(FORMATS)}")
    if "tags" in create_source(name, config_dir)[0].columns:
        show_posts(name, overrides, figure, config_dir)
        return
    config = compose_dataset(name, overrides, datamodule="corpus", keys=TITLE_KEYS, config_dir=config_dir)
    sources, cache = (
        sources_by_name(create_object(config.dataset.source), create_object(config.dataset.joined)),
        Path(config.paths.cache),
    )
    prepared = prepare_all({FIRST: sources[FIRST]}, cache)
    lacking = lacking_columns(sources, prepared[FIRST].report)
    if lacking:
        why = f"{name} has no {' and no '.join(lacking)}, so titles are not described"
        refuse_unread(name, overrides, SOURCE_KEYS, f"{why}.")
        if figure:
            raise UserError(f"--figure {figure}: {why} and nothing can be drawn")
    elif prepared[FIRST].interactions:
        CONSOLE.print("Ratings by users\n", style="bold")
    print_table(grid(dataset_facts(sources[FIRST], prepared[FIRST])))
    if bars := histogram(prepared[FIRST]):
        print_table(grid(bars))
    if not lacking:
        prepared |= prepare_all({key: source for key, source in sources.items() if key != FIRST}, cache)
        CONSOLE.print("Titles with scores\n", style="bold")
        show_titles(name, Catalogue(sources, prepared), create_object(config.dataset.cleaning), figure)


def lacking_columns(sources: Mapping[str, Source], report: Mapping[str, Any]) -> list[str]:
    """Return those of synopsis and score that no source has, or that are empty in the first source's dump."""
    columns = frozenset().union(*(source.columns for source in sources.values())) - set(report["empty_columns"])
    return [column for column in ("synopsis", "score") if column not in columns]


def show_titles(name: str, catalogue: Catalogue, cleaning: Cleaning, figure: Path | None) -> None:
    """Print how many titles each cleaning rule drops, and a summary of the kept titles; draw it if `figure` is set."""
    titles, removed = catalogue.clean(cleaning)
    print_table(cleaning_table(cleaning_steps(cleaning, removed, len(catalogue.characters()))))
    print_table(grid(corpus_lines(titles)))
    scale = catalogue.scale
    bands = statistics_by_band(titles, scale)
    print_table(band_table(bands, statistics_of_all(titles), scale))
    if cleaning.ablate_below is None:
        print_table(correlation_table({f"{len(titles):,} titles": score_correlations(titles)}))
        CONSOLE.print("Add dataset.cleaning.ablate_below=0.2 to drop highly rated titles with long synopses")
        CONSOLE.print("until the correlation of length and score is below 0.2.")
    else:
        unablated, _ = catalogue.clean(before_ablation(cleaning))
        both = {f"{len(unablated):,} before ablation": unablated, f"{len(titles):,} after ablation": titles}
        print_table(correlation_table({which: score_correlations(table) for which, table in both.items()}))
        CONSOLE.print(
            f"The ablation dropped the {removed['ablate_below']:,} titles with the longest synopses, among those\n"
            f"with a score of at least {cleaning.ablate_min_score:g} and more than {cleaning.ablate_min_words} words."
        )
    if figure:
        save_figure(tables.plot_by_score(bands, scale), figure, name)
        CONSOLE.print(f"Figure written to {figure}", soft_wrap=True, markup=False)
    else:
        CONSOLE.print("Add --figure FILE.png to draw synopsis length and main characters by score.")
