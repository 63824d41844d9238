"""Sparse rows of tags, how often tags stand together, and how strongly: each held against the dense computation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from anirec.data.posts.tags import add_dense, add_pairs, phi_coefficients, phi_to_tags, strongest_pairs, symmetrise
from anirec.data.prepare.posts import NUMBER, START
from anirec.data.prepare.tag_rows import ABSENT, TagRows

N_POSTS, N_TAGS = 200, 12
NAMES = [f"tag_{number}" for number in range(N_TAGS)]


@pytest.fixture(scope="module")
def dense() -> np.ndarray:
    """(N_POSTS, N_TAGS): some posts without a tag, two tags that are one, one on no post and one on all."""
    rng = np.random.default_rng(0)
    x = (rng.random((N_POSTS, N_TAGS)) < np.linspace(0.9, 0.05, N_TAGS)).astype(np.float64)
    x[:20] = 0
    x[:, 3], x[:, 4], x[:, 5] = x[:, 2], 0, 1
    x[30, 5:] = x[30, :5] = 0
    x[30, 5] = 1
    return x


@pytest.fixture(scope="module")
def rows(dense: np.ndarray) -> TagRows:
    sparse = csr_array(dense)
    return TagRows(sparse.indptr.astype(np.int64), sparse.indices.astype(np.int32), N_TAGS)


@pytest.mark.parametrize("left_out", [[], [0, 5, 11], list(range(N_TAGS))])
def test_some_posts_and_some_tags(dense: np.ndarray, rows: TagRows, left_out: list[int]) -> None:
    index = np.random.default_rng(1).integers(0, N_POSTS, 300)
    columns = np.full(N_TAGS, ABSENT, dtype=np.int32)
    kept = np.setdiff1d(np.arange(N_TAGS), left_out)
    columns[kept] = np.arange(len(kept))
    some = rows.select(index, columns)
    assert np.array_equal(some.matrix().toarray(), csr_array(dense)[index][:, kept].toarray())
    assert (some.start[0], some.n_tags, len(some)) == (0, len(kept), 300)
    assert (some.start.dtype, some.tag.dtype) == (np.int64, np.int32)


def test_no_posts_have_no_tags(rows: TagRows) -> None:
    none = rows.select(np.array([], dtype=np.int64), np.arange(N_TAGS, dtype=np.int32))
    assert (len(none), none.start.tolist(), len(none.tag)) == (0, [0], 0)


def test_rows_in_files_are_the_same(tmp_path: Path, dense: np.ndarray, rows: TagRows) -> None:
    np.save(tmp_path / START, rows.start)
    rows.tag.tofile(tmp_path / NUMBER)
    stored = TagRows.load(tmp_path, N_TAGS)
    assert isinstance(stored.tag, np.memmap)
    index = np.arange(N_POSTS)[::-1]
    some = stored.select(index, np.arange(N_TAGS, dtype=np.int32))
    assert np.array_equal(some.matrix().toarray(), dense[::-1])
    assert not isinstance(some.tag, np.memmap)


@pytest.mark.parametrize("add", [add_pairs, add_dense])
def test_pairs_are_a_product_of_matrices(dense: np.ndarray, rows: TagRows, add: Callable[..., None]) -> None:
    gram = torch.zeros(N_TAGS, N_TAGS, dtype=torch.float64)
    for index in (np.arange(70), np.array([], dtype=np.int64), np.arange(70, N_POSTS)):
        some = rows.select(index, np.arange(N_TAGS, dtype=np.int32))
        add(gram, torch.from_numpy(some.start), torch.from_numpy(some.tag))
    assert np.array_equal(symmetrise(gram).numpy(), dense.T @ dense)


def test_phi_is_the_correlation_of_the_columns(dense: np.ndarray) -> None:
    phi = phi_coefficients(dense.T @ dense, N_POSTS)
    varied = np.setdiff1d(np.arange(N_TAGS), [4])
    dense = dense.copy()
    dense[:, 5] = 1
    phi_of_all = phi_coefficients(dense.T @ dense, N_POSTS)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.nan_to_num(np.corrcoef(dense, rowvar=False))
    assert phi_of_all == pytest.approx(expected)
    assert not phi_of_all[4].any(), "a tag on no post"
    assert not phi_of_all[5].any(), "a tag on all"
    assert phi[2, 3] == pytest.approx(1)
    assert np.array_equal(phi, phi.T)
    assert np.diagonal(phi)[varied[varied != 5]] == pytest.approx(1)


def test_the_strongest_pairs_come_first(dense: np.ndarray) -> None:
    pairs = dense.T @ dense
    phi = phi_coefficients(pairs, N_POSTS)
    found = strongest_pairs(NAMES, phi, pairs, 10)
    assert found["phi"].abs().is_sorted(descending=True)
    numbers = [(one, other) for one in range(N_TAGS) for other in range(one)]
    free = [abs(phi[pair]) for pair in numbers if phi[pair] <= 0 or not is_implied(pairs, *pair)]
    assert found["phi"].abs().to_numpy() == pytest.approx(sorted(free, reverse=True)[:10])
    for tag, other, value, n_both in found.rows():
        place = NAMES.index(tag), NAMES.index(other)
        assert (value, n_both) == (phi[place], pairs[place])
    assert len(strongest_pairs(NAMES, phi, pairs, 10_000)) == len(free) < len(numbers)


def is_implied(pairs: np.ndarray, one: int, other: int) -> bool:
    return pairs[one, other] >= 0.9 * min(pairs[one, one], pairs[other, other])


def test_a_pair_of_which_one_tag_implies_the_other_is_left_out(dense: np.ndarray) -> None:
    pairs = dense.T @ dense
    phi = phi_coefficients(pairs, N_POSTS)
    assert phi[2, 3] == pytest.approx(1)
    found = strongest_pairs(NAMES, phi, pairs, 10_000)
    assert ("tag_2", "tag_3") not in set(found.select("tag", "other").rows())


def test_one_tag_has_no_pair() -> None:
    found = strongest_pairs(["solo"], np.ones((1, 1)), np.ones((1, 1)), 10)
    assert found.rows() == []
    assert found.columns == ["tag", "other", "phi", "n_both"]


def test_ties_are_those_of_all_other_tags(dense: np.ndarray) -> None:
    phi = phi_coefficients(dense.T @ dense, N_POSTS)
    table = phi_to_tags(["tag_7", "tag_1"], NAMES, phi)
    assert table.columns == ["tag", "tag_7", "tag_1"]
    others = [number for number in range(N_TAGS) if number not in (7, 1)]
    assert table["tag"].to_list() == [NAMES[number] for number in others]
    assert table["tag_7"].to_list() == phi[others, 7].tolist()
