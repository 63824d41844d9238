"""The datamodule of ratings: interactions of users with items, filtered, indexed and split."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from annotated_types import MinLen
from numpy.typing import NDArray

from anirec.data.datamodule import Data
from anirec.data.index_arrays import count_indices
from anirec.data.prepare.checks import Checks
from anirec.data.prepare.fingerprint import digest
from anirec.data.ratings.entries import EXCLUDED, RATED, UNRATED, Rows, divide, read_entries
from anirec.data.ratings.filters import PLANNED, SeenStatus, status_counts
from anirec.data.ratings.interactions import UNKNOWN, Interactions, RatingBatch, UserBlocks
from anirec.data.sources.base import Source
from anirec.data.splits.base import LATER, TEST, TRAIN, VAL, Split, check_parts
from anirec.data.splits.users import GIVEN
from anirec.data.titles.catalogue import FIRST, Catalogue, prepare_all, sources_by_name
from anirec.errors import UserError
from anirec.memory import available_memory, format_size
from anirec.settings import Count


class RatingData(Data):
    """Interactions of users with items, split into `train`, `val` and `test`.

    After `setup`, these attributes exist: `n_users` and `n_items`; `users` (n_users,), raw ids; `items`, the metadata
    of the items, one row per index; `scale`, the rating scale; `offered`, the items that exist at the time of the
    split, None for all; and as `Interactions`: `train`, `val`, `test`, `given` (see `anirec.data.splits.users`),
    `unrated`, `train_and_unrated`, and `excluded`, the entries that `statuses` excludes. The ratings of `train` and
    `given`, from which models learn, are in points (see `anirec.data.scale`); those of `val` and `test` are in the
    unit of the data.

    Args:
        source: The source of the interactions.
        joined: Further sources with the same item ids, by any name. They add columns to the titles of `source`; if
            several have the same column, the first counts.
        min_user_ratings: Users with fewer ratings are dropped. Applied in turn with `min_item_ratings` until both
            limits hold (k-core).
        min_item_ratings: Items with fewer ratings are dropped.
        statuses: Statuses of the list entries to use, of watching, completed, on_hold and dropped; null for all
            entries of titles that were seen. Titles with another status are not recommended either, except planned
            ones; see `anirec.data.ratings.filters`.
        unrated: Whether models that use rows without a rating get them. In either case, they are in `unrated`, so that
            titles that a user has seen are not recommended.
        split: Assigns each rating to a part.
        cache: Folder of prepared tables.
        checks: Whether findings of `anirec.data.prepare.checks` may stop; "warn" prints them instead.
    """

    same_rows: ClassVar[frozenset[str]] = frozenset({"joined"})  # settings that do not change the ratings

    def __init__(
        self,
        *,
        source: Source,
        joined: Mapping[str, Source | None] | None,
        min_user_ratings: Count,
        min_item_ratings: Count,
        statuses: Annotated[list[SeenStatus], MinLen(1)] | None,
        unrated: Literal["drop", "keep"],
        split: Split,
        cache: str,
        checks: Checks = "stop",
    ) -> None:
        super().__init__()
        self.checks = checks
        self.sources = sources_by_name(source, joined)
        self.split, self.cache = split, Path(cache)
        self.statuses = None if statuses is None else sorted(set(statuses))
        self.min_user_ratings, self.min_item_ratings, self.unrated_rows = min_user_ratings, min_item_ratings, unrated

    def prepare_data(self) -> None:
        """Prepare the tables of all sources; Lightning calls this once per machine."""
        prepare_all(self.sources, self.cache, checks=self.checks)

    def load(self) -> None:
        self.prepared = prepare_all(self.sources, self.cache, checks=self.checks)
        interactions, self.scale = self.prepared[FIRST].interactions, self.prepared[FIRST].scale
        if interactions is None:
            raise UserError(self.sources[FIRST].no_ratings_message())
        table = pl.scan_parquet(interactions, glob=False)
        if self.statuses is not None and "status" not in table.collect_schema():
            raise UserError(
                f"dataset.statuses={self.statuses}: {self.sources[FIRST].name} has no statuses of list entries. "
                "Set dataset.statuses=null."
            )
        check_memory(self.sources[FIRST].name, self.prepared[FIRST].report, timed="timestamp" in table.collect_schema())
        self.status_counts = status_counts(table)
        entries, self.user_vocabulary, self.item_vocabulary = read_entries(
            interactions,
            statuses=self.statuses,
            min_user=self.min_user_ratings,
            min_item=self.min_item_ratings,
            implicit="rating" not in self.sources[FIRST].columns,
        )
        rated, unrated = entries[RATED], entries[UNRATED]
        if not len(rated["user"]):
            raise UserError(
                f"No rating is left after the filters {self.filters}. Relax them, for example with "
                "dataset.min_user_ratings=1 and dataset.statuses=null."
            )
        self.n_users, self.n_items = len(self.user_vocabulary), len(self.item_vocabulary)
        self.items = self.catalogue()
        table_of_rated = self.split_table(rated)
        self.parts = self.split.assign(table_of_rated)
        n_train, n_val, n_test = count_indices(self.parts, LATER + 1)[:GIVEN].tolist()
        check_parts(self.split, {"train": n_train, "val": n_val, "test": n_test}, "ratings")
        self.may_train = self.split.may_train(self.split_table(unrated), table_of_rated, self.parts)
        self.notes = self.split.notes(table_of_rated, self.parts)
        self.bounds = self.split.bounds(table_of_rated, self.parts)
        self.offered = self.offered_items(rated["item"])
        del table_of_rated
        divided = dict(zip(PARTS, divide(rated, self.parts, PARTS), strict=True))
        for part in (TRAIN, GIVEN):
            divided[part]["rating"] = self.scale.to_points(divided[part]["rating"])
        self.train, self.val, self.test, self.given = (self.interactions(divided[part]) for part in PARTS)
        self.unrated, self.excluded = self.interactions(unrated), self.interactions(entries[EXCLUDED])

    def split_table(self, rows: Rows) -> pl.DataFrame:
        """Return the columns of rows that the split reads; those that the dump lacks are missing."""
        time = rows.get("time")
        columns = {
            "user": lambda: rows["user"],
            "item": lambda: rows["item"],
            "rating": lambda: pl.Series(rows["rating"]).fill_nan(None),
            "user_id": lambda: self.user_vocabulary.ids.gather(rows["user"]),
            "item_id": lambda: self.item_vocabulary.ids.gather(rows["item"]),
            "timestamp": lambda: pl.Series(time).replace(UNKNOWN, None).cast(pl.Datetime("us")),
        }
        if "aired_from" in self.items.columns:
            columns["aired_from"] = lambda: self.items["aired_from"].gather(rows["item"])
        wanted = columns.keys() - ({"timestamp"} if time is None else set())
        if self.split.reads is not None:
            wanted &= self.split.reads | {"user"}
        return pl.DataFrame({name: make() for name, make in columns.items() if name in wanted})

    def offered_items(self, item: NDArray[np.int32]) -> NDArray[np.int64] | None:
        """Return the items that exist at the time of the split, by the items of the rated rows, (n,); None for all."""
        later = self.parts == LATER
        if not later.any():
            return None
        in_use, of_later = (count_indices(item[mask], self.n_items) for mask in (~later, later))
        return np.flatnonzero((in_use > 0) | (of_later == 0))

    def catalogue(self) -> pl.DataFrame:
        """Return the metadata of all items in index order, (n_items, …)."""
        order = self.item_vocabulary.ids.alias("item_id").to_frame()
        items = Catalogue(self.sources, self.prepared).items()
        return order.join(items, on="item_id", how="left", maintain_order="left")

    def interactions(self, rows: Rows) -> Interactions:
        return Interactions(**rows, n_users=self.n_users)

    @property
    def users(self) -> NDArray[Any]:
        return self.user_vocabulary.ids.to_numpy()

    @cached_property
    def train_and_unrated(self) -> Interactions:
        """Training ratings; with unrated="keep", also the unrated interactions that the split allows in training."""
        if self.unrated_rows == "drop" or not self.may_train.any():
            return self.train
        return self.train.merge(self.unrated.where(self.may_train))

    @cached_property
    def history(self) -> Interactions:
        """Ratings that models may use as user histories at prediction time: the training ratings and `given`."""
        return self.train.merge(self.given)

    @property
    def val_in_points(self) -> Interactions:
        return replace(self.val, rating=self.scale.to_points(self.val.rating))

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
        """The table `items`: the main metadata of each title, its page, and the number of its training ratings."""
        year = [pl.col("aired_from").dt.year().alias("year")] if "aired_from" in self.items.columns else []
        columns = [column for column in ITEM_COLUMNS if column in self.items.columns]
        n_ratings = pl.Series(count_indices(self.train.item, self.n_items))
        address = self.sources[FIRST].item_url
        url = [] if address is None else [pl.format(f"{address}{{}}", "item_id").alias("url")]
        return {"items": self.items.select(*columns, *year, *url, n_ratings=n_ratings)}

    @property
    def findings(self) -> list[str]:
        counts = {status: (n["rows"] - n["rated"], n["rated"]) for status, n in self.status_counts.items()}
        (planned, rated), (unknown, _) = (counts.get(name, (0, 0)) for name in (PLANNED, "unknown"))
        found = list(self.notes)
        if planned or rated:
            found.append(
                f"{planned:,} list entries are plans to watch: they are not used in training, and these titles can be "
                f"recommended. {rated:,} entries with this status have a rating and count as seen."
            )
        if unknown:
            found.append(
                f"{unknown:,} list entries have neither a rating nor a known status: they are not used in training, "
                "and these titles are not recommended."
            )
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return both vocabularies, so that a checkpoint holds the raw ids of its users and items."""
        return {"user_id": self.user_vocabulary.stored(), "item_id": self.item_vocabulary.stored()}

    def val_dataloader(self) -> Iterable[RatingBatch]:
        return UserBlocks(self.val, rows=EVALUATION_ROWS)

    def test_dataloader(self) -> Iterable[RatingBatch]:
        return UserBlocks(self.test, rows=EVALUATION_ROWS)

    @property
    def facts(self) -> dict[str, float]:
        return self.prepared[FIRST].report["facts"]

    def provenance(self) -> dict[str, Any]:
        # Joined sources change no row, so that runs with and without them may be ranked together.
        data = digest(self.prepared[FIRST].fingerprint, self.filters)
        n_items = {
            f"n_items_{name}": int(np.count_nonzero(count_indices(getattr(self, name).item, self.n_items)))
            for name in ("train", "val", "test")
        }
        n_items["n_users_train"] = int(np.count_nonzero(np.diff(self.train.indptr)))
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
            "split": {**self.split.provenance(self.parts, data), **self.bounds, **n_rows, **n_items},
        }


PARTS = (TRAIN, VAL, TEST, GIVEN)
EVALUATION_ROWS = 1 << 18  # interactions per batch in evaluation
TITLE_NAMES = ("title", "title_english", "title_japanese", "synonyms")
ITEM_COLUMNS = ("item_id", *TITLE_NAMES, "type", "genres", "episodes", "age_rating", "score")  # in the table of items
READING = 300_000_000  # bytes for a block of the table and its parts


def check_memory(name: str, report: Mapping[str, Any], *, timed: bool) -> None:
    """Raise a UserError before anything is read if the memory does not suffice for the ratings of a dataset.

    Args:
        name: Name of the dataset.
        report: Counts of its prepared tables.
        timed: Whether entries have times.
    """
    row = 20 if timed else 12  # bytes of user, item and rating, and of a time
    n_unrated = report["unrated_rows"]
    # The parts are copied from all ratings, one column after the other; indices of a split are as large as a column.
    needed = READING + (row + 12) * (report["rows_kept"] - n_unrated) + (row + 4) * n_unrated
    available = available_memory()
    if available < needed:
        raise UserError(
            f"Reading the {report['rows_kept']:,} list entries of {name} needs about {format_size(needed)} of memory, "
            f"{format_size(available)} are available. Close other programs, or use a machine with more memory or a "
            "sample of the dump."
        )
