"""Score bands: is a model equally good for what was judged badly, middling and well?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from anirec.errors import UserError

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Bands:
    """All scores, cut at `edges`; a score on an edge belongs to the band above.

    >>> bands = Bands.of([6, 7.5])
    >>> {name: mask.tolist() for name, mask in bands.masks(np.array([5.9, 6.0, 7.0]))}
    {'score_below_6': [True, False, False], 'score_6_7.5': [False, True, True]}
    """

    edges: tuple[float, ...]

    @classmethod
    def of(cls, edges: Sequence[float]) -> "Bands":
        """No edges: no bands.

        Raises:
            UserError: If the edges do not rise.
        """
        if any(not low < high for low, high in pairwise(edges)):
            raise UserError(f"metrics.bands={list(edges)}: expected rising scores, such as [5, 6, 7, 8]")
        return cls(tuple(float(edge) for edge in edges))

    @property
    def names(self) -> list[str]:
        """Lowest first."""
        if not self.edges:
            return []
        between = [f"score_{low:g}_{high:g}" for low, high in pairwise(self.edges)]
        return [f"score_below_{self.edges[0]:g}", *between, f"score_from_{self.edges[-1]:g}"]

    def masks(self, score: NDArray[np.floating]) -> Iterator[tuple[str, Mask]]:
        """Which of the scores, (n,), are in which band; empty bands are left out."""
        # 6.7 as float32 lies below the 6.7 of a config.
        band = np.digitize(score, np.asarray(self.edges, dtype=score.dtype))
        for place, name in enumerate(self.names):
            if (mask := band == place).any():
                yield name, mask
