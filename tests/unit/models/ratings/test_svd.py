"""SVD and SVD++: the kernel against a slow reference, the solvers, resuming, and invalid settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anirec.data.ratings.interactions import RatingBatch
from anirec.errors import UserError
from anirec.lightning import Callback
from anirec.models.ratings.bias import Bias
from anirec.models.ratings.kernels import Factors, Rates, block_of
from anirec.models.ratings.kernels.fused_sweep import fused_sweep, shuffled_rated
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
    "solver": "auto",
    "parallel": False,
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


def slow_sweep(batch: RatingBatch, factors: Factors[Any], rates: Rates, seed: tuple[int, ...]) -> None:
    """Apply Koren's update literally: every rating moves every y_j of its user."""
    mean, bias_u, bias_i, p_uf, q_if, y_if = factors
    random = np.random.default_rng(seed)
    users, starts = np.unique(batch.user, return_index=True)
    ends = np.append(starts[1:], len(batch.user))
    order, shuffle_seed = random.permutation(len(users)), int(random.integers(2**62))
    rows = np.empty(len(batch.user), np.int64)
    for u, first, last in zip(users[order], starts[order], ends[order], strict=True):
        items, n = batch.item[first:last], shuffled_rated(batch.rating.numpy(), first, last, shuffle_seed + u, rows)
        norm = len(items) ** -0.5
        for row in rows[:n].copy():
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
    batch = rows.rows(0, len(rows))
    noise = torch.Generator().manual_seed(0)
    sizes = ((), (121,), (61,), (121, 5), (61, 5), (61 if implicit else 0, 5))
    fast: Factors[Any] = Factors(*(torch.randn(size, generator=noise) * 0.1 for size in sizes))
    slow: Factors[Any] = Factors(*(table.double() for table in fast))
    rates = Rates(lr=0.02, reg=0.1, reg_bias=0.05)
    fused_sweep(block_of(batch), fast, rates, seed=(1, 2), parallel=False)
    slow_sweep(batch, slow, rates, seed=(1, 2))
    for name, got, wanted in zip(fast._fields, fast, slow, strict=True):
        torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-5, msg=name)


@pytest.fixture(scope="module")
def learned(planted, fit) -> dict[tuple[type[SVD], str], SVD]:
    """Return both models trained with both solvers."""
    models = {(model, solver): made(model, solver=solver) for model in (SVD, SVDpp) for solver in ("fused", "batched")}
    for model in models.values():
        fit(model, planted, epochs=25)
    return models


def test_factors_predict_better_than_offsets(planted, fit, learned) -> None:
    offsets = Bias(damping_user=5.0, damping_item=5.0)
    fit(offsets, planted)
    for name, model in learned.items():
        assert rmse(model, planted) < 0.9 * rmse(offsets, planted), name


@pytest.mark.parametrize("model", [SVD, SVDpp])
def test_the_batched_solver_reaches_the_error_of_the_fused_one(planted, learned, model: type[SVD]) -> None:
    assert rmse(learned[model, "batched"], planted) == pytest.approx(rmse(learned[model, "fused"], planted), rel=0.03)


def test_parallel_training_reaches_the_same_error(planted, fit, learned) -> None:
    torch.set_num_threads(3)
    together = made(parallel=True)
    fit(together, planted, epochs=25)
    torch.set_num_threads(1)
    assert rmse(together, planted) == pytest.approx(rmse(learned[SVDpp, "fused"], planted), rel=0.03)


@pytest.mark.parametrize("solver", ["fused", "batched"])
def test_resuming_gives_the_uninterrupted_result(planted, fit, solver: str, tmp_path: Path) -> None:
    whole = made(solver=solver, lr_decay=0.9)
    fit(whole, planted, epochs=4, seed=5)
    fit(made(solver=solver, lr_decay=0.9), planted, epochs=2, seed=5).save_checkpoint(tmp_path / "half.ckpt")
    resumed = made(solver=solver, lr_decay=0.9)
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
    with pytest.raises(UserError, match="lr=30; try lr=10"):
        fit(made(lr=30.0), planted, epochs=20)


def test_parallel_training_is_refused_in_deterministic_runs(planted, fit) -> None:
    try:
        with pytest.raises(UserError, match="parallel=true is not deterministic"):
            fit(made(parallel=True), planted, deterministic=True)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("wrong", [{"n_factors": 0}, {"lr": -1.0}, {"reg": -0.1}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(wrong))}="):
        made(**wrong)


@pytest.mark.parametrize("solver", ["fused", "batched"])
def test_the_order_of_blocks_differs_per_epoch_also_after_resuming(
    planted, fit, solver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SVD, "block_rows", 100)
    seen: list[tuple[int, int]] = []

    class Blocks(Callback):
        def on_train_batch_start(self, trainer: Any, model: Any, batch: RatingBatch, batch_index: int) -> None:
            seen.append((int(model.sweeps), int(batch.user[0])))

    def trained(**options: Any) -> SVD:
        model = made(SVD, solver=solver)
        options = {"seed": 5, "callbacks": [Blocks()]} | options
        fit(model, planted, **options).save_checkpoint(tmp_path / "last.ckpt")
        return model

    whole = trained(epochs=3)
    orders = [[user for sweep, user in seen if sweep == number] for number in range(3)]
    assert len(orders[0]) > 5
    assert len({tuple(order) for order in orders}) == 3
    assert len({tuple(sorted(order)) for order in orders}) == 1
    of_whole = seen.copy()
    seen.clear()
    trained(epochs=2)
    resumed = trained(epochs=3, seed=99, resume=tmp_path / "last.ckpt")
    assert seen == of_whole
    for name, wanted in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], wanted, rtol=0, atol=0, msg=name)
