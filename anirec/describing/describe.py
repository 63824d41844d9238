"""`anirec data describe`: what is in a dataset, as ratings, as titles to be judged, or as posts; tables and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anirec.data.sources.base import Source
from anirec.data.titles.catalogue import FIRST, Catalogue, all_prepared, by_name
from anirec.data.titles.cleaning import Cleaning
from anirec.describing.config import FORMATS, OF_ANY, composed, made, refuse_unread, show, write
from anirec.describing.datasets import CONSOLE, source_of
from anirec.describing.summary import cleaning_steps, corpus_lines, facts, histogram
from anirec.describing.surface_features import before_ablation, by_band, of_all, with_score
from anirec.describing.tables import band_table, cleaning_table, correlation_table, grid
from anirec.errors import UserError

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
        from anirec.describing.describe_posts import show_posts

        show_posts(name, overrides, figure)
        return
    config = composed(name, overrides, datamodule="corpus", keys=OF_CORPUS)
    sources, cache = by_name(made(config.dataset.source), made(config.dataset.joined)), Path(config.paths.cache)
    prepared = all_prepared({FIRST: sources[FIRST]}, cache)
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
        prepared |= all_prepared({key: source for key, source in sources.items() if key != FIRST}, cache)
        CONSOLE.print("Titles to be judged\n", style="bold")
        show_titles(Catalogue(sources, prepared), made(config.dataset.cleaning), figure)


def lacking_columns(sources: Mapping[str, Source], report: Mapping[str, Any]) -> list[str]:
    """What a corpus must have and no source has; the first's copy of its dump may lack what others of its kind have."""
    columns = frozenset().union(*(source.columns for source in sources.values())) - set(report["empty_columns"])
    return [column for column in ("synopsis", "score") if column not in columns]


def show_titles(catalogue: Catalogue, cleaning: Cleaning, figure: Path | None) -> None:
    """Print what cleaning drops and what the kept titles are like; draw them if asked to."""
    titles, removed = catalogue.cleaned(cleaning)
    show(cleaning_table(cleaning_steps(cleaning, removed, len(catalogue.characters()))))
    show(grid(corpus_lines(titles)))
    bands = by_band(titles)
    show(band_table(bands, of_all(titles)))
    if cleaning.ablate_below is None:
        show(correlation_table({f"{len(titles):,} titles": with_score(titles)}))
        CONSOLE.print("dataset.cleaning.ablate_below=0.2 drops long synopses of well-judged titles")
        CONSOLE.print("until their length says less of the score.")
    else:
        whole, _ = catalogue.cleaned(before_ablation(cleaning))
        both = {f"{len(whole):,} before ablation": whole, f"{len(titles):,} after ablation": titles}
        show(correlation_table({which: with_score(table) for which, table in both.items()}))
        CONSOLE.print(
            f"The ablation dropped {removed['ablate_below']:,} titles, those with the longest synopses, of all\n"
            f"with a score from {cleaning.ablate_min_score:g} and more than {cleaning.ablate_min_words} words."
        )
    if figure:
        from anirec.describing.figure import by_score

        write(by_score(bands), figure)
        CONSOLE.print(f"The figure is in {figure}", soft_wrap=True, markup=False)
    else:
        CONSOLE.print("--figure FILE.png draws words and main characters by score.")
