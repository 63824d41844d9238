"""Which posts, and which of their tags, are learned from: three quarters of all posts have a score of 0.

Source: A. Lamson, Predicting User Ratings for Anime-Style Images (Safebooru), sections 2 and 3.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.prepare.tag_rows import ABSENT
from anirec.errors import UserError
from anirec.settings import Configurable, Count, PositiveInt, Seed


class Sampling(Configurable):
    """Keep every post, but of those with score 0 and 1 as many as are wanted, each with the same probability.

    Args:
        zeros: Posts of score 0 that are kept, in the mean over seeds; None keeps all.
        ones: Likewise of score 1.
        seed: Of the choice.
    """

    def __init__(self, *, zeros: Count | None, ones: Count | None, seed: Seed) -> None:
        self.zeros, self.ones, self.seed = zeros, ones, seed

    def kept(self, score: NDArray[np.integer]) -> NDArray[np.bool_]:
        """(n,): which posts are kept.

        >>> Sampling(zeros=2, ones=None, seed=0).kept(np.array([0, 0, 0, 0, 1, 5, -1])).tolist()
        [False, True, True, True, True, True, True]
        """
        probability = np.ones(len(score))
        for value, wanted in ((0, self.zeros), (1, self.ones)):
            if wanted is not None and (there := (score == value)).any():
                probability[there] = wanted / there.sum()
        return np.random.default_rng(self.seed).random(len(score)) < probability


class TagChoice(Configurable):
    """The tags that posts are described by: the most frequent ones of all posts, sampled or not.

    Args:
        drop: Tags that are left out.
        min_posts: A tag on fewer posts is left out.
        top: How many are left in; None: all.
    """

    def __init__(self, *, drop: Sequence[str], min_posts: Count, top: PositiveInt | None) -> None:
        self.drop, self.min_posts, self.top = list(drop), min_posts, top

    def columns(self, tags: pl.DataFrame) -> NDArray[np.int32]:
        """(n_tags,): the new number of each tag, `ABSENT` where it is left out.

        Args:
            tags: tag and n_posts, the most frequent first.

        Raises:
            UserError: None is left.
        """
        is_in = tags.select((pl.col("n_posts") >= self.min_posts) & ~pl.col("tag").is_in(self.drop)).to_series()
        place = is_in.cum_sum().to_numpy().astype(np.int32) - 1
        if self.top is not None:
            is_in &= pl.Series(place < self.top)
        if not is_in.any():
            most = tags.row(0)
            raise UserError(
                f"dataset.tags.min_posts={self.min_posts}: no tag of {len(tags):,} is on so many posts; the most "
                f"frequent, {most[0]}, is on {most[1]:,}. Lower it."
            )
        return np.where(is_in.to_numpy(), place, ABSENT).astype(np.int32)
