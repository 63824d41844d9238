"""`anirec recommend`: recommend titles to a user of the run's data or to a new user, from a run folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from anirec.errors import UserError
from anirec.inference.histories import read_histories, scan_parquet
from anirec.inference.lists import TitleFilter, rerank
from anirec.inference.people import Person, fold_in_likes, known_user
from anirec.inference.predict import load
from anirec.inference.tables import recommendations, terminal_list, write_csv, write_json
from anirec.inference.title_search import TitleSearch, read_likes
from anirec.metrics.beyond_accuracy import genre_matrix
from anirec.models.base import RatingModel

CANDIDATES_PER_ITEM = 5  # candidates of the re-ranker, as a multiple of the list's length
MIN_CANDIDATES = 50


def recommend(
    run: Path,
    *,
    user: str | None,
    likes: Sequence[str],
    k: int,
    title_filter: TitleFilter,
    personal: float,
    novelty: float,
    seen: bool,
    csv: Path | None = None,
    json: Path | None = None,
    console: Console | None = None,
) -> None:
    """Print a list of recommendations with reasons, and optionally write it to files.

    Args:
        run: Folder of a finished run of a rating model.
        user: Id of a user of the run's data; exclusive with `likes`.
        likes: Titles and ratings of a new user; see `read_likes`.
        k: Length of the list; >= 1.
        title_filter: Conditions on the recommended titles.
        personal: Share, 0 to 1, of the scores of an unknown user that is subtracted. Useful for models of ratings, to
            which the best titles are the best for almost every user.
        novelty: From 0 for the highest scores to 1 for the least known and most diverse titles; see `rerank`.
        seen: Whether to include titles that the person has seen.
        csv, json: Files to write.
        console: Where to print; default: the terminal.

    Raises:
        UserError: The run cannot recommend, a title or user is unknown, or no title is left.
    """
    console = console or Console(highlight=False)
    if (user is None) != bool(likes):
        raise UserError('Set either --user ID or --likes "Cowboy Bebop=9; Monster=10".')
    for option, value in {"personal": personal, "novelty": novelty}.items():
        if not 0 <= value <= 1:
            raise UserError(f"--{option} {value:g}: expected a number from 0 to 1")
    model = load(run)
    if not isinstance(model, RatingModel):
        raise UserError(
            f"{run}: {type(model).__name__} does not rank titles for users; use, for example, a run of model=ease"
        )
    items = read_titles(run, model.n_items)
    is_candidate = title_filter.matches(items)
    with torch.inference_mode():
        if user is None:
            person = new_user(model, items, likes, console)
        else:
            person = known_user(model, read_histories(run, model), user)
        person = person.personalized(model, personal)
        if not seen:
            is_candidate[person.item.numpy()] = False
        chosen = best_items(items, person.score_i.numpy(), is_candidate, k=k, novelty=novelty)
        reasons = person.explain(model, torch.from_numpy(chosen))
    is_planned = np.isin(chosen, person.planned.numpy())
    scores = pl.Series(person.score_i.numpy()[chosen])
    table = recommendations(items[chosen], scores, reason_titles(items, person, reasons), is_planned)
    if csv:
        write_csv(table, csv)
    if json:
        write_json(table, json)
    console.print(terminal_list(table))


def read_titles(run: Path, n_items: int) -> pl.DataFrame:
    """Return the run's titles in index order; a missing name is replaced by the id.

    Raises:
        UserError: items.parquet is missing, damaged or of another run.
    """
    items = scan_parquet(run / "items.parquet").collect()
    if len(items) != n_items or not {"item_id", "title", "n_ratings"} <= set(items.columns):
        raise UserError(f"{run / 'items.parquet'}: damaged, or the titles of another run")
    items = items.with_columns(pl.col("title").fill_null(pl.col("item_id").cast(pl.String)))
    if "genres" not in items.columns:
        items = items.with_columns(genres=pl.lit([], pl.List(pl.String)))
    return items


def new_user(model: RatingModel, items: pl.DataFrame, likes: Sequence[str], console: Console) -> Person:
    """Return a person with these likes; print each title whose name differs from what was typed."""
    try:
        found = read_likes(likes, TitleSearch(items))
    except UserError as error:
        raise UserError(f"--likes: {error}") from None
    for liked in found:
        title = items["title"][liked.item]
        if liked.written != title:
            console.print(f"{escape(liked.written)} -> {escape(title)}")
    return fold_in_likes(model, found)


def best_items(
    items: pl.DataFrame, score_i: NDArray[Any], is_candidate: NDArray[np.bool_], *, k: int, novelty: float
) -> NDArray[np.int64]:
    """Return the indices of the k items to recommend, best first; fewer if there are fewer candidates.

    Raises:
        UserError: There are no candidates.
    """
    allowed = np.flatnonzero(is_candidate)
    if not len(allowed):
        raise UserError("No unseen title passes the filters; loosen a filter, or add --seen.")
    order = np.argsort(-score_i[allowed], kind="stable")[: max(MIN_CANDIDATES, CANDIDATES_PER_ITEM * k)]
    candidates = allowed[order]
    counts, genres = items["n_ratings"].to_numpy()[candidates], genre_matrix(items["genres"])[candidates]
    return candidates[rerank(score_i[candidates], counts, genres, k=k, novelty=novelty)]


def reason_titles(
    items: pl.DataFrame, person: Person, reasons: Sequence[Sequence[int]]
) -> list[list[tuple[str, float]]]:
    """Return title and rating of the history entries at these positions, for each recommended item."""
    return [
        [(items["title"][int(person.item[p])], float(person.rating[p])) for p in positions] for positions in reasons
    ]
