"""Which tags each post has: compressed sparse rows of ones, in files that may be larger than memory.

One row: post 5055267 has the tags 0 ("1girl"), 4 ("long_hair") and 911 ("mirror").
"""

from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

START, NUMBER = "tag_start.npy", "tag_number.i4"
ABSENT = -1  # a tag that is not asked for


@dataclass(frozen=True)
class TagRows:
    """The tags of n posts.

    `start` int64 (n + 1,): where each post's tags begin; `tag` int32 (start[-1],): their numbers, rising within a post;
    all are below `n_tags`.
    """

    start: NDArray[np.int64]
    tag: NDArray[np.int32]
    n_tags: int

    @classmethod
    def stored(cls, folder: Path, n_tags: int) -> "TagRows":
        """The files that `anirec.data.prepare.post_tables` has written; the tags are memory-mapped."""
        return cls(np.load(folder / START), np.memmap(folder / NUMBER, dtype=np.int32, mode="r"), n_tags)

    def __len__(self) -> int:
        return len(self.start) - 1

    def of(self, index: NDArray[np.int64], columns: NDArray[np.int32]) -> "TagRows":
        """Some posts (B,), and of their tags those whose new number in `columns` (n_tags,) is not `ABSENT`.

        `columns` must keep the order of the tags.

        >>> rows = TagRows(np.array([0, 2, 3]), np.array([0, 2, 1], dtype=np.int32), 3)
        >>> some = rows.of(np.array([1, 0]), np.array([ABSENT, 0, 1], dtype=np.int32))
        >>> some.start, some.tag, some.n_tags
        (array([0, 1, 2]), array([0, 1], dtype=int32), 2)
        """
        length = self.start[index + 1] - self.start[index]
        tag = np.empty(length.sum(), dtype=np.int32)
        start = np.zeros(len(index) + 1, dtype=np.int64)
        n = gather(self.start, self.tag, index, columns, start, tag)
        return TagRows(start, tag[:n], int((columns >= 0).sum()))

    def matrix(self) -> csr_array:
        """(n, n_tags) float64 of ones and zeros."""
        # Some of scikit-learn's estimators take int32 alone.
        start = self.start.astype(np.int32) if len(self.tag) < 1 << 31 else self.start
        return csr_array((np.ones(len(self.tag)), self.tag, start), shape=(len(self), self.n_tags))


@numba.njit(cache=True, nogil=True)
def gather(start, tag, index, columns, new_start, new_tag):  # type: ignore[no-untyped-def]
    """Fill `new_start` and the beginning of `new_tag`; returns how many tags there are."""
    n = 0
    for row, post in enumerate(index):
        for place in range(start[post], start[post + 1]):
            column = columns[tag[place]]
            if column >= 0:
                new_tag[n] = column
                n += 1
        new_start[row + 1] = n
    return n
