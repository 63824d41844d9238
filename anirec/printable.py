"""Texts of foreign files and arguments, made safe to print: no title can send commands to a terminal."""

import re
from collections.abc import Iterable

from rich import console
from rich.segment import Segment

# Control characters but line feeds, parts of invalid Unicode, and what ends lines or turns the direction of text.
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Return a text with spaces for control characters and for what is not valid Unicode; lines are kept.

    >>> clean("Mon" + chr(27) + "[31mster"), clean(chr(0xD800) + "a"), clean("two\\nlines")
    ('Mon [31mster', ' a', 'two\\nlines')
    """
    return UNSAFE.sub(" ", text)


class Console(console.Console):
    """A terminal that shows control characters within texts as spaces."""

    def render(
        self, renderable: console.RenderableType, options: console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=clean(segment.text))
