"""`anirec recommend`: what a user of the data, or anybody else, should watch next; from the run folder."""

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
from anirec.inference.histories import histories, scan
from anirec.inference.likes import read_likes
from anirec.inference.list_filters import Wanted
from anirec.inference.people import Person, newcomer, user_of
from anirec.inference.predict import load
from anirec.inference.recommend_tables import recommendations, terminal_table, write_csv, write_json
from anirec.inference.reranking import reranked
from anirec.inference.title_search import TitleSearch
from anirec.metrics.item_statistics import genre_matrix
from anirec.models.base import RatingModel

CANDIDATES = 5  # times as many as the list is long: what the re-ranker chooses from
AT_LEAST = 50  # candidates, however short the list


def recommend(
    run: Path,
    *,
    user: str | None,
    likes: Sequence[str],
    k: int,
    wanted: Wanted,
    personal: float,
    novelty: float,
    seen: bool,
    csv: Path | None = None,
    json: Path | None = None,
    console: Console | None = None,
) -> None:
    """Print a list with reasons, and write it where asked.

    Args:
        run: Folder of a finished run of a rating model.
        user: Id of a user of its data, or None for
        likes: What somebody likes; see `read_likes`.
        k: Length of the list; >= 1.
        wanted: Which titles may be in it.
        personal: 0 to rank by the model's scores, to 1 for what they are above those of somebody unknown. For models of
            ratings, to which the best titles are the best for almost everybody.
        novelty: 0 for the best scores to 1 for the least known and least alike; see `reranked`.
        seen: Whether what they have seen may be in it.
        csv, json: Files to write.
        console: Where to print.

    Raises:
        UserError: The run cannot recommend, a title or user is unknown, or nothing fits.
    """
    console = console or Console(highlight=False)
    if (user is None) != bool(likes):
        raise UserError('give one of --user ID and --likes "Cowboy Bebop=9; Monster=10"')
    for option, value in {"personal": personal, "novelty": novelty}.items():
        if not 0 <= value <= 1:
            raise UserError(f"--{option} {value:g}: expected a number from 0 to 1")
    model = load(run)
    if not isinstance(model, RatingModel):
        raise UserError(
            f"{run}: {type(model).__name__} does not rank titles for people; use a run of such as model=ease"
        )
    items = titles(run, model.n_items)
    fits = wanted.among(items)
    with torch.inference_mode():
        person = told(model, items, likes, console) if user is None else user_of(model, histories(run, model), user)
        person = person.beyond(model, personal)
        if not seen:
            fits[person.item.numpy()] = False
        chosen = best(items, person.score_i.numpy(), fits, k=k, novelty=novelty)
        places = person.reasons(model, torch.from_numpy(chosen))
    is_planned = np.isin(chosen, person.planned.numpy())
    scores = pl.Series(person.score_i.numpy()[chosen])
    table = recommendations(items[chosen], scores, named(items, person, places), is_planned)
    if csv:
        write_csv(table, csv)
    if json:
        write_json(table, json)
    console.print(terminal_table(table))


def titles(run: Path, n_items: int) -> pl.DataFrame:
    """The run's titles in index order."""
    items = scan(run / "items.parquet").collect()
    if len(items) != n_items or not {"item_id", "title", "n_ratings"} <= set(items.columns):
        raise UserError(f"{run / 'items.parquet'}: damaged, or not the titles of this run's model")
    items = items.with_columns(pl.col("title").fill_null(pl.col("item_id").cast(pl.String)))
    if "genres" not in items.columns:
        items = items.with_columns(genres=pl.lit([], pl.List(pl.String)))
    return items


def told(model: RatingModel, items: pl.DataFrame, likes: Sequence[str], console: Console) -> Person:
    """Somebody who is in no dump; says which titles were understood where they are not as written."""
    try:
        found = read_likes(likes, TitleSearch(items))
    except UserError as error:
        raise UserError(f"--likes: {error}") from None
    for liked in found:
        title = items["title"][liked.item]
        if liked.written != title:
            console.print(f"{escape(liked.written)} -> {escape(title)}")
    return newcomer(model, found)


def best(
    items: pl.DataFrame, score_i: NDArray[Any], fits: NDArray[np.bool_], *, k: int, novelty: float
) -> NDArray[np.int64]:
    """The indices of the k items to recommend, best first; fewer where no more fit."""
    fitting = np.flatnonzero(fits)
    if not len(fitting):
        raise UserError("no title is left that fits and that they have not seen; loosen a filter, or allow --seen")
    order = np.argsort(-score_i[fitting], kind="stable")[: max(AT_LEAST, CANDIDATES * k)]
    candidates = fitting[order]
    counts, genres = items["n_ratings"].to_numpy()[candidates], genre_matrix(items["genres"])[candidates]
    return candidates[reranked(score_i[candidates], counts, genres, k=k, novelty=novelty)]


def named(items: pl.DataFrame, person: Person, places: Sequence[Sequence[int]]) -> list[list[tuple[str, float]]]:
    """Title and rating of each place in the person's history."""
    return [[(items["title"][int(person.item[p])], float(person.rating[p])) for p in of_item] for of_item in places]
