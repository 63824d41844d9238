"""The columns of titles that all dumps of MyAnimeList share, with the parser of each.

Dumps name these columns differently: `rating` is the mean rating in one and the age rating in another.
"""

from collections.abc import Callable, Mapping, Set

from anirec.data.readers import cells, list_cells, time_cells
from anirec.data.readers.cells import CellParser

PARSERS: Mapping[str, Callable[[str], CellParser]] = {
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
MAL_URL = "https://myanimelist.net/anime/"
MAL_TITLES = frozenset(PARSERS) - {"synonyms", "synopsis"}  # columns in every dump since 2018


def mal_parsers(columns: Set[str], **headers: str) -> dict[str, CellParser]:
    """Return the parsers of those columns that describe a title.

    Args:
        columns: Columns of a source; those that do not describe a title are ignored.
        headers: By column, its name in the dump where that differs.

    >>> {name: cell.column for name, cell in mal_parsers({"item_id", "type", "score"}, score="rating").items()}
    {'type': 'type', 'score': 'rating'}
    """
    return {name: read(headers.get(name, name)) for name, read in PARSERS.items() if name in columns}
