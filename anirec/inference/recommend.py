"""`anirec recommend`: recommend titles to users of the run's data or to a new user, from a run folder.

What a person types is checked against the run's tables first; the model, and with it torch, is loaded afterwards.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.errors import UserError
from anirec.inference.histories import check_users, read_histories
from anirec.inference.lists import TitleFilter, rerank
from anirec.inference.new_users.likes import Liked
from anirec.inference.new_users.new_user import read_given
from anirec.inference.new_users.own_list import OwnList
from anirec.inference.run_tables import check_model, check_number_of_titles, read_titles
from anirec.inference.tables import print_list, recommendations, write_csv, write_json
from anirec.inference.titles.franchises import add_franchises, stand_for_franchises
from anirec.inference.titles.title_search import TitleSearch
from anirec.metrics.beyond_accuracy import genre_matrix
from anirec.printable import Console

if TYPE_CHECKING:
    from anirec.inference.people import Person
    from anirec.models.base import RatingModel

RATING_MODEL = "anirec.models.base.RatingModel"
CANDIDATES_PER_ITEM = 5  # candidates of the re-ranker, as a multiple of the list's length
MIN_CANDIDATES = 50


def recommend(
    run: Path,
    *,
    users: Sequence[str],
    users_file: Path | None,
    likes: Sequence[str],
    own_list: Path | None = None,
    list_scale: str | None = None,
    unused: Path | None = None,
    yes: bool = False,
    k: int,
    title_filter: TitleFilter,
    personal: float,
    novelty: float,
    sequels: bool,
    seen: bool,
    skip_planned: bool = False,
    csv: Path | None = None,
    json: Path | None = None,
    console: Console | None = None,
) -> None:
    """Print lists of recommendations with reasons, and optionally write them to files.

    Args:
        run: Folder of a finished run of a rating model.
        users: Ids of users of the run's data; exclusive with `likes`.
        users_file: File with further ids, one per line.
        likes: Titles and ratings of a new user; see `read_likes`.
        own_list: File with a new user's list from a site, or a table; see `list_import`.
        list_scale: Scale of its scores, such as "1-10"; None for that of the site.
        unused: CSV file for the entries of the list that cannot be used; default: next to the list.
        yes: Whether to skip titles that are not found for sure, instead of asking on a terminal, or else of an error.
        k: Length of each list; >= 1.
        title_filter: Conditions on the recommended titles.
        personal: Share, 0 to 1, of the scores of an unknown user that is subtracted. Useful for models of ratings, to
            which the best titles are the best for almost every user.
        novelty: From 0 for the highest scores to 1 for the least known and most diverse titles; see `rerank`.
        sequels: Whether to include sequels, and more than one title per franchise.
        seen: Whether to include titles that the person has seen.
        skip_planned: Whether to leave out titles on the plan-to-watch list.
        csv, json: Files to write.
        console: Where to print; default: the terminal.

    Raises:
        UserError: The run cannot recommend, a title or user is unknown, or no title is left.
    """
    console = console or Console(highlight=False)
    users = [*users, *(read_users(users_file) if users_file else [])]
    if sum(map(bool, (users, likes, own_list))) > 1:
        raise UserError(
            "Set --user for users of the run's data, or --likes or --list for a new user: one of the three."
        )
    for option, value in {"personal": personal, "novelty": novelty}.items():
        if not 0 <= value <= 1:
            raise UserError(f"--{option} {value:g}: expected a number from 0 to 1")
    check_model(run, RATING_MODEL, "does not rank titles for users; use, for example, a run of model=ease")
    items = read_titles(run)
    is_match = title_filter.matches(items)
    if users:
        check_users(run, users)
    given = (
        None
        if users
        else read_given(
            run,
            TitleSearch(items),
            likes=likes,
            own_list=own_list,
            list_scale=list_scale,
            unused=unused,
            yes=yes,
            console=console,
        )
    )

    import torch

    from anirec.inference.predict import load
    from anirec.models.base import SupportsFoldIn

    model: RatingModel = load(run)  # type: ignore[assignment]  # a RatingModel: its class was checked
    check_number_of_titles(run, items, model.n_items)
    with torch.inference_mode():
        people = find_people(run, model, users, given)
        named = None if sequels else add_franchises(items)
        tables = [
            list_for(
                model,
                items,
                person,
                is_match,
                named,
                k=k,
                personal=personal,
                novelty=novelty,
                seen=seen,
                skip_planned=skip_planned,
            )
            for person in people.values()
        ]
    if users:
        ids = model.vocabularies["user_id"].ids.dtype
        tables = [
            table.select(pl.lit(user).cast(ids).alias("user_id"), pl.all())
            for user, table in zip(people, tables, strict=True)
        ]
    written = pl.concat(tables)
    if csv:
        write_csv(written, csv)
    if json:
        write_json(written, json)
    for user, table in zip(people, tables, strict=True):
        if len(people) > 1:
            console.print(f"\nUser {user}", markup=False)
        print_list(table, console)
    if not isinstance(model, SupportsFoldIn):
        console.print(
            f"No reasons from the user's list: {type(model).__name__} cannot score a list with a title removed.",
            markup=False,
        )
    if left_out := title_filter.left_out(items):
        console.print(left_out, markup=False)


def read_users(path: Path) -> list[str]:
    """Return the ids in a file with one id per line.

    Raises:
        UserError: The file cannot be read or has no id.
    """
    try:
        users = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--users {path}: cannot be read: {error}") from None
    if not users:
        raise UserError(f"--users {path}: expected one user id per line; the file is empty")
    return users


def find_people(
    run: Path, model: "RatingModel", users: Sequence[str], given: list[Liked] | OwnList | None
) -> dict[str, "Person"]:
    """Return the users of the run's data by id, or the new user with an empty id."""
    from anirec.inference.people import fold_in_likes, fold_in_list, known_user

    if given is None:
        histories = read_histories(run, model, users).collect().lazy()  # all of them in one pass over the entries
        return {user: known_user(model, histories, user) for user in dict.fromkeys(users)}
    return {"": fold_in_list(model, given) if isinstance(given, OwnList) else fold_in_likes(model, given)}


def list_for(
    model: "RatingModel",
    items: pl.DataFrame,
    person: "Person",
    is_match: NDArray[np.bool_],
    named: pl.DataFrame | None,
    *,
    k: int,
    personal: float,
    novelty: float,
    seen: bool,
    skip_planned: bool,
) -> pl.DataFrame:
    """Return the list of a person as a table; see `recommendations`.

    The arguments are those of `recommend`; `named` are the items with their franchises, or None to include sequels.
    """
    import torch

    score_i = person.personal_scores(model, personal).numpy()
    is_candidate = is_match.copy()
    if not seen:
        is_candidate[person.seen.numpy()] = False
    if skip_planned:
        is_candidate[person.planned.numpy()] = False
    if named is not None:
        is_candidate = stand_for_franchises(named, is_candidate, score_i)
    chosen = best_items(items, score_i, is_candidate, k=k, novelty=novelty)
    reasons = [
        [
            (name_of(items, int(person.item[p])), float(model.rating_scale.from_points(person.rating[p])))
            for p in positions
        ]
        for positions in person.explain(model, torch.from_numpy(chosen))
    ]
    scale, ratings = model.rating_scale, None
    if model.ranks_by_rating:
        ratings = scale.from_points(person.score_i.numpy()[chosen]).clip(scale.low, scale.high)
    is_planned = np.isin(chosen, person.planned.numpy())
    return recommendations(items[chosen], ratings, reasons, is_planned)


def name_of(items: pl.DataFrame, item: int) -> str:
    """Return the title of an item in a sentence; "title 64" where its id is its only name.

    >>> name_of(pl.DataFrame({"item_id": [64], "title": ["64"]}), 0)
    'title 64'
    """
    title: str = items["title"][item]
    return f"title {title}" if title == str(items["item_id"][item]) and title.isdecimal() else title


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
    counts, genres = items["n_ratings"].to_numpy()[candidates], genre_matrix(items["genres"][candidates])
    return candidates[rerank(score_i[candidates], counts, genres, k=k, novelty=novelty)]
