"""What is measured on: real ratings where there are any, and generated ones of any size."""

import os
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from pytorch_lightning import LightningDataModule

from anirec.config.compose import conf_folder
from anirec.data.ratings.datamodule import RatingData
from anirec.data.ratings.interactions import Interactions

N_ITEMS = 10_000
SAME_SIZE = ("n_users=5000", "n_items=7400", "ratings_per_user=84")  # as mal_2016 has them


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", list(overrides))


def model(name: str, *overrides: str) -> Any:
    """A model of conf/model, with other settings where `overrides` say so."""
    node = composed(f"model={name}", *(f"model.{override}" for override in overrides)).model
    return instantiate(node, _convert_="all")


def evaluation() -> Any:
    """The default metrics: rating errors, and ranking over the whole catalogue."""
    return instantiate(composed("metrics=ratings").metrics, _convert_="all")


def rating_data() -> tuple[str, RatingData]:
    """mal_2016 split as the README's table is (10 % to test at random), or generated ratings of its size."""
    real = "ANIREC_DATA" in os.environ
    chosen = ["mal_2016"] if real else ["demo_ratings", *(f"dataset.source.{size}" for size in SAME_SIZE)]
    config = composed(f"dataset={chosen[0]}", *chosen[1:], "split=random", "split.test=0.1", "split.val=0")
    data = instantiate(config.dataset, split=config.split, cache=config.paths.cache, _convert_="all")
    data.setup("fit")
    return ("mal_2016" if real else "generated, the size of mal_2016"), data


class Generated(LightningDataModule):
    """Training ratings alone, with a long tail on both sides: enough to measure speed, not accuracy."""

    n_items = N_ITEMS

    def __init__(self, train: Interactions) -> None:
        super().__init__()
        self.train = self.train_and_unrated = train
        self.n_users = train.n_users

    def train_dataloader(self) -> Any:
        return self.trainer.lightning_module.batches(self, 0, 1)  # type: ignore[union-attr]


def generated(n_ratings: int, seed: int = 0) -> Interactions:
    """About `n_ratings` ratings, a hundred a user, of items whose popularity falls as a power law.

    Lists are as uneven as those of mal_2016: the mean rating is in a list three and a half times the mean length.
    """
    random = np.random.default_rng(seed)
    n_users = n_ratings // 100
    spread = random.lognormal(0, 1.4, n_users)
    # Items drawn twice count once: a hundred are left of these.
    wanted = np.clip(spread / spread.mean() * 140, 3, N_ITEMS // 3).astype(np.int64)
    share = np.arange(1, N_ITEMS + 1) ** -0.9
    item = np.searchsorted(np.cumsum(share / share.sum()), random.random(wanted.sum(), dtype=np.float32))
    pairs = np.unique(np.repeat(np.arange(n_users), wanted) * N_ITEMS + np.minimum(item, N_ITEMS - 1))
    user, item = np.divmod(pairs, N_ITEMS)
    offset_u, offset_i = random.normal(0, 0.7, n_users), random.normal(0, 0.7, N_ITEMS)
    rating = np.clip(np.rint(7.5 + offset_u[user] + offset_i[item] + random.normal(0, 1, len(pairs))), 1, 10)
    return Interactions(user.astype(np.int32), item.astype(np.int32), rating.astype(np.float32), n_users)


def some_users(rows: Interactions, n_ratings: int, seed: int = 0) -> Interactions:
    """All rows of randomly chosen users, about `n_ratings` in all."""
    counts = np.diff(rows.indptr)
    order = np.random.default_rng(seed).permutation(rows.n_users)
    chosen = np.zeros(rows.n_users, bool)
    chosen[order[: np.searchsorted(counts[order].cumsum(), n_ratings) + 1]] = True
    kept = chosen[rows.user]
    return Interactions(rows.user[kept], rows.item[kept], rows.rating[kept], rows.n_users)
