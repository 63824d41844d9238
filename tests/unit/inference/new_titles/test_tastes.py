import numpy as np
import polars as pl
import pytest

from anirec.errors import UserError
from anirec.inference.new_titles.tastes import cluster_users, distinctive_items


def test_users_are_clustered_by_direction_not_by_length() -> None:
    random = np.random.default_rng(0)
    side = np.repeat([[1.0, 0.0], [-1.0, 0.0]], 50, axis=0)
    vectors = (side + 0.05 * random.normal(size=side.shape)) * random.uniform(0.5, 20, size=(100, 1))
    taste_u = cluster_users(vectors.astype(np.float32), 2, seed=0)
    assert taste_u[0] != taste_u[-1]
    assert set(taste_u[:50]) == {taste_u[0]}
    assert set(taste_u[50:]) == {taste_u[-1]}
    assert (cluster_users(vectors.astype(np.float32), 2, seed=0) == taste_u).all()


def test_more_tastes_than_users_are_an_error() -> None:
    with pytest.raises(UserError, match="--tastes 3: the run has 2 users"):
        cluster_users(np.ones((2, 4), np.float32), 3, seed=0)


def test_distinctive_items_are_those_liked_more_than_by_other_tastes() -> None:
    everybody, own, single = 1, 2, 3
    rows = [(0, everybody)] * 50 + [(1, everybody)] * 50 + [(0, own)] * 20 + [(1, own)] * 2 + [(0, single)]
    rows += [(1, 4)] * 25
    liked = pl.DataFrame(rows, schema=["taste", "item"], orient="row")
    assert distinctive_items(liked, 3, n_items=2) == [[own, single], [4], []]
