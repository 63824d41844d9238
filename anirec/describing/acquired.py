"""`anirec data crawl` and `anirec data get`: fetch data, and print what was fetched."""

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from anirec.config.compose import default_paths
from anirec.data.acquire import crawl
from anirec.data.acquire.crawl import Outcome
from anirec.data.acquire.download import NOTE, download
from anirec.data.acquire.hosts import can_download, check_address
from anirec.data.acquire.spiders import SPIDERS
from anirec.data.sources.base import Dump
from anirec.describing import datasets
from anirec.errors import UserError
from anirec.printable import Console

CONSOLE = Console(highlight=False, soft_wrap=True)
MOST_REASONS = 5
READ_BY = {  # the dataset that reads a crawl, and the folder that its YAML names
    "jikan": "dataset=crawled",
    "mal": "dataset=crawled dataset.source.folder={folder}",
    "mal_lists": "dataset=crawled_lists",
    "anilist_lists": "dataset=crawled_lists dataset.source.folder={folder}",
    "safebooru": "dataset=safebooru dataset.source.folder={folder}",
    "danbooru": "dataset=safebooru dataset.source.folder={folder}",
}


def show_download(name: str, address: str | None, *, force: bool) -> None:
    """Download a dump, or print where to get it; the address is that of its source if None is given."""
    if address:
        check_address(address)
    source, cache = datasets.create_source(name)
    origin = address or (source.origin if isinstance(source, Dump) else "")
    if not isinstance(source, Dump) or not (address or can_download(origin)):
        datasets.show_origin(name)
        return
    if not force and datasets.file_state(source) != datasets.MISSING:
        rows = datasets.count_rows(datasets.cached_report(source, Path(cache)))
        what = "a sample of the published files is" if datasets.is_sample(source, rows) else "all files are"
        CONSOLE.print(f"{name}: {what} in {escape(str(source.folder))}. --force downloads all of them.")
        return
    CONSOLE.print(f"Downloading {escape(origin)}")
    kept = download(origin, source.folder, source.needs, force=force)
    if kept:
        CONSOLE.print(f"Kept, since they were already there: {escape(', '.join(kept))}. --force replaces them.")
    CONSOLE.print(f"Files: {escape(str(source.folder))} ({datasets.file_state(source)})")
    CONSOLE.print(f"Licence and source: {escape(str(source.folder / NOTE))}")


def show_crawl(
    name: str | None,
    settings: Sequence[str],
    *,
    since: str,
    limit: int | None,
    users: Path | None,
    keep_names: bool,
    rebuild: bool,
) -> None:
    """Run a crawl, or list the crawls, and print what was fetched.

    Raises:
        UserError: The crawl is not complete.
    """
    if name is None:
        width = max(map(len, SPIDERS))
        CONSOLE.print("\n".join(f"{spider:<{width}}  {what}" for spider, what in SPIDERS.items()))
        return
    data = default_paths()["data"]
    if rebuild:
        outcome = crawl.rebuild(name, data)
    else:
        outcome = crawl.crawl(
            name, data, since=since, limit=limit, users=users, keep_names=keep_names, settings=settings
        )
    show_outcome(name, outcome)


def show_outcome(name: str, outcome: Outcome) -> None:
    """Print counts, what failed and how to use the result.

    Raises:
        UserError: The crawl is not complete.
    """
    rows = ", ".join(f"{count:,} {table}" for table, count in outcome.counts.items()) or "none"
    CONSOLE.print(f"Pages: {outcome.n_fetched:,} fetched, {outcome.n_kept:,} already there")
    CONSOLE.print(f"Rows: {rows}")
    CONSOLE.print(f"Folder: {escape(str(outcome.folder))}")
    if outcome.unread:
        n_unread = sum(outcome.unread.values())
        CONSOLE.print(f"{n_unread:,} pages are not as expected; they are kept, and add no rows:")
        for error, count in outcome.unread.most_common(MOST_REASONS):
            CONSOLE.print(escape(f"  {count:,} pages: {error}"))
    for reason, count in outcome.problems.most_common(MOST_REASONS):
        example = outcome.examples.get(reason)
        CONSOLE.print(escape(f"  {count:,} pages: {reason}" + (f" (such as {example})" if example else "")))
    if outcome.stopped:
        raise UserError(f"The crawl is not complete: {outcome.stopped}.\nThe same command continues it.")
    if outcome.problems:
        raise UserError(
            f"The crawl is not complete: {sum(outcome.problems.values()):,} pages failed.\n"
            "The same command asks for them again."
        )
    if outcome.counts:
        choice = READ_BY[name].format(folder=outcome.folder)
        CONSOLE.print(f"Use it with: {escape(choice)}")
