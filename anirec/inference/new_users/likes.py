"""Parsing of `--likes`: titles with or without ratings, such as "Cowboy Bebop=9; Monster; #457=85%"."""

import re
from collections.abc import Callable, Sequence
from math import isnan, nan
from typing import NamedTuple

from anirec.data.scale import Scale
from anirec.data.schema import MAL
from anirec.errors import UserError
from anirec.inference.new_users.written_ratings import RATING, read_rating
from anirec.inference.titles.title_names import PARTS
from anirec.inference.titles.title_search import TitleSearch, UncertainTitleError, UnknownTitleError

# A semicolon separates titles before a space, after a rating and at the end; that of Steins;Gate does not.
SEPARATOR = re.compile(r";\s+|;$")
AFTER_RATING = re.compile(rf"(=\s*{RATING})\s*;")
COMMA = re.compile(rf"(=\s*(?>{RATING}))\s*,\s*(?=\S)")  # between titles, where a semicolon is needed
# A rating that follows a title without "=", as in "Monster 9", "Monster: 9/10" and "Monster (★★★★)".
TRAILING = re.compile(rf"(.+?)[\s:,(–—-]+({RATING})\)?")  # noqa: RUF001 (dashes)
NUMBERED = re.compile(r"[^,;]*[^\s,;:–—-]\s+\d+")  # noqa: RUF001 (dashes); it may be a rating or part of a title
COMMAS = (r"\s*,(?!\d)\s*|(?<!\d),\s*", r"\s*[,;]\s*", r"\Z")  # what may separate titles; the last one: nothing
LONGEST = 100_000  # characters of all likes
MOST = 1_000  # titles
MAX_SIMILAR = 3  # titles that a skipped one is similar to

Choose = Callable[[str, Sequence[int]], int | None]  # asks which candidate a name means; None for none of them


class Liked(NamedTuple):
    """A title with its rating as the user typed it, its item index, and the rating (NaN if none was given)."""

    written: str
    item: int
    rating: float


class Likes(NamedTuple):
    """Titles that a user named, and sentences about those that are skipped."""

    liked: list[Liked]
    skipped: list[str]


class SkippedError(UserError):
    """An entry cannot be used, but is no reason to stop."""


def read_likes(
    texts: Sequence[str],
    search: TitleSearch,
    *,
    scale: Scale = MAL,
    choose: Choose | None = None,
    skip: bool = False,
) -> Likes:
    """Parse titles with or without ratings; of duplicates the last is kept.

    Unknown ids and ratings of 0, which mean unrated, are skipped.

    Args:
        texts: Titles, separated by semicolons.
        search: The titles of the run.
        scale: Scale of the run's ratings.
        choose: Asks the user which title a name means that is not sure; None to raise an error instead.
        skip: Whether to skip titles that are unknown or not sure.

    Raises:
        UserError: A title is unknown or ambiguous, a rating is out of range, or no title is left; lists all problems.
    """
    if sum(map(len, texts)) > LONGEST:
        raise UserError(f"more than {LONGEST:,} characters; for long lists, set --list FILE")
    parts = [part.strip() for text in texts for part in SEPARATOR.split(AFTER_RATING.sub(r"\1; ", text.strip()))]
    if len(parts) > MOST:
        raise UserError(f"{len(parts):,} titles; expected at most {MOST:,}. For long lists, set --list FILE")
    found: dict[int, Liked] = {}
    problems: list[str] = []
    skipped: list[str] = []
    not_sure: list[UserError] = []
    for written in filter(None, parts):
        try:
            liked = read_like(written, search, scale, choose)
        except SkippedError as error:
            skipped.append(str(error))
        except (UnknownTitleError, UncertainTitleError) as error:
            not_sure.append(error)
            problem = skipped_sentence(written, error, search) if skip else str(error)
            (skipped if skip else problems).append(problem + rating_hint(written, search, scale))
        except UserError as error:
            problems.append(str(error))
        else:
            earlier = found.pop(liked.item, liked)
            if not same_rating(earlier, liked):
                skipped.append(
                    f"{earlier.written}: skipped; {liked.written} is the same title, and the last one counts"
                )
            found[liked.item] = liked
    if not found and not problems:
        reasons = "".join(f"\n{reason}" for reason in skipped)
        raise UserError(f"No title given; expected titles of this run, such as {search.examples()}{reasons}")
    if problems and any(isinstance(error, UnknownTitleError) for error in not_sure):
        problems.append(f"Titles of this run are, for example, {search.examples()}.")
    if problems and not_sure:
        problems.append("--yes skips titles that are unknown or not sure.")
    if problems:
        raise UserError("\n".join(problems))
    return Likes(list(found.values()), skipped)


def skipped_sentence(written: str, error: UnknownTitleError | UncertainTitleError, search: TitleSearch) -> str:
    if isinstance(error, UnknownTitleError):
        return f"{error}; skipped"
    similar = ", ".join(search.items["title"][item] for item in error.candidates[:MAX_SIMILAR])
    return f"{written}: skipped; similar to {similar}"


def same_rating(one: Liked, other: Liked) -> bool:
    return one.rating == other.rating or (isnan(one.rating) and isnan(other.rating))


def read_like(written: str, search: TitleSearch, scale: Scale, choose: Choose | None) -> Liked:
    """Parse one title with or without a rating.

    Raises:
        SkippedError: The id is unknown, the rating is 0, or the user chose none of the candidates.
        UserError: The title is unknown or not sure, or the rating is no rating of the scale.
    """
    name, equals, text = (part.strip() for part in written.rpartition("="))
    if not equals or search.is_name(written):  # there are titles such as "1+1=2"
        return Liked(written, find(written, written, search, scale, choose), nan)
    if COMMA.search(written):
        separated = COMMA.sub(r"\1; ", written)
        raise UserError(f'{written}: separate titles by semicolons: "{separated}"')
    if not name:
        raise UserError(
            f"{written}: expected a title before =, such as {search.most_rated_titles()[0]}={scale.example:g}"
        )
    try:
        rating = read_rating(text, scale) if text else nan
    except UserError as error:
        raise UserError(f"{written}: {error}") from None
    if not text:
        raise UserError(f"{written}: expected a rating from {scale} after =, such as {name}={scale.example:g}")
    if rating is None:
        raise SkippedError(f"{written}: 0 means unrated; skipped. For a title without a rating, leave out =0")
    return Liked(written, find(name, written, search, scale, choose), rating)


def find(name: str, written: str, search: TitleSearch, scale: Scale, choose: Choose | None) -> int:
    """Return the index of a title, whose name is a part of what was written; see `read_like`."""
    try:
        return search.find(name)
    except (UnknownTitleError, UncertainTitleError) as error:
        if name.startswith("#"):
            raise SkippedError(f"{error}; skipped") from None
        correct = corrected(written, search, scale)
        if correct and not NUMBERED.fullmatch(written):
            rule = "separate titles by semicolons" if "; " in correct else "a rating follows ="
            raise UserError(f'{written}: {rule}: "{correct}"') from None
        if correct or choose is None or isinstance(error, UnknownTitleError):
            raise
        chosen = choose(name, error.candidates)
        if chosen is None:
            raise SkippedError(f"{name!r}: skipped") from None
        return chosen


def rating_hint(written: str, search: TitleSearch, scale: Scale) -> str:
    """Return a sentence if the number at the end of a title may be its rating; otherwise an empty text."""
    correct = corrected(written, search, scale)
    return f'\nIf {written.rsplit(maxsplit=1)[-1]} is the rating, write it after =: "{correct}"' if correct else ""


def corrected(written: str, search: TitleSearch, scale: Scale) -> str | None:
    """Return what was probably meant by titles without semicolons between them, or without = before ratings.

    None if that is not known. "Monster 9, Mushishi" gives "Monster=9; Mushishi".
    """
    for separator in COMMAS:
        parts = [part for part in re.split(separator, written) if part]
        likes = [with_equals(part, search, scale) for part in parts]
        names = [like.rpartition("=")[0] or like for like in likes]
        if all(likes) and "; ".join(likes) != written and any(is_similar(name, search) for name in names):
            return "; ".join(likes)
    return None


def with_equals(part: str, search: TitleSearch, scale: Scale) -> str:
    """Return a title with = before the rating that follows it, if any; "" if it has none and is no title."""
    name, equals, text = part.rpartition("=")
    if search.has(name.strip() if equals else text.strip()):
        return part
    found = None if equals else TRAILING.fullmatch(part)
    if not found or found[1].lower().split()[-1:] in [[word] for word in PARTS]:  # "Season 3" is no rating
        return ""
    try:
        read_rating(found[2], scale)
    except UserError:
        return ""
    return f"{found[1]}={found[2]}"


def is_similar(name: str, search: TitleSearch) -> bool:
    """Return whether a title has this name or a similar one."""
    try:
        return search.has(name) or bool(search.match(name).candidates)
    except UserError:
        return False
