"""The columns of titles that MyAnimeList's dumps share, each with the reading of its cells.

A dump has most of them under names of its own: `rating` is the users' mean in one, the age rating in another.
"""

from collections.abc import Callable, Mapping, Set

from anirec.data.readers import cells, list_cells, time_cells
from anirec.data.readers.cells import CellParser

READING: Mapping[str, Callable[[str], CellParser]] = {
    "title": cells.parse_title,
    "title_english": cells.parse_label,
    "title_japanese": cells.parse_label,
    "synonyms": list_cells.parse_names,
    "type": cells.parse_label,
    "source": cells.parse_label,
    "episodes": cells.parse_episodes,
    "aired_from": time_cells.parse_first_day,
    "duration": time_cells.parse_minutes,
    "age_rating": cells.parse_label,
    "score": cells.parse_score,
    "scored_by": cells.parse_count,
    "rank": cells.parse_rank,
    "popularity": cells.parse_rank,
    "members": cells.parse_count,
    "favorites": cells.parse_count,
    "producers": list_cells.parse_names,
    "studios": list_cells.parse_names,
    "genres": list_cells.parse_names,
    "synopsis": cells.parse_synopsis,
}
MAL_TITLES = frozenset(READING) - {"synonyms", "synopsis"}  # what every dump since 2018 says of a title


def mal_parsers(columns: Set[str], **headers: str) -> dict[str, CellParser]:
    """The cells of those of `columns` that describe a title.

    Args:
        columns: Of `tables.TABLES`; the others are left out.
        headers: By column, what the dump calls it where it has a name of its own.

    >>> {name: cell.column for name, cell in mal_parsers({"item_id", "type", "score"}, score="rating").items()}
    {'type': 'type', 'score': 'rating'}
    """
    return {name: read(headers.get(name, name)) for name, read in READING.items() if name in columns}
