"""Splits that hold out whole titles or whole franchises; titles of one franchise share a `cluster`."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.index_arrays import count_indices, of_indices
from anirec.data.splits.base import TEST, TRAIN, VAL, Parts, Split, check_shares, parts_in_order
from anirec.settings import PositiveShare, Seed, Share


class WholeItems(Split):
    """Hold out all ratings of some titles, to simulate new titles that are known by their metadata only (cold start).

    Args:
        test: Share of all titles for test; 0 < test < 1.
        val: Share of all titles for validation; 0 for none.
        seed: Seed of the split only. Average over several: results depend strongly on which titles are held out.
    """

    requires = frozenset({"user_id", "item_id"})
    replicates = frozenset({"seed"})
    reads = frozenset({"item"})

    def __init__(self, *, test: PositiveShare, val: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.test, self.val, self.seed = test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        item = rows["item"].to_numpy()
        items = np.flatnonzero(count_indices(item, int(item.max(initial=-1)) + 1))
        order = np.random.default_rng(self.seed).permutation(len(items))
        parts = np.zeros(int(item.max(initial=-1)) + 1, dtype=np.uint8)
        parts[items] = parts_in_order(order, round(self.test * len(items)), round(self.val * len(items)))
        return of_indices(item, parts)

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> NDArray[np.bool_]:
        return ~np.isin(unrated["item"], np.unique(rated["item"].to_numpy()[parts != TRAIN]))


class Cluster(Split):
    """Hold out whole franchises at random: titles that share a main character, directly or transitively, stay together.

    The number of held-out titles is exact if any choice of clusters allows it, and as close as possible otherwise. A
    cluster that would make up more than a tenth of a part is used for training, unless the share cannot be reached
    without it: crossovers connect hundreds of titles, and a test set of one franchise does not represent the others.

    Args:
        test: Share of all titles for test; 0 < test < 1.
        val: Share of all titles for validation, also in whole clusters; 0 for none.
        seed: Seed of the split only. Average over several: results depend strongly on which franchises are held out.

    Source: Armenta-Segura & Sidorov, PeerJ CS 11:e2715, 2025 (without a validation set).
    """

    requires = frozenset({"character_id"})
    replicates = frozenset({"seed"})

    def __init__(self, *, test: PositiveShare, val: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.test, self.val, self.seed = test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        cluster = rows["cluster"].to_numpy()
        sizes = np.bincount(cluster)
        part = np.full(len(sizes), TRAIN, dtype=np.uint8)
        order = np.random.default_rng(self.seed).permutation(len(sizes))
        for name, share in ((TEST, self.test), (VAL, self.val)):
            n_wanted = round(share * len(rows))
            left = order[part[order] == TRAIN]
            left = left[np.argsort(sizes[left] > n_wanted / 10, kind="stable")]
            part[left[subset_sum(sizes[left], n_wanted)]] = name
        return part[cluster]


class Published(Split):
    """Use the published training and test titles; validation clusters are taken from the training titles.

    Args:
        val: Share of all titles for validation; 0 for none.
        seed: Seed of the choice of validation clusters only.
    """

    requires = frozenset({"character_id", "published_part"})
    replicates = frozenset({"seed"})

    def __init__(self, *, val: Share, seed: Seed) -> None:
        self.val, self.seed = val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        cluster, is_test = rows["cluster"].to_numpy(), (rows["published_part"] == "test").fill_null(False).to_numpy()
        sizes = np.bincount(cluster)
        order = np.random.default_rng(self.seed).permutation(np.setdiff1d(cluster, cluster[is_test]))
        chosen = order[subset_sum(sizes[order], round(self.val * len(rows)))]
        return np.where(is_test, TEST, np.where(np.isin(cluster, chosen), VAL, TRAIN)).astype(np.uint8)


def subset_sum(sizes: NDArray[np.int64], target: int) -> NDArray[np.int64]:
    """Return the positions of sizes whose sum is as close to `target` as possible, with a preference for early ones.

    Bit s of an integer says whether the sum s is reachable, so that adding one size is one shift.

    >>> sizes = np.array([5, 3, 3, 1])
    >>> sizes[subset_sum(sizes, 7)], sizes[subset_sum(sizes, 2)]
    (array([3, 3, 1]), array([1]))
    """
    reachable = [1]
    for size in sizes.tolist():
        reachable.append(reachable[-1] | reachable[-1] << size)
    total = min((s for s in range(int(sizes.sum()) + 1) if reachable[-1] >> s & 1), key=lambda s: abs(s - target))
    chosen = []
    for position in reversed(range(len(sizes))):
        if not reachable[position] >> total & 1:
            chosen.append(position)
            total -= int(sizes[position])
    return np.array(chosen[::-1], dtype=np.int64)
