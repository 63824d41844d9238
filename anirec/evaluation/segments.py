"""Segments: the cold, middle and heavy third of the evaluated users, or items, by their number of training ratings."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.integer]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Thirds:
    """Where the thirds end: cold units have at most `low` training ratings, middle ones at most `high`.

    Units with equally many ratings always share a segment, whatever their order, so that the thirds are not of exactly
    equal size, and one may be empty: if most items have a single rating, all these are cold.

    >>> thirds = Thirds.of(np.array([0, 1, 1, 2, 5, 9]))
    >>> thirds
    Thirds(low=1, high=2)
    >>> {name: mask.tolist() for name, mask in thirds.masks(np.array([1, 9, 2]))}
    {'cold': [True, False, False], 'middle': [False, False, True], 'heavy': [False, True, False]}
    """

    low: int
    high: int

    @classmethod
    def of(cls, counts: Counts) -> "Thirds":
        """The thirds of units with these many training ratings, (n,), each unit once."""
        low, high = np.quantile(counts, [1 / 3, 2 / 3], method="inverted_cdf")
        return cls(int(low), int(high))

    def masks(self, counts: Counts) -> Iterator[tuple[str, Mask]]:
        """Which of any rows, whose units have these counts, belong to which segment; empty segments are left out."""
        cold, heavy = counts <= self.low, counts > self.high
        for name, mask in {"cold": cold, "middle": ~cold & ~heavy, "heavy": heavy}.items():
            if mask.any():
                yield name, mask
