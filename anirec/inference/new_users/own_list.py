"""A person's own list, matched to the titles of a run.

Entries are matched by their MyAnimeList ids if the run's ids are MyAnimeList's, otherwise by their titles. What cannot
be matched is kept with its reason.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import NamedTuple

import polars as pl

from anirec.atomic import replacing
from anirec.data.ratings.filters import PLANNED
from anirec.data.scale import Scale
from anirec.data.schema import MAL
from anirec.errors import UserError
from anirec.inference.new_users.likes import Choose
from anirec.inference.new_users.list_import.entries import STATUSES, Entry, Unused, UserList
from anirec.inference.new_users.list_import.read import read_list
from anirec.inference.new_users.written_ratings import from_share
from anirec.inference.titles.title_search import Match, TitleSearch, check_name, has_ids_of_mal
from anirec.printable import clean

MIN_AGREEMENT = 0.25  # share of known ids whose titles agree, below which ids are of another catalogue
NOT_IN_DATA = "not in the data of this run"
NOT_SURE = "not sure"
MAX_CANDIDATES = 3  # in the reason of an unused entry


@dataclass(frozen=True, kw_only=True)
class OwnList:
    """The titles of a run on a person's list.

    Args:
        site: Where the list comes from.
        seen: Item index and rating (NaN if unrated) of titles that were seen, at least in part, and not dropped.
        dropped: The same of dropped titles.
        planned: Item indices of titles that the person plans to watch.
        statuses: Number of these titles by status, those without one included.
        unused: Entries that could not be used.
        notes: Sentences about the list.
    """

    site: str
    seen: dict[int, float]
    dropped: dict[int, float]
    planned: list[int]
    statuses: dict[str, int]
    unused: list[Unused]
    notes: list[str]

    def summary(self) -> str:
        """Return the numbers of entries by status, of ratings, and of entries that are not used."""
        n_rated = sum(rating == rating for ratings in (self.seen, self.dropped) for rating in ratings.values())  # noqa: PLR0124 (NaN)
        kinds = {**self.statuses, "not used": len(self.unused)}
        counts = [f"{count:,} {kind.replace('_', ' ')}" for kind, count in kinds.items() if count]
        return f"{self.site}, {sum(kinds.values()):,} entries: {', '.join(counts)}; {n_rated:,} rated"


def read_own_list(
    content: bytes,
    search: TitleSearch,
    *,
    scale: Scale = MAL,
    list_scale: Scale | None = None,
    choose: Choose | None = None,
) -> OwnList:
    """Read a list and match it to the titles of a run.

    Args:
        content: Content of the file; see `list_import.read_list`.
        search: The titles of the run.
        scale: Scale of the run's ratings.
        list_scale: Scale of the list's scores; None for that of the site.
        choose: Asks which title is meant where that is not sure; None to leave out such entries.

    Raises:
        UserError: The content is no list.
    """
    own = read_list(content, scale=list_scale)
    found, unused, notes = match_entries(own, search, choose)
    items: dict[int, Entry] = {}
    for item, entry in found:
        if earlier := items.get(item):
            unused.append(unused_entry(earlier, f"the same title as entry {entry.row}"))
        items[item] = entry
    ratings = {item: nan if entry.score is None else from_share(scale, entry.score) for item, entry in items.items()}
    kinds = {item: kind_of(entry) for item, entry in items.items()}
    return OwnList(
        site=own.site,
        seen={item: rating for item, rating in ratings.items() if kinds[item] == "seen"},
        dropped={item: rating for item, rating in ratings.items() if kinds[item] == "dropped"},
        planned=[item for item in items if kinds[item] == PLANNED],
        statuses=count_statuses([entry.status for entry in items.values()]),
        unused=sorted([*own.unused, *unused], key=lambda entry: entry.row),
        notes=notes,
    )


def kind_of(entry: Entry) -> str:
    """Return seen, dropped or plan_to_watch; a title with a rating was seen, whatever the plan."""
    if entry.status == PLANNED and entry.score is None:
        return PLANNED
    return "dropped" if entry.status == "dropped" else "seen"


def count_statuses(statuses: Sequence[str | None]) -> dict[str, int]:
    """Return the number of each status that occurs.

    >>> count_statuses(["dropped", None, "completed", "dropped"])
    {'completed': 1, 'dropped': 2, 'without a status': 1}
    """
    counts = Counter(status or "without a status" for status in statuses)
    return {status: counts[status] for status in (*STATUSES, "without a status") if counts[status]}


def match_entries(
    own: UserList, search: TitleSearch, choose: Choose | None
) -> tuple[list[tuple[int, Entry]], list[Unused], list[str]]:
    """Return the item index of each entry that is matched, the other entries, and sentences about the list."""
    has_mal_ids = has_ids_of_mal(search.items)
    ids = {entry.row: entry.item_id or (entry.mal_id if has_mal_ids else None) for entry in own.entries}
    items = {row: search.index_of_id.get(item_id) for row, item_id in ids.items() if item_id}
    note, wrong = compare_ids_with_names(own.entries, items, search)
    if note:
        items = {}
    named = [entry for entry in own.entries if entry.row not in items]
    names = list(dict.fromkeys(name for entry in named for name in entry.names if is_searchable(name)))
    matches = dict(zip(names, search.match_all(names), strict=True))
    found, unused = [], []
    for entry in own.entries:
        item, reason = items.get(entry.row), NOT_IN_DATA
        if entry.row not in items:
            item, reason = match_names(entry, matches, search, choose)
        if entry.row in wrong:
            item, reason = None, "its id is that of another title"
        if item is None:
            unused.append(unused_entry(entry, reason))
        else:
            found.append((item, entry))
    return found, unused, [note] if note else []


class Agreement(NamedTuple):
    """Whether the ids and the titles of a list agree.

    Attributes:
        note: A sentence if the ids are of another catalogue, since the titles of few known ids agree; else None.
        wrong: Rows whose id is that of one title and whose name is that of another.
    """

    note: str | None
    wrong: frozenset[int]


def compare_ids_with_names(entries: Sequence[Entry], items: Mapping[int, int | None], search: TitleSearch) -> Agreement:
    """Compare the titles that the ids of a list have in the run with those on the list."""
    named = [(entry, item) for entry in entries if (item := items.get(entry.row)) is not None and entry.names]
    names = [name for entry, _ in named for name in entry.names if is_searchable(name)]
    same_name = dict(zip(names, search.with_letters_of(names), strict=True))
    of_row = {entry.row: {item for name in entry.names for item in same_name.get(name, ())} for entry, _ in named}
    n_same = sum(item in of_row[entry.row] for entry, item in named)
    wrong = frozenset(entry.row for entry, item in named if of_row[entry.row] and item not in of_row[entry.row])
    if not named or n_same >= MIN_AGREEMENT * len(named):
        return Agreement(None, wrong)
    note = (
        f"The ids of the list are of another catalogue: of {len(named):,} that this run has, {n_same:,} have the same "
        "title. The titles are matched by name instead."
    )
    return Agreement(note, frozenset())


def is_searchable(name: str) -> bool:
    try:
        check_name(name)
    except UserError:
        return False
    return True


def match_names(
    entry: Entry, matches: dict[str, Match], search: TitleSearch, choose: Choose | None
) -> tuple[int | None, str]:
    """Return the item that the names of an entry mean; or None, and why no item is sure."""
    of_entry = [matches[name] for name in entry.names if name in matches]
    if sure := [match.item for match in of_entry if match.item is not None]:
        return sure[0], ""
    candidates = list(dict.fromkeys(item for match in of_entry for item in match.candidates))
    if not candidates:
        return None, NOT_IN_DATA if of_entry else "no title that can be searched for"
    if choose is not None:
        return choose(entry.names[0], candidates), "none of the candidates chosen"
    titles = [search.items["title"][item] for item in candidates[:MAX_CANDIDATES]]
    return None, f"{NOT_SURE}: similar to {'; '.join(titles)}"


def unused_entry(entry: Entry, reason: str) -> Unused:
    return Unused(row=entry.row, text=entry.text, reason=reason)


def write_unused(unused: Sequence[Unused], path: Path) -> None:
    """Write a CSV file with the columns entry (its number in the list), title and reason.

    Raises:
        UserError: It cannot be written.
    """
    table = pl.DataFrame(
        [(entry.row, clean(entry.text), clean(entry.reason)) for entry in unused],
        schema={"entry": pl.Int64, "title": pl.String, "reason": pl.String},
        orient="row",
    )
    try:
        with replacing(path) as unfinished:
            table.write_csv(unfinished)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None


def count_reasons(unused: Sequence[Unused]) -> str:
    """Return the reasons with their counts, most frequent first.

    >>> rows = [Unused(row=1, text="A", reason="not sure: similar to B"), Unused(row=2, text="C", reason=NOT_IN_DATA)]
    >>> count_reasons([*rows, *rows[1:]])
    '2 not in the data of this run, 1 not sure'
    """
    counts = Counter(entry.reason.partition(":")[0] for entry in unused)
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
