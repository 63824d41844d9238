"""Nearest titles and tastes of an audience: which titles are listed."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from anirec.data.scale import Scale
from anirec.inference.new_titles.audience import Audience
from anirec.inference.new_titles.tastes import Tastes

TITLES = ["Clannad", "Clannad: After Story", "Bible Black", "Monster", "Kanon", "Air"]
ITEMS = pl.DataFrame(
    {
        "item_id": range(6),
        "title": TITLES,
        "genres": [["Drama"], ["Drama"], ["Drama", "Hentai"], ["Mystery"], ["Drama"], ["Drama"]],
    }
)
N_USERS = 20


@pytest.fixture
def audience() -> Audience:
    """Half of the users give the first three titles 10, the others Monster; nobody gives more than 6 to another."""
    users = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).repeat(N_USERS // 2, 1)
    user, item = np.meshgrid(np.arange(N_USERS), np.arange(len(TITLES)), indexing="ij")
    is_own = (user % 2 == 0) == (item < 3)
    rated = pl.DataFrame(
        {"user": user.ravel(), "item": item.ravel(), "rating": np.where(is_own & (item < 4), 10.0, 6.0).ravel()}
    )
    model: Any = SimpleNamespace(
        match_vectors=lambda content: content,
        content=torch.tensor([[1.0, 0.0], [0.9, 0.1], [1.0, 0.05], [0.0, 1.0], [0.8, 0.2], [0.7, 0.3], [0.0, 0.0]]),
        user_table=torch.cat([users, torch.zeros(1, 2)]),
        n_users=N_USERS,
        baseline=SimpleNamespace(user=torch.zeros(N_USERS + 1)),
        rating_scale=Scale(),
    )
    return Audience(model, ITEMS, rated, pl.DataFrame(), 8.0, [])


@pytest.mark.parametrize("adult", [False, True])
def test_adult_titles_are_listed_only_on_request(audience: Audience, adult: bool) -> None:
    nearest = audience.nearest_titles(torch.tensor([1.0, 0.0]), 3, adult=adult)
    assert nearest["title"].to_list()[:2] == ["Clannad", "Bible Black" if adult else "Clannad: After Story"]
    assert len(nearest) == 3
    loves = Tastes.find(audience, 2, adult=adult, seed=0).loves
    assert any("Bible Black" in titles for titles in loves) == adult


def test_a_taste_is_described_by_one_title_per_franchise(audience: Audience) -> None:
    loves = Tastes.find(audience, 2, adult=True, seed=0).loves
    assert sorted(sorted(titles) for titles in loves) == [["Bible Black", "Clannad"], ["Monster"]]


def test_tastes_are_in_the_order_of_their_lift(audience: Audience) -> None:
    rating_u = np.where(np.arange(N_USERS) % 2 == 0, 9.0, 5.0)
    table = Tastes.find(audience, 2, adult=True, seed=0).table(rating_u, (rating_u > 8).astype(np.float64))
    assert table["lift"].to_list() == [2.0, -2.0]
    assert table["share"].to_list() == [1.0, 0.0]
    assert table["fans"].to_list() == [1.0, 0.0]
