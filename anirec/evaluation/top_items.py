"""Top-k ranking of the whole catalogue for many users, without holding a users x items score matrix.

One block of users is scored at a time, the items that they have seen are masked, and only the top k are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class UserRows(Protocol):
    """Interactions sorted by user: the items of user u are `item[indptr[u]:indptr[u + 1]]`."""

    @property
    def item(self) -> NDArray[np.integer]: ...

    @property
    def indptr(self) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class TopItems:
    """Ranked lists, best item first.

    Attributes:
        users: User indices, int64 (U,).
        items_uk: Item indices, int64 (U, k); -1 where no item was left to recommend.
        scores_uk: The model's scores, float32 (U, k).
    """

    users: NDArray[np.int64]
    items_uk: NDArray[np.int64]
    scores_uk: NDArray[np.float32]


@torch.no_grad()
def top_items(
    score_items: Callable[[Tensor], Tensor],
    users: NDArray[np.int64],
    seen: Sequence[UserRows],
    *,
    n_items: int,
    k: int,
    block: int,
    device: torch.device | str = "cpu",
    candidates: NDArray[np.int64] | None = None,
) -> TopItems:
    """Rank the catalogue for each user and keep the best k items that the user has not seen.

    Equal scores are ordered arbitrarily but repeatably. NaN ranks first, as in `torch.topk`, so that the caller notices
    it.

    Args:
        score_items: Returns the scores of all items for int64 (B,) users, (B, n_items); higher is better.
        users: User indices, (U,), >= 0.
        seen: Interactions whose items are never recommended to their user.
        n_items: Size of the catalogue.
        k: Length of the lists.
        block: Number of users scored at once; memory grows with block x items.
        device: Device of the scores.
        candidates: Indices of the items to rank, (C,); None for all.
    """
    items = np.full((len(users), k), -1, dtype=np.int64)
    scores = np.full((len(users), k), -np.inf, dtype=np.float32)
    # The model may return its own buffer, or one row expanded to all users, so masking needs a copy; reuse one buffer.
    buffer_bi = torch.empty(min(block, len(users)), n_items, device=device)
    candidates_c = None if candidates is None else torch.from_numpy(candidates).to(device)
    for start in range(0, len(users), block):
        of_block = users[start : start + block]
        scores_bi = buffer_bi[: len(of_block)].copy_(score_items(torch.from_numpy(of_block).to(device)))
        for rows in seen:
            flat = torch.from_numpy(flat_positions(rows, of_block, n_items)).to(device)
            scores_bi.view(-1)[flat] = -torch.inf
        ranked_bc = scores_bi if candidates_c is None else scores_bi[:, candidates_c]
        best, index = ranked_bc.topk(min(k, ranked_bc.shape[1]), dim=1)
        index = index if candidates_c is None else candidates_c[index]
        index[best == -torch.inf] = -1
        items[start : start + block, : index.shape[1]] = index.cpu().numpy()
        scores[start : start + block, : best.shape[1]] = best.cpu().numpy()
    return TopItems(users, items, scores)


def flat_positions(rows: UserRows, users: NDArray[np.int64], n_items: int) -> NDArray[np.int64]:
    """Return the positions of the users' items in a flattened (len(users), n_items) matrix."""
    first, n = rows.indptr[users], np.diff(rows.indptr)[users]
    in_block = np.repeat(np.arange(len(users)), n)
    # 0, 1, 2 … within each user's rows, plus the position of the user's first row.
    position = np.arange(n.sum()) + np.repeat(first - (np.cumsum(n) - n), n)
    return in_block * n_items + rows.item[position].astype(np.int64)


def find_hits(top: TopItems, user: NDArray[np.integer], item: NDArray[np.integer], n_items: int) -> tuple[Any, Any]:
    """Return which recommendations are relevant, bool (U, k), and each user's number of relevant items, int64 (U,).

    `user` and `item`, both (n,), are the relevant pairs.
    """
    pairs = np.unique(user.astype(np.int64) * n_items + item)
    n_relevant = np.searchsorted(pairs, (top.users + 1) * n_items) - np.searchsorted(pairs, top.users * n_items)
    wanted_uk = top.users[:, None] * n_items + top.items_uk
    place_uk = np.searchsorted(pairs, wanted_uk).clip(max=len(pairs) - 1)
    return (pairs[place_uk] == wanted_uk) & (top.items_uk >= 0), n_relevant
