"""Options of the benchmarks on the command line, described by the docstring of the module."""

import argparse
import textwrap


class Paragraphs(argparse.HelpFormatter):
    """Wrap each paragraph of a description; commands, which are indented, keep their lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = [
            part if part.startswith(" ") else textwrap.fill(part, width, break_on_hyphens=False)
            for part in text.strip("\n").split("\n\n")
        ]
        return "\n\n".join(parts)


def create_parser(docstring: str | None, *, epilog: str | None = None) -> argparse.ArgumentParser:
    """Return a parser whose help starts with a docstring."""
    return argparse.ArgumentParser(description=docstring, epilog=epilog, formatter_class=Paragraphs)
