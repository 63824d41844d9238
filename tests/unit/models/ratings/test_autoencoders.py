"""ELSA and Mult-VAE against their definitions, written with NumPy and torch.distributions; and they learn groups."""

from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch.distributions import Multinomial, Normal, kl_divergence

from anirec.config.compose import conf_folder
from anirec.data.ratings.interactions import RatingBatch

from .groups import Groups, share_of_own_group
from .test_rp3beta import preferences

FITTING = ["training.epochs=30", "training.batch_size=300", "training.lr_head=0.01"]


def made(name: str, *overrides: str) -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", [f"model={name}", *(f"model.{override}" for override in overrides)])
    return instantiate(config.model, _convert_="all")


def users_of(model: Any, n: int) -> tuple[RatingBatch, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return rows, bounds and preferences of users 0 to n - 1, and these as a dense matrix."""
    rows, bounds = model.history.rows_of(torch.arange(n))
    preference = model.baseline.preferences(rows, n)
    preference_bi = torch.zeros(n, model.n_items)
    preference_bi[rows.user, rows.item] = preference
    return rows, bounds, preference, preference_bi


@pytest.fixture(scope="module")
def elsa(planted: Any, fit: Any) -> Any:
    model = made("elsa", "n_factors=8", "training.epochs=3", "training.batch_size=300")
    fit(model, planted, epochs=3)
    return model


@pytest.fixture(scope="module")
def mult_vae(planted: Any, fit: Any) -> Any:
    model = made("mult_vae", "n_factors=4", "n_hidden=16", "training.epochs=3", "training.batch_size=300")
    fit(model, planted, epochs=3)
    return model


def test_scores_of_elsa_are_those_of_its_definition(elsa, planted) -> None:
    x_ui = preferences(elsa, planted)
    assert x_ui.min() < 0
    a_if = elsa.item_factors.detach().numpy()
    a_if = a_if / np.linalg.norm(a_if, axis=1, keepdims=True)
    weights = a_if @ a_if.T - np.eye(planted.n_items)
    np.testing.assert_allclose(np.diag(weights), 0, atol=1e-6)
    scores = elsa.score_items(torch.arange(planted.n_users)).numpy()
    np.testing.assert_allclose(scores, x_ui @ weights, atol=1e-4)


def test_the_loss_of_elsa_is_the_distance_of_directions(elsa) -> None:
    rows, bounds, preference, preference_bi = users_of(elsa, 9)
    scores_bi = elsa.reconstruct(rows, bounds, preference)
    cosine_b = torch.cosine_similarity(scores_bi, preference_bi, dim=1)
    is_empty = preference_bi.abs().sum(1) == 0
    expected = (2 - 2 * cosine_b)[~is_empty].sum() / 9
    torch.testing.assert_close(elsa.loss(rows, bounds, preference, preference_bi), expected)


def test_logits_of_mult_vae_are_those_of_its_definition(mult_vae, planted) -> None:
    x_ui = preferences(mult_vae, planted)
    x_ui = x_ui / np.linalg.norm(x_ui, axis=1, keepdims=True).clip(min=1e-9)
    state = {name: value.numpy() for name, value in mult_vae.state_dict().items()}
    hidden = np.tanh(x_ui @ state["input_weight"] + state["input_offset"])
    mean = (hidden @ state["latent.weight"].T + state["latent.bias"])[:, : mult_vae.n_factors]
    hidden = np.tanh(mean @ state["decoder.weight"].T + state["decoder.bias"])
    logits = hidden @ state["output_weight"].T + state["output_offset"]
    scores = mult_vae.score_items(torch.arange(planted.n_users)).numpy()
    np.testing.assert_allclose(scores, logits, atol=1e-4)


def test_the_loss_of_mult_vae_is_the_evidence_lower_bound(mult_vae, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all preferences 1, up to the multinomial coefficient; without noise and dropout, which are random."""
    rows, bounds, preference, preference_bi = users_of(mult_vae, 9)
    ones = (preference_bi != 0).float()
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    monkeypatch.setattr(mult_vae, "kl_weight", lambda: 1.0)
    mean_bf, log_variance_bf = mult_vae.encode(rows, bounds, preference)
    divergence = kl_divergence(Normal(mean_bf, (log_variance_bf / 2).exp()), Normal(0.0, 1.0)).sum(1)
    logits = mult_vae.decode(mean_bf)
    likelihood = torch.stack(
        [
            Multinomial(int(x.sum()), logits=row).log_prob(x) - torch.lgamma(x.sum() + 1)
            for x, row in zip(ones, logits, strict=True)
        ]
    )
    torch.testing.assert_close(mult_vae.loss(rows, bounds, preference, ones), (divergence - likelihood).mean())


def test_the_weight_of_the_divergence_rises_to_beta(planted, fit, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("mult_vae", "beta=0.4", "anneal=0.5", "training.epochs=4", "training.batch_size=10000")
    weights, weight = [], model.kl_weight
    monkeypatch.setattr(model, "kl_weight", lambda: weights.append(weight()) or weights[-1])
    fit(model, planted, epochs=4)
    assert weights == pytest.approx([0.0, 0.2, 0.4, 0.4])


def test_dropout_hides_a_share_of_the_history_in_training_only(mult_vae) -> None:
    rows, bounds, preference, _ = users_of(mult_vae, 9)
    with torch.no_grad():
        quiet = [mult_vae.encode(rows, bounds, preference)[0] for _ in range(2)]
        mult_vae.train()
        noisy = [mult_vae.encode(rows, bounds, preference)[0] for _ in range(2)]
        mult_vae.eval()
    torch.testing.assert_close(*quiet, rtol=0, atol=0)
    assert not torch.allclose(*noisy)


@pytest.mark.parametrize("name", ["elsa", "mult_vae"])
def test_lists_hold_the_titles_of_a_users_group(name: str, fit) -> None:
    data, model = Groups(), made(name, "n_factors=32", *FITTING)
    fit(model, data, epochs=30)
    scores = model.score_items(torch.arange(data.n_users)).numpy()
    assert share_of_own_group(scores, data) > 0.95
