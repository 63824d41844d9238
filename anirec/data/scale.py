"""Rating scales: the range and the step of a dataset's ratings and scores, and their conversion to points.

    1-10 (MyAnimeList)    0.5-5 (half stars)    1-100    1-5/0.5    -10 to 10    thumbs (0 down, 1 up)

Models learn in points, from 1 to 10, because their penalties and learning rates are chosen for this range. Metrics,
tables and everything that a user reads or types are in the unit of the data.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from anirec.errors import UserError

THUMBS = "thumbs"
POINTS = (1.0, 10.0)  # the range in which models learn
LIKED = 7 / 9  # of the range: 8 of 1-10
NUMBER = r"[+-]?\d+(?:\.\d+)?"
WRITTEN = re.compile(rf"({NUMBER})\s*(?:-|to|\u2013)\s*({NUMBER})(?:\s*/\s*({NUMBER}))?")


@dataclass(frozen=True)
class Scale:
    """The lowest and the highest rating, and the distance between two ratings.

    >>> Scale.parse("0.5-5"), Scale.parse("thumbs").liked, str(Scale.parse("1-100"))
    (Scale(low=0.5, high=5.0, step=0.5), 1.0, '1 to 100')
    """

    low: float = 1.0
    high: float = 10.0
    step: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Scale":
        """Parse "LOW-HIGH", "LOW-HIGH/STEP" or "thumbs"; the step is 1, or the fraction of LOW, such as 0.5.

        Raises:
            UserError: The text is no such scale.
        """
        if text.strip().lower() == THUMBS:
            return cls(0.0, 1.0, 1.0)
        found = WRITTEN.fullmatch(text.strip())
        low, high = (float(end) for end in found.groups()[:2]) if found else (0.0, 0.0)
        step = float(found[3]) if found and found[3] else low % 1 or 1.0
        if not low < high or step <= 0:
            raise UserError(f"scale={text}: expected LOW-HIGH with LOW < HIGH, such as 1-10, 0.5-5 or 1-100, or thumbs")
        return cls(low, high, step)

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> "Scale":
        """Return the scale that `record` describes; without one, as in runs of older versions, 1 to 10."""
        return cls(**record) if record else cls()

    def record(self) -> dict[str, float]:
        """Return the scale as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def __contains__(self, rating: float) -> bool:
        return self.low <= rating <= self.high

    @property
    def liked(self) -> float:
        """The lowest rating that counts as a like where a user sets none: 8 of 1-10, 4 of 0.5-5, 78 of 1-100."""
        steps = ceil(round(LIKED * (self.high - self.low) / self.step, 6))
        return min(self.high, self.low + steps * self.step)

    @property
    def example(self) -> float:
        """A high rating to name in a message.

        >>> Scale().example, Scale.parse("0.5-5").example, Scale.parse("thumbs").example
        (9.0, 4.5, 1.0)
        """
        return self.high - self.step if self.high - self.step > self.low else self.high

    @property
    def point(self) -> float:
        """The size of a point in the unit of the data: 1 for 1-10."""
        return (self.high - self.low) / (POINTS[1] - POINTS[0])

    def to_points(self, ratings: Any) -> Any:
        """Convert ratings, a number or an array or tensor of them, to points from 1 to 10; NaN stays NaN.

        >>> Scale.parse("0.5-5").to_points(5.0), Scale().to_points(7.5)
        (10.0, 7.5)
        """
        return ratings if (self.low, self.high) == POINTS else (ratings - self.low) / self.point + POINTS[0]

    def from_points(self, points: Any) -> Any:
        """Convert points, a number or an array or tensor of them, to the unit of the data.

        >>> Scale.parse("1-100").from_points(10.0), Scale.parse("thumbs").from_points(1.0)
        (100.0, 0.0)
        """
        return points if (self.low, self.high) == POINTS else (points - POINTS[0]) * self.point + self.low
