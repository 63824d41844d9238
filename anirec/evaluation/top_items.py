"""Top-k ranking of the whole catalogue for many users, without holding a users x items score matrix.

One block of users is scored at a time, the items that they have seen are left out, and only the top k are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.threads import in_threads

USERS_PER_TASK = 16


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
        items_uk: Item indices, int32 (U, k); -1 where no item was left to recommend.
        scores_uk: The model's scores, float32 (U, k).
    """

    users: NDArray[np.int64]
    items_uk: NDArray[np.int32]
    scores_uk: NDArray[np.float32]

    def where(self, mask_u: NDArray[np.bool_]) -> "TopItems":
        """Return the lists of the users whose flag is set."""
        return TopItems(self.users[mask_u], self.items_uk[mask_u], self.scores_uk[mask_u])

    def merge(self, other: "TopItems") -> "TopItems":
        """Return these lists and those of the other's further users, by ascending user."""
        further = other.where(~np.isin(other.users, self.users))
        users = np.append(self.users, further.users)
        order = np.argsort(users)
        items_uk = np.concatenate([self.items_uk, further.items_uk])
        return TopItems(users[order], items_uk[order], np.concatenate([self.scores_uk, further.scores_uk])[order])


def top_items(
    score_items: Callable[[Tensor], Tensor], users: NDArray[np.int64], seen: Sequence[UserRows], **settings: Any
) -> TopItems:
    """Rank the catalogue for each user and keep the best k items that the user has not seen.

    Args:
        score_items: See `top_lists`.
        users: User indices, (U,), >= 0.
        seen: Interactions whose items are never recommended to their user.
        **settings: Further arguments of `top_lists`.
    """
    return top_lists(score_items, users, [seen], **settings)[0]


@torch.no_grad()
def top_lists(
    score_items: Callable[[Tensor], Tensor],
    users: NDArray[np.int64],
    steps: Sequence[Sequence[UserRows]],
    *,
    k: int,
    block: int,
    device: torch.device | str = "cpu",
    candidates: NDArray[np.int64] | None = None,
) -> list[TopItems]:
    """Rank the catalogue for each user and keep the best k unseen items, in several lists from the same scores.

    Items with equal scores are ordered as in `candidates`, by index if that is None; on other devices than the CPU as
    `torch.topk` orders them. NaN ranks first, so that the caller notices it.

    Args:
        score_items: Returns the scores of all items for int64 (B,) users, (B, n_items); higher is better. They are not
            changed, so that a model may return its own buffer, or one row expanded to all users.
        users: User indices, (U,), >= 0.
        steps: Interactions whose items are not recommended to their user: those of the first step in any list, those of
            the second in the second list and later ones, and so on.
        k: Length of the lists.
        block: Number of users scored at once; memory grows with block x items.
        device: Device of the scores.
        candidates: Indices of the items to rank, (C,); None for all.

    Returns:
        The lists of each step.
    """
    items_guk = np.full((len(steps), len(users), k), -1, dtype=np.int32)
    best_guk = np.full((len(steps), len(users), k), -np.inf, dtype=np.float32)
    for start in range(0, len(users), block):
        of_block, out = users[start : start + block], slice(start, start + block)
        scores_bi = score_items(torch.from_numpy(of_block).to(device)).float()
        best = best_unseen if scores_bi.device.type == "cpu" else best_unseen_on_device
        items_gbk, best_gbk = best(scores_bi, of_block, steps, candidates, k)
        items_guk[:, out, : items_gbk.shape[2]], best_guk[:, out, : best_gbk.shape[2]] = items_gbk, best_gbk
    return [TopItems(users, items_uk, best_uk) for items_uk, best_uk in zip(items_guk, best_guk, strict=True)]


def best_unseen(
    scores_bi: Tensor,
    users: NDArray[np.int64],
    steps: Sequence[Sequence[UserRows]],
    candidates: NDArray[np.int64] | None,
    k: int,
) -> tuple[Any, Any]:
    """Return the best items after each step, -1 where none is left, and their scores, (G, B, k) each.

    See `top_lists`; g is the number of the step.
    """
    from anirec.evaluation.top_kernels import keep_unseen, mark_items, select_best

    is_shared = scores_bi.stride(0) == 0  # one row, expanded to all users, is sorted once
    scores = (scores_bi[:1] if is_shared else scores_bi).contiguous().numpy()
    columns = np.arange(scores.shape[1]) if candidates is None else candidates
    scores = scores if candidates is None else scores[:, candidates]
    if is_shared:
        order = np.argsort(-np.nan_to_num(scores[0], nan=np.inf), kind="stable")
        scores, columns = scores[:, order], columns[order]
    items_gbk = np.full((len(steps), len(users), k), -1, dtype=np.int32)
    best_gbk = np.full((len(steps), len(users), k), -np.inf, dtype=np.float32)

    def task(first: int, last: int) -> None:
        seen_bi = np.zeros((last - first, scores_bi.shape[1]), dtype=bool)
        own = scores if is_shared else scores[first:last]
        items_bk, best_bk = items_gbk[0, first:last], best_gbk[0, first:last]  # of the step before
        for seen, own_items_bk, own_best_bk in zip(
            steps, items_gbk[:, first:last], best_gbk[:, first:last], strict=True
        ):
            for rows in seen:
                mark_items(seen_bi, users[first:last], rows.item, rows.indptr)
            keep_unseen(items_bk, best_bk, seen_bi, own_items_bk, own_best_bk)
            select_best(own, is_shared, seen_bi, columns, own_items_bk, own_best_bk)
            items_bk, best_bk = own_items_bk, own_best_bk

    in_threads(task, len(users), chunk=USERS_PER_TASK)
    return items_gbk, best_gbk


def best_unseen_on_device(
    scores_bi: Tensor,
    users: NDArray[np.int64],
    steps: Sequence[Sequence[UserRows]],
    candidates: NDArray[np.int64] | None,
    k: int,
) -> tuple[Any, Any]:
    """Return the same as `best_unseen`, computed by torch on the device of the scores, (G, B, min(k, C)) each."""
    device, n_items = scores_bi.device, scores_bi.shape[1]
    unseen_bi = scores_bi.clone(memory_format=torch.contiguous_format)
    columns = None if candidates is None else torch.from_numpy(candidates).to(device)
    found = []
    for seen in steps:
        for rows in seen:
            unseen_bi.view(-1)[torch.from_numpy(flat_positions(rows, users, n_items)).to(device)] = -torch.inf
        unseen_bc = unseen_bi if columns is None else unseen_bi[:, columns]
        best_bk, index_bk = unseen_bc.topk(min(k, unseen_bc.shape[1]), dim=1)
        items_bk = (index_bk if columns is None else columns[index_bk]).masked_fill(best_bk == -torch.inf, -1)
        found.append((items_bk.cpu().numpy(), best_bk.cpu().numpy()))
    return tuple(np.stack(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


def flat_positions(rows: UserRows, users: NDArray[np.int64], n_items: int) -> NDArray[np.int64]:
    """Return the positions of the users' items in a flattened (len(users), n_items) matrix."""
    first, n = rows.indptr[users], rows.indptr[users + 1] - rows.indptr[users]
    in_block = np.repeat(np.arange(len(users)), n)
    # 0, 1, 2 … within each user's rows, plus the position of the user's first row.
    position = np.arange(n.sum()) + np.repeat(first - (np.cumsum(n) - n), n)
    return in_block * n_items + rows.item[position].astype(np.int64)


def find_hits(top: TopItems, user: NDArray[np.integer], item: NDArray[np.integer], n_items: int) -> tuple[Any, Any]:
    """Return which recommendations are relevant, bool (U, k), and each user's number of relevant items, int64 (U,).

    `user` and `item`, both (n,), are the relevant pairs.
    """
    pairs = np.sort(user.astype(np.int64) * n_items + item)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    n_relevant = np.searchsorted(pairs, (top.users + 1) * n_items) - np.searchsorted(pairs, top.users * n_items)
    wanted_uk = top.users[:, None] * n_items + top.items_uk
    found_uk = np.append(pairs, -1)[np.searchsorted(pairs, wanted_uk)]  # -1: greater than all pairs
    return (found_uk == wanted_uk) & (top.items_uk >= 0), n_relevant
