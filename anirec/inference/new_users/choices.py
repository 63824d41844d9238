"""Questions on the terminal: which title a name means that is not sure."""

import sys
from collections.abc import Sequence

from rich.console import Console

from anirec.inference.titles.title_search import MAX_LISTED, TitleSearch
from anirec.printable import clean


class Chooser:
    """Ask which candidate a name means.

    Args:
        search: The titles of the run.
        console: Where to ask.
    """

    def __init__(self, search: TitleSearch, console: Console) -> None:
        self.search, self.console = search, console
        self.is_over = False

    def __call__(self, wanted: str, candidates: Sequence[int]) -> int | None:
        """Return the candidate that is chosen; None for none of them."""
        if self.is_over:
            return None
        listed = candidates[:MAX_LISTED]
        lines = [f"  {number}  {self.search.describe(item)}" for number, item in enumerate(listed, 1)]
        self.console.print("\n".join([f'Which title is "{clean(wanted)}"?', *lines]), markup=False)
        while True:
            try:
                answer = self.console.input("Number; Enter for none; s to skip all such titles: ").strip().lower()
            except EOFError:
                answer = "s"
            if answer.isdecimal() and 1 <= int(answer) <= len(listed):
                return listed[int(answer) - 1]
            if answer in ("", "s"):
                self.is_over = answer == "s"
                return None


def can_ask(console: Console) -> bool:
    """Return whether a person sees the question and can answer it."""
    return console.is_terminal and sys.stdin is not None and sys.stdin.isatty()
