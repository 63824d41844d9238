"""The generated sequences: what follows what is planted, popularity is not, and the ceilings are what they claim."""

import numpy as np
import pytest

from anirec.data.synthetic.demo_sequences import DemoSequences, SequenceWorld
from anirec.errors import UserError


@pytest.fixture(scope="module")
def world() -> SequenceWorld:
    return SequenceWorld(n_users=1500, n_items=60, n_genres=3, length=12, seed=1)


def test_nobody_sees_a_title_twice_and_times_ascend(world: SequenceWorld) -> None:
    rows = world.interactions()
    assert not rows.select("user_id", "item_id").is_duplicated().any()
    assert rows["timestamp"].is_sorted() or all(
        part["timestamp"].is_sorted() for part in rows.partition_by("user_id", maintain_order=True)
    )
    assert rows["rating"].is_between(1, 10).all()


def test_titles_are_about_equally_popular(world: SequenceWorld) -> None:
    counts = np.bincount(world.interactions()["item_id"].to_numpy())[1:]
    assert counts.max() < 1.5 * counts.min()


def test_the_ceilings_are_the_hit_rates_of_lists_by_the_process(world: SequenceWorld) -> None:
    """The two-step one is checked by drawing the hidden title many times instead of summing over it."""
    users, (before, newest) = np.arange(1500), (world.from_end(place) for place in (4, 3))
    seen_ui = world.seen(2)
    chance_ui = world.chances(newest, before, seen_ui)
    hidden, last = world.from_end(2), world.from_end(1)
    is_hit = (np.argsort(-chance_ui, axis=1)[:, :10] == hidden[:, None]).any(axis=1)
    assert world.ceilings()["next"] == pytest.approx(is_hit.mean(), abs=0.04)
    random, two_ui = np.random.default_rng(0), np.zeros_like(chance_ui)
    for _ in range(200):
        drawn = (chance_ui.cumsum(axis=1) <= random.random((1500, 1))).sum(axis=1).clip(max=59)
        with_drawn = seen_ui.copy()
        with_drawn[users, drawn] = True
        two_ui += world.chances(drawn, newest, with_drawn)
    two_ui[users, hidden] = -1
    is_hit = (np.argsort(-two_ui, axis=1)[:, :10] == last[:, None]).any(axis=1)
    assert world.ceilings()["last_k"] == pytest.approx(is_hit.mean(), abs=0.04)
    assert world.ceilings()["last_k"] < world.ceilings()["next"]


def test_too_few_titles_per_genre_are_refused() -> None:
    with pytest.raises(UserError, match="n_items=30, n_genres=5: expected at least 12 titles per genre"):
        DemoSequences(n_users=10, n_items=30, n_genres=5, length=10, seed=0)
