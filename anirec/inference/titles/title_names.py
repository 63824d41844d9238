"""Normal forms of titles: what two spellings of one title share, and what distinguishes a title from its sequels.

A name of the table that `normalize_names` returns:

    written  "mob psycho 100 ii!!"    in lower case
    words    "mob psycho 100 2"       without accents and signs; numerals of any kind are digits
    key      "mobpsycho|100||2|"      without spaces; bars separate numbers from letters
    signs    "!!"                     signs that often distinguish sequels: all ! and ?, and others at the end
"""

import re

import polars as pl

ORDINALS = {
    "first": "1st",
    "second": "2nd",
    "third": "3rd",
    "fourth": "4th",
    "fifth": "5th",
    "sixth": "6th",
    "seventh": "7th",
}
CARDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# Roman numerals of one letter are left out: "I", "V" and "X" are words, too.
ROMANS = {"ii": 2, "iii": 3, "iv": 4, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "xi": 11, "xii": 12, "xiii": 13}
PARTS = ("season", "part", "cour", "stage", "series")
NUMBERS = {
    **{f" {part}  {word} ": f" {part}  {n} " for n, word in enumerate(CARDINALS, 1) for part in PARTS},
    **{f" {word} ": f" {number} " for word, number in [*ORDINALS.items(), *ROMANS.items()]},
}
# Applied in this order to words that are separated by two spaces.
RULES = (
    (r"\b(\d+)(?:st|nd|rd|th)\s+(part|cour|stage|series)\b", "  $2  $1  "),  # "2nd part" is "part 2"
    (r"\b(\d+)(?:st|nd|rd|th)\b", "$1"),
    (r"第?\s*(\d+)\s*期", "  $1  "),  # 2nd season, in Japanese
    (r"(\d+)", "  $1  "),
    (r"\b0+(\d)", "$1"),
    (r"\b(?:season|s)\s+(\d+)\b", "  $1  "),  # "Season 2" and "S2" are 2
    (r"\b(\d+)\s+season\b", "  $1  "),
)
SEQUEL_SIGNS = r"!?,'’′″°.:*+☆★♪♥♡∞"  # noqa: RUF001 (as in titles)

OFTEN_LEFT_OUT = "!?.☆★"  # others mostly distinguish a sequel, such as Nisekoi: and Dog Days'


def normalize_names(names: pl.Series) -> pl.DataFrame:
    """Return the columns written, words, key and signs of names; the key of a name without letters is empty.

    >>> normalize_names(pl.Series(["K-ON!!", "Pokémon: The Movie"])).rows()
    [('k-on!!', 'k on', 'kon', '!!'), ('pokémon: the movie', 'pokemon the movie', 'pokemonthemovie', '')]
    >>> normalize_names(pl.Series(["Brass Band II", "Brass Band Season Two", "Brass Band, 2nd Part"]))["key"].to_list()
    ['brassband|2|', 'brassband|2|', 'brassbandpart|2|']
    """
    written = pl.col("name").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    table = names.alias("name").to_frame().select(written=written)
    text = pl.col("written").str.replace_all("&", " and ", literal=True).str.replace_all("\u00d7", "x", literal=True)
    # Japanese voicing marks are kept: they distinguish letters.
    text = text.str.normalize("NFKD").str.replace_all("[\u0300-\u036f]", "").str.normalize("NFKC")
    text = text.str.replace_all(r"['’`´]", "")  # noqa: RUF001
    text = pl.format("  {}  ", text.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", "  "))
    text = text.str.replace_many(NUMBERS)
    for pattern, digits in RULES:
        text = text.str.replace_all(pattern, digits)
    words = text.str.replace_all(r"\s+", " ").str.strip_chars()
    end = pl.col("written").str.extract(rf"([{re.escape(SEQUEL_SIGNS)}\s]+)$").fill_null("")
    inside = pl.col("written").str.head(pl.col("written").str.len_chars() - end.str.len_chars())
    signs = pl.concat_str(inside.str.replace_all(r"[^!?]", ""), end.str.replace_all(" ", "", literal=True))
    table = table.with_columns(words=words, signs=signs)
    return table.with_columns(
        key=pl.col("words").str.replace_all(r"(\d+)", "|$1|").str.replace_all(" ", "", literal=True)
    )[["written", "words", "key", "signs"]]


def same_signs(given: str, signs: str) -> bool:
    """Return whether the signs of a name agree with what was typed, where exclamation marks and such may be left out.

    >>> same_signs("", "!!"), same_signs("!", "!!"), same_signs("", "'"), same_signs("'", "'")
    (True, False, False, True)
    """
    return given == signs or (not given and not signs.strip(OFTEN_LEFT_OUT))


def is_typo(words: str, other: str) -> bool:
    """Return whether a name is most probably another one with a typo; both are `words`.

    A typo is one letter too many, too few or wrong, or two that are swapped, in a long word. All numbers and all other
    words must be equal.

    >>> is_typo("fullmetal alchimist", "fullmetal alchemist"), is_typo("chainsaw man", "chainsaw maid")
    (True, False)
    >>> is_typo("fullmetal alchimist 2", "fullmetal alchemist"), is_typo("alchemist", "alchemists")
    (False, False)
    """
    ours, theirs = words.split(), other.split()
    if len(ours) != len(theirs) or not words.isascii() or len(other) < MIN_LETTERS:
        return False
    different = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
    return len(different) == 1 and all(is_misspelt(*pair) for pair in different)


MIN_LETTERS = 12  # of a name with a typo
MIN_WORD = 6  # letters of the word with the typo


def is_misspelt(word: str, other: str) -> bool:
    """Return whether two words differ in one place inside them, and are no numbers.

    Another first or last letter often makes another word (Saga, Sage; Idol, Idols).
    """
    if min(len(word), len(other)) < MIN_WORD or word.isdecimal() or other.isdecimal():
        return False
    start = next((n for n, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), None)
    if not start or start >= min(len(word), len(other)) - 1:
        return False
    rest, others = word[start:], other[start:]
    return (
        rest[1:] == others
        or rest == others[1:]
        or rest[1:] == others[1:]
        or (rest[:2] == others[1::-1] and rest[2:] == others[2:])
    )
