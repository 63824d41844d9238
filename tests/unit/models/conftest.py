"""Fixtures: a small data set of rank 2, and a function that trains a model on it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anirec.data.ratings.interactions import Interactions, UserBlocks
from anirec.data.scale import Scale
from anirec.lightning import LightningDataModule, Trainer, seed_everything

N_USERS, N_ITEMS = 120, 60


class Planted(LightningDataModule):
    """Ratings from 1 to 10 of rank 2 plus offsets and noise; some rows are unrated."""

    scale = Scale()

    n_users, n_items = N_USERS, N_ITEMS
    new_user, new_item = 7, 11  # without a training row
    val: Interactions

    def __init__(self, *, unrated: bool = True) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        user, item = np.nonzero(random.random((N_USERS, N_ITEMS)) < 0.35)
        taste_u, taste_i = random.normal(size=(N_USERS, 2)), random.normal(size=(N_ITEMS, 2))
        score = 7 + random.normal(0, 0.6, N_USERS)[user] + random.normal(0, 0.6, N_ITEMS)[item]
        score += 0.8 * (taste_u[user] * taste_i[item]).sum(1) + random.normal(0, 0.3, len(user))
        rating = np.clip(np.round(score), 1, 10).astype(np.float32)
        is_new = (user == self.new_user) | (item == self.new_item)
        kind = np.where(is_new, 2, random.choice(3, len(user), p=[0.75, 0.15, 0.1]))
        self.train, self.unrated, self.test = (
            Interactions(user[rows].astype(np.int32), item[rows].astype(np.int32), rating[rows], N_USERS)
            for rows in (kind == 0, (kind == 1) & unrated, kind == 2)
        )
        self.unrated.rating[:] = np.nan

    @property
    def train_and_unrated(self) -> Interactions:
        parts = (self.train, self.unrated)
        user, item, rating = (np.concatenate([getattr(p, c) for p in parts]) for c in ("user", "item", "rating"))
        order = np.lexsort((item, user))
        return Interactions(user[order], item[order], rating[order], N_USERS)

    def train_dataloader(self) -> Any:
        return self.trainer.lightning_module.batches(self, 0, 1)  # type: ignore[union-attr]

    def test_dataloader(self) -> Any:
        return UserBlocks(self.test, rows=1000)


@pytest.fixture(scope="session")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="session")
def rated_only() -> Planted:
    return Planted(unrated=False)


@pytest.fixture(scope="session")
def fit() -> Callable[..., Trainer]:
    """Return a function that trains a model with a seed; `resume` is a checkpoint to resume from."""

    def fit(
        model: Any,
        data: Planted,
        *,
        epochs: int = 1,
        seed: int = 3,
        resume: Path | None = None,
        callbacks: Sequence[Any] = (),
        **trainer_options: Any,
    ) -> Trainer:
        seed_everything(seed, verbose=False)
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            logger=False,
            callbacks=list(callbacks),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **trainer_options,
        )
        trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
        model.eval()
        return trainer

    return fit
