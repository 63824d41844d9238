"""MyAnimeList's export of an anime list, in XML; other sites export it, too.

<myanimelist><anime><series_animedb_id>19</series_animedb_id><series_title>Monster</series_title>
<my_score>9</my_score><my_status>Completed</my_status></anime></myanimelist>
"""

from collections.abc import Iterator, Sequence
from functools import partial
from xml.parsers import expat

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.inference.new_users.list_import.entries import Entry, Unused, make_entry, read_score

DEEPEST = 8  # elements inside each other


def read_xml(content: bytes) -> list[dict[str, str]]:
    """Return the elements below the root of MyAnimeList's XML: `kind`, the element's name, and the texts in it.

    Raises:
        UserError: The content is not MyAnimeList's XML, is nested too deeply, or declares entities.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    path: list[str] = []
    found: list[dict[str, str]] = []

    def start(name: str, _: dict[str, str]) -> None:
        path.append(name)
        if len(path) > DEEPEST:
            raise UserError("XML that is nested too deeply; expected MyAnimeList's export")
        if len(path) == 1 and name != "myanimelist":
            raise UserError(f"XML of <{name[:40]}>; expected MyAnimeList's export, which begins with <myanimelist>")
        if len(path) == 2:
            found.append({"kind": name})

    def read_text(text: str) -> None:
        if len(path) == 3:
            found[-1][path[-1]] = found[-1].get(path[-1], "") + text

    def refuse(*_: object) -> None:
        raise UserError("XML that declares entities is refused; expected MyAnimeList's export")

    parser.StartElementHandler, parser.EndElementHandler = start, lambda _: path.pop()
    parser.CharacterDataHandler, parser.EntityDeclHandler = read_text, refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise UserError(f"not well-formed XML: {error}") from None
    return found


def mal_entries(elements: Sequence[dict[str, str]], scale: Scale) -> Iterator[Entry | Unused]:
    anime = [element for element in elements if element["kind"] == "anime"]
    if not anime and any(element["kind"] == "manga" for element in elements):
        raise UserError("a list of manga; expected MyAnimeList's export of the anime list")
    for row, element in enumerate(anime, 1):
        is_again = element.get("my_rewatching", "0").strip() not in ("", "0")
        yield make_entry(
            row,
            names=[element.get("series_title", "")],
            mal_id=element.get("series_animedb_id"),
            score=element.get("my_score"),
            read=partial(read_score, scale=scale),
            status="completed" if is_again else element.get("my_status"),
        )
