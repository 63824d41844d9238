"""The manifest of a crawl: source, times, and counts of the crawls that have filled the folder.

spider: jikan
source: https://api.jikan.moe/v4
crawls:
- started: '2026-11-26T11:00:39.917519'
  options: {address: 'https://api.jikan.moe/v4', since: '', limit: null, keep_names: false}
  finished: '2026-11-26T19:21:03'      # null: the same command continues it
  pages_fetched: 15202
rows: {titles: 5000, appearances: 15000, characters: 5001, portraits: 5001}
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from anirec.atomic import write_text
from anirec.errors import UserError

MANIFEST = "manifest.yaml"


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


def end_round(manifest: dict[str, Any], counts: Mapping[str, Any], rows: Mapping[str, int], *, finished: bool) -> None:
    """Note what the crawl has done.

    Args:
        manifest: Changed in place.
        counts: `pages_fetched` since its start; `pages_failed` and `pages_unread` by reason.
        rows: Number of rows of each table.
        finished: Whether the next crawl is a new one.
    """
    one = manifest["crawls"][-1]
    one["finished"] = datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00") if finished else None
    one["pages_fetched"] = counts["pages_fetched"]
    one["pages_failed"], one["pages_unread"] = dict(counts["pages_failed"]), dict(counts["pages_unread"])
    manifest["rows"] = dict(rows)


def write_manifest(folder: Path, manifest: Mapping[str, Any], kind: Any, values: Mapping[str, Any]) -> None:
    """Write manifest.yaml."""
    facts = {"spider": kind.name, "source": values["address"], "anirec": version("anirec")}
    if kind.needs_users:
        kept = any(one["options"].get("keep_names") for one in manifest["crawls"])
        facts["user_names"] = "as on the site" if kept else "replaced by salted hashes"
    write_text(folder / MANIFEST, yaml.safe_dump({**facts, **manifest}, sort_keys=False, allow_unicode=True))
