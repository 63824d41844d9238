"""Generated ratings, part of the package: no download, and the best reachable error is known."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import polars as pl
from annotated_types import Ge

from anirec.data.sources.base import Source
from anirec.data.synthetic.rating_world import World
from anirec.settings import NonNegative, Positive, PositiveInt, Seed


class DemoRatings(Source):
    """What `anirec.data.synthetic.rating_world.World` generates; it takes the same arguments."""

    columns: ClassVar = frozenset({"user_id", "item_id", "rating", "timestamp", "title", "type", "episodes", "genres"})
    version = 3

    def __init__(
        self,
        *,
        n_users: PositiveInt,
        n_items: Annotated[int, Ge(6)],
        ratings_per_user: Positive,
        rank: PositiveInt,
        noise: NonNegative,
        seed: Seed,
    ) -> None:
        self.settings: dict[str, Any] = {
            "n_users": n_users,
            "n_items": n_items,
            "ratings_per_user": ratings_per_user,
            "rank": rank,
            "noise": noise,
            "seed": seed,
        }

    def options(self) -> Mapping[str, Any]:
        return self.settings

    def facts(self) -> Mapping[str, float]:
        world = World(**self.settings)
        rows = world.interactions()
        return {"floor/rmse": world.floor_rmse(rows["user_id"].to_numpy() - 1, rows["item_id"].to_numpy() - 1)}

    def interactions(self) -> pl.LazyFrame:
        return World(**self.settings).interactions().lazy()

    def items(self) -> pl.LazyFrame:
        return World(**self.settings).items().lazy()
