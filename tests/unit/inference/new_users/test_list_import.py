"""Lists of people from MyAnimeList, AniList, Kitsu and tables: one invented list in each form."""

import gzip
import json
import random
from typing import Any

import pytest

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.inference.new_users.list_import.entries import Entry, UserList
from anirec.inference.new_users.list_import.read import LARGEST, read_list

# id, title, score of ten (0: unrated), status
ROWS = [
    (11, "Lamp Post!", 9, "completed"),
    (12, "Brass & <Band>", 7, "watching"),
    (13, "Quiet; Hours", 4, "dropped"),
    (14, "紙の灯", 0, "plan_to_watch"),
    (15, "Tin Orchestra III", 10, "on_hold"),
    (16, "Moon Garden", 8, "completed"),
]
AGAIN = 16  # being watched again
MAL = {
    "completed": "Completed",
    "watching": "Watching",
    "dropped": "Dropped",
    "plan_to_watch": "Plan to Watch",
    "on_hold": "On-Hold",
}
ANILIST = {
    "completed": "COMPLETED",
    "watching": "CURRENT",
    "dropped": "DROPPED",
    "plan_to_watch": "PLANNING",
    "on_hold": "PAUSED",
}
KITSU = {**dict.fromkeys(MAL, ""), "completed": "completed", "watching": "current", "dropped": "dropped"}
KITSU |= {"plan_to_watch": "planned", "on_hold": "on_hold"}


def mal(rows: Any = ROWS, start: str = '<?xml version="1.0" encoding="UTF-8" ?>') -> str:
    anime = [
        f"<anime><series_animedb_id>{item}</series_animedb_id><series_title><![CDATA[{title}]]></series_title>"
        f"<my_score>{score}</my_score><my_status>{MAL.get(status, status)}</my_status><my_comments></my_comments>"
        f"<my_rewatching>{int(item == AGAIN)}</my_rewatching></anime>"
        for item, title, score, status in rows
    ]
    info = "<myinfo><user_name>nobody</user_name></myinfo>"
    return f"{start}\n<!-- an export -->\n<myanimelist>{info}{''.join(anime)}</myanimelist>"


def anilist(form: str | None = "POINT_10", scores: Any = None) -> dict[str, Any]:
    entries = [
        {
            "score": score if scores is None else scores[n],
            "status": "REPEATING" if item == AGAIN else ANILIST[status],
            "media": {"idMal": item, "title": {"romaji": title, "english": None}, "synonyms": ["Other Name"]},
        }
        for n, (item, title, score, status) in enumerate(ROWS)
    ]
    lists = [{"name": "All", "entries": entries}, {"name": "Custom", "isCustomList": True, "entries": entries[:2]}]
    user = {"mediaListOptions": {"scoreFormat": form}} if form else None
    return {"data": {"MediaListCollection": {"user": user, "lists": lists}}}


def kitsu() -> list[dict[str, Any]]:
    pages = []
    for item, title, score, status in ROWS:
        anime = {"type": "anime", "id": f"7{item}"}
        mappings = [{"type": "mappings", "id": f"8{item}"}, {"type": "mappings", "id": f"9{item}"}]
        entry = {
            "type": "libraryEntries",
            "id": str(item),
            "attributes": {
                "status": "current" if item == AGAIN else KITSU[status],
                "reconsuming": item == AGAIN,
                "ratingTwenty": 2 * score or None,
            },
            "relationships": {"anime": {"data": anime}},
        }
        included = [
            {
                **anime,
                "attributes": {"canonicalTitle": title, "titles": {"en": None, "en_jp": title}},
                "relationships": {"mappings": {"data": mappings}},
            },
            {**mappings[0], "attributes": {"externalSite": "anidb", "externalId": "1"}},
            {**mappings[1], "attributes": {"externalSite": "myanimelist/anime", "externalId": str(item)}},
        ]
        pages.append({"data": [entry], "included": included})
    return pages


def table(separator: str = ",") -> str:
    cells = [("MAL ID", "Title", "My score", "Notes", "Status")]
    cells += [(str(item), f'"{title}"', str(score or ""), "", MAL[status]) for item, title, score, status in ROWS]
    return "\n".join(separator.join(row) for row in cells)


def read(content: object, scale: Scale | None = None) -> UserList:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return read_list(text.encode(), scale=scale)


def values(found: UserList) -> list[tuple[Any, ...]]:
    """Return id, main title, score of ten, and status of each entry."""
    return [
        (int(entry.mal_id or 0), entry.names[0], round(10 * (entry.score or 0), 6), entry.status)
        for entry in found.entries
    ]


@pytest.mark.parametrize(
    ("content", "site"),
    [
        (mal(), "MyAnimeList"),
        (anilist(), "AniList"),
        (anilist()["data"], "AniList"),
        (kitsu(), "Kitsu"),
        (table(), "A table"),
        (table("\t"), "A table"),
        (table(";").replace("\n", "\r"), "A table"),
    ],
)
def test_a_list_is_the_same_in_every_form(content: object, site: str) -> None:
    found = read(content)
    assert found.site == site
    assert values(found) == ROWS
    assert not found.unused


@pytest.mark.parametrize("content", [mal(), table(), json.dumps(anilist())])
def test_byte_order_marks_utf_16_and_gzip_are_read(content: str) -> None:
    declared = content.replace("UTF-8", "UTF-16")
    for packed in (content.encode("utf-8-sig"), declared.encode("utf-16"), gzip.compress(content.encode())):
        assert values(read_list(packed)) == ROWS


@pytest.mark.parametrize(
    ("form", "scores", "shares"),
    [
        ("POINT_100", [85, 70, 5, 0, 100, 1], [0.85, 0.7, 0.05, None, 1, 0.01]),
        ("POINT_10_DECIMAL", [8.5, 7, 0.5, 0, 10, 1], [0.85, 0.7, 0.05, None, 1, 0.1]),
        ("POINT_10", [8, 7, 1, 0, 10, 1], [0.8, 0.7, 0.1, None, 1, 0.1]),
        ("POINT_5", [4, 3, 2, 0, 5, 1], [0.7, 0.5, 0.3, None, 0.9, 0.1]),
        ("POINT_3", [3, 2, 1, 0, 3, 2], [0.85, 0.6, 0.35, None, 0.85, 0.6]),
        (None, [85, 70, 5, 0, 100, 1], [0.85, 0.7, 0.05, None, 1, 0.01]),
        ("POINT_5", [8.5, 7, 5, 0, 10, 1], [0.85, 0.7, 0.5, None, 1, 0.1]),  # asked for in another form
    ],
)
def test_scores_of_anilist_are_read_in_each_of_its_forms(form: str | None, scores: Any, shares: Any) -> None:
    assert [entry.score for entry in read(anilist(form, scores)).entries] == shares


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (anilist("POINT_100", [8.5, 7, 5, 0, 10, 1]), "no score is above 10; set --list-scale"),
        (anilist(None, [4, 3, 2, 0, 5, 1]), "the largest score is 5, so their scale is not clear; set --list-scale"),
        ("title,score\nMonster,4.5", "the largest score is 4.5, so their scale is not clear"),
        ("title,score\nMonster,17", "the largest score is 17, so their scale is not clear"),
        ("title,score\nMonster,85\nMushishi,9\nK-On,8", "scores up to 85, but half of them are at most 10"),
        ("title,score\nMonster,999", "scores up to 999; set --list-scale"),
    ],
)
def test_a_scale_that_is_not_clear_is_asked_for(content: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(content)
    assert read(content, Scale(0.5, 1000)).entries


def test_cells_may_name_their_scale() -> None:
    found = read("title;rating\nA;9/10\nB;4,5/5\nC;85%\nD;★★\nE;-\nF;7,5\nG;10")
    assert [entry.score for entry in found.entries] == [0.9, 0.9, 0.85, 0.4, None, 0.75, 1]


def test_entries_that_cannot_be_read_are_kept_with_their_reason() -> None:
    rows = [*ROWS, (21, "Too High", 11, "completed"), (22, "Odd", 5, "Haunted"), (0, "", 5, "completed")]
    found = read(mal(rows))
    assert len(found.entries) == len(ROWS)
    assert [(entry.row, entry.text, entry.reason) for entry in found.unused] == [
        (7, "Too High", "score '11' is not a number from 1 to 10"),
        (8, "Odd", "unknown status 'haunted'"),
        (9, "#None", "neither a title nor an id"),
    ]
    found = read("title,score\nA,9\nB,8\nC,7,8\nA,6\n\nD,x\nE,10")
    assert [(entry.row, entry.reason) for entry in found.unused] == [
        (2, "listed again as entry 5"),
        (4, "3 cells, not 2"),
        (7, "score 'x' is not a number from 1 to 10"),
    ]
    assert [entry.names for entry in found.entries] == [("B",), ("A",), ("E",)]


def test_a_list_without_scores_is_one_of_seen_titles() -> None:
    assert read("name\nMonster\n").entries == [Entry(row=2, names=("Monster",), score=None, status=None)]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><myanimelist><anime>&b;</anime></myanimelist>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><myanimelist><anime>&a;</anime></myanimelist>'
LISTED = [{"series_id": 1, "score": 5}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "XML that declares entities is refused"),
        (OUTSIDE, "XML that declares entities is refused"),
        ("<myanimelist><anime>", "not well-formed XML"),
        ("<html></html>", "XML of <html>; expected MyAnimeList's export"),
        ("<myanimelist>" + "<a>" * 50, "nested too deeply"),
        ("<myanimelist><manga></manga></myanimelist>", "a list of manga"),
        ("<myanimelist></myanimelist>", "the list has no entries"),
        ("", "no column of titles or ids among"),
        ("a,b\n1,2", "no column of titles or ids among a, b; expected a first line"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "JSON of another kind; expected AniList's MediaListCollection"),
        ("[1, 2]", "JSON of another kind"),
        ({"lists": LISTED}, "AniList's data export has neither titles nor MyAnimeList ids"),
        (anilist("POINT_7"), "scoreFormat 'POINT_7': expected one of POINT_100"),
        (
            mal([(n, "T", 99, "completed") for n in range(1, 9)]),
            "8 of 8 entries cannot be read, most often: score '99'",
        ),
        ('title\n"open', "line 2: not a table"),
        ("title\nA\x00B", "not a text file"),
        ("title\n" + "A\n" * 50_002, "more than 50,000 entries"),
    ],
)
def test_what_is_no_list_is_explained(content: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"title\nGar\xe7on\n", "not UTF-8 text .* at byte 9.*; save it as UTF-8"),
        (b"PK\x03\x04rest", "a zip archive; unpack it first"),
        (gzip.compress(b"title", mtime=0)[:-6], "damaged gzip file"),
        (b"\x1f\x8bnonsense", "damaged gzip file"),
        (gzip.compress(b"a" * (LARGEST + 1), mtime=0), "larger than 16 MiB"),
        (b"a" * (LARGEST + 1), "larger than 16 MiB"),
        (b"\xff\xfea", "not UTF-8 text"),
    ],
)
def test_bytes_that_are_no_list_are_explained(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_list(content)


@pytest.mark.parametrize("value", [None, [], {}, True, 1e400, "x", -5, 10**400, [[1]]])
def test_values_of_the_wrong_type_are_counted(value: Any) -> None:
    content = anilist()
    media = {"idMal": value, "title": value, "synonyms": value}
    (entries, _) = content["data"]["MediaListCollection"]["lists"]
    entries["entries"].append({"score": value, "status": value, "media": media})
    entries["entries"].append({"score": 5, "status": "COMPLETED", "media": value})
    found = read_list(json.dumps(content).encode())
    assert values(found)[: len(ROWS)] == ROWS
    assert len(found.entries) + len(found.unused) == len(ROWS) + 2


ODD = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "\ud800",
    "\x1b[2J",
    [],
    [[]],
    {},
    {"a": 1},
    "9/10",
    "K-On!!",
    "M" * 1000,
]


def places(content: Any) -> list[tuple[Any, Any]]:
    """Return the container and the key of every value in JSON."""
    keys = content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    return [place for key in keys for place in [(content, key), *places(content[key])]]


@pytest.mark.parametrize("make", [anilist, kitsu])
def test_any_value_may_be_of_any_type(make: Any) -> None:
    """One to three values of a list are replaced: it is read, with entries that are counted, or refused in words."""
    rng, n_read = random.Random(0), 0
    for _ in range(600):
        content = make()
        for _ in range(rng.choice([1, 1, 2, 3])):
            container, key = rng.choice(places(content) or [({}, "")])
            container[key] = rng.choice(ODD)
        try:
            found = read_list(json.dumps(content).encode())
        except UserError:
            continue
        n_read += bool(found.entries)
    assert n_read > 200
