"""`anirec fanbase`: who would love a title that does not exist yet? From the run folder."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from anirec.config.compose import own_paths
from anirec.features.tabular import Tabular
from anirec.inference.audience import Audience
from anirec.inference.fanbase_tables import Fanbase, show, write_json
from anirec.inference.new_titles import read_invented, with_all
from anirec.inference.tastes import tastes_of
from anirec.models.ratings.hybrid import Hybrid

SEED = 0  # of the tastes


def fanbase(
    run: Path,
    *,
    input: Path,  # noqa: A002 (the option's name)
    tastes: int,
    threshold: float,
    nearest: int,
    json: Path | None = None,
    console: Console | None = None,
) -> None:
    """Print what to expect of each invented title, and write it where asked.

    Args:
        run: Folder of a finished run of model=hybrid.
        input: The titles; see `read_invented`.
        tastes: Into how many the users are divided; >= 1.
        threshold: Rating from which somebody counts as a fan.
        nearest: How many existing titles are named; >= 0.
        json: File to write.
        console: Where to print.

    Raises:
        UserError: The run cannot judge such titles, or the input is not what is expected.
    """
    invented = read_invented(input)
    audience = Audience.of(run, threshold)
    model, columns = audience.model, read_by(audience.model)
    cache = own_paths()["cache"]
    told = []
    with torch.inference_mode():
        contents = model.content_of(with_all(invented, columns), cache=cache)
        taste_u = tastes_of(model.user_table[:-1].numpy(), tastes, seed=SEED)
        loves = audience.loves(taste_u, tastes)
        for title, content in zip(invented.iter_rows(named=True), contents, strict=True):
            rating_u = model.everyones_rating(content).numpy()
            chance_u = audience.chances(rating_u)
            fans = Fanbase(
                title=title["title"],
                seen={name: title[name] for name in columns if title.get(name) is not None},
                notes=[*audience.notes, *notes(model, title, columns)],
                threshold=threshold,
                score=audience.mean(rating_u),
                ends=audience.ends(rating_u),
                share=audience.mean(chance_u),
                per_user=(float(rating_u.mean()), float(chance_u.mean())),
                tastes=audience.by_taste(taste_u, loves, rating_u, chance_u),
                nearest=audience.nearest(content, nearest),
            )
            told.append(fans)
    if json:
        write_json(told, json)
    show(told, console or Console(highlight=False))


def read_by(model: Hybrid) -> list[str]:
    """The columns of the items table that the model's branches read."""
    return sorted(set().union(*(model.branch(name).requires for name in model.branches)))


def notes(model: Hybrid, title: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """What is unknown of a title, what the run does not read, and what says nothing to it."""
    lacking = [name for name in columns if title.get(name) is None]
    unread = [name for name, value in title.items() if name not in (*columns, "title") and value is not None]
    found = [f"Unknown, and so left open: {', '.join(lacking)}."] if lacking else []
    if unread:
        found.append(f"Not read by this run: {', '.join(unread)}.")
    for branch in (model.branch(name) for name in model.branches):
        for column, of_column in branch.learned.items() if isinstance(branch, Tabular) else ():
            value = title.get(column)
            parts = value if isinstance(value, list) else [value]
            found += [unmet(column, part, of_column["names"]) for part in parts if "names" in of_column and part]
    return [note for note in found if note]


def unmet(column: str, name: str, met: Sequence[str]) -> str:
    """What to say of a name that the model has not met in training; nothing of others.

    >>> unmet("type", "tv", ["Movie", "TV"])
    'type: tv says nothing to the model, which has not met it; did you mean TV?'
    """
    if name in met:
        return ""
    close = [other for other in met if other.casefold() == name.casefold()] or get_close_matches(name, met, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f"{column}: {name} says nothing to the model, which has not met it{hint}"
