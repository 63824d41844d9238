"""What a new user gives to `anirec recommend`: titles that they like, or their own list from a file.

It is printed how it was understood, and what of it cannot be used.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isnan, nan
from pathlib import Path

from rich.console import Console

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.inference.new_users.choices import Chooser, can_ask
from anirec.inference.new_users.likes import Choose, Liked, read_likes
from anirec.inference.new_users.list_import.read import LARGEST
from anirec.inference.new_users.own_list import OwnList, count_reasons, read_own_list, write_unused
from anirec.inference.run_tables import has_ratings, run_scale, source_class
from anirec.inference.titles.title_search import TitleSearch
from anirec.printable import clean

GENERATED = "anirec.data.synthetic."


def read_given(
    run: Path,
    search: TitleSearch,
    *,
    likes: Sequence[str],
    own_list: Path | None,
    list_scale: str | None,
    unused: Path | None,
    yes: bool,
    console: Console,
) -> list[Liked] | OwnList:
    """Return what a new user has given, and print how it was understood; the arguments are those of `recommend`."""
    choose = Chooser(search, console) if can_ask(console) and not yes else None
    given: list[Liked] | OwnList
    if own_list:
        given = read_list_file(own_list, search, run_scale(run), list_scale=list_scale, choose=choose, console=console)
        report_unused(given, unused or own_list.with_name(f"{own_list.name}.unused.csv"), console)
    elif likes:
        given = read_new_user(run, likes, search, run_scale(run), choose=choose, skip=yes, console=console)
    else:
        raise UserError(f"Set --user ID, --list FILE, or --likes with titles such as {search.examples()}.")
    unrated = given if has_ratings(run) else without_ratings(given)
    if is_rated(given) and not is_rated(unrated):
        console.print("The data of this run have no ratings: yours do not count, only which titles you name.")
    return unrated


def is_rated(given: list[Liked] | OwnList) -> bool:
    """Return whether any title has a rating."""
    if isinstance(given, OwnList):
        return not all(map(isnan, (given.seen | given.dropped).values()))
    return not all(isnan(liked.rating) for liked in given)


def without_ratings(given: list[Liked] | OwnList) -> list[Liked] | OwnList:
    if isinstance(given, OwnList):
        return replace(given, seen=dict.fromkeys(given.seen, nan), dropped=dict.fromkeys(given.dropped, nan))
    return [liked._replace(rating=nan) for liked in given]


def read_new_user(
    run: Path,
    likes: Sequence[str],
    search: TitleSearch,
    scale: Scale,
    *,
    choose: Choose | None,
    skip: bool,
    console: Console,
) -> list[Liked]:
    """Return the titles that a new user likes; print how each was understood if that differs, and what is skipped."""
    try:
        found = read_likes(likes, search, scale=scale, choose=choose, skip=skip)
    except UserError as error:
        note = "\nThe titles of this run are generated." if source_class(run).startswith(GENERATED) else ""
        raise UserError(f"--likes: {clean(str(error))}{note}") from None
    for liked in found.liked:
        title = search.items["title"][liked.item]
        understood = title if liked.rating != liked.rating else f"{title}={liked.rating:g}"
        if liked.written.replace(" ", "") != understood.replace(" ", ""):
            console.print(clean(f"{liked.written} -> {understood}"), markup=False)
    for sentence in found.skipped:
        console.print(clean(sentence), markup=False)
    return found.liked


def read_list_file(
    path: Path,
    search: TitleSearch,
    scale: Scale,
    *,
    list_scale: str | None,
    choose: Choose | None,
    console: Console,
) -> OwnList:
    """Return a list from a file, and print what it holds.

    Raises:
        UserError: The file cannot be read, or is no list.
    """
    of_list = parse_scale(list_scale) if list_scale else None
    try:
        content = read_start(path)
        own = read_own_list(content, search, scale=scale, list_scale=of_list, choose=choose)
    except OSError as error:
        raise UserError(f"--list {path}: cannot be read: {error.strerror or error}") from None
    except UserError as error:
        raise UserError(f"--list {path}: {clean(str(error))}") from None
    for sentence in [f"{path.name}: {own.summary()}", *own.notes]:
        console.print(clean(sentence), markup=False)
    return own


def parse_scale(text: str) -> Scale:
    """Return the scale that `--list-scale` names."""
    try:
        return Scale.parse(text)
    except UserError as error:
        raise UserError(f"--list-{error}") from None


def read_start(path: Path) -> bytes:
    """Return the content of a regular file, at most as much as a list may have and one byte more."""
    if not path.is_file():
        raise UserError("no such file" if not path.exists() else "not a regular file")
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def report_unused(own: OwnList, path: Path, console: Console) -> None:
    """Write the entries that cannot be used to a file, and print how many there are; nothing if there are none."""
    if not own.unused:
        return
    try:
        write_unused(own.unused, path)
        where = f"listed in {path}"
    except UserError as error:
        where = f"not written: {error}"
    console.print(f"Not used: {count_reasons(own.unused)}; {where}", markup=False)
