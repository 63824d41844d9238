"""Clusters of titles, and the splits that keep them together."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anirec.data.splits.base import TEST, TRAIN, VAL
from anirec.data.splits.titles import Cluster, Published, subset_sum
from anirec.data.titles.catalogue import clusters
from anirec.errors import UserError


def test_chains_and_cycles_are_one_franchise() -> None:
    chain = [[i, i + 1] for i in range(50)]
    cycle = [[100, 101], [101, 102], [102, 100]]
    found = clusters(pl.Series([*chain, *cycle, [7_000], None]))
    assert len(set(found[:50])) == 1
    assert len(set(found[50:53])) == 1
    assert len(set(found)) == 4


def test_text_ids_and_no_characters_at_all() -> None:
    assert clusters(pl.Series([["a"], ["b"], ["a"]])).tolist() == [0, 1, 0]
    assert clusters(pl.Series([[], []], dtype=pl.List(pl.Int64))).tolist() == [0, 1]


def rows_of(sizes: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"cluster": np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)})


def test_parts_are_met_to_the_title_and_share_no_cluster() -> None:
    sizes = np.random.default_rng(0).geometric(0.5, 400).tolist()
    rows = rows_of(sizes)
    parts = Cluster(test=0.2, val=0.1, seed=3).assign(rows)
    counts = np.bincount(parts, minlength=3)
    assert counts[TEST] == round(0.2 * len(rows))
    assert counts[VAL] == round(0.1 * len(rows))
    by_part = [set(rows["cluster"].to_numpy()[parts == part]) for part in (TRAIN, VAL, TEST)]
    assert not by_part[0] & by_part[1]
    assert not by_part[0] & by_part[2]
    assert not by_part[1] & by_part[2]


def test_seeds_decide_the_split() -> None:
    rows = rows_of([2] * 200)
    first, again, other = (Cluster(test=0.2, val=0.1, seed=seed).assign(rows) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("seed", range(8))
def test_a_huge_franchise_trains(seed: int) -> None:
    rows = rows_of([150, *[1] * 850])
    assert (Cluster(test=0.2, val=0.1, seed=seed).assign(rows)[:150] == TRAIN).all()


def test_where_only_large_ones_are_left_the_share_is_met_as_near_as_can_be() -> None:
    parts = Cluster(test=0.4, val=0.0, seed=0).assign(rows_of([30, 30, 40]))
    assert np.bincount(parts, minlength=3).tolist() == [60, 0, 40]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(0, 60))
def test_subset_sum_is_as_near_as_any_choice(sizes: list[int], target: int) -> None:
    sums = {0}
    for size in sizes:
        sums |= {size + other for other in sums}
    chosen = subset_sum(np.array(sizes), target)
    assert len(set(chosen.tolist())) == len(chosen)
    assert abs(np.array(sizes)[chosen].sum() - target) == min(abs(s - target) for s in sums)


def test_the_published_test_titles_stay_there() -> None:
    rows = rows_of([2] * 50).with_columns(published_part=pl.Series(["test"] * 20 + ["train"] * 80))
    parts = Published(val=0.1, seed=0).assign(rows)
    assert (parts[:20] == TEST).all()
    assert np.bincount(parts, minlength=3).tolist() == [70, 10, 20]


def test_shares_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match=r"split.test=0.8, split.val=0.3"):
        Cluster(test=0.8, val=0.3, seed=0)
