"""Time of the same work on the same ratings in anirec and in Surprise, alternating in one process."""

from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import surprise
import torch

from anirec.data.ratings.interactions import Interactions
from anirec.lightning import Trainer
from experiments.benchmarks.ratings import (
    Generated,
    create_evaluation,
    create_model,
    generate_ratings,
    rating_data,
    sample_users,
)
from experiments.benchmarks.training import epochs_of, seconds, side_by_side, train

FACTORS = 80
PUBLISHED = ("epochs=12", "lr=.005", "lr_decay=1.0", "reg=.02", "init_std=.1")
KNN = {
    "sim_options": {"name": "pearson_baseline", "user_based": False, "shrinkage": 100},
    "bsl_options": {"method": "als"},
    "verbose": False,
}
SAME_KNN = ("neighbours=40", "shrinkage=100", "damping_user=15", "damping_item=10")


class Comparison(NamedTuple):
    """A row of the table: seconds of anirec for `n` and of Surprise for `n_theirs` ratings (users for ranking)."""

    what: str
    n: int
    ours: float
    n_theirs: int
    theirs: float | None

    @property
    def ratio(self) -> float | None:
        """Time of Surprise / time of anirec, each per rating."""
        return None if self.theirs is None else (self.theirs / self.n_theirs) / (self.ours / self.n)


def measurements() -> Iterator[Comparison]:
    """Yield all measurements; a warm-up excludes the compilation, which happens once per machine."""
    name, data = rating_data()
    warm_up(data)
    rows, n = surprise_rows(data.train), len(data.train)
    test = list(zip(data.test.user.tolist(), data.test.item.tolist(), data.test.rating.tolist(), strict=True))

    svdpp, reference = (
        create_model("svdpp", *PUBLISHED),
        surprise.SVDpp(n_factors=FACTORS, n_epochs=1, cache_ratings=True),
    )
    ours, theirs = side_by_side(lambda: epochs_of(svdpp, data, epochs=12), lambda: seconds(lambda: reference.fit(rows)))
    yield Comparison(f"SVD++ epoch, {FACTORS} factors: {name}", n, ours, n, theirs)
    yield compare_predictions("SVD++", svdpp, reference, data, test[:4000])

    many = generate_ratings(2_000_000)
    few = sample_users(many, 60_000)
    large, few_rows = create_model("svdpp", *PUBLISHED), surprise_rows(few)
    ours, theirs = side_by_side(
        lambda: epochs_of(large, Generated(many), epochs=4), lambda: seconds(lambda: reference.fit(few_rows), repeat=3)
    )
    yield Comparison(
        "SVD++ epoch: 2 million generated (Surprise: a sample of users)", len(many), ours, len(few), theirs
    )

    svd, reference = create_model("svd", *PUBLISHED), surprise.SVD(n_factors=FACTORS, n_epochs=1)
    all_threads = torch.get_num_threads()
    for n_threads in sorted({1, all_threads}):
        torch.set_num_threads(n_threads)
        ours, theirs = side_by_side(
            lambda: epochs_of(svd, data, epochs=12), lambda: seconds(lambda: reference.fit(rows), repeat=5)
        )
        yield Comparison(f"SVD epoch, threads: {n_threads}: {name}", n, ours, n, theirs)
    torch.set_num_threads(all_threads)

    knn, reference = create_model("item_knn", *SAME_KNN), surprise.KNNBaseline(k=40, **KNN)
    ours, theirs = side_by_side(
        lambda: seconds(lambda: train(knn, data), repeat=3), lambda: seconds(lambda: reference.fit(rows))
    )
    yield Comparison(f"item-item fit, similarities included: {name}", n, ours, n, theirs)
    yield compare_predictions("item-item", knn, reference, data, test)

    ease = create_model("ease")
    ours = median(seconds(lambda: train(ease, data)))
    yield Comparison(f"EASE fit, {data.n_items:,} items: {name}", n, ours, n, None)
    for kind, trained in (("SVD++", svdpp), ("item-item", knn), ("EASE", ease)):
        yield measure_ranking(kind, trained, data)


def surprise_rows(rows: Interactions) -> surprise.Trainset:
    """Return the ratings in Surprise's own format."""
    users, items = ({index: new for new, index in enumerate(dict.fromkeys(c.tolist()))} for c in (rows.user, rows.item))
    of_user, of_item = defaultdict(list), defaultdict(list)
    for user, item, rating in zip(rows.user.tolist(), rows.item.tolist(), rows.rating.tolist(), strict=True):
        of_user[users[user]].append((items[item], rating))
        of_item[items[item]].append((users[user], rating))
    return surprise.Trainset(of_user, of_item, len(users), len(items), len(rows), (1, 10), users, items)


def compare_predictions(kind: str, ours: Any, theirs: Any, data: Any, test: list[tuple[int, int, float]]) -> Comparison:
    """Measure the prediction of test ratings: anirec predicts all rows, Surprise those of `test`."""
    rows = data.test.rows(0, len(data.test))
    with torch.no_grad():
        took = side_by_side(lambda: seconds(lambda: ours(rows), repeat=5), lambda: seconds(lambda: theirs.test(test)))
    return Comparison(f"{kind} prediction of test ratings", len(data.test), took[0], len(test), took[1])


def measure_ranking(kind: str, trained: Any, data: Any) -> Comparison:
    """Measure the evaluation of `anirec run` on the test set: all metrics, with each user's top 10 of the catalogue."""

    def test() -> None:
        evaluation = create_evaluation()  # a new one each time, since it keeps the lists of a model
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[evaluation])
        trainer.test(trained, datamodule=data, verbose=False)

    took = median(seconds(test, repeat=3))
    n_users = len(np.unique(data.test.user))
    return Comparison(f"{kind} full-ranking evaluation, all users", n_users, took, n_users, None)


def warm_up(data: Any) -> None:
    """Run everything once, to compile kernels and fill caches."""
    for name in ("svd", "svdpp", "item_knn"):
        warm = create_model(name, *(("epochs=1",) if "svd" in name else ()))
        train(warm, data)
        with torch.no_grad():
            warm(data.test.rows(0, len(data.test)))
        measure_ranking(name, warm, data)
