"""Texts of foreign files and arguments, made safe to print."""


def clean(text: str) -> str:
    """Return a text with spaces for control characters and for what is not valid Unicode; lines are kept.

    >>> clean("Mon" + chr(27) + "[31mster"), clean(chr(0xD800) + "a"), clean("two\\nlines")
    ('Mon [31mster', ' a', 'two\\nlines')
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
