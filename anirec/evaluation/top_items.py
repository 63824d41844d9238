"""The best items of every user out of the whole catalogue, without ever holding users x items scores.

One block of users is scored at a time, what they have seen is masked, and only the top k stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Rows(Protocol):
    """Interactions sorted by user: those of user u are `item[indptr[u]:indptr[u + 1]]`."""

    @property
    def item(self) -> NDArray[np.integer]: ...

    @property
    def indptr(self) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class TopItems:
    """Recommendations, best first.

    Attributes:
        users: User indices, int64 (U,).
        items_uk: Item indices, int64 (U, k); -1 where there was nothing left to recommend.
        scores_uk: The model's scores, float32 (U, k).
    """

    users: NDArray[np.int64]
    items_uk: NDArray[np.int64]
    scores_uk: NDArray[np.float32]


@torch.no_grad()
def top_items(
    score_items: Callable[[Tensor], Tensor],
    users: NDArray[np.int64],
    seen: Sequence[Rows],
    *,
    n_items: int,
    k: int,
    block: int,
    device: torch.device | str = "cpu",
    among: NDArray[np.int64] | None = None,
) -> TopItems:
    """Rank the catalogue for each user and keep the best k that the user has not seen.

    Args:
        score_items: Scores of all items for int64 (B,) users, (B, n_items); higher is better.
        users: User indices, (U,), >= 0.
        seen: What is never recommended.
        n_items: Size of the catalogue.
        k: Length of the lists.
        block: Users scored at once; memory grows with block x items.
        device: Where the scores live.
        among: The items to rank, (C,); None for all.

    A score of NaN ranks first, as `torch.topk` has it, so that the caller can see it. Equal scores come in an arbitrary
    but repeatable order.
    """
    items = np.full((len(users), k), -1, dtype=np.int64)
    scores = np.full((len(users), k), -np.inf, dtype=np.float32)
    # The model may hand out its own buffer, or one row expanded to all users: masking needs a copy, always the same.
    buffer_bi = torch.empty(min(block, len(users)), n_items, device=device)
    among_c = None if among is None else torch.from_numpy(among).to(device)
    for start in range(0, len(users), block):
        of_block = users[start : start + block]
        scores_bi = buffer_bi[: len(of_block)].copy_(score_items(torch.from_numpy(of_block).to(device)))
        for rows in seen:
            flat = torch.from_numpy(flat_positions(rows, of_block, n_items)).to(device)
            scores_bi.view(-1)[flat] = -torch.inf
        ranked_bc = scores_bi if among_c is None else scores_bi[:, among_c]
        best, index = ranked_bc.topk(min(k, ranked_bc.shape[1]), dim=1)
        index = index if among_c is None else among_c[index]
        index[best == -torch.inf] = -1
        items[start : start + block, : index.shape[1]] = index.cpu().numpy()
        scores[start : start + block, : best.shape[1]] = best.cpu().numpy()
    return TopItems(users, items, scores)


def flat_positions(rows: Rows, users: NDArray[np.int64], n_items: int) -> NDArray[np.int64]:
    """Where the users' items lie in a flattened (len(users), n_items) matrix."""
    first, n = rows.indptr[users], np.diff(rows.indptr)[users]
    in_block = np.repeat(np.arange(len(users)), n)
    # 0, 1, 2 … within each user's rows, moved to where they begin.
    position = np.arange(n.sum()) + np.repeat(first - (np.cumsum(n) - n), n)
    return in_block * n_items + rows.item[position].astype(np.int64)


def hits(top: TopItems, user: NDArray[np.integer], item: NDArray[np.integer], n_items: int) -> tuple[Any, Any]:
    """Which recommendations are relevant, bool (U, k), and how many relevant items each user has, int64 (U,).

    `user` and `item`, both (n,), are the relevant pairs.
    """
    pairs = np.unique(user.astype(np.int64) * n_items + item)
    n_relevant = np.searchsorted(pairs, (top.users + 1) * n_items) - np.searchsorted(pairs, top.users * n_items)
    wanted_uk = top.users[:, None] * n_items + top.items_uk
    place_uk = np.searchsorted(pairs, wanted_uk).clip(max=len(pairs) - 1)
    return (pairs[place_uk] == wanted_uk) & (top.items_uk >= 0), n_relevant
