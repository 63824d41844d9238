"""What somebody says they like, in one line: "Cowboy Bebop=9; Steins;Gate=10; Mushishi; #19=10"."""

import re
from collections.abc import Sequence
from math import nan
from typing import NamedTuple

from anirec.errors import UserError
from anirec.inference.title_search import TitleSearch

LOWEST, HIGHEST = 1, 10
# A semicolon parts titles before a space, after a rating and at the end. That of Steins;Gate does not.
BETWEEN = re.compile(r";\s+|;$")
AFTER_RATING = re.compile(r"(=\s*\d+(?:\.\d+)?)\s*;")
RATED = re.compile(r"(?P<name>.*\S)\s*=\s*(?P<rating>\d+(\.\d+)?)")


class Liked(NamedTuple):
    """A title that somebody named, as they wrote it: item index, and rating, NaN where there is none."""

    written: str
    item: int
    rating: float


def read_likes(texts: Sequence[str], search: TitleSearch) -> list[Liked]:
    """Titles with or without ratings; of a title named twice, the last counts.

    Raises:
        UserError: A title is unknown or may be one of several, or a rating is out of range; all of them at once.
    """
    found: dict[int, Liked] = {}
    problems = []
    for written in (part.strip() for text in texts for part in BETWEEN.split(AFTER_RATING.sub(r"\1; ", text.strip()))):
        if not written:
            continue
        name, rating = parted(written)
        if not (rating != rating or LOWEST <= rating <= HIGHEST):  # noqa: PLR0124 (NaN: no rating)
            problems.append(f"{written}: expected a rating from {LOWEST} to {HIGHEST}")
            continue
        try:
            item = search.find(name)
        except UserError as error:
            problems.append(str(error))
        else:
            found[item] = Liked(name, item, rating)
    if problems:
        raise UserError("\n".join(problems))
    if not found:
        raise UserError('no title in it; expected such as "Cowboy Bebop=9; Monster=10"')
    return list(found.values())


def parted(written: str) -> tuple[str, float]:
    """
    >>> parted("Cowboy Bebop = 9"), parted("Steins;Gate=8.5"), parted("Mushishi")
    (('Cowboy Bebop', 9.0), ('Steins;Gate', 8.5), ('Mushishi', nan))
    """
    match = RATED.fullmatch(written)
    return (match["name"], float(match["rating"])) if match else (written, nan)
