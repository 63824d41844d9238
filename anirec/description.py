"""`anirec data describe`: what is in a dataset, as ratings and as titles to be judged, in tables and a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.table import Table

from anirec.atomic import replacing
from anirec.checks import targets
from anirec.composition import conf_folder, plain
from anirec.config import COMPOSITION_ERRORS, parsed, report, validate
from anirec.data.catalogue import FIRST, Catalogue, all_prepared, by_name
from anirec.data.cleaning import Cleaning
from anirec.data.extraneous import before_ablation, by_band, of_all, with_score
from anirec.data.inventory import cleaning_steps, corpus_lines, facts, histogram
from anirec.data.sources.source import Source
from anirec.errors import UserError
from anirec.inventory import CONSOLE, check_name, source_of
from anirec.report.description import band_table, cleaning_table, correlation_table, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_ANY = ("dataset.source", "paths")  # the keys that a description depends on,
OF_CORPUS = (*OF_ANY, "dataset.joined", "dataset.cleaning")  # and one of titles to be judged
FORMATS = (".png", ".pdf", ".svg")


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
    config = composed(name, overrides)
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


def composed(name: str, overrides: Sequence[str]) -> DictConfig:
    """The config of the dataset as a corpus.

    Raises:
        UserError: Some override is wrong, as `anirec validate` would say it, or is not of `OF_CORPUS`.
    """
    whole = [f"dataset={name}", "datamodule@dataset=corpus", *overrides]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        check_name(name)
        try:
            config = compose("config", whole)
        except COMPOSITION_ERRORS as error:
            found: Exception | None = error
        else:
            found = None
    if found:
        raise wrong(name, whole) from found
    refuse_unread(name, overrides, OF_CORPUS)
    parts = {key: part for key, part in plain(config.dataset).items() if f"dataset.{key}" in OF_CORPUS}
    if problems := list(targets({"dataset": parts})):
        raise UserError(report({problem: [] for problem in problems}, n_jobs=0))
    return config


def wrong(name: str, overrides: Sequence[str]) -> UserError:
    """What `anirec validate` says of overrides that do not compose."""
    source, _ = source_of(name)
    makes_do = ["split=random", f"model={'popularity' if 'user_id' in source.columns else 'mean'}"]
    try:
        validate([*makes_do, *overrides])
    except UserError as error:
        return error
    return UserError("Several values for a key: one description is made at a time.")


def refuse_unread(name: str, overrides: Sequence[str], keys: tuple[str, ...], why: str = "") -> None:
    """Raise a UserError if some override is of none of these keys."""
    unread = [
        override.input_line or ""
        for override in parsed(overrides)
        if not any(f"{override.key_or_group}.".startswith(f"{key}.") for key in keys)
    ]
    if unread:
        told = f"{', '.join(unread)}: this changes nothing of what is said of {name}; what does: {', '.join(keys)}."
        raise UserError(f"{told} {why}".strip())


def made(node: DictConfig | None) -> Any:
    """What the node's `_target_` makes of it; an error in there comes out as itself."""
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ or error from None


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
        from anirec.report.description_figure import by_score

        write(by_score(bands), figure)
        CONSOLE.print(f"The figure is in {figure}", soft_wrap=True, markup=False)
    else:
        CONSOLE.print("--figure FILE.png draws words and main characters by score.")


def show(table: Table) -> None:
    CONSOLE.print(table)
    CONSOLE.print()


def write(figure: "Figure", path: Path) -> None:
    """
    Raises:
        UserError: It cannot be written there.
    """
    try:
        with replacing(path) as beside:
            figure.savefig(beside, format=path.suffix[1:].lower())
    except OSError as error:
        raise UserError(f"--figure {path}: it cannot be written there: {error.strerror}") from None
