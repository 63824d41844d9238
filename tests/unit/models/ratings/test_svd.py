"""SVD and SVD++: the kernels against slow references, resuming, and invalid settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.errors import UserError
from anirec.models.ratings.bias import Bias
from anirec.models.ratings.kernels import Factors, Rates, grid
from anirec.models.ratings.kernels.fused_sweep import RUN, fill_user_vectors, fused_sweep, shuffle
from anirec.models.ratings.svd import SVD
from anirec.models.ratings.svdpp import SVDpp

SETTINGS: dict[str, Any] = {
    "n_factors": 6,
    "epochs": 25,
    "lr": 0.02,
    "lr_decay": 1.0,
    "reg": 0.02,
    "reg_bias": 0.02,
    "init_std": 0.1,
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread, which is faster for small tensors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(model: type[SVD] = SVDpp, **changed: Any) -> SVD:
    return model(**{**SETTINGS, **changed})


def rmse(model: Any, data: Any) -> float:
    rows = data.test.rows(0, len(data.test))
    with torch.no_grad():
        return float((model(rows) - rows.rating).square().mean().sqrt())


def slow_sweep(rows: Interactions, factors: Factors[Any], rates: Rates, seed: tuple[int, ...]) -> None:
    """Apply Koren's update literally: every rating moves every y_j of its user."""
    mean, bias_u, bias_i, p_uf, q_if, y_if = factors
    batch, random = rows.rows(0, len(rows)), np.random.default_rng(seed)
    grid.strata(1, 1, random)
    key, runs = int(random.integers(2**62)), np.arange(-(-rows.n_users // RUN))
    shuffle(runs, len(runs), key)
    order = [u for run in runs for u in range(run * RUN, min((run + 1) * RUN, rows.n_users))]
    for u in order:
        first, last = rows.indptr[u : u + 2]
        items, rated = batch.item[first:last], first + np.flatnonzero(~np.isnan(rows.rating[first:last]))
        shuffle(rated, len(rated), key + u)
        norm = max(1, len(items)) ** -0.5
        for row in rated:
            i = batch.item[row]
            taste_f = p_uf[u] + (norm * y_if[items].sum(0) if len(y_if) else 0)
            error = batch.rating[row] - mean - bias_u[u] - bias_i[i] - q_if[i] @ taste_f
            bias_u[u] += rates.lr * (error - rates.reg_bias * bias_u[u])
            bias_i[i] += rates.lr * (error - rates.reg_bias * bias_i[i])
            p_f, q_f = p_uf[u].clone(), q_if[i].clone()
            p_uf[u] += rates.lr * (error * q_f - rates.reg * p_f)
            q_if[i] += rates.lr * (error * taste_f - rates.reg * q_f)
            if len(y_if):
                y_if[items] += rates.lr * (error * norm * q_f - rates.reg * y_if[items])


@pytest.mark.parametrize("implicit", [False, True])
def test_a_fused_sweep_equals_updating_every_y_at_every_rating(planted, implicit: bool) -> None:
    rows = planted.train_and_unrated
    noise = torch.Generator().manual_seed(0)
    sizes = ((), (121,), (61,), (121, 5), (61, 5), (61 if implicit else 0, 5))
    fast: Factors[Any] = Factors(*(torch.randn(size, generator=noise) * 0.1 for size in sizes))
    slow: Factors[Any] = Factors(*(table.double() for table in fast))
    rates = Rates(lr=0.02, reg=0.1, reg_bias=0.05)
    fused_sweep(grid.grid_of_users(rows, 1), fast, rates, seed=(1, 2))
    slow_sweep(rows, slow, rates, seed=(1, 2))
    for name, got, wanted in zip(fast._fields, fast, slow, strict=True):
        torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-5, msg=name)


@pytest.fixture(scope="module")
def learned(planted, fit) -> dict[type[SVD], SVD]:
    models = {model: made(model) for model in (SVD, SVDpp)}
    for model in models.values():
        fit(model, planted, epochs=25)
    return models


def test_factors_predict_better_than_offsets(planted, fit, learned) -> None:
    offsets = Bias(damping_user=5.0, damping_item=5.0)
    fit(offsets, planted)
    for name, model in learned.items():
        assert rmse(model, planted) < 0.9 * rmse(offsets, planted), name


def test_the_cuda_kernel_processes_the_ratings_of_a_block_in_turn() -> None:
    """Compared with a loop in float64; one block, so that the order is that of the rows, from a random one onwards."""
    kernel = pytest.importorskip("anirec.models.ratings.kernels.cuda_sweep", reason="no triton", exc_type=ImportError)
    random = np.random.default_rng(0)
    user = np.sort(random.integers(6, size=40)).astype(np.int32)
    rating = random.integers(1, 11, size=40).astype(np.float32)
    rating[7] = np.nan
    rows = Interactions(user, random.integers(5, size=40).astype(np.int32), rating, 6)
    noise = torch.Generator().manual_seed(0)
    sizes = ((), (7,), (6,), (7, 5), (6, 5), (0, 5))
    fast: Factors[Any] = Factors(*(torch.randn(size, generator=noise) * 0.1 for size in sizes))
    slow: Factors[Any] = Factors(*(table.double() for table in fast))
    blocks = kernel.square_blocks(rows, 5, torch.device("cpu"), seed=1)
    kernel.cuda_sweep(blocks, fast, Rates(lr=0.02, reg=0.1, reg_bias=0.05), seed=(1, 2))

    first = np.random.default_rng((1, 2))
    grid.strata(1, 1, first)
    turn = int(first.integers(2**30, size=1)[0]) % 39
    for row in np.roll(np.arange(39), -turn).tolist():
        u, i = int(blocks.user[row]), int(blocks.item[row])
        p, q = slow.p_uf[u].clone(), slow.q_if[i].clone()
        error = blocks.rating[row].double() - slow.mean - slow.bias_u[u] - slow.bias_i[i] - p @ q
        slow.bias_u[u] += 0.02 * (error - 0.05 * slow.bias_u[u])
        slow.bias_i[i] += 0.02 * (error - 0.05 * slow.bias_i[i])
        slow.p_uf[u] += 0.02 * (error * q - 0.1 * p)
        slow.q_if[i] += 0.02 * (error * p - 0.1 * q)
    for name, got, wanted in zip(fast._fields, fast, slow, strict=True):
        torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-5, msg=name)


def test_the_blocks_of_the_cuda_kernel_share_no_user_or_item_in_a_stratum(planted) -> None:
    kernel = pytest.importorskip("anirec.models.ratings.kernels.cuda_sweep", reason="no triton", exc_type=ImportError)
    rows = planted.train
    blocks = kernel.square_blocks(rows, planted.n_items, torch.device("cpu"), seed=1)
    n = blocks.n_groups
    assert n > 2
    block = torch.repeat_interleave(torch.arange(n * n), blocks.start.diff())
    for ids, group in ((blocks.user, block // n), (blocks.item, block % n)):
        pairs = torch.stack([ids.long(), group]).unique(dim=1)
        assert len(pairs[0]) == len(ids.unique())  # each user and item is in one group
    both = np.stack([rows.user, rows.item, rows.rating])[:, ~np.isnan(rows.rating)]
    mine = np.stack([blocks.user, blocks.item, blocks.rating])
    assert np.array_equal(mine[:, np.lexsort(mine)], both[:, np.lexsort(both)])


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks and parts small, so that the few rows of the tests have many of each."""
    monkeypatch.setattr(grid, "BLOCK_ROWS", 16)
    monkeypatch.setattr(SVD, "block_rows", 400)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("model", [SVD, SVDpp])
def test_the_number_of_threads_does_not_change_the_result(planted, fit, model: type[SVD], tmp_path: Path) -> None:
    """Also after resuming from a checkpoint with another number of threads."""

    def trained(n_threads: int, **options: Any) -> dict[str, torch.Tensor]:
        torch.set_num_threads(n_threads)
        made_here = made(model, lr_decay=0.9)
        trainer = fit(made_here, planted, **{"epochs": 4, "seed": 5, **options})
        trainer.save_checkpoint(tmp_path / f"{n_threads}.ckpt")
        torch.set_num_threads(1)
        return made_here.state_dict()

    assert grid.groups_for(len(planted.train)) == 8
    wanted, others = trained(1), [trained(2), trained(4)]
    trained(2, epochs=2)
    others.append(trained(3, seed=99, resume=tmp_path / "2.ckpt"))
    for other in others:
        for name in wanted:
            assert torch.equal(other[name], wanted[name]), name


@pytest.mark.usefixtures("small_blocks")
def test_training_in_blocks_reaches_the_error_of_a_single_block(planted, fit, learned) -> None:
    in_blocks = made(SVD)
    fit(in_blocks, planted, epochs=25)
    assert rmse(in_blocks, planted) == pytest.approx(rmse(learned[SVD], planted), rel=0.03)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("model", [SVD, SVDpp])
def test_resuming_gives_the_uninterrupted_result(planted, fit, model: type[SVD], tmp_path: Path) -> None:
    whole = made(model, lr_decay=0.9)
    fit(whole, planted, epochs=4, seed=5)
    fit(made(model, lr_decay=0.9), planted, epochs=2, seed=5).save_checkpoint(tmp_path / "half.ckpt")
    resumed = made(model, lr_decay=0.9)
    fit(resumed, planted, epochs=4, seed=99, resume=tmp_path / "half.ckpt")
    for name, wanted in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], wanted, rtol=0, atol=0, msg=name)


def test_the_order_of_ratings_depends_on_the_seed(planted, fit) -> None:
    first, again, other = made(), made(), made()
    for model, seed in ((first, 1), (again, 1), (other, 2)):
        fit(model, planted, epochs=2, seed=seed)
    assert torch.equal(first.item_factors, again.item_factors)
    assert not torch.equal(first.item_factors, other.item_factors)


@pytest.mark.parametrize("model", [SVD, SVDpp])
def test_users_and_items_without_ratings_have_no_factors(rated_only, fit, model: type[SVD]) -> None:
    learned = made(model)
    fit(learned, rated_only, epochs=2)
    assert not learned.item_factors[[rated_only.new_item, -1]].any()
    assert not learned.user_vectors()[[rated_only.new_user, -1]].any()


def test_unrated_rows_alone_describe_a_user(planted, fit) -> None:
    """SVD++ has a vector for a user who watches but does not rate."""
    model = made()
    fit(model, planted, epochs=5)
    rows = planted.train_and_unrated
    silent = np.setdiff1d(rows.user, planted.train.user)
    assert model.user_vectors()[silent].any(dim=1).all()


def test_ranking_agrees_with_the_predicted_ratings(planted, fit) -> None:
    model = made()
    fit(model, planted, epochs=5)
    users = torch.tensor([3, 90, -1])
    offsets = model.baseline
    for user, scores in zip(users, model.score_items(users), strict=True):
        everything = RatingBatch(user.expand(planted.n_items), torch.arange(planted.n_items), scores)
        torch.testing.assert_close(offsets.within_range(scores), model(everything))


def test_divergence_reports_the_learning_rate(planted, fit) -> None:
    with pytest.raises(UserError, match=r"lr=30; try lr=0\.1"):
        fit(made(lr=30.0), planted, epochs=20)


@pytest.mark.parametrize("wrong", [{"n_factors": 0}, {"lr": -1.0}, {"reg": -0.1}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(wrong))}="):
        made(**wrong)


def test_the_vectors_of_users_are_p_plus_the_normalised_sum_of_y(planted) -> None:
    rows = planted.train_and_unrated
    noise = torch.Generator().manual_seed(0)
    sizes = ((), (121,), (61,), (121, 5), (61, 5), (61, 5))
    factors: Factors[Any] = Factors(*(torch.randn(size, generator=noise) for size in sizes))
    got = torch.zeros(121, 5)
    fill_user_vectors(rows, factors, got)
    for u in range(rows.n_users):
        items = torch.from_numpy(rows.item[rows.indptr[u] : rows.indptr[u + 1]]).long()
        wanted = factors.p_uf[u] + factors.y_if[items].sum(0) / max(1, len(items)) ** 0.5
        torch.testing.assert_close(got[u], wanted)
