"""Crawls: run a spider of Scrapy, keep its pages, and build the tables from them.

<data>/crawled-jikan/
    pages.sqlite     every page that was fetched, compressed; see `anirec.data.acquire.pages`
    manifest.yaml    source, times and counts of the crawls; see `anirec.data.acquire.manifest`
    titles.jsonl, …  see `anirec.data.acquire.tables`

A crawl that was killed is continued by the same command: pages of the file are not fetched again. After a finished
crawl, the same command starts the next one, which fetches what is new or has changed.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anirec.data.acquire.crawl_options import parse_settings, parse_since, read_client_id
from anirec.data.acquire.manifest import begin_round, end_round, read_manifest, write_manifest
from anirec.data.acquire.pages import FILE, Pages
from anirec.data.acquire.spiders import SPIDERS
from anirec.data.acquire.tables import build_tables
from anirec.data.acquire.user_names import read_users
from anirec.errors import UserError
from anirec.progress import StatusLine

INSTALL = "pip install 'anirec[crawl]'"

N_RETRIES = 8


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
        n_fetched = count_pages(
            folder, since=datetime.fromisoformat(f"{round_}+00:00").timestamp()
        )  # before kills, too
        counts = {"pages_fetched": n_fetched, "pages_failed": outcome.problems, "pages_unread": outcome.unread}
        end_round(manifest, counts, outcome.counts, finished=finished)
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


def count_pages(folder: Path, since: float = 0.0) -> int:
    """Return the number of pages in a crawl's file that were fetched since a time."""
    pages = Pages(folder)
    try:
        return pages.count(since)
    finally:
        pages.close()


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
