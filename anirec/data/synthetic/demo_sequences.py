"""Source of generated watch histories whose order is planted; no download, and the best reachable hit rate is known."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import polars as pl
from annotated_types import Ge
from numpy.typing import NDArray

from anirec.data.sources.base import Source
from anirec.data.synthetic.demo_ratings import FURTHER, GENRES, WORDS
from anirec.errors import UserError
from anirec.settings import PositiveInt, Seed

FIRST_ORDER = np.array([0.4, 0.3, 0.2, 0.1])  # probabilities of the successors of the newest title
SECOND_ORDER = np.array([0.6, 0.4])  # the same for the title before it
NEWEST, BEFORE, TASTE = 0.65, 0.2, 0.15  # shares of the newest title, the one before it, and the user's genres
N_FAVOURITES = 2  # genres per user
SHORTEST = 6  # titles in a history
K = 10  # length of the list whose hit rate is known

Matrix = NDArray[np.float64]


class SequenceWorld:
    """A process that generates the histories of users, determined by the arguments.

    The next title is drawn in proportion to `0.65 S1[newest] + 0.2 S2[one before] + 0.15 taste`, among the titles that
    the user has not seen. S1 and S2 hold a few successors of each title, all of its genre. Every title is the successor
    of equally many titles, so that popularity carries no information. The taste is uniform over two genres of a user.
    Ratings depend on user, title and noise, and not on the order.

    Args:
        n_users: Number of users.
        n_items: Number of titles.
        n_genres: Number of genres, each with as many titles.
        length: Mean number of titles in a history; the numbers are Poisson-distributed.
        seed: Seed of the generator.
    """

    def __init__(self, *, n_users: int, n_items: int, n_genres: int, length: int, seed: int) -> None:
        self.seed = seed
        rng = np.random.default_rng(seed)
        self.genre = rng.permutation(np.arange(n_items) % n_genres)
        self.first_ij, self.second_ij = (self.successors(rng, shares) for shares in (FIRST_ORDER, SECOND_ORDER))
        favourite = np.argsort(rng.random((n_users, n_genres)), axis=1)[:, :N_FAVOURITES]
        self.is_favourite = (self.genre == favourite[:, :, None]).any(axis=1)
        self.taste_ui = self.is_favourite / self.is_favourite.sum(axis=1, keepdims=True)
        most = int(self.is_favourite.sum(axis=1).min()) // 2
        self.n_titles = np.clip(rng.poisson(length, n_users), SHORTEST, max(SHORTEST, most))

    def successors(self, rng: np.random.Generator, shares: Matrix) -> Matrix:
        """Return the probability of each title (column) after each other one (row), (n_items, n_items)."""
        chance_ij = np.zeros((len(self.genre), len(self.genre)))
        for genre in range(self.genre.max() + 1):
            circle = rng.permutation(np.flatnonzero(self.genre == genre))
            steps = 1 + rng.choice(len(circle) - 1, len(shares), replace=False)
            for step, share in zip(steps, shares, strict=True):
                chance_ij[circle, np.roll(circle, -step)] = share
        return chance_ij

    def chances(self, newest: NDArray[np.int64], before: NDArray[np.int64], seen_ui: NDArray[np.bool_]) -> Matrix:
        """Return the probabilities of each user's next title, (U, n_items); -1 stands for no title yet."""
        weight_ui = TASTE * self.taste_ui
        for share, chance_ij, last in ((NEWEST, self.first_ij, newest), (BEFORE, self.second_ij, before)):
            weight_ui = weight_ui + share * chance_ij[last] * (last >= 0)[:, None]
        weight_ui[seen_ui] = 0
        return weight_ui / weight_ui.sum(axis=1, keepdims=True)

    @cached_property
    def walks(self) -> NDArray[np.int64]:
        """The titles of each user in their order, (U, longest); those after the user's last one are not used."""
        rng = np.random.default_rng((self.seed, 1))
        n_users, n_items = self.taste_ui.shape
        seen_ui = np.zeros((n_users, n_items), dtype=bool)
        walk_ut = np.full((n_users, self.n_titles.max()), -1)
        for step in range(walk_ut.shape[1]):
            newest, before = (walk_ut[:, step - age] if step >= age else np.full(n_users, -1) for age in (1, 2))
            bounds_ui = self.chances(newest, before, seen_ui).cumsum(axis=1)
            drawn = rng.random((n_users, 1)) * bounds_ui[:, -1:]
            walk_ut[:, step] = (bounds_ui <= drawn).sum(axis=1)
            seen_ui[np.arange(n_users), walk_ut[:, step]] = True
        return walk_ut

    def from_end(self, place: int) -> NDArray[np.int64]:
        """Return the title of each user at a place before the end, (U,); 1: the last one."""
        return self.walks[np.arange(len(self.walks)), self.n_titles - place]

    def seen(self, left: int) -> NDArray[np.bool_]:
        """Return which titles each user has seen before the last `left` ones, (U, n_items)."""
        seen_ui = np.zeros(self.taste_ui.shape, dtype=bool)
        user, step = np.nonzero(np.arange(self.walks.shape[1]) < (self.n_titles - left)[:, None])
        seen_ui[user, self.walks[user, step]] = True
        return seen_ui

    def ceilings(self) -> dict[str, float]:
        """Return the expected hit rates of lists by the process itself, the best that a model can reach.

        `next` is that of the title that follows a history. `last_k` is that of the last title if the one before it is
        not part of the history, as for the test rows of split=last_k and models that know the training rows only.
        """
        before, newest, hidden = (self.from_end(place) for place in (4, 3, 2))
        users, seen_ui = np.arange(len(hidden)), self.seen(2)
        chance_ui = self.chances(newest, before, seen_ui)
        top = np.argpartition(-chance_ui, K, axis=1)[:, :K]
        found = np.take_along_axis(chance_ui, top, axis=1).sum(axis=1).mean()
        # Two steps: the sum over the title in between, v, of P(v) P(i | v), where P(i | v) is 0 for i = v.
        given_ui = TASTE * self.taste_ui + BEFORE * self.second_ij[newest]
        given_ui[seen_ui] = 0
        total_uv = NEWEST * ~seen_ui @ self.first_ij.T + given_ui.sum(axis=1, keepdims=True) - given_ui
        share_uv = chance_ui / total_uv
        two_ui = NEWEST * (share_uv @ self.first_ij) + given_ui * (share_uv.sum(axis=1, keepdims=True) - share_uv)
        seen_ui[users, hidden] = True
        top = np.argpartition(-np.where(seen_ui, -1, two_ui), K, axis=1)[:, :K]
        found_later = np.take_along_axis(self.chances(hidden, newest, seen_ui), top, axis=1).sum(axis=1).mean()
        return {"next": float(found), "last_k": float(found_later)}

    def interactions(self) -> pl.DataFrame:
        """Return user_id, item_id (int64, from 1), rating (float32) and timestamp, some days apart."""
        rng = np.random.default_rng((self.seed, 2))
        n_users, n_items = self.taste_ui.shape
        user, step = np.nonzero(np.arange(self.walks.shape[1]) < self.n_titles[:, None])
        item = self.walks[user, step]
        mean = 6.5 + rng.normal(0, 0.6, n_users)[user] + rng.normal(0, 0.8, n_items)[item]
        rating = np.clip(np.rint(mean + self.is_favourite[user, item] + rng.normal(0, 1, len(user))), 1, 10)
        gap_ut = rng.exponential(5, self.walks.shape) + 1e-3
        days = (rng.uniform(0, 2000, (n_users, 1)) + gap_ut.cumsum(axis=1))[user, step]
        return pl.DataFrame(
            {
                "user_id": user + 1,
                "item_id": item + 1,
                "rating": rating.astype(np.float32),
                "timestamp": np.datetime64("2012-01-01", "us") + (days * 86400).astype("timedelta64[s]"),
            }
        )

    def items(self) -> pl.DataFrame:
        """Return item_id, title and genres, one row per title."""
        names = [f"{further}{first} {second}" for further in FURTHER for first in WORDS[0] for second in WORDS[1]]
        titles = [names[i % len(names)] + (f" {i}" if i >= len(names) else "") for i in range(len(self.genre))]
        genres = [[GENRES[genre % len(GENRES)]] for genre in self.genre]
        return pl.DataFrame({"item_id": np.arange(1, len(self.genre) + 1), "title": titles, "genres": genres})


class DemoSequences(Source):
    """Watch histories generated by `SequenceWorld`, with the same arguments."""

    columns = frozenset({"user_id", "item_id", "rating", "timestamp", "title", "genres"})
    version = 0

    def __init__(
        self,
        *,
        n_users: PositiveInt,
        n_items: Annotated[int, Ge(20)],
        n_genres: Annotated[int, Ge(2)],
        length: PositiveInt,
        seed: Seed,
    ) -> None:
        self.settings: dict[str, Any] = {
            "n_users": n_users,
            "n_items": n_items,
            "n_genres": n_genres,
            "length": length,
            "seed": seed,
        }
        self.check_size()

    def check_size(self) -> None:
        """Raise a UserError if a genre has too few titles for its successors, or a history too few titles to go on."""
        needed = 2 * SHORTEST
        if self.settings["n_items"] // self.settings["n_genres"] < needed:
            n_items, n_genres = self.settings["n_items"], self.settings["n_genres"]
            raise UserError(f"n_items={n_items}, n_genres={n_genres}: expected at least {needed} titles per genre")

    def options(self) -> Mapping[str, Any]:
        return self.settings

    @cached_property
    def world(self) -> SequenceWorld:
        return SequenceWorld(**self.settings)

    def facts(self) -> Mapping[str, float]:
        return {f"ceiling/hit_rate@{K}/{name}": rate for name, rate in self.world.ceilings().items()}

    def interactions(self) -> pl.LazyFrame:
        return self.world.interactions().lazy()

    def items(self) -> pl.LazyFrame:
        return self.world.items().lazy()
