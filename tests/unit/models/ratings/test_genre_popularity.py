"""Genre popularity on titles of two genres."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import torch

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.ratings.genre_popularity import GenrePopularity

GENRES = [["Action"], ["Action"], ["Romance"], ["Romance"], ["Action"], ["Romance"], []]
NEW_ACTION, NEW_ROMANCE, NO_GENRE = 4, 5, 6
# Users 0 to 3 watch action, which user 3 dislikes; user 4 watches romance.
SEEN = [(0, 0, 9), (0, 1, 9), (1, 0, 8), (1, 1, 9), (2, 0, 8), (2, 2, 5), (3, 0, 5), (3, 1, 4), (4, 2, 5), (4, 3, 5)]


def learned(*, personal: bool = True) -> GenrePopularity:
    model = GenrePopularity(personal=personal, damping_user=0.0, damping_genre=1.0)
    model.n_users, model.n_items = 5, len(GENRES)
    model.trainer = SimpleNamespace(datamodule=SimpleNamespace(items=pl.DataFrame({"genres": GENRES})))
    model.configure_model()
    user, item, rating = (torch.tensor(column) for column in zip(*SEEN, strict=True))
    model.history.append(RatingBatch(user, item, rating.float()))
    model.history.close()
    model.solve()
    return model


def test_new_titles_rank_by_what_the_user_watches() -> None:
    action, romance = learned().score_items(torch.tensor([0, 4])).numpy()
    assert action[NEW_ACTION] > action[NEW_ROMANCE] >= action[NO_GENRE]
    assert romance[NEW_ROMANCE] > romance[NEW_ACTION]


def test_without_a_profile_the_popular_genre_comes_first() -> None:
    for model, user in ((learned(), -1), (learned(personal=False), 4)):
        (scores,) = model.score_items(torch.tensor([user])).numpy()
        assert scores[NEW_ACTION] > scores[NEW_ROMANCE] > scores[NO_GENRE]


def test_ratings_of_new_titles_are_those_of_their_genre() -> None:
    items = torch.tensor([NEW_ACTION, NEW_ROMANCE, NO_GENRE, -1])
    action, romance, none, unknown = learned()(RatingBatch(torch.full((4,), 2), items, torch.zeros(4))).tolist()
    assert action > none > romance
    assert none == unknown == np.float32(6.5)  # user 2's mean


def test_genre_offsets_are_means_of_ratings_beyond_the_users_own() -> None:
    model, by_genre = learned(), {"Action": [], "Romance": []}
    mean_u = {user: np.mean([r for u, _, r in SEEN if u == user]) for user in range(5)}
    for user, item, rating in SEEN:
        by_genre[GENRES[item][0]].append(rating - mean_u[user])
    expected = [sum(left) / (len(left) + 1.0) for left in by_genre.values()]  # one pseudo-rating
    np.testing.assert_allclose(model.offset_g.numpy(), expected, rtol=1e-6)


def test_no_matrix_of_ratings_and_genres_is_made() -> None:
    """It would take 16 GB on a large dataset; tensors may have a row per title or user, not per rating and genre."""
    from torch.utils._python_dispatch import TorchDispatchMode

    n_ratings, sizes = 4000, []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            made = function(*args, **(kwargs or {}))
            sizes.append(made.numel() if isinstance(made, torch.Tensor) else 0)
            return made

    model = GenrePopularity(personal=True, damping_user=0.0, damping_genre=1.0)
    model.n_users, model.n_items = 5, len(GENRES)
    model.trainer = SimpleNamespace(datamodule=SimpleNamespace(items=pl.DataFrame({"genres": GENRES})))
    model.configure_model()
    user = torch.arange(n_ratings) * 5 // n_ratings
    item = torch.arange(n_ratings) % 6
    model.history.append(RatingBatch(user, item, (item + user).float()))
    model.history.close()
    with Sizes():
        model.solve()
    assert max(sizes) <= n_ratings
