"""Ratings as people write them: 9, 9.5, 9,5, 9/10, 85% or ★★★★.

>>> [read_rating(text, Scale()) for text in ("9", "9,5", "4.5/5", "85%", "★★★★", "★★☆☆", "0")]
[9.0, 9.5, 9.0, 8.5, 8.0, 5.0, None]
>>> read_rating("9/10", Scale(0.5, 5))
4.5
"""

import re
import unicodedata

from anirec.data.scale import Scale
from anirec.errors import UserError

NUMBER = r"\d+(?:[.,]\d+)?"
STARS, NO_STARS = "★⭐🌟*", "☆✩✰"
# A rating, as it may follow "=" after a title.
RATING = rf"(?:[+-]?{NUMBER}(?:\s*/\s*{NUMBER}|\s*%)?|[{STARS}{NO_STARS}½\ufe0f]+)"
PARTS = re.compile(rf"([+-]?{NUMBER})(?:\s*/\s*({NUMBER})|\s*(%))?")
STAR_RATING = re.compile(rf"([{STARS}]*)(½?)([{NO_STARS}]*)")
BEST = (3, 4, 5, 6, 10, 20, 100)  # best ratings of scales, as the 10 in 9/10
FIVE_STARS = 5


def from_share(scale: Scale, share: float) -> float:
    """Return the rating that is this share, 0 to 1, of the best one; at least the lowest.

    >>> from_share(Scale(), 0.85), from_share(Scale(0.5, 5), 0.85), from_share(Scale(-1, 1), 0.5)
    (8.5, 4.25, 0.0)
    """
    if scale.low < 0:
        return scale.low + share * (scale.high - scale.low)
    return max(scale.low, round(share * scale.high, 4))


def to_share(scale: Scale, rating: float) -> float:
    """Return a rating as a share of the best one; the inverse of `from_share`.

    >>> to_share(Scale(0.5, 5), 4.5)
    0.9
    """
    return (rating - scale.low) / (scale.high - scale.low) if scale.low < 0 else rating / scale.high


def read_rating(text: str, scale: Scale) -> float | None:
    """Return a rating on a scale; None for 0, where it means unrated.

    A plain number is on this scale already. A fraction, a percentage or stars are converted to it. Stars without empty
    ones are of five.

    Raises:
        UserError: The text is no rating, or one outside the scale.
    """
    value, best = parse_rating(text)
    if value == 0 and (best or scale.low > 0):
        return None
    is_valid = value in scale if best is None else 0 <= value <= best
    if not is_valid:
        raise UserError(f"expected a rating from {scale}, or a form such as 9/10, 85% or ★★★★")
    return value if best is None else from_share(scale, value / best)


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
