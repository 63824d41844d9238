"""Generated posts of an image board, part of the package: no download, and the best reachable error is known."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar

import polars as pl
from annotated_types import Ge
from polars.io.plugins import register_io_source

from anirec.data import schema as tables
from anirec.data.sources.base import Source
from anirec.data.synthetic.tag_world import TagWorld
from anirec.settings import PositiveInt, Seed, Share


class DemoTags(Source):
    """What `anirec.data.synthetic.tag_world.TagWorld` generates; it takes the same arguments."""

    columns: ClassVar = frozenset({"post_id", "score", "tags", "timestamp", "age_rating", "width", "height"})
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
        schema = {name: column.dtypes[0] for name, column in tables.POSTS.items()}
        return register_io_source(self.stream, schema=schema, is_pure=True)

    def stream(
        self, with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        """What polars asks for: of the first `n_rows` posts those that fulfil `predicate`; some columns of them."""
        left = self.world.n_posts if n_rows is None else n_rows
        for posts in self.world.posts(*([batch_size] if batch_size else [])):
            some = posts.head(left)
            left -= len(some)
            some = some if predicate is None else some.filter(predicate)
            yield some if with_columns is None else some.select(with_columns)
            if not left:
                return
