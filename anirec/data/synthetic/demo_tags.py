"""Source of generated posts of an image board; no download, and the best reachable error is known."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import polars as pl
from annotated_types import Ge
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from anirec.data import schema
from anirec.data.sources.base import Source
from anirec.data.synthetic.tag_names import (
    BARE,
    DISLIKED,
    FIRST_SERIES,
    FIXED,
    HEAD,
    IN_SERIES,
    LIKED,
    MEMBERS,
    NAMED,
    ORIGINAL,
    SECOND_SERIES,
    SHIFT,
    SLOPE,
    SPREAD,
    SUBJECTS,
    TAGME,
    tag_names,
)
from anirec.errors import UserError
from anirec.settings import PositiveInt, Seed, Share

CHUNK = 25_000  # posts generated with one seed
PILOT = 50_000  # posts from which the thresholds are estimated
KNOWN = 200_000  # posts over which the best error is averaged
FROM, UNTIL = datetime(2010, 1, 29), datetime(2016, 11, 20)
LOWEST, HIGHEST = -13, 250  # scores


class TagWorld:
    """A model of posts: tags, their co-occurrence, and their effects on the score; determined by the arguments.

    The posts of a smaller world are the first ones of a larger world, except for their timestamps.

    Args:
        n_posts: Number of posts.
        n_tags: Number of different tags.
        n_groups: Number of series, 2 or more; each has nine tags that occur together: its own, characters and costumes.
        signal: Share of the variance of the latent quality that the tags explain; 0 <= signal < 1.
        seed: Seed of the generator.

    The attribute `effects` is a table of the tags with an effect: tag and effect, in standard deviations of the latent
    quality, the largest absolute effect first.

    Raises:
        UserError: There are fewer tags than the series need.
    """

    def __init__(self, *, n_posts: int, n_tags: int, n_groups: int, signal: float, seed: int) -> None:
        least = len(FIXED) + len(MEMBERS) * n_groups + 1
        if n_tags < least:
            raise UserError(f"dataset.source.n_tags={n_tags}: {n_groups} groups need at least {least} tags")
        self.n_posts, self.n_groups, self.seed = n_posts, n_groups, seed
        tags = tag_names(np.random.default_rng(seed), n_tags, n_groups)
        # Tags are numbered in alphabetical order, so that posts with sorted numbers have sorted names.
        self.tags = pl.Series("tag", sorted(tags))
        self.number = np.argsort(np.argsort(tags))
        neither, girl, boy = np.array(list(NAMED.values()), dtype=np.float32).T
        self.named = np.stack([neither, girl, boy, (girl + boy) / 2])
        popularity = 1 / (np.arange(n_groups) + 2)
        self.series_cdf = popularity.cumsum() / popularity.sum() * IN_SERIES
        rank = np.arange(1, n_tags - least + 2)
        share = HEAD * ((1 + SHIFT) / (rank + SHIFT)) ** SLOPE
        # The rate at which a tag must be drawn to be on that share of posts, if numbers of draws are gamma-distributed.
        self.others = (SPREAD * ((1 - share) ** (-1 / SPREAD) - 1)).cumsum()
        self.plant(tags, signal)

    def plant(self, tags: list[str], signal: float) -> None:
        """Scale the effects to their share of the variance and compute the thresholds, both from pilot posts."""
        series = {tags[len(FIXED)]: FIRST_SERIES, tags[len(FIXED) + len(MEMBERS)]: SECOND_SERIES}
        sizes = series | LIKED | DISLIKED
        numbers = self.number[[tags.index(tag) for tag in sizes]]
        self.effect = np.zeros(len(tags))
        self.effect[numbers] = list(sizes.values())
        pilot = self.draw(np.random.default_rng((self.seed, 1)), PILOT)
        self.effect *= np.sqrt(signal) / self.quality(*pilot, PILOT).std()
        effects = pl.DataFrame({"tag": list(sizes), "effect": self.effect[numbers]})
        self.effects = effects.sort(pl.col("effect").abs(), descending=True)
        self.noise = float(np.sqrt(1 - signal))
        self.thresholds = thresholds(self.quality(*pilot, PILOT), self.noise)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Generate the tags of `n` posts: the post, from 0, and the tag of each pair, (k,) each; sorted, no repeats."""
        subject = rng.choice(4, n, p=SUBJECTS)
        is_bare = rng.random(n) < TAGME
        plenty = np.where(is_bare, BARE, 1).astype(np.float32)
        series = np.where(is_bare, self.n_groups, np.searchsorted(self.series_cdf, rng.random(n), side="right"))
        is_original = (series == self.n_groups) & (rng.random(n) < ORIGINAL) & ~is_bare
        has_named = rng.random((n, len(NAMED)), dtype=np.float32) < self.named[subject] * plenty[:, None]
        fixed = np.column_stack([subject & 1, subject & 2, is_original, is_bare, has_named]).nonzero()

        of_series = np.flatnonzero(series < self.n_groups)
        row, member = (rng.random((len(of_series), len(MEMBERS))) < MEMBERS).nonzero()
        post_of_series = of_series[row]
        tag_of_series = len(FIXED) + series[post_of_series] * len(MEMBERS) + member

        n_others = rng.poisson(self.others[-1] * plenty * rng.gamma(SPREAD, 1 / SPREAD, n))
        n_others = np.maximum(n_others, ~is_bare)  # no post is without a tag
        post_of_others = np.repeat(np.arange(n), n_others)
        place = np.searchsorted(self.others, rng.random(len(post_of_others)) * self.others[-1], side="right")
        tag_of_others = len(self.tags) - len(self.others) + place

        post = np.concatenate([fixed[0], post_of_series, post_of_others])
        tag = np.concatenate([fixed[1], tag_of_series, tag_of_others])
        pair = np.unique(post * len(self.tags) + self.number[tag])
        return pair // len(self.tags), pair % len(self.tags)

    def quality(self, post: NDArray[np.int64], tag: NDArray[np.int64], n: int) -> NDArray[np.float64]:
        """Return the part of the latent quality that the tags explain, (n,)."""
        return np.bincount(post, weights=self.effect[tag], minlength=n).astype(np.float64, copy=False)

    def posts(self, block: int = 100_000) -> Iterator[pl.DataFrame]:
        """Yield the posts by id in blocks, with the columns of `schema.POSTS`."""
        waiting: list[pl.DataFrame] = []
        for first in range(0, self.n_posts, CHUNK):
            rows = pl.concat([*waiting, self.chunk(first)])
            n_ready = len(rows) // block * block
            yield from rows[:n_ready].iter_slices(block)
            waiting = [rows[n_ready:]]
        if len(waiting[0]):
            yield waiting[0]

    def chunk(self, first: int) -> pl.DataFrame:
        """Return `CHUNK` posts, or fewer at the end; `first`, a multiple of `CHUNK`, is part of the seed."""
        rng = np.random.default_rng((self.seed, 2, first))
        post, tag = self.draw(rng, CHUNK)
        latent = self.quality(post, tag, CHUNK) + rng.normal(0, self.noise, CHUNK)
        score = LOWEST + np.searchsorted(self.thresholds, latent, side="right")
        is_large = np.bincount(post, tag == self.tags.index_of("highres"), CHUNK)
        width = rng.integers(400, 1200, CHUNK) * (1 + is_large)
        height = width * rng.uniform(0.6, 1.7, CHUNK)
        used = pl.DataFrame({"post": post, "tag": self.tags.gather(tag)})
        used = used.group_by("post", maintain_order=True).agg(pl.col("tag").str.join(" "))
        place = np.arange(first, first + CHUNK)
        rows = {
            "post_id": place + 1,
            "score": score.astype(np.int32),
            "tags": used["tag"],
            "timestamp": np.datetime64(FROM, "us") + place * (np.timedelta64(UNTIL - FROM, "us") // self.n_posts),
            "age_rating": pl.repeat("safe", CHUNK, eager=True),
            "width": width.astype(np.int32),
            "height": height.astype(np.int32),
        }
        return pl.DataFrame(rows).head(self.n_posts - first)

    def expected(self, quality: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and variance of the score, (n,) each, given the quality that the tags explain, (n,)."""
        from scipy.special import ndtr

        passed = ndtr((quality[:, None] - self.thresholds) / self.noise)
        # Each threshold that is passed adds a point to the score, and an odd number to the square of the points.
        points, squares = passed.sum(1), passed @ (2 * np.arange(len(self.thresholds)) + 1)
        return LOWEST + points, squares - points**2

    def facts(self) -> dict[str, float]:
        """Return the RMSE of predicting the expected score given the tags, the lowest that a model can reach."""
        found = []
        for first in range(0, min(self.n_posts, KNOWN), CHUNK):
            quality = self.quality(*self.draw(np.random.default_rng((self.seed, 2, first)), CHUNK), CHUNK)
            found.append(self.expected(quality[: self.n_posts - first])[1])
        return {"floor/rmse/population": float(np.sqrt(np.concatenate(found).mean()))}


def survival(score: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of posts with at least each score, (n,); similar to Safebooru until 2016."""
    above = np.maximum(score - 1, 0)
    # A score of 16 is unusually common there, for unknown reasons, and a few posts have very high scores.
    positive = 0.29 * np.exp(-1.07 * above**0.86) + 0.0004 * (score <= 16) + 1.5e-5 * (1 + above / 20) ** -1.5
    below = np.maximum(-score, 0)
    negative = np.where(score == 0, 0.0012, 0.0001 * np.exp(-0.35 * (below - 1)))
    return np.where(score > 0, positive, 1 - negative)


def thresholds(quality: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Return the lowest latent quality of a post with a score of LOWEST + 1, LOWEST + 2, …, HIGHEST.

    Args:
        quality: The qualities explained by the tags of pilot posts, (n,).
        noise: Standard deviation of the unexplained part.
    """
    from scipy.special import ndtr

    n_posts, edges = np.histogram(quality, 400)
    centre = (edges[1:] + edges[:-1]) / 2
    latent = np.linspace(-8, 8, 4001)
    share = ndtr((centre - latent[:, None]) / noise) @ (n_posts / n_posts.sum())
    return np.interp(survival(np.arange(LOWEST + 1, HIGHEST + 1)), share[::-1], latent[::-1])


class DemoTags(Source):
    """Posts generated by `TagWorld`, with the same arguments."""

    columns = frozenset({"post_id", "score", "tags", "timestamp", "age_rating", "width", "height"})
    version = 1

    def __init__(
        self, *, n_posts: PositiveInt, n_tags: PositiveInt, n_groups: Annotated[int, Ge(2)], signal: Share, seed: Seed
    ) -> None:
        self.settings: dict[str, Any] = {
            "n_posts": n_posts,
            "n_tags": n_tags,
            "n_groups": n_groups,
            "signal": signal,
            "seed": seed,
        }

    @cached_property
    def world(self) -> TagWorld:
        return TagWorld(**self.settings)

    def options(self) -> Mapping[str, Any]:
        return self.settings

    def facts(self) -> Mapping[str, float]:
        return self.world.facts()

    def posts(self) -> pl.LazyFrame:
        dtypes = {name: column.dtypes[0] for name, column in schema.POSTS.items()}
        return register_io_source(self.stream, schema=dtypes, is_pure=True)

    def stream(
        self, with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        """Yield the first `n_rows` posts, filtered by `predicate`, with some columns; the interface is polars'."""
        left = self.world.n_posts if n_rows is None else n_rows
        for posts in self.world.posts(*([batch_size] if batch_size else [])):
            some = posts.head(left)
            left -= len(some)
            some = some if predicate is None else some.filter(predicate)
            yield some if with_columns is None else some.select(with_columns)
            if not left:
                return
