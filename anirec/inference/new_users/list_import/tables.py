"""Lists as tables with a header: titles or ids, and optionally scores and statuses.

title,score,status
Monster,9,completed
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import StringIO
from itertools import islice

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.inference.new_users.list_import.entries import (
    LONGEST_TEXT,
    MOST_ENTRIES,
    Entry,
    Unused,
    find_scale,
    make_entry,
    read_score,
)
from anirec.inference.new_users.written_ratings import parse_rating

COLUMNS: Mapping[str, Sequence[str]] = {  # in lower case, only letters
    "mal_id": ("malid", "idmal", "myanimelistid", "seriesanimedbid", "animedbid"),
    "item_id": ("itemid", "animeid", "id"),
    "name": (
        *("title", "name", "anime", "animetitle", "animename", "seriestitle", "romaji", "titleromaji", "titleenglish"),
        *("englishtitle", "english", "titlejapanese", "japanesetitle", "japanese", "native"),
    ),
    "score": ("score", "rating", "myscore", "myrating", "userscore", "userrating", "yourscore", "yourrating", "stars"),
    "status": ("status", "mystatus", "liststatus", "watchstatus", "watchingstatus", "state"),
}
SEPARATORS = ",;\t|"


def table_entries(text: str, scale: Scale | None) -> Iterator[Entry | Unused]:
    """Yield the entries of a table with a header.

    Raises:
        UserError: There is no column of titles or ids, or the scale of the scores is not clear.
    """
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=header.count)
    reader = csv.reader(
        StringIO(text.replace("\r\n", "\n").replace("\r", "\n"), newline=""), delimiter=separator, strict=True
    )
    try:
        lines = [(reader.line_num, cells) for cells in islice(reader, MOST_ENTRIES + 2) if any(map(str.strip, cells))]
    except csv.Error as error:
        raise UserError(f"line {reader.line_num}: not a table: {error}") from None
    names = lines[0][1] if lines else []
    columns = find_columns(names)
    if not columns["name"] and not columns["item_id"] and not columns["mal_id"]:
        raise UserError(
            f"no column of titles or ids among {', '.join(name.strip()[:30] for name in names[:12]) or '(none)'}; "
            "expected a first line with names such as title or anime_id, score and status"
        )
    rows = [(line, [cell.strip() for cell in cells]) for line, cells in lines[1:]]
    if scale is None:
        scale = find_scale([value for _, cells in rows for value in plain_numbers(cells, columns["score"])])
    for line, cells in rows:
        if len(cells) != len(names):
            yield Unused(
                row=line, text=separator.join(cells)[:LONGEST_TEXT], reason=f"{len(cells)} cells, not {len(names)}"
            )
            continue
        found = {kind: [cells[n] for n in numbers] for kind, numbers in columns.items()}
        yield make_entry(
            line,
            names=found["name"],
            mal_id=next(iter(found["mal_id"]), None),
            item_id=next(iter(found["item_id"]), None),
            score=next(iter(found["score"]), None),
            read=partial(read_score, scale=scale),
            status=next(iter(found["status"]), None),
        )


def find_columns(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the numbers of the columns of each kind, as the header names them; of scores and ids only the first.

    >>> find_columns(["MAL ID", "Title", "My score", "Notes"])
    {'mal_id': [0], 'item_id': [], 'name': [1], 'score': [2], 'status': []}
    """
    letters = [re.sub(r"[^a-z]", "", name.lower()) for name in names]
    return {
        kind: sorted((n for n, name in enumerate(letters) if name in known), key=lambda n: known.index(letters[n]))
        for kind, known in COLUMNS.items()
    }


def plain_numbers(cells: Sequence[str], columns: Sequence[int]) -> Iterable[float]:
    """Return the score of a row if it does not say its scale, as 9/10 does."""
    for column in columns[:1]:
        try:
            value, best = parse_rating(cells[column])
        except (UserError, IndexError):
            continue
        if best is None:
            yield value
