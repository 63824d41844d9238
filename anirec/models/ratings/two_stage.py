"""Two stages: candidates of several list models, ranked by boosted trees over the scores of all and facts."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import polars as pl
import torch
from annotated_types import MinLen
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from anirec.data.ratings.interactions import Interactions, RatingBatch, deduplicate
from anirec.errors import UserError
from anirec.models.base import RatingModel, SupportsFoldIn
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import History
from anirec.models.ratings.boosted_trees import BoostedTrees
from anirec.models.ratings.item_facts import FACTS, ages, genre_vectors, rating_facts, text_vectors
from anirec.models.ratings.staged import Folds, Staged
from anirec.settings import PositiveInt

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData

USERS_AT_ONCE = 256
NEAR = 20  # of a user's best candidates; scores are compared with their mean
PER_MODEL = 4  # features of a candidate, for each model
OVERLAP = 2.0  # candidates of several models are about the same: their number over that of one model
TYPICAL_GENRES = 40  # for the cost
TINY = 1e-6  # orders candidates that the trees score equally


class TwoStage(Staged):
    """Rank the candidates of several models by boosted trees, which learn which held-out titles were in users' lists.

    In each fold, `held_out` training rows of every user are hidden, the models are trained on the others, and the trees
    learn with a log loss which candidates are hidden ones. Candidates are the best `candidates` unseen titles of each
    model whose scores are no predicted ratings; the others, such as svdpp, only give features. Features are score,
    score over the mean of the user's best, and rank of each model; the length of the history; number, mean and spread
    of the title's ratings; and, where the dataset has them, the title's age and how close its genres and its synopsis
    are to those of the history. Titles that are no candidates follow in the order of the first model. Predicted ratings
    are the mean of those of all models.

    Args:
        models: Models by name; at least one of them must rank by other scores than predicted ratings.
        folds: Number of folds, >= 2.
        held_out: Rows of each user that are hidden in a fold; users with at most folds x held_out rows are left out.
        candidates: Number of candidates of each model.
        relevant_from: Lowest rating of a title that the trees shall rank high, in the unit of the data; None: any.
        trees: The trees, fitted with log loss.

    Raises:
        UserError: No model gives candidates.

    References:
        Covington, Adams & Sargin, Deep Neural Networks for YouTube Recommendations, RecSys 2016 (two stages).
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id"})
    uses_unrated: ClassVar[bool] = True
    ranks_by_rating = False
    users_at_once: ClassVar[int | None] = USERS_AT_ONCE
    instead: ClassVar[str] = "one of its models alone"
    item_facts: Tensor
    genre_if: Tensor
    text_if: Tensor

    def __init__(
        self,
        *,
        models: Annotated[Mapping[str, RatingModel], MinLen(1)],
        folds: Folds,
        held_out: PositiveInt,
        candidates: PositiveInt,
        relevant_from: float | None,
        trees: BoostedTrees,
    ) -> None:
        super().__init__(models=models, folds=folds)
        self.hidden_rows, self.n_candidates, self.relevant_from, self.trees = held_out, candidates, relevant_from, trees
        if all(model.ranks_by_rating for model in models.values()):
            raise UserError(
                f"model.models: {', '.join(models)} rank by predicted ratings, which makes poor candidates; add a "
                "model such as ease"
            )
        self.collected: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
        if all(isinstance(model, SupportsFoldIn) for model in models.values()):
            # Set on the instance, so that isinstance(model, SupportsFoldIn) depends on its models.
            self.fold_in = self.fold_in_histories

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: the models, the history, and the features of the candidates of all users."""
        lists = self.folds * counts.n_users * OVERLAP * min(self.n_candidates, counts.n_items)
        features = 4 * (PER_MODEL * len(self.models) + FACTS + 4) * lists
        own = 8 * counts.n_rows + 4 * (FACTS + 1 + TYPICAL_GENRES) * counts.n_items + self.trees.size
        return super().cost(counts) + Cost(2 * features + own, own, lists * self.trees.n_trees)

    def setup(self, stage: str) -> None:
        """Refuse to train if no training row is relevant, before the models of the first stage are trained."""
        super().setup(stage)
        if stage == "fit" and not self.relevant(self.data.train.rating).any():
            highest = self.rating_scale.from_points(np.nanmax(self.data.train.rating))
            raise UserError(
                f"model.relevant_from={self.relevant_from:g}: no training rating is as high, so that the trees have "
                f"nothing to learn; the highest is {highest:g}. Use a lower metrics.relevant_from, or null for all."
            )

    def relevant(self, rating: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which ratings, in points, are relevant, (n,)."""
        if self.relevant_from is None:
            return np.ones(len(rating), dtype=bool)
        return rating >= self.rating_scale.to_points(np.array([self.relevant_from], dtype=np.float32))

    def allocate(self) -> None:
        super().allocate()
        self.register_buffer("item_facts", torch.zeros(self.n_items, FACTS + 1))
        self.register_buffer("genre_if", torch.zeros(self.n_items, 0))
        self.register_buffer("text_if", torch.zeros(self.n_items, 0))
        self.trees.n_features = PER_MODEL * len(self.models) + FACTS + 4

    def held_out(
        self, rank: NDArray[np.int64], count: NDArray[np.int64], user: NDArray[np.int32]
    ) -> Iterable[NDArray[np.bool_]]:
        long = count > self.folds * self.hidden_rows
        return (long & (rank // self.hidden_rows == fold) for fold in range(self.folds))

    def learn_fold(self, parts: Mapping[str, Any], kept: "RatingData", held_out: Interactions) -> None:
        """Collect the candidates of users with a relevant hidden title among them; seen titles are no candidates."""
        self.describe_items(kept)
        history = History.of(self.training_rows(kept)).to(self.device)
        wanted = self.relevant(held_out.rating)
        known = [rows for name in ("unrated", "excluded", "given") if (rows := getattr(kept, name, None)) is not None]
        of_fold = np.unique(held_out.user)
        for first in range(0, len(of_fold), USERS_AT_ONCE):
            users = of_fold[first : first + USERS_AT_ONCE]
            users_b = torch.from_numpy(users.astype(np.int64)).to(self.device)
            scored = {name: part.score_items(users_b) for name, part in parts.items()}
            also_seen_bi = np.zeros((len(users), self.n_items), dtype=bool)
            relevant_bi = np.zeros_like(also_seen_bi)
            for rows in known:
                mark(also_seen_bi, users, rows)
            mark(relevant_bi, users, held_out.where(wanted))
            row, item, rows_nf = self.candidates_of(scored, history.rows_of(users_b)[0], torch.from_numpy(also_seen_bi))
            target = relevant_bi[row, item]
            useful = (np.bincount(row, target, len(users)) > 0)[row]
            self.collected.append((rows_nf[useful], target[useful]))

    def solve_stage(self, data: "RatingData", seed: int) -> None:
        if not self.collected:
            self.collected.append((np.zeros((0, 1), np.float32), np.zeros(0, np.bool_)))
        rows_nf, target_n = (np.concatenate(column) for column in zip(*self.collected, strict=True))
        self.collected.clear()
        if not target_n.any() or target_n.all():
            raise UserError(
                f"model.folds={self.folds}, model.held_out={self.hidden_rows}: no user with more rows than their "
                "product has a relevant hidden title among the candidates. Use smaller numbers, a lower "
                "metrics.relevant_from, or more model.candidates."
            )
        self.describe_items(data)
        self.trees.fit(rows_nf, target_n, loss="log", seed=seed)

    def describe_items(self, data: "RatingData") -> None:
        """Compute what is known of all items from the training rows of the data and from the titles themselves."""
        rows, items = self.training_rows(data), getattr(data, "items", pl.DataFrame())
        facts = np.zeros((self.n_items + 1, FACTS), np.float32)
        if not np.isnan(data.train.rating).all():
            facts = rating_facts(data.train, data.train.item, self.n_items)
        count_i = np.log1p(np.bincount(rows.item, minlength=self.n_items))
        facts_if = np.column_stack([count_i, facts[:-1, 1:], ages(items, self.n_items)]).astype(np.float32)
        self.item_facts = torch.from_numpy(facts_if).to(self.device)
        self.genre_if = torch.from_numpy(genre_vectors(items, self.n_items)).to(self.device)
        self.text_if = torch.from_numpy(text_vectors(items, self.n_items)).to(self.device)

    def candidates_of(
        self, scored: Mapping[str, Tensor], rows: RatingBatch, also_seen_bi: Tensor | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Return user number and item of the candidates, sorted by both, and their features, (n, F).

        Args:
            scored: Scores of all items by each model, (B, n_items).
            rows: Histories of users 0 to B - 1.
            also_seen_bi: Further titles that are no candidates, bool (B, n_items).
        """
        n = len(next(iter(scored.values())))
        seen_bi = torch.zeros((n, self.n_items), dtype=torch.bool, device=rows.item.device)
        seen_bi[rows.user, rows.item] = True
        if also_seen_bi is not None:
            seen_bi |= also_seen_bi.to(seen_bi.device)
        chosen_bi, best = torch.zeros_like(seen_bi), {}
        k = min(self.n_candidates, self.n_items)
        for name, scores_bi in scored.items():
            top = scores_bi.float().masked_fill(seen_bi, -torch.inf).topk(k, dim=1)
            best[name] = top.values[:, :NEAR].nan_to_num(neginf=0.0).mean(1)
            if not self.models[name].ranks_by_rating:
                chosen_bi.scatter_(1, top.indices, True)
        row, item = (chosen_bi & ~seen_bi).nonzero().unbind(1)
        features = []
        for name, scores_bi in scored.items():
            score, near = scores_bi[row, item].float(), best[name][row]
            features += [score, score - near, score / near.abs().clamp(min=1e-6), ranks(row, score, n).log1p()]
        count_b = torch.bincount(rows.user, minlength=n)
        features += [count_b[row].float().log1p(), *self.item_facts[item].unbind(1)]
        for vectors_if in (self.genre_if, self.text_if):
            sums_bf = torch.zeros(n, vectors_if.shape[1], device=row.device)
            taste_bf = normalize(sums_bf.index_add_(0, rows.user, vectors_if[rows.item]), dim=1)
            features.append((taste_bf[row] * vectors_if[item]).sum(1))
        return row.cpu().numpy(), item.cpu().numpy(), torch.stack(features, 1).cpu().numpy()

    def rank(self, scored: Mapping[str, Tensor], rows: RatingBatch) -> Tensor:
        """Return ranking scores (B, n_items) from those of the models: of candidates above those of all others."""
        row, item, rows_nf = self.candidates_of(scored, rows)
        first_bi = next(score for name, score in scored.items() if not self.models[name].ranks_by_rating).float()
        low_b, high_b = first_bi.amin(1, keepdim=True), first_bi.amax(1, keepdim=True)
        share_bi = (first_bi - low_b) / (high_b - low_b).clamp(min=1e-12)
        if not len(row):
            return share_bi
        odds = torch.from_numpy(self.trees(rows_nf)).float().to(share_bi.device)
        index = torch.from_numpy(row).to(share_bi.device)
        lowest_b = odds.new_zeros(len(share_bi)).scatter_reduce(0, index, odds, "amin", include_self=False)
        scores_bi = lowest_b[:, None] - 2 + share_bi
        scores_bi[row, item] = odds + TINY * share_bi[row, item]
        return scores_bi

    def score_items(self, users: Tensor) -> Tensor:
        scored = {name: part.score_items(users) for name, part in self.named_parts()}
        return self.rank(scored, self.history.rows_of(users)[0])

    def fold_in_histories(self, batch: RatingBatch, n: int) -> Tensor:
        scored = {name: part.fold_in(batch, n) for name, part in self.named_parts()}
        return self.rank(scored, deduplicate(batch))

    def forward(self, batch: RatingBatch) -> Tensor:
        return torch.stack([part(batch) for part in self.parts()]).mean(0)


def mark(matrix_bi: NDArray[np.bool_], users: NDArray[np.integer], rows: Interactions) -> None:
    """Set the entries of the users' items to true; the users are sorted."""
    place = np.searchsorted(users, rows.user).clip(max=len(users) - 1)
    own = users[place] == rows.user
    matrix_bi[place[own], rows.item[own]] = True


def ranks(row: Tensor, score: Tensor, n: int) -> Tensor:
    """Return the rank of each score among those of its row, from 0, (m,); rows are sorted.

    >>> ranks(torch.tensor([0, 0, 1]), torch.tensor([1.0, 3.0, 2.0]), 2)
    tensor([1., 0., 0.])
    """
    order = torch.sort(score, descending=True, stable=True).indices
    order = order[torch.sort(row[order], stable=True).indices]
    count = torch.bincount(row, minlength=n)
    rank = torch.empty_like(score)
    rank[order] = (torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]).float()
    return rank
