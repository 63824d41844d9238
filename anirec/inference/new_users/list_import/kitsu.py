"""Kitsu's library entries, as pages of its JSON:API with the included anime and their mappings to other sites.

{"data": [{"type": "libraryEntries", "attributes": {"status": "completed", "ratingTwenty": 18},
           "relationships": {"anime": {"data": {"type": "anime", "id": "1"}}}}], "included": [...]}
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from anirec.data.scale import Scale
from anirec.inference.new_users.list_import.entries import Entry, Unused, make_entry, read_score
from anirec.inference.new_users.list_import.json_values import dicts, get


def kitsu_entries(rows: Sequence[Mapping[str, Any]], pages: Sequence[object], scale: Scale) -> Iterator[Entry | Unused]:
    included = {key_of(resource): resource for page in pages for resource in dicts(get(page, "included"))}

    def related(resource: object, name: str) -> list[Mapping[str, Any]]:
        links = get(resource, "relationships", name, "data")
        keys = map(key_of, dicts(links if isinstance(links, list) else [links]))
        return [included[key] for key in keys if key in included]

    for row, entry in enumerate(rows, 1):
        if get(entry, "relationships", "manga", "data"):
            yield Unused(row=row, text=f"entry {str(entry.get('id'))[:20]}", reason="a manga")
            continue
        anime = next(iter(related(entry, "anime") or related(entry, "item") or related(entry, "media")), {})
        sites = {
            str(get(of, "attributes", "externalSite")): get(of, "attributes", "externalId")
            for of in related(anime, "mappings")
        }
        titles, short = get(anime, "attributes", "titles"), get(anime, "attributes", "abbreviatedTitles")
        yield make_entry(
            row,
            names=[
                get(anime, "attributes", "canonicalTitle"),
                *(titles.values() if isinstance(titles, dict) else []),
                *(short if isinstance(short, list) else []),
            ],
            mal_id=sites.get("myanimelist/anime"),
            score=get(entry, "attributes", "ratingTwenty"),
            read=partial(read_score, scale=scale),
            status="completed" if get(entry, "attributes", "reconsuming") else get(entry, "attributes", "status"),
        )


def key_of(resource: Mapping[str, Any]) -> tuple[str, str]:
    return str(resource.get("type")), str(resource.get("id"))
