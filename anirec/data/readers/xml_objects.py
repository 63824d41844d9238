"""Reader of the posts in pages of an image board's API in XML.

    <posts count="2" offset="0">
      <post id="4021" score="2" tags=" 1girl solo " rating="safe"/>
      <post><id>4022</id><score>0</score><tags>rain</tags></post>
    </posts>

Files of any size are read as a stream. A document type declaration is refused, and with it all entities that a file
could define: a few nested ones can fill the memory, and an external one reads another file.
"""

from collections.abc import Iterator
from typing import Any, TextIO
from xml.parsers.expat import ErrorString, ExpatError, ParserCreate

from anirec.data.readers.layout import LONGEST_TEXT, NOT_UTF8, REPLACEMENT

POST = "post"
CHUNK = 1 << 16  # characters read at once
LONGEST_POST = 1 << 18  # characters of a post; a longer one is an error
TOO_LONG = f"a post of more than {LONGEST_POST} characters"
Row = tuple[int, str | None, str, dict[str, Any]]


def iter_posts(file: TextIO) -> Iterator[Row]:
    """Yield line number, reason, text and content of each post, as `json_objects.iter_objects` does.

    What follows an error cannot be read; it is one row with a reason.

    >>> from io import StringIO
    >>> [row[3] for row in iter_posts(StringIO('<posts><post id="1" tags=" solo "/><post><id>2</id></post></posts>'))]
    [{'id': '1', 'tags': ' solo '}, {'id': '2'}]
    >>> [row[:2] for row in iter_posts(StringIO('<posts>\\n<post id="1"/><post id="2></posts>'))]
    [(2, None), (2, 'not XML: not well-formed (invalid token)')]
    """
    pages, n_bytes = PostParser(), 0
    try:
        while text := file.read(CHUNK):
            pages.parser.Parse(text, False)
            yield from pages.take()
            n_bytes += len(text.encode(errors="replace"))
            if n_bytes - pages.parser.CurrentByteIndex > LONGEST_POST:
                raise UnsafeXmlError(TOO_LONG)
        pages.parser.Parse("", True)
        yield from pages.take()
    except ExpatError as error:
        yield from pages.take()
        yield error.lineno, f"not XML: {ErrorString(error.code)}", "", {}
    except UnsafeXmlError as error:
        yield from pages.take()
        yield pages.parser.CurrentLineNumber, str(error), "", {}


class UnsafeXmlError(ValueError):
    """XML that is not read, because it could fill the memory."""


class PostParser:
    """Collects the attributes and the child elements of each post."""

    def __init__(self) -> None:
        self.parser = ParserCreate()
        self.parser.StartDoctypeDeclHandler = self.refuse
        self.parser.StartElementHandler, self.parser.EndElementHandler = self.start, self.end
        self.parser.CharacterDataHandler = self.add
        self.rows: list[Row] = []
        self.post: dict[str, Any] | None = None
        self.child: list[str] | None = None
        self.line = self.size = 0

    def refuse(self, *_: object) -> None:
        raise UnsafeXmlError("a document type declaration, which is not read")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == POST:
            self.post, self.line, self.size = dict(attributes), self.parser.CurrentLineNumber, 0
        self.child = []

    def add(self, text: str) -> None:
        if self.post is not None and self.child is not None:
            self.size += len(text)
            if self.size > LONGEST_POST:
                raise UnsafeXmlError(TOO_LONG)
            self.child.append(text)

    def end(self, name: str) -> None:
        if self.post is not None and name == POST:
            text = str(self.post)
            self.rows.append((self.line, NOT_UTF8 if REPLACEMENT in text else None, text[:LONGEST_TEXT], self.post))
            self.post = None
        elif self.post is not None and self.child is not None:
            self.post.setdefault(name, "".join(self.child))
        self.child = None

    def take(self) -> Iterator[Row]:
        """Yield the posts that are complete, and forget them."""
        rows, self.rows = self.rows, []
        yield from rows
