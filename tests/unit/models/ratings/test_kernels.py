"""Kernels of linear models against NumPy, in any division of the work."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from anirec.models.ratings.kernels import dense, neighbours
from anirec.models.ratings.kernels.dense import gram, invert_in_place, multiply_rows
from anirec.models.ratings.kernels.item_pairs import gram_lower, occurrences, pair_counts
from anirec.models.ratings.kernels.neighbours import NearestItems, Similarity, find_neighbours
from anirec.models.ratings.kernels.sparse_dense import multiply
from anirec.models.ratings.kernels.sparse_rows import SparseRows

N_USERS, N_ITEMS = 90, 40
RULE = Similarity(among_shared=True, shrinkage=3.0, min_support=2)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def lists() -> tuple[SparseRows, np.ndarray]:
    """Return lists of users, positive and negative, and the same as a dense matrix. User 5 has none; item 7 neither."""
    random = np.random.default_rng(0)
    x_ui = random.normal(size=(N_USERS, N_ITEMS)).astype(np.float32)
    x_ui[random.random(x_ui.shape) < np.linspace(0.3, 0.95, N_ITEMS)] = 0
    x_ui[5], x_ui[:, 7] = 0, 0
    user, item = x_ui.nonzero()
    start = np.searchsorted(user, np.arange(N_USERS + 1)).astype(np.int64)
    return SparseRows(start, item.astype(np.int32), x_ui[user, item]), x_ui


def test_the_transpose_is_that_of_the_dense_matrix() -> None:
    rows, x_ui = lists()
    by_item = rows.transpose(N_ITEMS)
    user_of_item = np.repeat(np.arange(N_ITEMS), np.diff(by_item.start))
    again = np.zeros_like(x_ui)
    again[by_item.column, user_of_item] = by_item.value
    np.testing.assert_array_equal(again, x_ui)
    renumbered = rows.with_columns(np.arange(N_ITEMS, dtype=np.int32)[::-1].copy())
    assert all((np.diff(renumbered.column[a:b]) > 0).all() for a, b in zip(rows.start, rows.start[1:], strict=False))


def test_the_inverse_is_as_exact_as_choleskys_method_if_the_matrix_is_nearly_singular(monkeypatch) -> None:
    """Fewer users than items and a small penalty, in several tiles."""
    monkeypatch.setattr(dense, "BLOCK", 64)
    x_ui = (np.random.default_rng(0).random((60, 200)) < 0.1).astype(np.float32)
    matrix = x_ui.T @ x_ui + np.float32(0.01) * np.eye(200, dtype=np.float32)
    inverse, exact = np.tril(matrix), np.linalg.inv(matrix.astype(np.float64))
    invert_in_place(inverse)
    theirs = torch.cholesky_inverse(torch.linalg.cholesky(torch.from_numpy(matrix))).numpy()
    assert np.abs(inverse - exact).max() < 2 * np.abs(theirs - exact).max()
    assert np.linalg.cond(matrix) > 1e3


@pytest.mark.parametrize("block", [7, 16, 512])
def test_the_inverse_in_place_is_that_of_the_lower_triangle(monkeypatch, threads: int, block: int) -> None:
    monkeypatch.setattr(dense, "BLOCK", block)
    _, x_ui = lists()
    matrix = x_ui.T @ x_ui + 3 * np.eye(N_ITEMS, dtype=np.float32)
    inverse = np.tril(matrix) + np.triu(np.full_like(matrix, np.nan), 1)
    invert_in_place(inverse)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix.astype(np.float64)), atol=1e-6)
    np.testing.assert_array_equal(inverse, inverse.T)


def test_dense_products_do_not_depend_on_threads() -> None:
    x_nf = np.random.default_rng(0).normal(size=(20_000, 24)).astype(np.float32)
    before, found = torch.get_num_threads(), []
    for n in (1, 3):
        torch.set_num_threads(n)
        try:
            found.append((gram(x_nf), multiply_rows(x_nf, x_nf[:24])))
        finally:
            torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(found[0][0], x_nf.T.astype(np.float64) @ x_nf, rtol=1e-4, atol=0.1)
    np.testing.assert_allclose(found[0][1], x_nf @ x_nf[:24], rtol=1e-4, atol=1e-4)


def test_two_shares_of_the_gram_matrix_are_the_whole(threads: int) -> None:
    rows, x_ui = lists()
    of_item = occurrences(rows, N_ITEMS)
    assert pair_counts(of_item).sum() == sum(n * (n + 1) // 2 for n in np.diff(rows.start))
    out_ij = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    for first, last in ((0, 23), (23, N_ITEMS)):
        gram_lower(rows, of_item, first, last, out_ij)
    np.testing.assert_allclose(out_ij, np.tril(x_ui.T @ x_ui), rtol=1e-5, atol=1e-5)


def test_products_with_a_sparse_matrix(threads: int) -> None:
    rows, x_ui = lists()
    table_if = np.random.default_rng(1).normal(size=(N_ITEMS, N_ITEMS)).astype(np.float32)
    np.testing.assert_allclose(multiply(rows, table_if, 3, 61), x_ui[3:61] @ table_if, atol=1e-5)


@pytest.mark.parametrize("keep", [3, 25, 100])
def test_neighbours_are_the_best_of_all_pairs_in_any_tiles_and_shares(monkeypatch, threads: int, keep: int) -> None:
    rows, x_ui = lists()
    is_rated = (x_ui != 0).astype(np.float64)
    shared, x = is_rated.T @ is_rated, x_ui.astype(np.float64)
    norms = np.sqrt(((x**2).T @ is_rated) * (is_rated.T @ x**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity = x.T @ x / norms * (shared - 1) / (shared - 1 + RULE.shrinkage)
    similarity[(shared < RULE.min_support) | np.eye(N_ITEMS, dtype=bool) | ~(similarity > 0)] = 0
    wanted = -np.sort(-similarity, axis=1)[:, :keep]
    whole = find_neighbours(rows, N_ITEMS, RULE, keep=keep)
    np.testing.assert_allclose(whole.similarity, wanted[:, : whole.similarity.shape[1]], atol=1e-6)

    monkeypatch.setattr(neighbours, "SIMILARITIES_AT_ONCE", 130)  # tiles of three or four items
    shares = [NearestItems(rows, N_ITEMS, RULE, keep=keep) for _ in range(2)]
    shares[0].compare(0, 27)
    shares[1].compare(27, N_ITEMS)
    shares[0].merge(shares[1].keys, shares[1].n_keys)
    for one, other in zip(shares[0].best(), whole, strict=True):
        np.testing.assert_array_equal(one, other)
