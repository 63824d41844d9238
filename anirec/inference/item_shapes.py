"""Titles in JSON: in anirec's own keys, or as MyAnimeList (and Jikan), AniList or Kitsu describe an anime.

    {"title": "Monster", "genres": ["Drama"], "episodes": 74}                                   anirec
    {"mal_id": 19, "title": "Monster", "genres": [{"name": "Drama"}], "type": "TV"}             Jikan
    {"idMal": 19, "title": {"romaji": "Monster"}, "format": "TV", "genres": ["Drama"]}          AniList
    {"type": "anime", "attributes": {"canonicalTitle": "Monster", "subtype": "TV"}}             Kitsu

Scores and numbers of members are left out, since they are what a title is predicted to get.
"""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anirec.errors import UserError
from anirec.inference.new_users.list_import.json_values import get

TAG = re.compile(r"<[^<>]{0,200}>")  # of HTML in AniList's descriptions
UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Return the titles of a .json file, one object or a list, or of a .jsonl file with one object per line.

    Raises:
        UserError: The file is not such JSON.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith(UTF16) else "utf-8-sig")
        lines = [line for line in text.split("\n") if line.strip()]
        found = [json.loads(line) for line in lines] if path.suffix == ".jsonl" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from None
    if isinstance(found, dict) and isinstance(inner := found.get("data"), dict | list):  # the answer of a site
        found = get(inner, "Media") or inner
    titles = found if isinstance(found, list) else [found]
    if not titles or not all(isinstance(title, dict) for title in titles):
        raise UserError(
            f'{path}: expected an object such as {{"genres": ["Comedy", "School"], "type": "TV"}}, or a list of them'
        )
    return [own_keys(title) for title in titles]


def own_keys(title: Mapping[str, Any]) -> dict[str, Any]:
    """Return a title in anirec's keys, without those that are unknown.

    >>> own_keys({"idMal": 19, "title": {"romaji": "Monster"}, "format": "TV_SHORT", "startDate": {"year": 2004}})
    {'title': 'Monster', 'type': 'TV', 'aired_from': '2004-01-01'}
    """
    if isinstance(title.get("attributes"), Mapping):
        found = of_kitsu(title["attributes"])
    elif isinstance(title.get("title"), Mapping):
        found = of_anilist(title)
    elif "mal_id" in title or "media_type" in title:
        found = of_mal(title)
    else:
        return dict(title)
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def of_mal(title: Mapping[str, Any]) -> dict[str, Any]:
    """Return a title of Jikan or of MyAnimeList's API."""
    alternative = title.get("alternative_titles")
    return {
        "title": title.get("title"),
        "title_english": title.get("title_english") or get(alternative, "en"),
        "title_japanese": title.get("title_japanese") or get(alternative, "ja"),
        "synonyms": title.get("title_synonyms") or get(alternative, "synonyms"),
        "type": kind(title.get("type") or title.get("media_type")),
        "episodes": title.get("episodes") or title.get("num_episodes"),
        "genres": names(title.get("genres")),
        "studios": names(title.get("studios")),
        "source": words(title.get("source")),
        "synopsis": title.get("synopsis"),
        "aired_from": day(get(title.get("aired"), "from") or title.get("start_date")),
    }


def of_anilist(title: Mapping[str, Any]) -> dict[str, Any]:
    titles, start = title["title"], title.get("startDate")
    year, month, of_month = (get(start, part) for part in ("year", "month", "day"))
    description = title.get("description")
    return {
        "title": titles.get("romaji") or titles.get("english") or titles.get("native"),
        "title_english": titles.get("english"),
        "title_japanese": titles.get("native"),
        "synonyms": title.get("synonyms"),
        "type": kind(title.get("format")),
        "episodes": title.get("episodes"),
        "genres": title.get("genres"),
        "studios": names(get(title.get("studios"), "nodes")),
        "source": words(title.get("source")),
        "duration": title.get("duration"),
        "synopsis": html.unescape(TAG.sub("", description)).strip() if isinstance(description, str) else None,
        "aired_from": f"{year:04}-{month or 1:02}-{of_month or 1:02}" if isinstance(year, int) else None,
    }


def of_kitsu(title: Mapping[str, Any]) -> dict[str, Any]:
    titles = title.get("titles")
    return {
        "title": title.get("canonicalTitle"),
        "title_english": get(titles, "en"),
        "title_japanese": get(titles, "ja_jp"),
        "synonyms": title.get("abbreviatedTitles"),
        "type": kind(title.get("subtype")),
        "episodes": title.get("episodeCount"),
        "duration": title.get("episodeLength"),
        "synopsis": title.get("synopsis"),
        "aired_from": day(title.get("startDate")),
    }


def kind(value: object) -> str | None:
    """
    >>> [kind(value) for value in ("TV_SHORT", "MOVIE", "ona", "tv_special", None)]
    ['TV', 'Movie', 'ONA', 'Special', None]
    """
    word = str(value or "").lower().replace("_", " ")
    kinds = {"tv": "TV", "tv short": "TV", "ova": "OVA", "ona": "ONA", "tv special": "Special"}
    return kinds.get(word, word.capitalize()) or None


def words(value: object) -> str | None:
    """
    >>> words("LIGHT_NOVEL"), words("light_novel"), words("Web manga")
    ('Light novel', 'Light novel', 'Web manga')
    """
    return str(value).replace("_", " ").capitalize() if value else None


def names(values: object) -> object:
    """Return the names in a list of objects; other values are unchanged."""
    if not isinstance(values, list):
        return values
    return [value["name"] if isinstance(value, Mapping) and "name" in value else value for value in values]


def day(value: object) -> str | None:
    """
    >>> day("2004-04-07T00:00:00+00:00"), day("2004-04"), day("2004"), day(None)
    ('2004-04-07', '2004-04-01', '2004-01-01', None)
    """
    text = str(value or "")[:10]
    return text + "-01" * (2 - text.count("-")) if text else None
