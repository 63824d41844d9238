"""RatingData: a dump's interactions, filtered, indexed and split, as Lightning wants them."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.datamodule import Data
from anirec.data.prepare.fingerprint import digest
from anirec.data.ratings.filters import PLANNED, SEEN, is_interaction, is_planned, k_core, status_counts
from anirec.data.ratings.interactions import UNKNOWN, Interactions, RatingBatch, UserBlocks, Vocabulary
from anirec.data.sources.base import Source
from anirec.data.splits.base import TEST, TRAIN, VAL, Split, check_parts
from anirec.data.splits.users import GIVEN
from anirec.data.titles.catalogue import FIRST, Catalogue, all_prepared, by_name
from anirec.errors import UserError
from anirec.settings import Count


class RatingData(Data):
    """Interactions of users with items, split into `train`, `val` and `test`.

    Args:
        source: The dump's reader.
        joined: Readers of further dumps with the same item ids, by any name: what they say of the source's titles is
            joined in. Of a column that several have, the first counts.
        min_user_ratings: Users with fewer ratings are dropped, and so on with items until both hold (k-core).
        min_item_ratings: Likewise for items.
        statuses: List entries with any of these statuses (watching, completed, on_hold, dropped) are the interactions;
            null: all that were seen. Titles with another status are not recommended either, but planned ones are; see
            `filters`.
        unrated: Whether models that use rows without a rating get them. Either way nobody is recommended what they
            have seen: all are in `unrated`.
        split: Decides which ratings train, validate and test.
        cache: Folder of prepared tables.

    After `setup`: `n_users`, `n_items`; `users` (n_users,) raw ids; `items`, one row per item index with its metadata;
    `train`, `val`, `test`, `given` (see `history_splits`), `unrated`, `train_and_unrated`: Interactions; `excluded`:
    those that `statuses` leaves out.
    """

    same_rows: ClassVar[frozenset[str]] = frozenset({"joined"})  # settings that leave the ratings the same

    def __init__(
        self,
        *,
        source: Source,
        joined: Mapping[str, Source | None] | None,
        min_user_ratings: Count,
        min_item_ratings: Count,
        statuses: list[str] | None,
        unrated: Literal["drop", "keep"],
        split: Split,
        cache: str,
    ) -> None:
        super().__init__()
        self.sources = by_name(source, joined)
        self.split, self.cache = split, Path(cache)
        if statuses is not None and (not statuses or not set(statuses) <= set(SEEN)):
            raise UserError(f"dataset.statuses={statuses}: expected null or some of {', '.join(SEEN)}")
        self.statuses = None if statuses is None else sorted(set(statuses))
        self.min_user_ratings, self.min_item_ratings, self.unrated_rows = min_user_ratings, min_item_ratings, unrated

    def prepare_data(self) -> None:
        """Fill the cache, once a machine."""
        all_prepared(self.sources, self.cache)

    def load(self) -> None:
        self.prepared = all_prepared(self.sources, self.cache)
        interactions = self.prepared[FIRST].interactions
        if interactions is None:
            raise UserError(self.sources[FIRST].no_ratings_message())
        table = pl.read_parquet(interactions)
        if self.statuses is not None and "status" not in table.columns:
            raise UserError(
                f"dataset.statuses={self.statuses}: {self.sources[FIRST].name} does not give the status of its list "
                "entries; set dataset.statuses=null"
            )
        self.status_counts = status_counts(table)
        used = is_interaction(table, self.statuses)
        others = table.filter(~used & ~table.select(is_planned(table)).to_series())
        table = table.filter(used)
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
                f"No rating is left after the filters {self.filters}. Loosen them (dataset.min_user_ratings=1, "
                "dataset.statuses=null)."
            )
        self.user_vocabulary, self.item_vocabulary = Vocabulary(rated["user_id"]), Vocabulary(rated["item_id"])
        self.n_users, self.n_items = len(self.user_vocabulary), len(self.item_vocabulary)
        rated = indexed(rated, self.user_vocabulary, self.item_vocabulary)
        self.items = self.catalogue()
        self.parts = self.split.assign(rated)
        self.train, self.val, self.test, self.given = (
            self.interactions(rated.filter(pl.Series(self.parts == part))) for part in (TRAIN, VAL, TEST, GIVEN)
        )
        check_parts(self.split, {"train": len(self.train), "val": len(self.val), "test": len(self.test)}, "ratings")
        unrated, others = (
            indexed(rows, self.user_vocabulary, self.item_vocabulary).filter(pl.min_horizontal("user", "item") >= 0)
            for rows in (unrated, others)
        )
        self.unrated, self.excluded = self.interactions(unrated), self.interactions(others)
        self.may_train = self.split.may_train(unrated, rated, self.parts)

    def catalogue(self) -> pl.DataFrame:
        """(n_items, …): the metadata of every item, in index order."""
        order = self.item_vocabulary.ids.alias("item_id").to_frame()
        items = Catalogue(self.sources, self.prepared).items()
        return order.join(items, on="item_id", how="left", maintain_order="left")

    def interactions(self, rows: pl.DataFrame) -> Interactions:
        columns = (rows["user"], rows["item"], rows["rating"].fill_null(float("nan")))
        user, item, rating = (column.to_numpy(writable=True) for column in columns)
        time = rows["timestamp"].to_physical().fill_null(UNKNOWN).to_numpy() if "timestamp" in rows.columns else None
        return Interactions(user, item, rating, self.n_users, time)

    @property
    def users(self) -> NDArray[Any]:
        return self.user_vocabulary.ids.to_numpy()

    @cached_property
    def train_and_unrated(self) -> Interactions:
        """Training ratings and, where the dataset keeps them, interactions without one that the split lets train."""
        if self.unrated_rows == "drop" or not self.may_train.any():
            return self.train
        return self.train.and_also(self.unrated.where(self.may_train))

    @cached_property
    def history(self) -> Interactions:
        """What models may know of users when they answer: the training ratings and the given ones."""
        return self.train.and_also(self.given)

    @property
    def filters(self) -> dict[str, Any]:
        return {
            "min_user_ratings": self.min_user_ratings,
            "min_item_ratings": self.min_item_ratings,
            "statuses": self.statuses,
            "unrated": self.unrated_rows,
        }

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """`items`: what a person asks of a title, and the number of its training ratings."""
        year = [pl.col("aired_from").dt.year().alias("year")] if "aired_from" in self.items.columns else []
        told = [column for column in OF_ITEMS if column in self.items.columns]
        n_ratings = pl.Series(np.bincount(self.train.item, minlength=self.n_items))
        return {"items": self.items.select(*told, *year, n_ratings=n_ratings)}

    @property
    def findings(self) -> list[str]:
        counts = {name: (of["rows"] - of["rated"], of["rated"]) for name, of in self.status_counts.items()}
        (planned, rated), (unknown, _) = (counts.get(name, (0, 0)) for name in (PLANNED, "unknown"))
        found = []
        if planned or rated:
            found.append(
                f"{planned:,} list entries are plans to watch: they train nothing, and can be recommended. "
                f"{rated:,} planned titles have a rating and count as seen."
            )
        if unknown:
            found.append(
                f"{unknown:,} list entries have neither a rating nor a known status: they train nothing, and are not "
                "recommended."
            )
        return found

    def state_dict(self) -> dict[str, Any]:
        """Both vocabularies, so that a checkpoint knows its users and items by their own ids."""
        return {"user_id": self.user_vocabulary.ids.to_list(), "item_id": self.item_vocabulary.ids.to_list()}

    def val_dataloader(self) -> Iterable[RatingBatch]:
        return UserBlocks(self.val, rows=EVALUATION_ROWS)

    def test_dataloader(self) -> Iterable[RatingBatch]:
        return UserBlocks(self.test, rows=EVALUATION_ROWS)

    @property
    def facts(self) -> dict[str, float]:
        return self.prepared[FIRST].report["facts"]

    def provenance(self) -> dict[str, Any]:
        # What is joined in changes no row: runs with and without it may be ranked together.
        data = digest(self.prepared[FIRST].fingerprint, self.filters)
        n_items = {f"n_items_{name}": len(np.unique(getattr(self, name).item)) for name in ("train", "val", "test")}
        n_rows = {"n_unrated": len(self.unrated), "n_excluded": len(self.excluded)}
        return {
            "data": {
                "fingerprint": data,
                "sources": {name: made.fingerprint for name, made in self.prepared.items()},
                "n_users": self.n_users,
                "n_items": self.n_items,
                "statuses": self.status_counts,
                **self.prepared[FIRST].report,
            },
            "split": {**self.split.provenance(self.parts, data), **n_rows, **n_items},
        }


EVALUATION_ROWS = 1 << 18
NAMES = ("title", "title_english", "title_japanese", "synonyms")
OF_ITEMS = ("item_id", *NAMES, "type", "genres", "episodes", "age_rating", "score")  # what a person asks of a title


def indexed(rows: pl.DataFrame, users: Vocabulary, items: Vocabulary) -> pl.DataFrame:
    """Add the int32 columns `user` and `item`, and sort by them."""
    return rows.with_columns(user=users.encode(rows["user_id"]), item=items.encode(rows["item_id"])).sort(
        "user", "item"
    )
