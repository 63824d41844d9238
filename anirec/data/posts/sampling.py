"""Sampling of posts by score, and selection of tags by frequency; three quarters of all posts have a score of 0.

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
    """Keep a random sample of the posts with scores 0 and 1, and all other posts.

    Args:
        zeros: Expected number of posts with score 0 that are kept; None keeps all.
        ones: Expected number of posts with score 1 that are kept; None keeps all.
        seed: Seed of the sample.
    """

    def __init__(self, *, zeros: Count | None, ones: Count | None, seed: Seed) -> None:
        self.zeros, self.ones, self.seed = zeros, ones, seed

    def kept(self, score: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return which posts are kept, (n,) bool.

        >>> Sampling(zeros=2, ones=None, seed=0).kept(np.array([0, 0, 0, 0, 1, 5, -1])).tolist()
        [False, True, True, True, True, True, True]
        """
        probability = np.ones(len(score))
        for value, wanted in ((0, self.zeros), (1, self.ones)):
            if wanted is not None and (has_value := (score == value)).any():
                probability[has_value] = wanted / has_value.sum()
        return np.random.default_rng(self.seed).random(len(score)) < probability


class TagChoice(Configurable):
    """Selection of the tags that describe posts: the most frequent ones, counted over all posts, sampled or not.

    Args:
        drop: Tags to leave out.
        min_posts: Minimum number of posts with a tag.
        top: Maximum number of tags; None for no limit.
    """

    def __init__(self, *, drop: Sequence[str], min_posts: Count, top: PositiveInt | None) -> None:
        self.drop, self.min_posts, self.top = list(drop), min_posts, top

    def columns(self, tags: pl.DataFrame) -> NDArray[np.int32]:
        """Return the new number of each tag, (n_tags,) int32; `ABSENT` for tags that are left out.

        Args:
            tags: Columns tag and n_posts, most frequent first.

        Raises:
            UserError: No tag is left.
        """
        is_in = tags.select((pl.col("n_posts") >= self.min_posts) & ~pl.col("tag").is_in(self.drop)).to_series()
        place = is_in.cum_sum().to_numpy().astype(np.int32) - 1
        if self.top is not None:
            is_in &= pl.Series(place < self.top)
        if not is_in.any():
            most = tags.row(0)
            raise UserError(
                f"dataset.tags.min_posts={self.min_posts}: none of {len(tags):,} tags is on so many posts; the most "
                f"frequent tag, {most[0]}, is on {most[1]:,}. For such a sample, add dataset.tags.min_posts=1"
            )
        return np.where(is_in.to_numpy(), place, ABSENT).astype(np.int32)
