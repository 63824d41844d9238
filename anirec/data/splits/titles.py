"""Splits of titles that keep franchises whole: titles of one franchise share a `cluster`."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.splits.base import TEST, TRAIN, VAL, Parts, Split, check_shares
from anirec.settings import PositiveShare, Seed, Share


class Cluster(Split):
    """Whole franchises at random: titles that share a main character, transitively, are on one side.

    The shares are met to the title if any choice of clusters does, else as closely as one can. A cluster that would
    make more than a tenth of a part trains, unless the share cannot be met without it: crossovers tie hundreds of
    titles together, and a test set that is one franchise says nothing of the others.

    Args:
        test: Share of all titles; 0 < test < 1.
        val: Share of all titles, whole clusters too; 0 validates nothing.
        seed: Of the split alone. Results over several are averaged: much depends on what is in the test set.

    Source: Armenta-Segura & Sidorov, PeerJ CS 11:e2715, 2025 (who had no third part).
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
    """The publication's own train and test titles; validation clusters are taken from its training titles.

    Args:
        val: Share of all titles; 0 validates nothing.
        seed: Of the choice of validation clusters alone.
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
    """Positions of some of the sizes, the early ones first, whose sum is as near to the target as any choice comes.

    Bit s of a whole number says whether the sum s can be reached: one shift a size.

    >>> sizes = np.array([5, 3, 3, 1])
    >>> sizes[subset_sum(sizes, 7)], sizes[subset_sum(sizes, 2)]
    (array([3, 3, 1]), array([1]))
    """
    reachable = [1]
    for size in sizes.tolist():
        reachable.append(reachable[-1] | reachable[-1] << size)
    total = min((s for s in range(int(sizes.sum()) + 1) if reachable[-1] >> s & 1), key=lambda s: abs(s - target))
    chosen = []
    for place in range(len(sizes), 0, -1):
        if not reachable[place - 1] >> total & 1:
            chosen.append(place - 1)
            total -= int(sizes[place - 1])
    return np.array(chosen[::-1], dtype=np.int64)
