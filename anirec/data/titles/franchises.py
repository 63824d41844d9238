"""Franchises: titles that share a main character, directly or through others, belong together."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def clusters(characters: pl.Series) -> NDArray[np.int32]:
    """(n,): the number of each title's connected component; `characters` is list[id] (n,), and may hold nulls.

    A title without characters is a cluster of its own; cycles and chains of any length are one cluster.

    >>> clusters(pl.Series([[7, 8], [8, 9], [1], [9], [], None])).tolist()
    [0, 0, 1, 0, 2, 3]
    """
    n_titles = len(characters)
    pairs = pl.DataFrame({"title": np.arange(n_titles), "character": characters}).explode("character").drop_nulls()
    character = n_titles + pairs["character"].rank("dense").cast(pl.Int64).to_numpy() - 1
    n_nodes = int(character.max(initial=n_titles - 1)) + 1
    edges = coo_array((np.ones(len(pairs), dtype=bool), (pairs["title"].to_numpy(), character)), (n_nodes, n_nodes))
    component = connected_components(edges, directed=False)[1][:n_titles]
    _, first, number = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number].astype(np.int32)
