"""Data of the benchmarks: real ratings if $ANIREC_DATA is set, and generated ratings of any size."""

import os
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from anirec.config.compose import conf_folder
from anirec.data.ratings.datamodule import RatingData
from anirec.data.ratings.interactions import Interactions
from anirec.data.scale import Scale
from anirec.lightning import LightningDataModule

N_ITEMS = 10_000
SAME_SIZE = ("n_users=5000", "n_items=7400", "ratings_per_user=84")  # as in mal_2016


def compose_config(*overrides: str) -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", list(overrides))


def create_model(name: str, *overrides: str) -> Any:
    """Create a model of conf/model, with overrides such as "epochs=12"."""
    node = compose_config(f"model={name}", *(f"model.{override}" for override in overrides)).model
    return instantiate(node, _convert_="all")


def create_evaluation() -> Any:
    """Create the default metrics: rating errors, and ranking over the whole catalogue."""
    return instantiate(compose_config("metrics=ratings").metrics, _convert_="all")


def rating_data() -> tuple[str, RatingData]:
    """Return a name and mal_2016, with 10 % of its ratings for testing as in the README, or generated ratings."""
    real = "ANIREC_DATA" in os.environ
    chosen = ["mal_2016"] if real else ["demo_ratings", *(f"dataset.source.{size}" for size in SAME_SIZE)]
    config = compose_config(f"dataset={chosen[0]}", *chosen[1:], "split=random", "split.test=0.1", "split.val=0")
    data = instantiate(config.dataset, split=config.split, cache=config.paths.cache, _convert_="all")
    data.setup("fit")
    return ("mal_2016" if real else "generated, of the size of mal_2016"), data


class Generated(LightningDataModule):
    """Training ratings with long-tailed users and items, for measuring speed, not accuracy."""

    n_items, scale = N_ITEMS, Scale()

    def __init__(self, train: Interactions) -> None:
        super().__init__()
        self.train = self.train_and_unrated = train
        self.n_users = train.n_users

    def train_dataloader(self) -> Any:
        return self.trainer.lightning_module.batches(self, 0, 1)  # type: ignore[union-attr]


def generate_ratings(n_ratings: int, seed: int = 0) -> Interactions:
    """Generate about `n_ratings` ratings, on average a hundred per user, of items with power-law popularity.

    The skew of list lengths is that of mal_2016: the average rating is in a list of 3.5 times the mean length.
    """
    random = np.random.default_rng(seed)
    n_users = n_ratings // 100
    spread = random.lognormal(0, 1.4, n_users)
    # Duplicate items are dropped afterwards, which leaves about a hundred per user.
    wanted = np.clip(spread / spread.mean() * 140, 3, N_ITEMS // 3).astype(np.int64)
    share = np.arange(1, N_ITEMS + 1) ** -0.9
    item = np.searchsorted(np.cumsum(share / share.sum()), random.random(wanted.sum(), dtype=np.float32))
    pairs = np.unique(np.repeat(np.arange(n_users), wanted) * N_ITEMS + np.minimum(item, N_ITEMS - 1))
    user, item = np.divmod(pairs, N_ITEMS)
    offset_u, offset_i = random.normal(0, 0.7, n_users), random.normal(0, 0.7, N_ITEMS)
    rating = np.clip(np.rint(7.5 + offset_u[user] + offset_i[item] + random.normal(0, 1, len(pairs))), 1, 10)
    return Interactions(user.astype(np.int32), item.astype(np.int32), rating.astype(np.float32), n_users)


def sample_users(rows: Interactions, n_ratings: int, seed: int = 0) -> Interactions:
    """Return all rows of randomly sampled users, about `n_ratings` rows in total."""
    counts = np.diff(rows.indptr)
    order = np.random.default_rng(seed).permutation(rows.n_users)
    chosen = np.zeros(rows.n_users, bool)
    chosen[order[: np.searchsorted(counts[order].cumsum(), n_ratings) + 1]] = True
    kept = chosen[rows.user]
    return Interactions(rows.user[kept], rows.item[kept], rows.rating[kept], rows.n_users)
