from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anirec.data.datamodule import RatingData
from anirec.data.demo import World
from anirec.data.sources.source import Source
from anirec.data.splits import PerUser, Random, Split
from anirec.errors import UserError


class Listed(Source):
    """The interactions of a list, in which a rating may be missing."""

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


ROWS: list[tuple[int, int, float | None]] = [
    *((user, item, float(1 + (user + item) % 10)) for user in (7, 3, 5) for item in (20, 10, 30)),
    (3, 40, None),  # an item that nobody has rated
    (9, 10, None),  # a user who has rated nothing
    (11, 10, 5.0),
    (5, 50, 6.0),
    (11, 20, None),
]


def data(cache: Path, *, unrated: str = "drop", min_ratings: int = 1, split: Split | None = None) -> RatingData:
    made = RatingData(
        source=Listed(ROWS),
        min_user_ratings=min_ratings,
        min_item_ratings=min_ratings,
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


def test_filters_hold_for_users_and_items_together(cache: Path) -> None:
    core = data(cache, min_ratings=3)
    assert core.users.tolist() == [3, 5, 7]
    assert core.items["item_id"].to_list() == [10, 20, 30]
    with pytest.raises(UserError, match="No rating is left"):
        data(cache, min_ratings=10)


def test_a_part_without_rows_is_refused(cache: Path) -> None:
    with pytest.raises(UserError, match=r"split.test=100.*'test': 0"):
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
    with pytest.raises(UserError, match="made on other data"):
        data(cache).load_state_dict(state)


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
