"""RatingEvaluation: rating and ranking metrics on validation and test rows, findings and figures.

It needs two things from any model: the predictions that its steps return, and `score_items`; for users with a given
history, `fold_in` where a model has it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.errors import UserError
from anirec.evaluation.base import Evaluation, check_finite
from anirec.evaluation.dummies import damped_means, popular_lists, shuffled_lists
from anirec.evaluation.known_histories import scorer
from anirec.evaluation.known_lists import KnownLists
from anirec.evaluation.rating_results import POPULAR, SHUFFLED, RankedLists, RatingResults
from anirec.evaluation.results import Ranked, RatingRows
from anirec.evaluation.segments import distinct, list_values, ranking_values, row_values, segment_values, user_values
from anirec.evaluation.top_items import TopItems, find_hits, top_lists
from anirec.lightning import LightningModule, Trainer
from anirec.metrics.beyond_accuracy import ItemStatistics, genre_matrix, training_counts
from anirec.metrics.definition import DECLARED
from anirec.metrics.names import MetricName, is_ranking
from anirec.metrics.popularity_bias import RankedUsers, count_items, genre_shares, profiles, tastes
from anirec.notices import warn
from anirec.progress import StatusLine
from anirec.settings import PositiveInt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLE_SEED = 0
SCORES_AT_ONCE = 1 << 20  # on the CPU; larger tensors get new memory for each block, which takes longer than scoring
ON_DEVICE = 256  # users ranked at once on a GPU


class RatingEvaluation(Evaluation):
    """Compute rating metrics of the predictions, and ranking metrics over the whole catalogue or its cold items.

    Every user with a relevant held-out item gets the k best items that are not already seen. Seen are the items of the
    user's training rows and of the given, unrated and excluded ones; at test also those of the validation rows. Only
    held-out items of known users count as relevant.

    `trainer.validate` and `trainer.test` fill the tables `predictions` and `recommendations` (of the test users), and
    add `unknown_users` and `unknown_items`: the number of rows whose user (item) has no training rating.

    Args:
        names: Metrics, such as rmse or ndcg@10; the first is shown in the progress bar.
        segments: Whether to add the cold, middle and heavy thirds of users and items, such as `test/rmse/cold_items`
            (rating metrics by both, ranking metrics by users); see `segments.py`.
        block: Number of users ranked at once; "auto": as many as the model ranks in the least time.
        relevant_from: The lowest rating that makes a held-out item relevant; None: every held-out item is relevant.
        max_users: Rank for this many users only, the same random sample in every run on the split; None for all.
        candidates: Items that are ranked and can be relevant: "all", or "cold" ones, without a training rating.
        rank_every: Epochs between two rankings in training, >= 1; "auto": 1 if a callback, such as the one that saves
            the best checkpoint, reads a ranking metric, else no ranking in training. The final model is always ranked.

    Raises:
        UserError: If a name or number is wrong; during the run, if the model predicts NaN or infinity.
    """

    kinds = frozenset({"rating", "ranking", "lists", "users"})

    def __init__(
        self,
        *,
        names: Sequence[str],
        segments: bool,
        block: Literal["auto"] | PositiveInt,
        relevant_from: float | None,
        max_users: PositiveInt | None,
        candidates: Literal["all", "cold"],
        rank_every: Literal["auto"] | PositiveInt,
        **settings: Any,
    ) -> None:
        super().__init__(names=names, **settings)
        self.segments = segments
        self.block = block
        self.relevant_from = relevant_from
        self.max_users = max_users
        self.candidates = candidates
        self.rank_every, self.is_watched = rank_every, False
        self.k = max((name.k for name in self.names if name.k), default=0)
        self.predictions: dict[str, RatingRows] = {}
        self.recommendations: dict[str, Ranked] = {}
        self.ids: tuple[pl.Series, pl.Series]  # of users and of items
        self.counted: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self.known = KnownLists()
        self.results: RatingResults | None = None

    @property
    def tables(self) -> dict[str, Iterator[pl.DataFrame]]:
        """`predictions` of all splits evaluated so far, and `recommendations` of the test users, in parts."""
        named: dict[str, Mapping[str, RatingRows | Ranked]]
        named = {"predictions": self.predictions, "recommendations": self.recommendations}
        return {name: self.parts(of_splits) for name, of_splits in named.items() if of_splits}

    def parts(self, of_splits: Mapping[str, RatingRows | Ranked]) -> Iterator[pl.DataFrame]:
        """Yield the tables of all splits."""
        for split, rows in of_splits.items():
            yield from rows.tables(*self.ids, split)

    @property
    def findings(self) -> list[str]:
        return list(self.results.findings()) if self.results else []

    @property
    def figures(self) -> dict[str, "Figure"]:
        if self.results is None:
            return {}
        from anirec.evaluation.rating_figures import draw_results

        return draw_results(self.results)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave out metrics that need what the data lack, and warn of it, before training.

        Raises:
            UserError: Every rating would be relevant, or none; or the data lack what the objective needs.
        """
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        scale, wanted = data.scale, self.relevant_from
        if wanted is not None and wanted not in scale:
            raise UserError(
                f"metrics.relevant_from={wanted:g}: the ratings of this dataset go from {scale}; "
                f"try metrics.relevant_from={scale.liked:g}"
            )
        self.leave_out_undefined(watched_by(trainer), set(data.items.columns))

    def leave_out_undefined(self, watched: Sequence[str], columns: Collection[str]) -> None:
        """Remove the metrics that need a column of titles that the data lack."""
        for name in [name for name in self.names if (need := DECLARED[name.metric].needs) and need not in columns]:
            need = DECLARED[name.metric].needs
            if f"val/{name.short}" in watched:
                raise UserError(f"objective=val/{name.short}: needs the {need} of titles, which this dataset lacks")
            warn(f"{name.short} is left out: it needs the {need} of titles, which this dataset lacks")
            self.names.remove(name)
        self.k = max((name.k for name in self.names if name.k), default=0)

    def collect(self, batch: Any, outputs: Any) -> tuple[Any, ...]:
        return batch.user.int(), batch.item.int(), batch.rating, outputs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out whether training reads ranking metrics."""
        watched = [name for name in watched_by(trainer) if is_ranking(name)]
        self.is_watched = bool(watched)
        if watched and self.rank_every not in ("auto", 1):
            raise UserError(
                f"metrics.rank_every={self.rank_every}: {watched[0]} is needed after every epoch, to choose the best "
                "one or to stop. Set metrics.rank_every=auto, or choose another objective."
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        self.known.clear()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(trainer, pl_module, checkpoint)
        self.known.clear()

    def ranks(self, epoch: int, *, is_final: bool) -> bool:
        """Return whether the model is ranked now."""
        every = int(self.is_watched) if self.rank_every == "auto" else self.rank_every
        return bool(self.k) and (is_final or (every > 0 and (epoch + 1) % every == 0))

    def measure(
        self, trainer: Trainer, model: LightningModule, batches: list[tuple[Any, ...]], split: str, *, is_final: bool
    ) -> dict[str, float]:
        data = trainer.datamodule  # type: ignore[attr-defined]
        rows = RatingRows.from_batches(batches)
        if getattr(model, "predicts_ratings", True):
            check_finite(model, split, "ratings", np.isfinite(rows.prediction))
        ranks = self.ranks(trainer.current_epoch, is_final=is_final)
        # In training, the progress bar is on the terminal.
        with StatusLine(f"ranking titles for the {split} users") if ranks and is_final else nullcontext():
            ranked = self.rank(model, data, rows, self.splits_of_pass(trainer, split, is_final)) if ranks else None
        values = self.values(data, rows, ranked, [name for name in self.names if ranks or not name.k], split)
        if is_final:
            values |= self.details(data, rows, ranked)
            self.ids = pl.Series(data.users), data.items["item_id"]
            if rows.are_rated:
                self.predictions[split] = rows
            if ranked and split == "test":
                self.recommendations[split] = ranked
            if split == "test":
                self.results = replace(
                    self.beside_dummies(data, rows, ranked),
                    why_no_lists=self.why_no_lists(rows) if ranks and ranked is None else "",
                    rates_by_bias=getattr(model, "rates_by_bias", False),
                    lists_first=any(map(is_ranking, watched_by(trainer))),
                )
        return values

    @staticmethod
    def splits_of_pass(trainer: Trainer, split: str, is_final: bool) -> list[str]:
        """Return the split, and after "val" also "test" if the test of the same model may follow."""
        is_last = is_final or trainer.current_epoch + 1 == trainer.max_epochs
        return ["val", "test"] if split == "val" and is_last else [split]

    def rank(self, model: LightningModule, data: Any, rows: RatingRows, splits: Sequence[str]) -> Ranked | None:
        """Rank items for the users with a relevant held-out item in the first split; None if there are none.

        Their lists of the other splits are made from the same scores. They need no held-out item of these splits.
        """
        candidates = self.candidate_items(data)
        user, item = self.relevant_pairs(rows, candidates)
        users = distinct(user)
        if not len(users):
            return None
        if self.max_users is not None and len(users) > self.max_users:
            users = np.sort(np.random.default_rng(SAMPLE_SEED).choice(users, self.max_users, replace=False))
        block = self.users_at_once(model, data.n_items) if self.block == "auto" else self.block

        def rank_users(some: NDArray[np.int64]) -> list[TopItems]:
            seen, score = [self.seen_rows(data, split) for split in splits], scorer(model, data)
            settings = {"candidates": candidates, "k": self.k, "block": block, "device": model.device}
            return top_lists(score, some, seen, **settings)  # type: ignore[arg-type]

        top = self.known.complete(model, data, users, splits, rank_users)
        check_finite(model, splits[0], "users' rankings", ~np.isnan(top.scores_uk).any(axis=1))
        if getattr(model, "ranks_by_rating", False):
            top = replace(top, scores_uk=data.scale.from_points(top.scores_uk))
        return Ranked(top, *find_hits(top, user, item, data.n_items))

    def why_no_lists(self, rows: RatingRows) -> str:
        """Return why no user has a relevant test title."""
        if self.relevant_from is None or len(rows.relevant(self.relevant_from)[0]):
            return "No list is evaluated: no test title is a candidate."
        return (
            f"No list is evaluated: no test rating is {self.relevant_from:g} or higher; the highest is "
            f"{np.nanmax(rows.target):g}. Set a lower metrics.relevant_from."
        )

    @staticmethod
    def users_at_once(model: LightningModule, n_items: int) -> int:
        """Return the number of users that are ranked together in the least time."""
        if model.device.type != "cpu":
            return ON_DEVICE
        return getattr(model, "users_at_once", None) or max(1, SCORES_AT_ONCE // n_items)

    def relevant_pairs(
        self, rows: RatingRows, candidates: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return users and items of the relevant rows whose item is a candidate."""
        user, item = rows.relevant(self.relevant_from)
        if candidates is not None:
            is_candidate = np.isin(item, candidates)
            user, item = user[is_candidate], item[is_candidate]
        return user, item

    @staticmethod
    def seen_rows(data: Any, split: str) -> list[Any]:
        """Return the interactions whose items are not recommended to their user."""
        seen = [data.train, data.given, data.unrated, data.excluded, *([data.val] if split == "test" else [])]
        return [rows for rows in seen if rows is not None]

    def beside_dummies(self, data: Any, rows: RatingRows, ranked: Ranked | None) -> RatingResults:
        """Return the test results together with those of the dummies, which know the training rows only."""
        count_u, count_i = (np.append(counts, 0) for counts in self.counts(data))
        means_i = damped_means(data.train.item, data.train.rating, data.n_items)
        dummy = data.scale.from_points(means_i)[rows.item]
        counts = {"users": count_u[rows.user], "titles": count_i[rows.item]}
        return RatingResults(rows, dummy, counts, self.dummy_lists(data, rows, ranked, count_i) if ranked else None)

    def dummy_lists(self, data: Any, rows: RatingRows, ranked: Ranked, count_i: NDArray[np.integer]) -> RankedLists:
        """Return the lists beside those of the most popular candidates, or of candidates in random order if cold."""
        candidates = self.candidate_items(data)
        items_c = np.arange(data.n_items) if candidates is None else candidates
        seen = self.seen_rows(data, "test")
        users = ranked.top.users
        if self.candidates == "cold":  # equally popular
            top = shuffled_lists(data.n_items, users, seen, k=self.k, candidates=items_c, seed=SAMPLE_SEED)
        else:
            top = popular_lists(count_i[:-1], users, seen, k=self.k, candidates=candidates)
        theirs = Ranked(top, *find_hits(top, *self.relevant_pairs(rows, candidates), data.n_items))
        return RankedLists(ranked, theirs, POPULAR if self.candidates == "all" else SHUFFLED, count_i[items_c], items_c)

    def candidate_items(self, data: Any) -> NDArray[np.int64] | None:
        """Return the items to rank, of those that exist at the time of the split; None for all.

        Cold items, those without a training rating, are in random order: a model may score them all equally, and ties
        would otherwise follow the ids, which favour old, well-known titles.
        """
        if self.candidates == "all":
            return data.offered
        _, count_i = self.counts(data)
        items = np.flatnonzero(count_i == 0)
        if data.offered is not None:
            items = np.intersect1d(items, data.offered)
        return np.random.default_rng(SAMPLE_SEED).permutation(items)

    def counts(self, data: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the number of training ratings of every user and of every item; they are counted once."""
        self.counted = self.counted or training_counts(data)
        return self.counted

    def item_statistics(self, data: Any) -> ItemStatistics:
        count_u, count_i = self.counts(data)
        genres = data.items["genres"] if "genres" in data.items.columns else pl.Series([[]] * data.n_items)
        genres_ig = genre_matrix(genres.cast(pl.List(pl.String)))
        return ItemStatistics(count_i, int((count_u > 0).sum()), genres_ig, self.candidate_items(data))

    def ranked_users(
        self, data: Any, rows: RatingRows, ranked: Ranked, statistics: ItemStatistics, split: str
    ) -> RankedUsers:
        """Return what the ranked users have seen and would choose; computed only when a metric asks for it."""
        users = ranked.top.users
        user, item = self.relevant_pairs(rows, self.candidate_items(data))
        relevant_i = np.bincount(item[np.isin(user, users)], minlength=data.n_items)
        return RankedUsers(
            ranked.hits_uk,
            relevant_i,
            seen_i=lambda: np.sum([count_items(of, users, data.n_items) for of in self.seen_rows(data, split)], axis=0),
            taste_ug=lambda: tastes(data.train, users, genre_shares(statistics.genres_ig)),
            n_relevant_u=ranked.n_relevant_u,
            profiles=cache(lambda: profiles(data.train, users, statistics.count_i)),
        )

    def values(
        self, data: Any, rows: RatingRows, ranked: Ranked | None, names: Sequence[MetricName], split: str
    ) -> dict[str, float]:
        """Return these metrics in their order; ranking metrics are NaN if no user was ranked."""
        found = dict(row_values(names, rows))
        if ranked:
            found |= ranking_values(names, ranked)
            statistics = self.item_statistics(data)
            found |= list_values(names, ranked, statistics)
            found |= user_values(names, ranked, statistics, self.ranked_users(data, rows, ranked, statistics, split))
        return {name.short: found.get(name.short, np.nan) for name in names}

    def details(self, data: Any, rows: RatingRows, ranked: Ranked | None) -> dict[str, float]:
        """Return what is computed for a finished model only: unknown users and items, and segments."""
        count_u, count_i = (np.append(counts, 0) for counts in self.counts(data))
        values = {
            "unknown_users": float((count_u[rows.user] == 0).sum()),
            "unknown_items": float((count_i[rows.item] == 0).sum()),
        }
        if self.segments:
            values |= segment_values(self.names, rows, ranked, count_u, count_i)
        return values


def watched_by(trainer: Trainer) -> list[str]:
    """Return the names of the metrics that callbacks and learning-rate schedules read."""
    read = [getattr(callback, key, None) for callback in trainer.callbacks for key in ("monitor", "objective")]  # type: ignore[attr-defined]
    read += [config.monitor for config in trainer.lr_scheduler_configs]
    return [name for name in read if isinstance(name, str)]


class RatingErrors(RatingEvaluation):
    """Compute rating metrics only, for models that would take long to rank the whole catalogue.

    Args:
        names: Rating metrics, such as rmse; the first is shown in the progress bar.
        segments: Whether to add the cold, middle and heavy thirds of users and items.
    """

    kinds = frozenset({"rating"})

    def __init__(self, *, names: Sequence[str], segments: bool, torchmetrics: Mapping[str, Any]) -> None:
        ranking: dict[str, Any] = {
            "block": 1,
            "relevant_from": None,
            "max_users": None,
            "candidates": "all",
            "rank_every": "auto",
        }
        super().__init__(names=names, segments=segments, torchmetrics=torchmetrics, **ranking)
