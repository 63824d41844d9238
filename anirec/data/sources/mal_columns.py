"""The columns of titles that MyAnimeList's dumps share, each with the reading of its cells.

A dump has most of them under names of its own: `rating` is the users' mean in one, the age rating in another.
"""

from collections.abc import Callable, Mapping, Set

from anirec.data.readers import cells, list_cells, time_cells
from anirec.data.readers.cells import Cell

READING: Mapping[str, Callable[[str], Cell]] = {
    "title": cells.title,
    "title_english": cells.label,
    "title_japanese": cells.label,
    "synonyms": list_cells.names,
    "type": cells.label,
    "source": cells.label,
    "episodes": cells.episodes,
    "aired_from": time_cells.first_day,
    "duration": time_cells.minutes,
    "age_rating": cells.label,
    "score": cells.score,
    "scored_by": cells.count,
    "rank": cells.place,
    "popularity": cells.place,
    "members": cells.count,
    "favorites": cells.count,
    "producers": list_cells.names,
    "studios": list_cells.names,
    "genres": list_cells.names,
    "synopsis": cells.synopsis,
}
MAL_TITLES = frozenset(READING) - {"synonyms", "synopsis"}  # what every dump since 2018 says of a title


def mal_cells(columns: Set[str], **headers: str) -> dict[str, Cell]:
    """The cells of those of `columns` that describe a title.

    Args:
        columns: Of `tables.TABLES`; the others are left out.
        headers: By column, what the dump calls it where it has a name of its own.

    >>> {name: cell.column for name, cell in mal_cells({"item_id", "type", "score"}, score="rating").items()}
    {'type': 'type', 'score': 'rating'}
    """
    return {name: read(headers.get(name, name)) for name, read in READING.items() if name in columns}
