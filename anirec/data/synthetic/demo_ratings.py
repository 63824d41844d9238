"""Source of generated ratings; no download, and the best reachable error is known."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import polars as pl
from annotated_types import Ge
from numpy.typing import NDArray

from anirec.data.sources.base import Source
from anirec.settings import NonNegative, Positive, PositiveInt, Seed

GENRES = ["Action", "Adventure", "Comedy", "Drama", "Fantasy", "Horror", "Mystery", "Romance", "Sci-Fi", "Sports"]
WORDS = (
    ["Crimson", "Silent", "Electric", "Wandering", "Paper", "Midnight", "Golden", "Hollow", "Summer", "Iron"],
    ["Voyage", "Academy", "Garden", "Samurai", "Orchestra", "Detective", "Kingdom", "Kitchen", "Satellite", "Diary"],
)
# Before the names of further titles, of which none is the sequel of another.
FURTHER = ["", *(f"{word} " for word in ("Little", "Great", "Distant", "Secret", "Eternal", "Lonely", "Blue", "Wild"))]
RATINGS = np.arange(1, 11)


class World:
    """A low-rank model of users, items and ratings, determined by the arguments.

    Args:
        n_users: Number of users.
        n_items: Number of titles.
        ratings_per_user: Mean number of ratings per user; the numbers are log-normal.
        rank: Number of latent dimensions.
        noise: Standard deviation of a rating around its mean, in rating points.
        seed: Seed of the generator.
    """

    def __init__(
        self, *, n_users: int, n_items: int, ratings_per_user: float, rank: int, noise: float, seed: int
    ) -> None:
        self.noise, self.seed = noise, seed
        rng = np.random.default_rng(seed)
        self.genres = rng.random((n_items, len(GENRES))) < 0.25
        self.genres[np.arange(n_items), rng.integers(len(GENRES), size=n_items)] = True
        taste_of_genre = rng.normal(size=(len(GENRES), rank))
        content = self.genres @ taste_of_genre / np.sqrt(self.genres.sum(1, keepdims=True))
        self.item_factors = (0.8 * content + 0.6 * rng.normal(size=(n_items, rank))).astype(np.float32)
        self.user_factors = rng.normal(0, 1 / np.sqrt(rank), size=(n_users, rank)).astype(np.float32)
        self.item_bias = rng.normal(0, 0.8, n_items).astype(np.float32)
        self.user_bias = rng.normal(0, 0.6, n_users).astype(np.float32)
        # Popularity follows a power law and is correlated with the item bias: good titles are seen more.
        place = np.argsort(np.argsort(-(self.item_bias + rng.normal(0, 0.6, n_items)))) + 1
        self.log_popularity = -0.7 * np.log(place).astype(np.float32)
        spread = rng.lognormal(0, 0.8, n_users)
        self.n_ratings = np.clip(spread / spread.mean() * ratings_per_user, 3, n_items // 2).astype(np.int64)

    def interactions(self, block: int = 500) -> pl.DataFrame:
        """Return user_id, item_id (int64, from 1), rating (float32) and timestamp, generated in blocks of users."""
        n_users = len(self.user_bias)
        return pl.concat([self.ratings_of(np.arange(s, min(s + block, n_users))) for s in range(0, n_users, block)])

    def ratings_of(self, users: NDArray[np.int64]) -> pl.DataFrame:
        """Return all ratings of consecutive users; the first user is part of the seed."""
        rng = np.random.default_rng((self.seed, users[0]))
        taste = self.user_factors[users] @ self.item_factors.T
        # Gumbel noise on log-weights draws without replacement in proportion to the weights.
        draw = self.log_popularity + taste + rng.gumbel(size=taste.shape).astype(np.float32)
        most = int(self.n_ratings[users].max())
        chosen = np.argpartition(-draw, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(draw, chosen, 1), axis=1)
        chosen = np.take_along_axis(chosen, order, 1)
        kept = np.arange(most) < self.n_ratings[users][:, None]
        row, item = np.nonzero(kept)[0], chosen[kept]
        mean = self.mean(users[row], item)
        rating = np.clip(np.rint(mean + rng.normal(0, self.noise, len(mean))), 1, 10)
        return pl.DataFrame(
            {
                "user_id": users[row] + 1,
                "item_id": item + 1,
                "rating": rating.astype(np.float32),
                "timestamp": self.times(users, most)[kept],
            }
        )

    def times(self, users: NDArray[np.int64], most: int) -> NDArray[np.datetime64]:
        """Return the times when each user rated their first, second, … title, some days apart, (U, most)."""
        rng = np.random.default_rng((self.seed, users[0], most))
        days = rng.uniform(0, 2000, (len(users), 1)) + rng.exponential(5, (len(users), most)).cumsum(1)
        return np.datetime64("2012-01-01", "us") + (days * 86400).astype("timedelta64[s]")

    def mean(self, user: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the mean of ratings before noise, rounding and clipping, (n,)."""
        taste = np.einsum("nk,nk->n", self.user_factors[user], self.item_factors[item])
        return 7.0 + self.user_bias[user] + self.item_bias[item] + taste

    def floor_rmse(self, user: NDArray[np.int64], item: NDArray[np.int64]) -> float:
        """Return the RMSE of predicting the expected value of each rating, the lowest that a model can reach."""
        from scipy.special import ndtr

        mean = self.mean(user, item)[:, None]
        edges = np.concatenate([[-np.inf], RATINGS[:-1] + 0.5, [np.inf]])
        share = np.diff(ndtr((edges - mean) / self.noise), axis=1)
        expected = share @ RATINGS
        return float(np.sqrt((share @ RATINGS**2 - expected**2).mean()))

    def items(self) -> pl.DataFrame:
        """Return item_id, title, type, episodes and genres, one row per title."""
        n_items = len(self.genres)
        rng = np.random.default_rng((self.seed, n_items))
        names = [f"{further}{first} {second}" for further in FURTHER for first in WORDS[0] for second in WORDS[1]]
        columns: dict[str, Any] = {
            "item_id": np.arange(1, n_items + 1),
            "title": [names[i % len(names)] + (f" {i}" if i >= len(names) else "") for i in range(n_items)],
            "type": ["TV" if flag else "Movie" for flag in rng.random(n_items) < 0.7],
            "episodes": rng.choice([1, 12, 13, 24, 26], size=n_items).astype(np.int32),
            "genres": [[GENRES[g] for g in np.flatnonzero(row)] for row in self.genres],
        }
        return pl.DataFrame(columns)


class DemoRatings(Source):
    """Ratings generated by `World`, with the same arguments."""

    columns = frozenset({"user_id", "item_id", "rating", "timestamp", "title", "type", "episodes", "genres"})
    version = 4

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
