"""ALS: half-steps against direct solutions, the loss, resuming, and new users."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anirec.errors import UserError
from anirec.models.ratings.als import ALS
from anirec.models.ratings.kernels import als_sweep
from anirec.models.ratings.kernels.als_sweep import Entries, half_step, solve_on_device

SETTINGS: dict[str, Any] = {
    "n_factors": 6,
    "epochs": 6,
    "alpha": 4.0,
    "weighting": "equal",
    "reg": 2.0,
    "init_std": 0.1,
    "damping_user": 5.0,
    "damping_item": 5.0,
}


def made(**changed: Any) -> ALS:
    return ALS(**{**SETTINGS, **changed})


def by_user(data: Any, alpha: float = 4.0) -> Entries:
    rows = data.train_and_unrated
    start = torch.from_numpy(np.append(rows.indptr, len(rows)))  # an unknown user's row, which is empty
    n = len(rows)
    return Entries(start, torch.from_numpy(rows.item), torch.ones(n), torch.full((n,), alpha))


def confidences(data: Any, entries: Entries) -> np.ndarray:
    c_ui = np.ones((data.n_users + 1, data.n_items + 1))
    rows = data.train_and_unrated
    c_ui[rows.user, rows.item] += entries.weight.numpy()
    return c_ui


def targets(data: Any, entries: Entries) -> np.ndarray:
    t_ui = np.zeros((data.n_users + 1, data.n_items + 1))
    rows = data.train_and_unrated
    t_ui[rows.user, rows.item] = entries.target.numpy()
    return t_ui


@pytest.mark.parametrize("solver", ["rows", "device"])
@pytest.mark.parametrize("n_factors", [6, 20, 50])  # fewer than a user has entries, about as many, more
def test_a_half_step_is_the_ridge_regression_of_every_row(planted, monkeypatch, solver: str, n_factors: int) -> None:
    entries, noise = by_user(planted), torch.Generator().manual_seed(0)
    n = len(entries.weight)
    entries = entries._replace(weight=torch.rand(n, generator=noise) * 9, target=torch.randn(n, generator=noise))
    y_jf = torch.randn(planted.n_items + 1, n_factors, generator=noise)
    y_jf[-1] = 0
    before_nf = torch.randn(planted.n_users + 1, n_factors, generator=noise)
    if solver == "rows":
        solved = half_step(entries, y_jf, before_nf, reg=2.0, tolerance=1e-6).numpy()
    else:
        monkeypatch.setattr(als_sweep, "ENTRIES_AT_ONCE", 500)
        solved = solve_as_on_a_card(entries, y_jf, before_nf, reg=2.0, tolerance=1e-6).numpy()
    c_ui, t_ui, y = confidences(planted, entries), targets(planted, entries), y_jf.double().numpy()
    for user, (c_i, t_i) in enumerate(zip(c_ui, t_ui, strict=True)):
        gram = y.T @ (c_i[:, None] * y) + 2 * np.eye(n_factors)
        wanted = np.linalg.solve(gram, y.T @ (c_i * t_i))
        np.testing.assert_allclose(solved[user], wanted, atol=1e-5)


def solve_as_on_a_card(entries: Entries, y_jf: torch.Tensor, before_nf: torch.Tensor, **settings: float) -> Any:
    """Solve with the tensor operations that other devices than the CPU use."""
    whitening = als_sweep.whitening(y_jf, settings["reg"])
    return solve_on_device(entries, y_jf, before_nf, *whitening, settings["tolerance"])


def test_the_tolerance_bounds_the_error_of_the_scores(planted) -> None:
    entries, noise = by_user(planted, alpha=40.0), torch.Generator().manual_seed(0)
    y_jf, none = torch.randn(planted.n_items + 1, 20, generator=noise), torch.zeros(planted.n_users + 1, 20)
    exact, rough = (half_step(entries, y_jf, none, reg=1e-3, tolerance=tolerance) for tolerance in (1e-6, 0.05))
    error_u = ((rough - exact) @ y_jf.T).norm(dim=1) / (exact @ y_jf.T).norm(dim=1).clamp(min=1e-9)
    assert 1e-3 < error_u.max() < 0.06


@pytest.mark.parametrize("solver", ["rows", "device"])
def test_rows_with_huge_weights_are_solved_directly(planted, solver: str) -> None:
    """With huge and unequal weights, conjugate gradients end far from the minimum."""
    entries, noise = by_user(planted), torch.Generator().manual_seed(0)
    entries = entries._replace(weight=10 ** (6 * torch.rand(len(entries.weight), generator=noise)))
    y_jf, before = torch.randn(planted.n_items + 1, 30, generator=noise), torch.ones(planted.n_users + 1, 30)
    if solver == "rows":
        found = half_step(entries, y_jf, before, reg=1.0, tolerance=1e-5)
    else:
        found = solve_as_on_a_card(entries, y_jf, before, reg=1.0, tolerance=1e-5)
    c_ui, t_ui, y = confidences(planted, entries), targets(planted, entries), y_jf.double().numpy()
    for user in range(0, planted.n_users, 10):
        matrix = (y.T * c_ui[user]) @ y + np.eye(30)
        exact = y @ np.linalg.solve(matrix, y.T @ (c_ui[user] * t_ui[user]))
        np.testing.assert_allclose(
            y @ found[user].double().numpy(), exact, atol=1e-4 * np.abs(exact).max()
        )  # of float32 at a condition of 1e6


def test_a_half_step_is_equal_for_any_number_of_threads_and_any_share_of_rows(planted) -> None:
    entries, noise = by_user(planted), torch.Generator().manual_seed(0)
    y_jf, none = torch.randn(planted.n_items + 1, 20, generator=noise), torch.zeros(planted.n_users + 1, 20)
    settings = {"reg": 2.0, "tolerance": 1e-4}
    before, solved = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            solved.append(half_step(entries, y_jf, none, **settings))
        finally:
            torch.set_num_threads(before)
    shares = [half_step(entries.rows(a, b), y_jf, none[a:b], **settings) for a, b in ((0, 50), (50, 121))]
    assert torch.equal(*solved)
    torch.testing.assert_close(torch.cat(shares), solved[0], rtol=1e-5, atol=1e-6)


def test_transposed_entries_are_those_of_the_other_side(planted) -> None:
    entries = by_user(planted)
    entries = entries._replace(target=torch.arange(len(entries.target)).float())
    there_and_back = entries.transpose(planted.n_items + 1).transpose(planted.n_users + 1)
    for got, wanted in zip(there_and_back, entries, strict=True):
        assert torch.equal(got, wanted)


def loss(model: ALS, data: Any) -> float:
    """Return the loss, equation 3 of the paper, with preferences."""
    rows = data.train_and_unrated
    preferences = model.baseline.preferences(rows.rows(0, len(rows)), data.n_users)
    entries = by_user(data)._replace(target=preferences)
    c_ui, t_ui = confidences(data, entries), targets(data, entries)
    p_uf, q_if = model.user_factors.double().numpy(), model.item_factors.double().numpy()
    penalty = model.reg * ((p_uf**2).sum() + (q_if**2).sum())
    return float((c_ui * (t_ui - p_uf @ q_if.T) ** 2).sum() + penalty)


def test_every_epoch_lowers_the_loss(planted, fit) -> None:
    losses = []
    for epochs in (1, 2, 3, 6):
        model = made()
        fit(model, planted, epochs=epochs)
        losses.append(loss(model, planted))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]


def test_resuming_gives_the_uninterrupted_result(planted, fit, tmp_path: Path) -> None:
    whole = made()
    fit(whole, planted, epochs=4, seed=5)
    fit(made(), planted, epochs=2, seed=5).save_checkpoint(tmp_path / "half.ckpt")
    resumed = made()
    fit(resumed, planted, epochs=4, seed=99, resume=tmp_path / "half.ckpt")
    for name, wanted in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], wanted, rtol=0, atol=0, msg=name)


def test_new_users_get_the_scores_of_users_with_the_same_history(planted, fit) -> None:
    model = made()
    fit(model, planted, epochs=3)
    rows = planted.train_and_unrated
    batch = rows.rows(0, int(rows.indptr[10]))
    torch.testing.assert_close(model.fold_in(batch, 10), model.score_items(torch.arange(10)), rtol=2e-3, atol=2e-3)


def test_an_unknown_user_gets_popular_items(planted, fit) -> None:
    model = made()
    fit(model, planted)
    counts = np.bincount(planted.train_and_unrated.item, minlength=planted.n_items)
    (scores,) = model.score_items(torch.tensor([-1])).numpy()
    assert (np.diff(scores)[np.diff(counts) > 0] > 0).all()


def test_weighting_by_rating_trusts_good_ratings_more(planted, fit) -> None:
    equal, rating = made(), made(weighting="rating")
    for model in (equal, rating):
        fit(model, planted, epochs=6)
    rows = planted.train
    batch = rows.rows(0, len(rows))
    preferences = equal.baseline.preferences(batch, planted.n_users)
    error_equal, error_rating = (
        (model.score_items(batch.user)[torch.arange(len(rows)), batch.item] - preferences).abs()
        for model in (equal, rating)
    )
    assert np.corrcoef(error_equal - error_rating, rows.rating)[0, 1] > 0.2


def test_ratings_are_those_of_the_bias_model(planted, fit) -> None:
    model = made()
    fit(model, planted)
    rows = planted.test.rows(0, len(planted.test))
    torch.testing.assert_close(model(rows), model.baseline(rows.user, rows.item))


@pytest.mark.parametrize("wrong", [{"n_factors": 0}, {"alpha": 0.0}, {"reg": 0.0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(wrong))}="):
        made(**wrong)
