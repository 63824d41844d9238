"""RatingData: a dump's interactions, filtered, indexed and split, as Lightning wants them."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.base import Data
from anirec.data.filters import k_core
from anirec.data.fingerprint import digest
from anirec.data.interactions import Interactions, RatingBatch, UserBlocks
from anirec.data.prepare import prepare
from anirec.data.sources.source import Source
from anirec.data.splits import TEST, TRAIN, VAL, Split, check_parts
from anirec.data.vocabulary import Vocabulary
from anirec.errors import UserError


class RatingData(Data):
    """Interactions of users with items, split into `train`, `val` and `test`.

    Args:
        source: The dump's reader.
        min_user_ratings: Users with fewer ratings are dropped, and so on with items until both hold (k-core).
        min_item_ratings: Likewise for items.
        unrated: Whether models that use rows without a rating get them. Either way nobody is recommended what they
            have seen: all are in `unrated`.
        split: Decides which ratings train, validate and test.
        cache: Folder of prepared tables.

    After `setup`: `n_users`, `n_items`; `users` (n_users,) raw ids; `items`, one row per item index with its metadata;
    `train`, `val`, `test`, `unrated`, `train_and_unrated`: Interactions.
    """

    def __init__(
        self,
        *,
        source: Source,
        min_user_ratings: int,
        min_item_ratings: int,
        unrated: Literal["drop", "keep"],
        split: Split,
        cache: str,
    ) -> None:
        super().__init__()
        self.source, self.split, self.cache = source, split, Path(cache)
        self.min_user_ratings, self.min_item_ratings, self.unrated_rows = min_user_ratings, min_item_ratings, unrated

    def prepare_data(self) -> None:
        """Fill the cache, once a machine."""
        prepare(self.source, self.cache)

    def load(self) -> None:
        self.prepared = prepare(self.source, self.cache)
        if self.prepared.interactions is None:
            raise UserError(self.source.without_interactions())
        table = pl.read_parquet(self.prepared.interactions)
        rated, unrated = table.filter(pl.col("rating").is_not_null()), table.filter(pl.col("rating").is_null())
        users, items = Vocabulary(rated["user_id"]), Vocabulary(rated["item_id"])
        rated = indexed(rated, users, items)
        kept = k_core(
            rated["user"].to_numpy(),
            rated["item"].to_numpy(),
            min_user=self.min_user_ratings,
            min_item=self.min_item_ratings,
        )
        rated = rated.filter(pl.Series(kept))
        if not len(rated):
            raise UserError(
                f"No rating is left after the filters {self.filters}. Lower them (dataset.min_user_ratings=1)."
            )
        self.user_vocabulary, self.item_vocabulary = Vocabulary(rated["user_id"]), Vocabulary(rated["item_id"])
        self.n_users, self.n_items = len(self.user_vocabulary), len(self.item_vocabulary)
        rated = indexed(rated, self.user_vocabulary, self.item_vocabulary)
        self.items = self.catalogue()
        self.parts = self.split.assign(rated)
        self.train, self.val, self.test = (
            self.interactions(rated.filter(pl.Series(self.parts == part))) for part in (TRAIN, VAL, TEST)
        )
        check_parts(self.split, {"train": len(self.train), "val": len(self.val), "test": len(self.test)}, "ratings")
        unrated = indexed(unrated, self.user_vocabulary, self.item_vocabulary)
        self.unrated = self.interactions(unrated.filter((pl.col("user") >= 0) & (pl.col("item") >= 0)))

    def catalogue(self) -> pl.DataFrame:
        """(n_items, …): the metadata of every item, in index order."""
        order = self.item_vocabulary.ids.alias("item_id").to_frame()
        items = pl.read_parquet(self.prepared.folder / "items.parquet")
        return order.join(items, on="item_id", how="left", maintain_order="left")

    def interactions(self, rows: pl.DataFrame) -> Interactions:
        columns = (rows["user"], rows["item"], rows["rating"].fill_null(float("nan")))
        user, item, rating = (column.to_numpy(writable=True) for column in columns)
        return Interactions(user, item, rating, self.n_users)

    @property
    def users(self) -> NDArray[Any]:
        return self.user_vocabulary.ids.to_numpy()

    @cached_property
    def train_and_unrated(self) -> Interactions:
        """Training ratings and, where the dataset keeps them, interactions without one."""
        if self.unrated_rows == "drop" or not len(self.unrated):
            return self.train
        columns = ("user", "item", "rating")
        user, item, rating = (np.concatenate([getattr(self.train, c), getattr(self.unrated, c)]) for c in columns)
        order = np.lexsort((item, user))
        return Interactions(user[order], item[order], rating[order], self.n_users)

    @property
    def filters(self) -> dict[str, int | str]:
        return {
            "min_user_ratings": self.min_user_ratings,
            "min_item_ratings": self.min_item_ratings,
            "unrated": self.unrated_rows,
        }

    def state_dict(self) -> dict[str, Any]:
        """Both vocabularies, so that a checkpoint knows its users and items by their own ids."""
        return {"user_id": self.user_vocabulary.ids.to_list(), "item_id": self.item_vocabulary.ids.to_list()}

    def val_dataloader(self) -> Iterable[RatingBatch]:
        return UserBlocks(self.val, rows=EVALUATION_ROWS)

    def test_dataloader(self) -> Iterable[RatingBatch]:
        return UserBlocks(self.test, rows=EVALUATION_ROWS)

    @property
    def facts(self) -> dict[str, float]:
        return self.prepared.report["facts"]

    def provenance(self) -> dict[str, Any]:
        data = digest(self.prepared.fingerprint, self.filters)
        return {
            "data": {"fingerprint": data, "n_users": self.n_users, "n_items": self.n_items, **self.prepared.report},
            "split": {**self.split.provenance(self.parts, data), "n_unrated": len(self.unrated)},
        }


EVALUATION_ROWS = 1 << 18


def indexed(rows: pl.DataFrame, users: Vocabulary, items: Vocabulary) -> pl.DataFrame:
    """Add the int32 columns `user` and `item`, and sort by them."""
    return rows.with_columns(user=users.encode(rows["user_id"]), item=items.encode(rows["item_id"])).sort(
        "user", "item"
    )
