"""Models compared with scikit-surprise on the same ratings: predictions, and factors after one SGD epoch."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import surprise
import torch
from numpy.typing import NDArray

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.models.one_pass import History
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.item_knn import ItemKNN
from anirec.models.ratings.kernels import Factors, Rates
from anirec.models.ratings.kernels.fused_sweep import RUN, fused_sweep, shuffle
from anirec.models.ratings.kernels.grid import Grid, grid_of_users, square_grid, strata

N_USERS, N_ITEMS, N_FACTORS = 80, 50, 7
ALL_PAIRS = (np.repeat(np.arange(N_USERS), N_ITEMS), np.tile(np.arange(N_ITEMS), N_USERS))


@pytest.fixture(scope="module")
def ratings() -> Interactions:
    """Return ratings in which every user and every item occurs, since Surprise has no ids without ratings."""
    random = np.random.default_rng(4)
    user, item = np.nonzero(random.random((N_USERS, N_ITEMS)) < 0.4)
    taste = (random.normal(size=(N_USERS, 3))[user] * random.normal(size=(N_ITEMS, 3))[item]).sum(1)
    rating = np.clip(np.round(7 + taste + random.normal(0, 0.4, len(user))), 1, 10)
    return Interactions(user.astype(np.int32), item.astype(np.int32), rating.astype(np.float32), N_USERS)


class InOrder(surprise.Trainset):
    """A training set whose rows Surprise's SGD visits in any order, not user by user."""

    rows: tuple[NDArray[Any], ...]

    def all_ratings(self) -> Iterator[tuple[int, int, float]]:
        return zip(*(column.tolist() for column in self.rows), strict=True)


def trainset(user: NDArray[Any], item: NDArray[Any], rating: NDArray[Any]) -> surprise.Trainset:
    """Return Surprise's training set; its SGD visits the rows in this order."""
    of_user, of_item = defaultdict(list), defaultdict(list)
    for u, i, r in zip(user.tolist(), item.tolist(), rating.tolist(), strict=True):
        of_user[u].append((i, r))
        of_item[i].append((u, r))
    ids = ({u: u for u in range(N_USERS)}, {i: i for i in range(N_ITEMS)})
    made = InOrder(of_user, of_item, N_USERS, N_ITEMS, len(rating), (1, 10), *ids)
    made.rows = (user, item, rating)
    return made


def predictions(algorithm: surprise.AlgoBase, rows: Interactions) -> NDArray[np.float64]:
    algorithm.fit(trainset(rows.user, rows.item, rows.rating))
    return np.array([algorithm.predict(u, i).est for u, i in zip(*ALL_PAIRS, strict=True)])


def history(rows: Interactions) -> History:
    made = History(N_USERS)
    made.append(rows.rows(0, len(rows)))
    made.close()
    return made


def test_bias_is_baseline_only(ratings: Interactions) -> None:
    baseline = Baseline(N_USERS, N_ITEMS)
    baseline.fit(history(ratings), damping_user=15, damping_item=10)
    ours = baseline(*(torch.from_numpy(column) for column in ALL_PAIRS))
    np.testing.assert_allclose(ours, predictions(surprise.BaselineOnly(verbose=False), ratings), atol=1e-5)


@pytest.mark.parametrize("n_neighbours", [40, 3])
def test_item_knn_is_knn_baseline(ratings: Interactions, n_neighbours: int) -> None:
    model = ItemKNN(
        similarity="pearson_baseline",
        around="baseline",
        neighbours=n_neighbours,
        keep=N_ITEMS,
        shrinkage=100.0,
        min_support=2,
        damping_user=15.0,
        damping_item=10.0,
    )
    model.n_users, model.n_items = N_USERS, N_ITEMS
    model.configure_model()
    model.history = history(ratings)
    model.solve()
    user, item = (torch.from_numpy(column) for column in ALL_PAIRS)
    # Where the user has rated the item, Surprise counts the item as its own neighbour, so these pairs are excluded.
    is_new = ~np.isin(user * N_ITEMS + item, ratings.user * N_ITEMS + ratings.item)
    options = {"name": "pearson_baseline", "user_based": False, "shrinkage": 100}
    wanted = predictions(surprise.KNNBaseline(k=n_neighbours, sim_options=options, verbose=False), ratings)
    ours = model(RatingBatch(user, item, user.float())).numpy()
    np.testing.assert_allclose(ours[is_new], wanted[is_new], atol=1e-4)


@pytest.mark.parametrize("algorithm", [surprise.SVD, surprise.SVDpp])
def test_a_sweep_is_an_epoch_of_surprise(ratings: Interactions, algorithm: type[surprise.AlgoBase]) -> None:
    """From the same initial factors and with the same order of rows, the resulting factors are equal."""
    seed, rates = (5, 0), Rates(lr=0.02, reg=0.1, reg_bias=0.1)
    is_implicit = algorithm is surprise.SVDpp
    grid = grid_of_users(ratings, 3) if is_implicit else square_grid(ratings, N_ITEMS, 4)
    reference = algorithm(
        n_factors=N_FACTORS, n_epochs=1, lr_all=rates.lr, reg_all=rates.reg, random_state=np.random.RandomState(0)
    )
    reference.fit(trainset(*rows_in_order(grid, seed)))

    random = np.random.RandomState(0)
    sizes = (N_USERS, N_ITEMS, N_ITEMS if is_implicit else 0)
    tables = [torch.from_numpy(random.normal(0, 0.1, (n, N_FACTORS)).astype(np.float32)) for n in sizes]
    mean = torch.tensor(ratings.rating.mean(dtype=np.float64)).float()
    factors = Factors(mean, torch.zeros(N_USERS), torch.zeros(N_ITEMS), *tables)
    for part in range(2):
        fused_sweep(grid, factors, rates, seed=seed, part=part, n_parts=2)
    for name, ours in zip(("bu", "bi", "pu", "qi", "yj"), factors[1:], strict=True):
        if hasattr(reference, name):
            np.testing.assert_allclose(ours, getattr(reference, name), rtol=1e-3, atol=1e-5, err_msg=name)


def rows_in_order(grid: Grid[Any], seed: tuple[int, ...]) -> tuple[NDArray[Any], ...]:
    """Return user, item and rating of the rows as a fused sweep visits them, with the blocks of a stratum in turn."""
    random = np.random.default_rng(seed)
    blocks = strata(len(grid.users) - 1, len(grid.start), random).reshape(-1, 2)
    key, users, order = int(random.integers(2**62)), [], []
    for group, c in blocks.tolist():
        first_user, last_user = grid.users[group : group + 2].tolist()
        runs = np.arange(-(-(last_user - first_user) // RUN))
        shuffle(runs, len(runs), key + c + first_user)
        for first in first_user + runs * RUN:
            for u in range(first, min(first + RUN, last_user)):
                rows = np.arange(grid.start[c, u], grid.start[c, u + 1])
                shuffle(rows, len(rows), key + c + u)
                users.append(np.full(len(rows), u))
                order.append(rows)
    rows = np.concatenate(order)
    return np.concatenate(users), grid.item[rows], grid.rating[rows]
