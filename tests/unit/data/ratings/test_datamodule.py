from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from anirec.data.ratings import datamodule
from anirec.data.ratings.datamodule import RatingData
from anirec.data.ratings.entries import read_entries
from anirec.data.ratings.interactions import Interactions, Vocabulary
from anirec.data.sources.base import Source
from anirec.data.splits.base import TEST, TRAIN, Parts, Split
from anirec.data.splits.rows import Random
from anirec.data.splits.time import Rolling, Temporal
from anirec.data.splits.users import PerUser
from anirec.data.synthetic.demo_ratings import DemoRatings, World
from anirec.errors import UserError


class Listed(Source):
    """A source with the given interactions, in which ratings may be missing."""

    columns = frozenset({"user_id", "item_id", "rating", "title"})
    version = 1

    def __init__(self, rows: list[tuple[int, int, float | None]]) -> None:
        self.rows = rows

    def options(self) -> dict[str, object]:
        return {"rows": self.rows}

    def interactions(self) -> pl.LazyFrame:
        schema = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float32}
        return pl.LazyFrame(self.rows, schema=schema, orient="row")

    def items(self) -> pl.LazyFrame:
        return pl.LazyFrame({"item_id": [10, 20], "title": ["Ten", "Twenty"]})


class Described(Source):
    """A source of titles without ratings, which adds synopses to another one."""

    columns = frozenset({"item_id", "title", "synopsis"})
    version = 1

    def items(self) -> pl.LazyFrame:
        return pl.LazyFrame(
            {"item_id": [20, 60], "title": ["Other", "Sixty"], "synopsis": ["Two tens meet.", "Alone."]}
        )


class LastTests(Split):
    """A split that tests on title 20, of which no row may be used in training."""

    def assign(self, rows: pl.DataFrame) -> Parts:
        return np.where(rows["item_id"] == 20, TEST, TRAIN).astype(np.uint8)

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> np.ndarray:
        return (unrated["item_id"] != 20).to_numpy()


ROWS: list[tuple[int, int, float | None]] = [
    *((user, item, float(1 + (user + item) % 10)) for user in (7, 3, 5) for item in (20, 10, 30)),
    (3, 40, None),  # an item that nobody has rated
    (9, 10, None),  # a user who has rated nothing
    (11, 10, 5.0),
    (5, 50, 6.0),
    (11, 20, None),
]


def data(
    cache: Path,
    *,
    source: Source | None = None,
    statuses: list[str] | None = None,
    unrated: str = "drop",
    min_ratings: int = 1,
    split: Split | None = None,
    joined: dict[str, Source | None] | None = None,
) -> RatingData:
    made = RatingData(
        source=source or Listed(ROWS),
        joined=joined,
        min_user_ratings=min_ratings,
        min_item_ratings=min_ratings,
        statuses=statuses,
        unrated=unrated,  # type: ignore[arg-type]
        split=split or Random(test=0.2, val=0.2, seed=0),
        cache=str(cache),
    )
    made.setup("fit")
    return made


def test_parts_hold_every_rating_once_by_user_and_item(cache: Path) -> None:
    loaded = data(cache)
    assert len(loaded.train) + len(loaded.val) + len(loaded.test) == 11
    assert loaded.users.tolist() == [3, 5, 7, 11]
    assert loaded.items["item_id"].to_list() == [10, 20, 30, 50]
    found = {
        (int(loaded.users[user]), int(loaded.items["item_id"][int(item)]), float(rating))
        for part in (loaded.train, loaded.val, loaded.test)
        for user, item, rating in zip(part.user, part.item, part.rating, strict=True)
    }
    assert found == {row for row in ROWS if row[2] is not None}
    for part in (loaded.train, loaded.val, loaded.test):
        assert (np.diff(part.user.astype(int) * 1000 + part.item) > 0).all()


def test_items_keep_their_titles_in_index_order(cache: Path) -> None:
    assert data(cache).items["title"].to_list()[:2] == ["Ten", "Twenty"]


def test_unrated_rows_of_known_users_and_items_are_kept_on_request(cache: Path) -> None:
    dropped = data(cache)
    assert len(dropped.unrated) == 1  # seen, and therefore not recommended
    assert len(dropped.train_and_unrated) == len(dropped.train)
    kept = data(cache, unrated="keep")
    assert [
        (int(kept.users[u]), int(kept.items["item_id"][int(i)]))
        for u, i in zip(kept.unrated.user, kept.unrated.item, strict=True)
    ] == [(11, 20)]
    assert np.isnan(kept.unrated.rating).all()
    assert len(kept.train_and_unrated) == len(kept.train) + 1
    assert (np.diff(kept.train_and_unrated.user) >= 0).all()


def test_a_run_keeps_its_titles_and_no_copy_of_the_dump(cache: Path) -> None:
    loaded = data(cache)
    assert loaded.tables.keys() == {"items"}
    items = loaded.tables["items"]
    assert items["title"].to_list() == ["Ten", "Twenty", "30", "50"]
    assert items["item_id"].to_list() == loaded.items["item_id"].to_list()
    assert items["n_ratings"].sum() == len(loaded.train)


class Statuses(Source):
    """A source of four users with entries of every status, rated and unrated; all users rate title 10."""

    columns = frozenset({"user_id", "item_id", "rating", "status", "title"})
    version = 2
    entries = (("completed", 20), ("dropped", 30), ("on_hold", 40), ("watching", 50), ("plan_to_watch", 60), (None, 70))

    def interactions(self) -> pl.LazyFrame:
        rows = [(user, 10, 8.0, "completed") for user in (1, 2, 3, 4)]
        rows += [(1, item, None, status) for status, item in self.entries]
        rows += [(2, item, 6.0, status) for status, item in self.entries]
        rows += [(3, item, 7.0, "completed") for _, item in self.entries]
        schema = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float32, "status": pl.String}
        return pl.LazyFrame(rows, schema=schema, orient="row")

    def items(self) -> pl.LazyFrame:
        return pl.LazyFrame({"item_id": [10], "title": ["Ten"]})


def items_of(loaded: RatingData, user: int, part: Interactions) -> list[int]:
    """Return the raw ids of a user's titles in a part."""
    index = loaded.users.tolist().index(user)
    return loaded.items["item_id"].gather(part.item[part.user == index]).to_list()


def test_plans_to_watch_are_not_used_in_training_and_can_be_recommended(cache: Path) -> None:
    loaded = data(cache, source=Statuses(), unrated="keep")
    assert items_of(loaded, 1, loaded.unrated) == [20, 30, 40, 50]
    assert items_of(loaded, 1, loaded.excluded) == [70], "nobody knows whether it was seen: it is not recommended"
    assert 60 not in items_of(loaded, 1, loaded.train_and_unrated)
    rated = [item for part in (loaded.train, loaded.val, loaded.test) for item in items_of(loaded, 2, part)]
    assert sorted(rated) == [10, 20, 30, 40, 50, 60, 70], "who has rated a title has seen it"


def test_entries_of_other_statuses_are_excluded_but_count_as_seen(cache: Path) -> None:
    loaded = data(cache, source=Statuses(), statuses=["completed", "dropped"], unrated="keep")
    assert items_of(loaded, 1, loaded.unrated) == [20, 30]
    assert items_of(loaded, 1, loaded.excluded) == [40, 50, 70]
    assert items_of(loaded, 2, loaded.excluded) == [40, 50, 60, 70]
    of_all = data(cache, source=Statuses())
    assert loaded.provenance()["data"]["fingerprint"] != of_all.provenance()["data"]["fingerprint"]


def test_entries_are_counted_by_status(cache: Path) -> None:
    loaded = data(cache, source=Statuses())
    counts = loaded.provenance()["data"]["statuses"]
    assert counts["plan_to_watch"] == counts["unknown"] == counts["dropped"] == {"rows": 2, "rated": 1}
    assert counts["completed"] == {"rows": 12, "rated": 11}
    planned, unknown = loaded.findings
    assert planned.startswith("1 list entries are plans to watch: they are not used in training")
    assert unknown.startswith("1 list entries have neither a rating nor a known status")
    assert data(cache).provenance()["data"]["statuses"] == {}
    assert data(cache).findings == []


def test_impossible_statuses_are_refused(cache: Path) -> None:
    with pytest.raises(UserError, match="has no statuses of list entries"):
        data(cache, statuses=["completed"])
    for wrong, message in ((["plan_to_watch"], "expected one of watching, completed"), ([], "list of length >= 1")):
        with pytest.raises(UserError, match=message):
            data(cache, source=Statuses(), statuses=wrong)


def test_unrated_rows_that_leak_test_rows_are_not_used_in_training_but_count_as_seen(cache: Path) -> None:
    kept = data(cache, unrated="keep", split=LastTests())
    assert len(kept.train_and_unrated) == len(kept.train)
    assert len(kept.unrated) == 1


def test_a_joined_source_only_adds_columns_of_titles(cache: Path) -> None:
    plain, more = data(cache), data(cache, joined={"metadata": Described(), "posters": None})
    assert more.items.columns == [*plain.items.columns, "synopsis"]
    assert more.items.drop("synopsis").equals(plain.items)
    assert more.items["synopsis"].to_list() == [None, "Two tens meet.", None, None]
    assert (more.train.item == plain.train.item).all()
    joined, alone = more.provenance(), plain.provenance()
    assert joined["split"] == alone["split"], "runs with and without it may be ranked together"
    assert joined["data"]["sources"].keys() == {"source", "metadata"}
    assert alone["data"]["sources"].keys() == {"source"}


def test_interactions_have_times_if_the_dump_has_them(cache: Path) -> None:
    settings = {"n_users": 30, "n_items": 40, "ratings_per_user": 5, "rank": 2, "noise": 1.0, "seed": 1}
    timed = RatingData(
        source=DemoRatings(**settings),  # type: ignore[arg-type]
        joined=None,
        min_user_ratings=1,
        min_item_ratings=1,
        statuses=None,
        unrated="keep",
        split=Temporal(test=0.2, val=0),
        cache=str(cache),
    )
    timed.setup("fit")
    assert timed.train.time is not None
    assert timed.test.time is not None
    assert timed.train.time.max() <= timed.test.time.min()
    rows = timed.train_and_unrated.sort_by_time()
    assert rows.time is not None
    assert all((np.diff(rows.time[first:last]) >= 0).all() for first, last in pairwise(rows.indptr))
    assert data(cache).train.time is None


def test_rows_after_the_test_window_are_not_used_and_their_titles_not_offered(cache: Path) -> None:
    settings = {"n_users": 30, "n_items": 40, "ratings_per_user": 5, "rank": 2, "noise": 1.0, "seed": 1}
    settings = {"source": DemoRatings(**settings), "joined": None, "min_user_ratings": 1, "min_item_ratings": 1}  # type: ignore[arg-type]
    shares = {"folds": 3, "days": 300, "val_days": 0, "train_days": None, "end": None}
    last, first = (
        RatingData(**settings, statuses=None, unrated="keep", cache=str(cache), split=Rolling(**shares, fold=fold))  # type: ignore[arg-type]
        for fold in (2, 0)
    )
    for data in (last, first):
        data.setup("fit")
    assert last.offered is None
    assert first.offered is not None
    in_use = {*first.train.item.tolist(), *first.test.item.tolist()}
    assert in_use == set(first.offered.tolist()) < set(range(first.n_items))
    n_later = len(last.train) + len(last.test) - len(first.train) - len(first.test)
    assert n_later > 0
    assert f"{n_later:,} later rows are not used" in first.findings[0]


def test_filters_hold_for_users_and_items_together(cache: Path) -> None:
    core = data(cache, min_ratings=3)
    assert core.users.tolist() == [3, 5, 7]
    assert core.items["item_id"].to_list() == [10, 20, 30]
    with pytest.raises(UserError, match="No rating is left"):
        data(cache, min_ratings=10)


def test_too_little_memory_is_an_error_before_anything_is_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datamodule, "available_memory", lambda: 299_000_000)
    monkeypatch.setattr(datamodule, "read_entries", lambda *_, **__: pytest.fail("rows are read"))
    with pytest.raises(UserError, match=r"14 list entries of test_datamodule needs about 300 MB of memory, 299 MB are"):
        data(cache)


def test_rows_do_not_depend_on_the_size_of_blocks(cache: Path) -> None:
    path = data(cache, source=Statuses()).prepared["source"].interactions
    assert path is not None
    whole, *vocabularies = read_entries(path, statuses=None, min_user=1, min_item=1)
    for block in (1, 3, 7):
        found, *others = read_entries(path, statuses=None, min_user=1, min_item=1, block=block)
        assert [other.ids.to_list() for other in others] == [known.ids.to_list() for known in vocabularies]
        for group, rows in whole.items():
            assert {name: column.dtype for name, column in rows.items()} == {
                "user": np.int32,
                "item": np.int32,
                "rating": np.float32,
            }
            assert all(np.array_equal(found[group][name], rows[name], equal_nan=True) for name in rows)


def test_a_split_gets_the_columns_that_it_reads(cache: Path) -> None:
    given: list[pl.DataFrame] = []

    class Watched(Random):
        reads = None

        def assign(self, rows: pl.DataFrame) -> Parts:
            given.append(rows)
            return super().assign(rows)

    loaded = data(cache, split=Watched(test=0.2, val=0.2, seed=0))
    (rows,) = given
    assert rows.select("user_id", "item_id", "rating").rows() == sorted(row for row in ROWS if row[2] is not None)
    assert (loaded.users[rows["user"].to_numpy()] == rows["user_id"].to_numpy()).all()
    Watched.reads = frozenset({"item"})
    data(cache, split=Watched(test=0.2, val=0.2, seed=0))
    assert set(given[1].columns) == {"user", "item"}


def test_a_part_without_rows_is_refused(cache: Path) -> None:
    with pytest.raises(UserError, match=r"split.test=100.*test 0"):
        data(cache, split=PerUser(test=100, val=0, seed=0))


def test_fingerprints_tell_data_and_splits_apart(cache: Path) -> None:
    first, same, other_seed, other_split, other_data = (
        made.provenance()
        for made in (
            data(cache),
            data(cache),
            data(cache, split=Random(test=0.2, val=0.2, seed=1)),
            data(cache, split=Random(test=0.3, val=0.2, seed=0)),
            data(cache, min_ratings=3),
        )
    )
    assert first == same
    assert first["data"]["fingerprint"] == other_split["data"]["fingerprint"] != other_data["data"]["fingerprint"]
    assert len({made["split"]["family"] for made in (first, other_split, other_data)}) == 3
    assert len({made["split"]["fingerprint"] for made in (first, other_seed, other_split, other_data)}) == 4
    assert other_seed["split"]["family"] == first["split"]["family"], "seeds of one protocol may be averaged"


def test_a_checkpoint_of_other_data_is_refused(cache: Path) -> None:
    state = data(cache, min_ratings=3).state_dict()
    with pytest.raises(UserError, match="trained on other data"):
        data(cache).load_state_dict(state)
    same = data(cache, min_ratings=3)
    same.load_state_dict(state)
    same.load_state_dict({name: list(ids) for name, ids in state.items()})  # as earlier versions stored them
    with pytest.raises(UserError, match="trained on other data"):
        same.load_state_dict({"user_id": state["user_id"]})


@pytest.mark.parametrize("ids", [[7, 3, 12345678901], ["b", "ä"]])
def test_vocabularies_are_restored_from_a_checkpoint(ids: list[Any], tmp_path: Path) -> None:
    vocabulary = Vocabulary(pl.Series(ids))
    torch.save(vocabulary.stored(), tmp_path / "ids")
    restored = Vocabulary.restored(torch.load(tmp_path / "ids", weights_only=True))
    assert restored.ids.equals(vocabulary.ids)
    assert restored.ids.dtype == vocabulary.ids.dtype


def test_the_generated_floor_is_the_error_of_the_true_mean() -> None:
    world = World(n_users=800, n_items=200, ratings_per_user=60, rank=3, noise=1.0, seed=1)
    rows = world.interactions()
    user, item = rows["user_id"].to_numpy() - 1, rows["item_id"].to_numpy() - 1
    rmse = np.sqrt(np.mean((np.clip(world.mean(user, item), 1, 10) - rows["rating"].to_numpy()) ** 2))
    floor = world.floor_rmse(user, item)
    assert floor < rmse < floor + 0.05


def test_generated_ratings_are_repeatable_and_without_duplicates() -> None:
    world = World(n_users=30, n_items=40, ratings_per_user=5, rank=2, noise=1.0, seed=1)
    assert world.interactions().equals(world.interactions())
    assert len(world.interactions().unique(["user_id", "item_id"])) == len(world.interactions())
