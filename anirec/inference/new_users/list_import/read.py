"""Recognition of the format of a list, and reading of its entries."""

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.inference.new_users.list_import.anilist import anilist_entries
from anirec.inference.new_users.list_import.entries import MOST_ENTRIES, Entry, Unused, UserList
from anirec.inference.new_users.list_import.json_values import dicts, get
from anirec.inference.new_users.list_import.kitsu import kitsu_entries
from anirec.inference.new_users.list_import.mal_xml import mal_entries, read_xml
from anirec.inference.new_users.list_import.tables import table_entries

LARGEST = 1 << 24  # bytes of a list, unpacked
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
OF_KITSU = ("libraryEntries", "library-entries")


def read_list(content: bytes, *, scale: Scale | None = None) -> UserList:
    """Read a list in any of the formats.

    Args:
        content: Content of the file.
        scale: Scale of the scores; None for that of the site, or one that is found from the scores of a table.

    Raises:
        UserError: The content is no list, or too large, or most entries cannot be read.
    """
    content = unpack(content)
    start = content.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00")[:1]
    if start == b"<":
        site, rows = "MyAnimeList", mal_entries(read_xml(content), scale or Scale(1, 10))
    else:
        text = decode(content)
        site, rows = json_entries(text, scale) if start in (b"{", b"[") else ("A table", table_entries(text, scale))
    entries: dict[object, Entry] = {}
    unused: list[Unused] = []
    for number, row in enumerate(islice(rows, MOST_ENTRIES + 1)):
        if number == MOST_ENTRIES:
            raise UserError(f"more than {MOST_ENTRIES:,} entries")
        if isinstance(row, Unused):
            unused.append(row)
            continue
        key = row.mal_id or row.item_id or row.names
        earlier = entries.get(key)
        if earlier and (earlier.score, earlier.status) == (row.score, row.status):
            continue  # as in AniList's own lists
        if earlier:
            unused.append(Unused(row=earlier.row, text=earlier.text, reason=f"listed again as entry {row.row}"))
            del entries[key]
        entries[key] = row
    unused.sort(key=lambda entry: entry.row)
    check_share(len(entries), unused)
    return UserList(site=site, entries=list(entries.values()), unused=unused)


def check_share(n_entries: int, unused: Sequence[Unused]) -> None:
    """Raise a UserError if there are no entries, or most cannot be read."""
    if not n_entries and not unused:
        raise UserError("the list has no entries")
    if len(unused) > n_entries:
        (reason, _), *_ = Counter(entry.reason for entry in unused).most_common(1)
        raise UserError(f"{len(unused):,} of {n_entries + len(unused):,} entries cannot be read, most often: {reason}")


def unpack(content: bytes) -> bytes:
    """Return the content, unpacked if it is packed by gzip.

    Raises:
        UserError: It is damaged, too large, or of another format.
    """
    if content.startswith(ZIP):
        raise UserError("a zip archive; unpack it first")
    if content.startswith(GZIP):
        packed = zlib.decompressobj(wbits=31)
        try:
            unpacked = packed.decompress(content, LARGEST + 1)
        except zlib.error as error:
            raise UserError(f"damaged gzip file: {error}") from None
        if not packed.eof and len(unpacked) <= LARGEST:
            raise UserError("damaged gzip file: it ends too early")
        content = unpacked
    if len(content) > LARGEST:
        raise UserError(f"larger than {LARGEST >> 20} MiB; expected a list of titles")
    return content


def decode(content: bytes) -> str:
    """Return the content as text, which is UTF-8, or UTF-16 with a byte order mark.

    Raises:
        UserError: It is neither.
    """
    try:
        text = content.decode("utf-16" if content.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text ({error.reason} at byte {error.start:,}); save it as UTF-8") from None
    if "\x00" in text:
        raise UserError("not a text file; expected XML, JSON, CSV or TSV")
    return text


def json_entries(text: str, scale: Scale | None) -> tuple[str, Iterator[Entry | Unused]]:
    """Return the site and the entries of a JSON list.

    Raises:
        UserError: The text is not JSON, or of another site.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise UserError("not JSON of a list: nested too deeply") from None
    except ValueError as error:
        raise UserError(f"not JSON: {error}") from None
    pages = content if isinstance(content, list) else [content]
    rows = [row for page in pages for row in dicts(get(page, "data"))]
    if rows and all(row.get("type") in OF_KITSU for row in rows):
        return "Kitsu", kitsu_entries(rows, pages, scale or Scale(1, 20))
    collection = get(content, "data", "MediaListCollection") or get(content, "MediaListCollection") or content
    lists = dicts(get(collection, "lists"))
    if any("series_id" in entry for entry in lists):
        raise UserError(
            "AniList's data export has neither titles nor MyAnimeList ids; expected the answer to its GraphQL query "
            "MediaListCollection with media { idMal title { romaji english native } }"
        )
    if not lists:
        if errors := dicts(get(content, "errors")):
            raise UserError(f"the site answered with an error: {str(errors[0].get('message'))[:200]}")
        raise UserError("JSON of another kind; expected AniList's MediaListCollection or Kitsu's library entries")
    entries = [entry for of_status in lists for entry in dicts(of_status.get("entries"))]
    form = get(collection, "user", "mediaListOptions", "scoreFormat") or get(collection, "scoreFormat")
    return "AniList", anilist_entries(entries, str(form) if form else None, scale)
