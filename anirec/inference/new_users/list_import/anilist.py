"""AniList's answer to its GraphQL query MediaListCollection.

{"data": {"MediaListCollection": {"user": {"mediaListOptions": {"scoreFormat": "POINT_100"}}, "lists": [{"entries": [
    {"score": 85, "status": "COMPLETED", "media": {"idMal": 19, "title": {"romaji": "Monster"}}}]}]}}}
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.inference.new_users.list_import.entries import (
    LONGEST_TEXT,
    Entry,
    Unreadable,
    Unused,
    find_scale,
    make_entry,
    read_score,
)
from anirec.inference.new_users.list_import.json_values import get

# The points of 100 that AniList stores for each star and smiley; other scores are proportional.
ANILIST: Mapping[str, float | Mapping[float, float]] = {
    "POINT_100": 100.0,
    "POINT_10_DECIMAL": 10.0,
    "POINT_10": 10.0,
    "POINT_5": {1: 0.1, 2: 0.3, 3: 0.5, 4: 0.7, 5: 0.9},
    "POINT_3": {1: 0.35, 2: 0.6, 3: 0.85},
}


def anilist_entries(
    entries: Sequence[Mapping[str, Any]], form: str | None, scale: Scale | None
) -> Iterator[Entry | Unused]:
    if form is not None and form not in ANILIST:
        raise UserError(f"scoreFormat {form[:40]!r}: expected one of {', '.join(ANILIST)}")
    scores = [score for entry in entries if isinstance(score := entry.get("score"), int | float) and score > 0]
    points = ANILIST[form or "POINT_10"]
    best = points if isinstance(points, float) else max(points)
    if scale is None and (form is None or 2 * sum(score > best for score in scores) > len(scores)):
        scale = find_scale(scores)  # a query may ask for scores in another form than the user's own
    if scale is None and form == "POINT_100" and len(scores) > 1 and max(scores) <= 10:
        raise UserError("scoreFormat is POINT_100, but no score is above 10; set --list-scale 1-10 or 1-100")
    read = partial(read_score, scale=scale) if scale else partial(read_points, points=points)
    for row, entry in enumerate(entries, 1):
        titles, media = get(entry, "media", "title"), get(entry, "media")
        synonyms = get(entry, "media", "synonyms")
        if get(media, "type") == "MANGA":
            yield Unused(row=row, text=str(get(titles, "romaji"))[:LONGEST_TEXT], reason="a manga")
            continue
        names = [get(titles, form) for form in ("romaji", "english", "native", "userPreferred")]
        yield make_entry(
            row,
            names=[*names, *(synonyms if isinstance(synonyms, list) else [])],
            mal_id=get(media, "idMal"),
            score=entry.get("score"),
            read=read,
            status=entry.get("status"),
        )


def read_points(value: object, points: float | Mapping[float, float]) -> float | None:
    """Return a score of AniList as a share of the best one; None if unrated.

    >>> read_points(4, ANILIST["POINT_5"]), read_points(8.5, ANILIST["POINT_10_DECIMAL"]), read_points(0, 100.0)
    (0.7, 0.85, None)
    """
    if isinstance(points, float):
        return read_score(value, Scale(0.1, points))
    if not value:
        return None
    if not isinstance(value, int | float) or value not in points:
        raise Unreadable(f"score {str(value)[:20]} is not one of {', '.join(f'{point:g}' for point in points)}")
    return points[value]
