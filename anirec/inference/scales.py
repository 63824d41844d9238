"""Scales of ratings, and ratings as people write them: 9, 9.5, 9,5, 9/10, 85% or ★★★★.

>>> [RATING_SCALE.read(text) for text in ("9", "9,5", "4.5/5", "85%", "★★★★", "★★☆☆", "0")]
[9.0, 9.5, 9.0, 8.5, 8.0, 5.0, None]
>>> Scale(0.5, 5).read("9/10")
4.5
"""

import re
import unicodedata
from math import inf
from typing import NamedTuple

from anirec.data.schema import INTERACTIONS
from anirec.errors import UserError

NUMBER = r"\d+(?:[.,]\d+)?"
STARS, NO_STARS = "★⭐🌟*", "☆✩✰"
# A rating, as it may follow "=" after a title.
RATING = rf"(?:[+-]?{NUMBER}(?:\s*/\s*{NUMBER}|\s*%)?|[{STARS}{NO_STARS}½\ufe0f]+)"
PARTS = re.compile(rf"([+-]?{NUMBER})(?:\s*/\s*({NUMBER})|\s*(%))?")
STAR_RATING = re.compile(rf"([{STARS}]*)(½?)([{NO_STARS}]*)")
BEST = (3, 4, 5, 6, 10, 20, 100)  # best ratings of scales, as the 10 in 9/10
FIVE_STARS = 5


class Scale(NamedTuple):
    """A scale of ratings from `low` to `high`."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"from {self.low:g} to {self.high:g}"

    def from_share(self, share: float) -> float:
        """Return the rating that is this share, 0 to 1, of the best one; at least the lowest.

        >>> RATING_SCALE.from_share(0.85), Scale(0.5, 5).from_share(0.85), Scale(-1, 1).from_share(0.5)
        (8.5, 4.25, 0.0)
        """
        if self.low < 0:
            return self.low + share * (self.high - self.low)
        return max(self.low, round(share * self.high, 4))

    def to_share(self, rating: float) -> float:
        """Return a rating as a share of the best one; the inverse of `from_share`.

        >>> Scale(0.5, 5).to_share(4.5)
        0.9
        """
        return (rating - self.low) / (self.high - self.low) if self.low < 0 else rating / self.high

    def read(self, text: str) -> float | None:
        """Return a rating on this scale; None for 0, where it means unrated.

        A plain number is on this scale already. A fraction, a percentage or stars are converted to it. Stars without
        empty ones are of five.

        Raises:
            UserError: The text is no rating, or one outside the scale.
        """
        value, best = parse_rating(text)
        if value == 0 and (best or self.low > 0):
            return None
        is_valid = self.low <= value <= self.high if best is None else 0 <= value <= best
        if not is_valid:
            raise UserError(f"expected a rating {self}, or a form such as 9/10, 85% or ★★★★")
        return value if best is None else self.from_share(value / best)

    @classmethod
    def parse(cls, text: str, option: str) -> "Scale":
        """Return a scale written as "1-10", or as its best rating, "10".

        Raises:
            UserError: The text is no scale.
        """
        found = re.fullmatch(r"\s*(?:(-?\d+(?:\.\d+)?)\s*-\s*)?(\d+(?:\.\d+)?)\s*", text)
        low, high = (float(found[1] or 0), float(found[2])) if found else (0.0, 0.0)
        if low >= high:
            raise UserError(f"{option} {text}: expected the lowest and the best rating, such as 1-10, 0.5-5 or 1-100")
        return cls(low, high)


RATING_SCALE = Scale(INTERACTIONS["rating"].low or 0, INTERACTIONS["rating"].high or inf)


def parse_rating(text: str) -> tuple[float, float | None]:
    """Return the number and the best rating of its scale, or None where the text does not say it.

    >>> parse_rating("8,5"), parse_rating("4/5"), parse_rating("★★★½☆"), parse_rating("85 %")
    ((8.5, None), (4.0, 5.0), (3.5, 5.0), (85.0, 100.0))

    Raises:
        UserError: The text is no rating.
    """
    stars = text.replace("\ufe0f", "").strip()  # asks for a star in colour
    if stars and (found := STAR_RATING.fullmatch(stars)):
        full, half, empty = (len(group) for group in found.groups())
        return full + half / 2, float(full + half + empty if empty else max(FIVE_STARS, full + half))
    found = PARTS.fullmatch(unicodedata.normalize("NFKC", text).strip())
    value, best, percent = found.groups() if found else ("", None, None)
    if not value or (best and number(best) not in BEST):
        raise UserError("expected a rating such as 9, 8.5, 9/10, 85% or ★★★★")
    return number(value), 100.0 if percent else number(best) if best else None


def number(text: str) -> float:
    return float(text.replace(",", "."))
