"""Crawls: run a spider of Scrapy, keep its pages, and build the tables from them.

<data>/crawled-jikan/
    pages.sqlite     every page that was fetched, compressed; see `anirec.data.acquire.pages`
    manifest.yaml    source, times and counts of the crawls
    titles.jsonl, …  see `anirec.data.acquire.tables`

A crawl that was killed is continued by the same command: pages of the file are not fetched again. After a finished
crawl, the same command starts the next one, which fetches what is new or has changed.
"""

import hmac
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from filelock import FileLock, Timeout

from anirec.atomic import write_text
from anirec.data.acquire.pages import FILE, Pages
from anirec.data.acquire.spiders import SPIDERS
from anirec.data.acquire.tables import build_tables
from anirec.errors import UserError
from anirec.progress import StatusLine

INSTALL = "pip install 'anirec[crawl]'"
MANIFEST = "manifest.yaml"
SALT = ".crawl-salt"
N_RETRIES = 8
LONGEST_NAMES = 10_000_000  # bytes of a file of user names


@dataclass
class Outcome:
    """What a crawl has done.

    Attributes:
        folder: Folder of the crawl.
        n_fetched: Pages that were fetched now.
        n_kept: Pages that were already there.
        counts: Number of rows of each table.
        problems: Number of pages that could not be fetched, by reason.
        examples: One page for each reason.
        unread: Number of pages whose content is not as expected, by error; they are kept.
        stopped: Why the crawl ended early; empty if it did not.
    """

    folder: Path
    n_fetched: int = 0
    n_kept: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    examples: Mapping[str, str] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    stopped: str = ""


def spider_class(name: str) -> Any:
    """Return the class of a spider.

    Raises:
        UserError: There is no such spider, or Scrapy is not installed.
    """
    if name not in SPIDERS:
        raise UserError(f"{name}: no such crawl. Available: {', '.join(SPIDERS)}")
    try:
        import_module("scrapy")
    except ImportError:
        raise UserError(f"Crawls need Scrapy: {INSTALL}") from None
    module = import_module(f"anirec.data.acquire.spiders.{name}")
    return getattr(module, "".join(part.capitalize() for part in name.split("_")))


def crawl(
    name: str,
    data: Path,
    *,
    since: str = "",
    limit: int | None = None,
    users: Path | None = None,
    keep_names: bool = False,
    settings: Sequence[str] = (),
) -> Outcome:
    """Fetch what a crawl lacks and build its tables.

    Args:
        name: Name of the spider.
        data: Folder of the datasets; the crawl gets a folder in it.
        since: Fetch only titles and entries from this day on, or posts from this id on.
        limit: Most titles, lists or posts.
        users: File of user names, one per line, for the spiders of lists.
        keep_names: Whether to keep user names instead of salted hashes of them.
        settings: Settings of the spider, KEY=VALUE.

    Raises:
        UserError: An argument is invalid, a key of the site is missing, or another crawl uses the folder or the host.
    """
    kind = spider_class(name)
    values = parse_settings(kind, settings)
    since = parse_since(kind, since)
    client_id = read_client_id(kind)
    folder = data / f"crawled-{name}"
    names = read_users(kind, users, data, keep_names=keep_names)
    folder.mkdir(parents=True, exist_ok=True)
    options = {"address": values["address"], "since": since, "limit": limit, "keep_names": keep_names}
    with ExitStack() as stack:
        stack.enter_context(lock(folder / ".lock", f"{folder}: another crawl uses this folder. Wait until it ends."))
        manifest = read_manifest(folder)
        round_, is_new = begin_round(manifest, options)
        write_manifest(folder, manifest, kind, values)
        status = stack.enter_context(StatusLine(f"crawl {name}"))
        given = {
            "round_": round_,
            "since": since,
            "limit": limit,
            "values": values,
            "client_id": client_id,
            "users": names,
            "report": lambda spider: status.step(progress(spider)),
        }
        for host in kind(**given).hosts() - {""}:  # two crawls of one host would ask twice as often
            stack.enter_context(lock(data / f".crawl-{host}.lock", f"Another crawl asks {host}. Wait until it ends."))
        n_before = count_pages(folder)
        if not is_new:
            time.sleep(values["seconds"])  # since the last request before the kill
        outcome = run_spider(kind, folder, round_, given)
        outcome.n_fetched = count_pages(folder) - n_before
        outcome.counts, outcome.unread = build_tables(kind, folder, status.step)
        # A crawl that was continued and got nothing more is over: the next one asks for the pages that fail, too.
        finished = not outcome.stopped and (not outcome.problems or (not is_new and outcome.n_fetched == 0))
        end_round(manifest, outcome, finished=finished)
        write_manifest(folder, manifest, kind, values)
    return outcome


def rebuild(name: str, data: Path) -> Outcome:
    """Build the tables of a crawl again from its pages.

    Raises:
        UserError: There are no pages.
    """
    kind, folder = spider_class(name), data / f"crawled-{name}"
    if not (folder / FILE).is_file():
        raise UserError(f"{folder / FILE}: no such file. Run anirec data crawl {name} first.")
    with StatusLine(f"rebuild {name}") as status, lock(folder / ".lock", f"{folder}: a crawl uses this folder."):
        counts, unread = build_tables(kind, folder, status.step)
    return Outcome(folder, n_kept=count_pages(folder), counts=counts, unread=unread)


def run_spider(kind: Any, folder: Path, round_: str, given: Mapping[str, Any]) -> Outcome:
    """Run a spider until it has no more requests, or until Ctrl+C."""
    from scrapy.crawler import AsyncCrawlerProcess

    process = AsyncCrawlerProcess(scrapy_settings(kind, folder, round_, given["values"]))
    crawler = process.create_crawler(kind)
    process.crawl(crawler, **given)
    process.start()
    spider: Any = crawler.spider
    stats: Any = crawler.stats
    outcome = Outcome(folder)
    if spider is None:
        raise UserError(f"The crawl could not start; see {folder}.")
    outcome.n_kept = stats.get_value("httpcache/hit", 0)
    outcome.problems, outcome.examples = Counter(spider.problems), spider.examples
    reason = stats.get_value("finish_reason")
    outcome.stopped = spider.stopped or ("" if reason == "finished" else "interrupted")
    return outcome


def scrapy_settings(kind: Any, folder: Path, round_: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of Scrapy: one request at a time, at least `seconds` after the previous one."""
    return {
        "USER_AGENT": f"anirec/{version('anirec')}",
        "ROBOTSTXT_OBEY": True,
        "CONCURRENT_REQUESTS": 1,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
        "DOWNLOAD_DELAY": values["seconds"],
        "DOWNLOAD_DELAY_JITTER": 0,
        "DOWNLOAD_TIMEOUT": values["timeout"],
        "AUTOTHROTTLE_ENABLED": True,  # waits longer where the site is slow
        "AUTOTHROTTLE_START_DELAY": values["seconds"],
        "RETRY_TIMES": N_RETRIES,
        "HTTPCACHE_ENABLED": True,
        "HTTPCACHE_STORAGE": "anirec.data.acquire.pages.PageCache",
        "HTTPCACHE_POLICY": "anirec.data.acquire.pages.KeepFinalAnswers",
        "CRAWL_FOLDER": str(folder),
        "CRAWL_ROUND": round_,
        "CRAWL_FINAL": sorted(kind.final),
        "DOWNLOADER_MIDDLEWARES": {
            "anirec.data.acquire.patience.Patience": 560,
            "scrapy.downloadermiddlewares.httpcache.HttpCacheMiddleware": 585,  # after decompression
        },
        "REDIRECT_ENABLED": False,  # a redirect would take the key of the site to another host
        "METAREFRESH_ENABLED": False,
        "COOKIES_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "LOG_INSTALL_ROOT_HANDLER": False,
        "LOG_ENABLED": False,  # Scrapy's log has the addresses, and with them the names of users
    }


def progress(spider: Any) -> str:
    """Return the state of a crawl in a line."""
    hits = spider.crawler.stats.get_value("httpcache/hit", 0)
    parts = [f"{spider.n_units:,} {spider.unit}", f"{spider.n_pages:,} pages ({hits:,} already there)"]
    return ", ".join(parts + [f"{sum(spider.problems.values()):,} failed"] * bool(spider.problems))


def count_pages(folder: Path) -> int:
    pages = Pages(folder)
    try:
        return len(pages)
    finally:
        pages.close()


def parse_settings(kind: Any, settings: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a spider, with its defaults.

    Raises:
        UserError: A setting is unknown or has the wrong type.
    """
    values = {key: getattr(kind, key) for key in kind.setting_names}
    for text in settings:
        key, is_given, value = text.partition("=")
        if not is_given or key not in values:
            raise UserError(f"{text}: expected KEY=VALUE with one of the keys {', '.join(values)}")
        try:
            values[key] = type(values[key])(value)
        except ValueError:
            raise UserError(f"{text}: expected a number") from None
    for key in ("seconds", "timeout"):
        if not 0 < values[key] < 86_400:
            raise UserError(f"{key}={values[key]:g}: expected seconds, more than 0 and less than a day")
    for key in ("address", "characters"):
        is_own = urlsplit(values.get(key, "")).hostname != urlsplit(getattr(kind, key, "")).hostname
        if values["seconds"] < kind.seconds and not is_own and key in values:
            host = urlsplit(values[key]).hostname
            raise UserError(f"seconds={values['seconds']:g}: {host} needs {kind.seconds:g} s between two requests.")
    if urlsplit(values["address"]).scheme not in ("http", "https"):
        raise UserError(f"address={values['address']}: expected an address that starts with https:// or http://")
    values["address"] = values["address"].rstrip("/")
    return values


def parse_since(kind: Any, since: str) -> str:
    """Return --since in the form of the spider.

    Raises:
        UserError: It is malformed, or the spider cannot leave out what is older.
    """
    if since and not kind.has_since:
        raise UserError(f"{kind.name} always fetches whole {kind.unit}: leave out --since.")
    try:
        return str(kind.parse_since(since)) if since else ""
    except ValueError:
        expected = "the id of a post" if kind.unit == "posts" else "a day such as 2026-01-31"
        raise UserError(f"--since {since}: expected {expected}") from None


def read_client_id(kind: Any) -> str:
    """Return the site's key from the environment; empty if it needs none.

    Raises:
        UserError: The variable is not set.
    """
    client_id = os.environ.get(kind.variable, "").strip() if kind.variable else ""
    if kind.variable and not (client_id.isascii() and client_id.isprintable() and client_id):
        raise UserError(
            f"{kind.name}: this API needs a client id. Create one at {kind.variable_from}\n"
            f"and set it: export {kind.variable}=…"
        )
    return client_id


def read_users(kind: Any, users: Path | None, data: Path, *, keep_names: bool) -> list[tuple[str, str]]:
    """Return the names of users, each with the name that it gets in the tables.

    Raises:
        UserError: The file is missing where it is needed, given where it is not, or cannot be read.
    """
    if not kind.needs_users:
        if users or keep_names:
            raise UserError(f"{kind.name} has no users: leave out --users and --keep-names.")
        return []
    if users is None:
        raise UserError(f"{kind.name} needs the names of users: --users FILE, one name per line.")
    try:
        if users.stat().st_size > LONGEST_NAMES:
            raise UserError(f"--users {users}: larger than {LONGEST_NAMES:,} bytes; expected one name per line.")
        lines = users.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--users {users}: cannot be read: {error}") from None
    names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if wrong := [name for name in names if len(name) > 64 or not name.isprintable() or set(name) & set("/@")]:
        raise UserError(f"--users {users}: {wrong[0][:64]!r} is not the name of a user.")
    if not names:
        raise UserError(f"--users {users}: holds no name.")
    salt = b"" if keep_names else read_salt(data)
    return [(name, name if keep_names else hash_name(kind.name, name, salt)) for name in names]


def hash_name(site: str, name: str, salt: bytes) -> str:
    """Return a name that replaces a user's: the same in every crawl of this site with this salt."""
    return "u" + hmac.new(salt, f"{site}:{name.casefold()}".encode(), "sha256").hexdigest()[:20]


def read_salt(data: Path) -> bytes:
    """Return the salt of user names, which is created if there is none. Whoever has it can test names, so it lies
    outside the folders that one would share."""
    path = data / SALT
    if not path.is_file():
        data.mkdir(parents=True, exist_ok=True)
        write_text(path, secrets.token_hex(32))
        path.chmod(0o600)
    return bytes.fromhex(path.read_text(encoding="utf-8"))


@contextmanager
def lock(path: Path, message: str) -> Iterator[None]:
    """Hold a lock during the block.

    Raises:
        UserError: Another process holds it.
    """
    held = FileLock(path)
    try:
        held.acquire(blocking=False)
    except Timeout:
        raise UserError(message) from None
    try:
        yield
    finally:
        held.release()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the content of manifest.yaml; without crawls if there is none.

    Raises:
        UserError: It is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {"crawls": []}
    try:
        manifest: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        if all(
            isinstance(one["started"], str) and "options" in one and "finished" in one for one in manifest["crawls"]
        ):
            return manifest
    except (ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        pass
    raise UserError(f"{path}: damaged. Remove it to start a new crawl; the pages are kept.")


def begin_round(manifest: dict[str, Any], options: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the start of the crawl that did not finish, if it had these options, else of a new one; and which."""
    crawls = manifest["crawls"]
    if crawls and crawls[-1]["finished"] is None and crawls[-1]["options"] == options:
        return crawls[-1]["started"], False
    started = datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    crawls.append({"started": started, "options": dict(options), "finished": None})
    return started, True


def end_round(manifest: dict[str, Any], outcome: Outcome, *, finished: bool) -> None:
    """Note what the crawl has done."""
    one = manifest["crawls"][-1]
    one["finished"] = datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00") if finished else None
    one["pages_fetched"] = one.get("pages_fetched", 0) + outcome.n_fetched
    one["pages_failed"], one["pages_unread"] = dict(outcome.problems), dict(outcome.unread)
    manifest["rows"] = dict(outcome.counts)


def write_manifest(folder: Path, manifest: Mapping[str, Any], kind: Any, values: Mapping[str, Any]) -> None:
    """Write manifest.yaml."""
    facts = {"spider": kind.name, "source": values["address"], "anirec": version("anirec")}
    if kind.needs_users:
        kept = any(one["options"].get("keep_names") for one in manifest["crawls"])
        facts["user_names"] = "as on the site" if kept else "replaced by salted hashes"
    write_text(folder / MANIFEST, yaml.safe_dump({**facts, **manifest}, sort_keys=False, allow_unicode=True))
