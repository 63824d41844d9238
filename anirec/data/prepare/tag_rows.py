"""The tags of posts as compressed sparse rows, as `anirec.data.prepare.posts` writes them."""

from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from anirec.data.prepare.posts import NUMBER, START

ABSENT = -1  # the number of a tag that is not selected


@dataclass(frozen=True)
class TagRows:
    """The tags of n posts as compressed sparse rows: post i has the tags `tag[start[i]:start[i + 1]]`.

    Args:
        start: int64 (n + 1,).
        tag: int32 (start[-1],), numbers below `n_tags`, in increasing order within a post.
        n_tags: Number of different tags.
    """

    start: NDArray[np.int64]
    tag: NDArray[np.int32]
    n_tags: int

    @classmethod
    def load(cls, folder: Path, n_tags: int) -> "TagRows":
        """Load the files that `write_posts` has written; the tags are memory-mapped."""
        return cls(np.load(folder / START), np.memmap(folder / NUMBER, dtype=np.int32, mode="r"), n_tags)

    def __len__(self) -> int:
        return len(self.start) - 1

    def select(self, index: NDArray[np.int64], columns: NDArray[np.int32]) -> "TagRows":
        """Return the posts `index` (B,) with renumbered tags.

        Args:
            index: Rows of the posts, (B,).
            columns: The new number of each tag, (n_tags,), in increasing order; tags with `ABSENT` are dropped.

        >>> rows = TagRows(np.array([0, 2, 3]), np.array([0, 2, 1], dtype=np.int32), 3)
        >>> some = rows.select(np.array([1, 0]), np.array([ABSENT, 0, 1], dtype=np.int32))
        >>> some.start, some.tag, some.n_tags
        (array([0, 1, 2]), array([0, 1], dtype=int32), 2)
        """
        length = self.start[index + 1] - self.start[index]
        tag = np.empty(length.sum(), dtype=np.int32)
        start = np.zeros(len(index) + 1, dtype=np.int64)
        n = gather(self.start, self.tag, index, columns, start, tag)
        return TagRows(start, tag[:n], int((columns >= 0).sum()))

    def matrix(self) -> csr_array:
        """Return a sparse (n, n_tags) float64 matrix, 1 where a post has a tag."""
        # Some estimators of scikit-learn accept only int32 indices.
        start = self.start.astype(np.int32) if len(self.tag) < 1 << 31 else self.start
        return csr_array((np.ones(len(self.tag)), self.tag, start), shape=(len(self), self.n_tags))


@numba.njit(cache=True, nogil=True)
def gather(start, tag, index, columns, new_start, new_tag):  # type: ignore[no-untyped-def]
    """Fill `new_start` and the beginning of `new_tag`; return the number of tags."""
    n = 0
    for row, post in enumerate(index):
        for position in range(start[post], start[post + 1]):
            column = columns[tag[position]]
            if column >= 0:
                new_tag[n] = column
                n += 1
        new_start[row + 1] = n
    return n
