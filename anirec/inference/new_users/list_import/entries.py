"""Entries of a person's list, and parsers of their ids, scores and statuses."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import median

from anirec.data.ratings.filters import PLANNED
from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.inference.new_users.written_ratings import parse_rating, to_share

MAX_NAMES = 30  # of one title
MOST_ENTRIES = 50_000
LARGEST_SCORE = 1e6
LONGEST_TEXT = 200  # characters of an entry in a report
STATUSES: Mapping[str, Sequence[str]] = {
    "watching": ("watching", "current", "currently watching", "1"),
    "completed": ("completed", "watched", "finished", "seen", "repeating", "rewatching", "2"),
    "on_hold": ("on hold", "paused", "stalled", "3"),
    "dropped": ("dropped", "4"),
    PLANNED: ("plan to watch", "planning", "planned", "plan", "ptw", "want to watch", "6"),
}
ZERO = ("0", "0.0")  # unrated on a scale without 0
UNRATED = ("", "-", "nan", "none", "null", "unrated", "not rated", "no score", "?")


class Unreadable(ValueError):  # noqa: N818 (no error of the program)
    """An entry of a list that cannot be read, and why."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A title on a person's list.

    Args:
        row: Number of the entry in the file, or line of a table.
        names: Its titles, main title first.
        mal_id: Its id on MyAnimeList; None if unknown.
        item_id: Its id in the data that are recommended from, as a table may give it; None if unknown.
        score: The person's score as a share, above 0 to 1, of the best one; None if unrated.
        status: watching, completed, on_hold, dropped or plan_to_watch; None if unknown.
    """

    row: int
    names: tuple[str, ...]
    mal_id: str | None = None
    item_id: str | None = None
    score: float | None
    status: str | None

    @property
    def text(self) -> str:
        """The title, or else the id."""
        return (self.names[0] if self.names else f"#{self.mal_id or self.item_id}")[:LONGEST_TEXT]


@dataclass(frozen=True, kw_only=True)
class Unused:
    """An entry that cannot be used: its number in the file, its title, and why."""

    row: int
    text: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class UserList:
    """A person's list.

    Args:
        site: Where it comes from, such as "MyAnimeList" or "A table".
        entries: The entries that could be read, one for each title.
        unused: The others.
    """

    site: str
    entries: list[Entry]
    unused: list[Unused] = field(default_factory=list)


def make_entry(
    row: int,
    *,
    names: Iterable[object],
    mal_id: object,
    item_id: object = None,
    score: object,
    read: Callable[[object], float | None],
    status: object,
) -> Entry | Unused:
    """Return an entry of values as in the file, whose score `read` reads, or why it cannot be read."""
    texts = dict.fromkeys(" ".join(name.split()) for name in names if isinstance(name, str) and name.strip())
    mal, item = read_id(mal_id), read_id(item_id)
    text = next(iter(texts), None) or f"#{mal or item}"
    try:
        if not texts and not mal and not item:
            raise Unreadable("neither a title nor an id")
        return Entry(
            row=row,
            names=tuple(islice(texts, MAX_NAMES)),
            mal_id=mal,
            item_id=item,
            score=read(score),
            status=read_status(status),
        )
    except Unreadable as error:
        return Unused(row=row, text=text[:LONGEST_TEXT], reason=str(error))


def read_id(value: object) -> str | None:
    """Return an id as text; None for an empty one, and for 0, which stands for none.

    >>> read_id(" 1535 "), read_id(1535), read_id("1535.0"), read_id(0), read_id(None)
    ('1535', '1535', '1535', None, None)
    """
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    text = str(value)[:LONGEST_TEXT].strip()
    text = re.sub(r"^(\d+)\.0$", r"\1", text)
    return text if text not in ("", "0") else None


def read_score(value: object, scale: Scale) -> float | None:
    """Return a score as a share of the best one of its scale; None if unrated.

    >>> [read_score(value, Scale(1, 10)) for value in ("8", 8.5, "4/5", 0, None)]
    [0.8, 0.85, 0.8, None, None]

    Raises:
        Unreadable: It is no score of the scale.
    """
    text = "" if value is None else str(value)[:LONGEST_TEXT].strip()
    if text.lower() in UNRATED or (text in ZERO and scale.low > 0):
        return None
    problem = Unreadable(f"score {text[:20]!r} is not a number from {scale}")
    try:
        found, best = parse_rating(text)
    except UserError:
        raise problem from None
    share = to_share(scale, found) if best is None else found / best
    if not 0 <= share <= 1 or (best is None and not scale.low <= found <= scale.high):
        raise problem
    return share


def read_status(value: object) -> str | None:
    """Return the status of an entry; None if the file does not say it.

    >>> read_status("On-Hold"), read_status("PLANNING"), read_status(2), read_status("")
    ('on_hold', 'plan_to_watch', 'completed', None)

    Raises:
        Unreadable: The status is unknown.
    """
    text = re.sub(r"[\s_-]+", " ", "" if value is None else str(value)[:LONGEST_TEXT]).strip().lower()
    found = next((status for status, spellings in STATUSES.items() if text in spellings), None)
    if text and found is None:
        raise Unreadable(f"unknown status {text[:40]!r}")
    return found


def find_scale(scores: Sequence[float]) -> Scale:
    """Return the scale of scores: up to 10, or up to 100 if the largest says so.

    >>> [str(find_scale(scores)) for scores in ([7, 0, 9], [85, 40], [])]
    ['1 to 10', '1 to 100', '1 to 10']

    Raises:
        UserError: The largest score can be of several scales.
    """
    rated = [score for score in scores if 0 < score <= LARGEST_SCORE]
    best = max(rated, default=0)
    if best > 100:
        raise UserError(f"scores up to {best:g}; set --list-scale to their scale, such as 1-1000")
    if 0 < best <= 5 or 10 < best <= 20:
        choices = "0.5-5, 1-5 or 1-10" if best <= 5 else "1-20 or 1-100"
        raise UserError(f"the largest score is {best:g}, so their scale is not clear; set --list-scale {choices}")
    if best > 10 and median(rated) <= 10:
        raise UserError(f"scores up to {best:g}, but half of them are at most 10; set --list-scale 1-10 or 1-100")
    return Scale(1, 100 if best > 10 else 10)
