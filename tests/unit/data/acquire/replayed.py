"""Servers on loopback that answer as the APIs of the sites are documented to, with faults on request.

with Site(JikanWorld(100)) as site:
    site.fail("/anime/3/characters", "429", "cut")     # the first two answers; the third is whole
    …
site.counts["/anime/3/characters"]                     # 3
"""

import json
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from PIL import Image

Answer = tuple[int, dict[str, str], bytes]
Query = dict[str, str]


def as_json(content: Any, status: int = 200, **headers: str) -> Answer:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(content).encode()


NOT_FOUND = as_json({"status": 404, "message": "Resource does not exist"}, 404)


class Site:
    """A server on 127.0.0.1 for the duration of a `with` block.

    Attributes:
        counts: Number of requests by path, queries without the address of the server.
        times: Time of each request, of any path.
        bodies: Content of each POST request.
        headers: Headers of the last request, by their names in lower case.
        names_of_headers: Names of the headers of all requests.
    """

    def __init__(self, answer: Callable[[str, Query, Any], Answer], *, hang: float = 3.0) -> None:
        self.answer, self.hang = answer, hang
        self.counts: Counter[str] = Counter()
        self.times: list[float] = []
        self.bodies: list[Any] = []
        self.headers: dict[str, str] = {}
        self.names_of_headers: set[str] = set()
        self.faults: dict[str, deque[str]] = defaultdict(deque)
        self.robots = "User-agent: *\nDisallow: /private\n"
        self.lock = threading.Lock()

    def fail(self, path: str, *faults: str) -> None:
        """Answer the next requests of a path with these faults: a status, "429 SECONDS", "hang", "truncated",
        "cut" or a body."""
        self.faults[path].extend(faults)

    @property
    def n_requests(self) -> int:
        with self.lock:
            return self.counts.total() - self.counts["/robots.txt"]

    def repeated(self) -> dict[str, int]:
        return {path: count for path, count in self.counts.items() if count > 1 and path != "/robots.txt"}

    def __enter__(self) -> Self:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # else headers and body are two packets, which costs 40 ms

            def do_GET(self) -> None:
                site.handle(self, None)

            def do_POST(self) -> None:
                site.handle(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def handle(self, request: BaseHTTPRequestHandler, body: Any) -> None:
        parts = urlsplit(request.path)
        parts = parts._replace(path=unquote(parts.path))
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with self.lock:
            self.counts[request.path] += 1
            self.times.append(time.monotonic())
            self.names_of_headers |= {name.lower() for name in request.headers}
            self.headers = {name.lower(): value for name, value in request.headers.items()}
            if body is not None:
                self.bodies.append(body)
            faults = self.faults[parts.path]
            fault = faults.popleft() if faults else ""
        if parts.path == "/robots.txt":
            status, headers, content = 200, {"Content-Type": "text/plain"}, self.robots.encode()
        else:
            status, headers, content = self.answer(parts.path, query, body)
        length = len(content)
        if fault == "hang":
            time.sleep(self.hang)
        elif fault == "truncated":
            content = content[: length // 2]
        elif fault == "cut":
            content = content[: length // 2]
            length = len(content)
        elif fault.startswith("429"):
            status, headers, content, length = 429, {"Retry-After": fault[4:] or "1"}, b"", 0
        elif fault.isdigit() and len(fault) == 3:
            status, content, length = int(fault), b"", 0
        elif fault:
            content = fault.encode()
            length = len(content)
        try:
            request.send_response(status)
            for name, value in {**headers, "Content-Length": str(length)}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(content)
            if fault == "truncated":
                request.close_connection = True
        except OSError:
            request.close_connection = True  # the client has gone


WORDS = ["city", "wind", "robot", "school", "magic", "sea", "war", "friend", "sword", "music", "ghost", "train", "moon"]


class JikanWorld:
    """Jikan v4 over n generated titles; each second title shares a main character with the one before."""

    def __init__(self, n_titles: int) -> None:
        self.n_titles = n_titles
        self.unfinished: set[int] = set()
        self.address = ""

    def __call__(self, path: str, query: Query, _: Any) -> Answer:
        match path.strip("/").split("/"):
            case ["anime"]:
                return self.listing(int(query["page"]), int(query["limit"]))
            case ["anime", number, "characters"] if int(number) <= self.n_titles:
                return as_json({"data": [self.member(who, role) for who, role in self.cast(int(number))]})
            case ["characters", number]:
                return as_json({"data": self.character(int(number))})
            case ["images", name]:
                return 200, {"Content-Type": "image/png"}, picture(int(name.removesuffix(".png")))
        return NOT_FOUND

    def listing(self, page: int, size: int) -> Answer:
        numbers = range((page - 1) * size + 1, min(page * size, self.n_titles) + 1)
        last = -(-self.n_titles // size)
        paging = {
            "last_visible_page": last,
            "has_next_page": page < last,
            "current_page": page,
            "items": {"count": len(numbers), "total": self.n_titles, "per_page": size},
        }
        return as_json({"pagination": paging, "data": [self.title(number) for number in numbers]})

    def title(self, number: int) -> dict[str, Any]:
        chance = random.Random(number)
        return {
            "mal_id": number,
            "url": f"https://example.invalid/anime/{number}",
            "title": f"Title {number}",
            "title_english": None,
            "title_japanese": "題",
            "title_synonyms": [f"T{number}"],
            "type": "TV",
            "source": "Manga",
            "episodes": 12,
            "status": "Currently Airing" if number in self.unfinished else "Finished Airing",
            "aired": {"from": "2026-04-03T00:00:00+00:00", "to": None, "string": "Apr 3, 2026 to ?"},
            "duration": "24 min per ep",
            "rating": "PG-13 - Teens 13 or older",
            "score": round(chance.uniform(4, 9), 2),
            "scored_by": 1000,
            "rank": number,
            "popularity": number,
            "members": 5000,
            "favorites": 3,
            "synopsis": " ".join(chance.choices(WORDS, k=40)),
            "producers": [{"mal_id": 1, "type": "anime", "name": "NIS America, Inc.", "url": ""}],
            "studios": [{"mal_id": 4, "type": "anime", "name": "Bones", "url": ""}],
            "genres": [{"mal_id": 1, "type": "anime", "name": "Action", "url": ""}],
            "explicit_genres": [],
            "themes": [{"mal_id": 50, "type": "anime", "name": "Adult Cast", "url": ""}],
            "demographics": [],
        }

    def cast(self, number: int) -> list[tuple[int, str]]:
        return [(10 * number, "Main"), (10 * (number - number % 2), "Main"), (10 * number + 5, "Supporting")]

    def member(self, number: int, role: str) -> dict[str, Any]:
        who = {"mal_id": number, "url": "", "images": self.images(number), "name": f"Person, {number}"}
        return {"character": who, "role": role, "favorites": 0, "voice_actors": []}

    def character(self, number: int) -> dict[str, Any]:
        about = " ".join(random.Random(-number).choices(WORDS, k=15))
        return {"mal_id": number, "images": self.images(number), "name": f"Person {number}", "about": about}

    def images(self, number: int) -> dict[str, Any]:
        return {"jpg": {"image_url": f"{self.address}/images/{number}.png"}}


def picture(number: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (12, 16), (number % 256, number // 256 % 256, 90)).save(file, "PNG")
    return file.getvalue()


class MalWorld:
    """MyAnimeList's API v2: titles by rank, statistics, and lists of users in the order of their changes.

    Attributes:
        lists: Entries of each user, (title, score, day of the last change), in any order.
        private: Users with private lists.
    """

    def __init__(self, n_titles: int = 0) -> None:
        self.n_titles = n_titles
        self.updated = dict.fromkeys(range(1, n_titles + 1), "2026-01-01T00:00:00+00:00")
        self.lists: dict[str, list[tuple[int, int, str]]] = {}
        self.private: set[str] = set()
        self.address = ""

    def __call__(self, path: str, query: Query, _: Any) -> Answer:
        match path.strip("/").split("/"):
            case ["anime", "ranking"] | ["anime", "season", _, _]:
                return self.paged([{"node": self.title(n)} for n in range(1, self.n_titles + 1)], path, query)
            case ["anime", number] if int(number) <= self.n_titles:
                status = {"watching": "3", "completed": "9", "on_hold": "1", "dropped": "0", "plan_to_watch": "2"}
                return as_json({"id": int(number), "statistics": {"status": status, "num_list_users": 15}})
            case ["users", name, "animelist"] if name in self.private:
                return as_json({"error": "not_permitted", "message": ""}, 403)
            case ["users", name, "animelist"] if name in self.lists:
                entries = sorted(self.lists[name], key=lambda entry: entry[2], reverse=True)
                return self.paged([self.entry(*entry) for entry in entries], path, query)
        return as_json({"error": "not_found", "message": ""}, 404)

    def paged(self, found: list[Any], path: str, query: Query) -> Answer:
        offset, limit = int(query["offset"]), int(query["limit"])
        more = offset + limit < len(found)
        paging = {"next": f"{self.address}{path}?offset={offset + limit}"} if more else {}
        return as_json({"data": found[offset : offset + limit], "paging": paging})

    def title(self, number: int) -> dict[str, Any]:
        return {
            "id": number,
            "title": f"Title {number}",
            "main_picture": {"medium": "", "large": ""},
            "alternative_titles": {"synonyms": ["T"], "en": "", "ja": "題"},
            "start_date": "2017-10",
            "synopsis": "A city.",
            "mean": 7.5,
            "rank": number,
            "num_list_users": 15,
            "num_scoring_users": 9,
            "updated_at": self.updated[number],
            "media_type": "tv",
            "genres": [{"id": 1, "name": "Action"}],
            "num_episodes": 0,
            "source": "light_novel",
            "average_episode_duration": 1445,
            "rating": "pg_13",
            "studios": [],
        }

    def entry(self, title: int, score: int, day: str) -> dict[str, Any]:
        status = {"status": "completed", "score": score, "updated_at": f"{day}T10:00:00+00:00"}
        return {"node": {"id": title, "title": f"Title {title}"}, "list_status": status}


class AnilistWorld:
    """AniList's GraphQL API: lists of users in chunks, and headers that say how many requests are left."""

    def __init__(self, lists: dict[str, list[tuple[int | None, int]]]) -> None:
        self.lists = lists
        self.remaining: list[int] = []  # the next values of X-RateLimit-Remaining

    def __call__(self, path: str, query: Query, body: Any) -> Answer:
        asked = body["variables"]
        headers = {
            "X-RateLimit-Limit": "30",
            "X-RateLimit-Remaining": str(self.remaining.pop(0) if self.remaining else 9),
        }
        headers["X-RateLimit-Reset"] = str(int(time.time()) + 2)
        if asked["name"] not in self.lists:
            return as_json({"errors": [{"message": "User not found", "status": 404}], "data": None}, 404, **headers)
        found, size = self.lists[asked["name"]], asked["size"]
        chunk = found[(asked["chunk"] - 1) * size : asked["chunk"] * size]
        entries = [
            {
                "score": score,
                "status": "COMPLETED",
                "updatedAt": 1_500_000_000,
                "media": {"idMal": title, "title": {"romaji": f"Title {title}"}},
            }
            for title, score in chunk
        ]
        lists = [{"isCustomList": False, "entries": entries}, {"isCustomList": True, "entries": entries}]
        more = asked["chunk"] * size < len(found)
        return as_json({"data": {"MediaListCollection": {"hasNextChunk": more, "lists": lists}}}, 200, **headers)


class BoardWorld:
    """Danbooru's posts.json and Safebooru's DAPI over posts with the given ids; pages after the first are refused."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids

    def __call__(self, path: str, query: Query, _: Any) -> Answer:
        if int(query.get("page", 1) if path == "/posts.json" else query.get("pid", 0)) > 1:
            return as_json({"error": "pages are too deep"}, 410)
        low, high = self.bounds(query.get("tags", ""))
        found = [number for number in sorted(self.ids, reverse=True) if low <= number <= high]
        found = found[: int(query["limit"])]
        if path == "/posts.json":
            return as_json([self.danbooru(number) for number in found])
        return as_json([self.safebooru(number) for number in found]) if found else (200, {}, b"")

    def bounds(self, tags: str) -> tuple[int, int]:
        if ".." in tags:
            low, high = tags.removeprefix("id:").split("..")
            return int(low), int(high)
        if tags:
            low, high = tags.removeprefix("id:>").split(" id:<")
            return int(low) + 1, int(high) - 1
        return 0, 10**9

    def danbooru(self, number: int) -> dict[str, Any]:
        size = {"image_width": 800, "image_height": 600}
        time = "2026-01-14T16:52:26.493-05:00"
        return {
            "id": number,
            "score": number % 7,
            "tag_string": "1girl solo",
            "rating": "g",
            "created_at": time,
            **size,
        }

    def safebooru(self, number: int) -> dict[str, Any]:
        size = {"width": 800, "height": 600}
        return {"id": number, "score": None, "tags": "1girl bag", "rating": "safe", "change": 1264803292, **size}


class FilesWorld:
    """A host of files that can be resumed, as Zenodo's records and as plain files.

    Attributes:
        files: Content of each file.
        site: The server, whose last headers have the range.
        checksums: By name, a checksum to state instead of the right one.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.site: Site | None = None
        self.checksums: dict[str, str] = {}
        self.ranges: list[str] = []

    def __call__(self, path: str, query: Query, _: Any) -> Answer:
        match path.strip("/").split("/"):
            case ["api", "records", number]:
                return as_json(self.record(number))
            case ["api", "records", _, "files", name, "content"] | ["files", name]:
                return self.content(self.files[unquote(name)])
        return NOT_FOUND

    def record(self, number: str) -> dict[str, Any]:
        files = [
            {
                "id": f"id-{name}",
                "key": name,
                "size": len(content),
                "checksum": self.checksums.get(name, f"md5:{md5(content).hexdigest()}"),
                "links": {"self": f"https://example.invalid/api/records/{number}/files/{name}/content"},
            }
            for name, content in self.files.items()
        ]
        about = {
            "title": "A \x1b[31mcorpus\nof titles",
            "doi": f"10.5281/zenodo.{number}",
            "license": {"id": "cc-by-4.0"},
        }
        return {"id": int(number), "doi": about["doi"], "metadata": about, "files": files}

    def content(self, content: bytes) -> Answer:
        assert self.site is not None
        wanted = self.site.headers.get("range", "")
        self.ranges.append(wanted)
        if not wanted:
            return 200, {"Accept-Ranges": "bytes"}, content
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        return 206, {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}, content[start:]
