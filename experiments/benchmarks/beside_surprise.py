"""The same work on the same ratings by anirec and by Surprise, one after the other in this process."""

from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import surprise
import torch
from pytorch_lightning import Trainer

from anirec.data.ratings.interactions import Interactions
from experiments.benchmarks.ratings import Generated, evaluation, generated, model, rating_data, some_users
from experiments.benchmarks.training import epochs_of, seconds, side_by_side, train

FACTORS = 80
PUBLISHED = ("epochs=12", "lr=.005", "lr_decay=1.0", "reg=.02", "init_std=.1")
KNN = {
    "sim_options": {"name": "pearson_baseline", "user_based": False, "shrinkage": 100},
    "bsl_options": {"method": "als"},
    "verbose": False,
}
SAME_KNN = ("neighbours=40", "shrinkage=100", "damping_user=15", "damping_item=10")


class Measured(NamedTuple):
    """One line of the table; seconds for `n` ratings (users, where ranking is measured)."""

    what: str
    n: int
    ours: float
    n_theirs: int
    theirs: float | None

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is, per rating."""
        return None if self.theirs is None else (self.theirs / self.n_theirs) / (self.ours / self.n)


def measurements() -> Iterator[Measured]:
    """Everything, ours after a warm-up: compiling, once per machine, is left out."""
    name, data = rating_data()
    warm_up(data)
    rows, n = surprise_rows(data.train), len(data.train)
    test = list(zip(data.test.user.tolist(), data.test.item.tolist(), data.test.rating.tolist(), strict=True))

    svdpp, reference = model("svdpp", *PUBLISHED), surprise.SVDpp(n_factors=FACTORS, n_epochs=1, cache_ratings=True)
    ours, theirs = side_by_side(lambda: epochs_of(svdpp, data, epochs=12), lambda: seconds(lambda: reference.fit(rows)))
    yield Measured(f"SVD++ epoch, {FACTORS} factors: {name}", n, ours, n, theirs)
    yield predicting("SVD++", svdpp, reference, data, test[:4000])

    many = generated(2_000_000)
    few = some_users(many, 60_000)
    large, few_rows = model("svdpp", *PUBLISHED), surprise_rows(few)
    ours, theirs = side_by_side(
        lambda: epochs_of(large, Generated(many), epochs=4), lambda: seconds(lambda: reference.fit(few_rows), repeat=3)
    )
    yield Measured(
        "SVD++ epoch: 2 million generated (Surprise: whole users of them)", len(many), ours, len(few), theirs
    )

    svd, reference = model("svd", *PUBLISHED), surprise.SVD(n_factors=FACTORS, n_epochs=1)
    ours, theirs = side_by_side(
        lambda: epochs_of(svd, data, epochs=12), lambda: seconds(lambda: reference.fit(rows), repeat=5)
    )
    yield Measured(f"SVD epoch: {name}", n, ours, n, theirs)

    knn, reference = model("item_knn", *SAME_KNN), surprise.KNNBaseline(k=40, **KNN)
    ours, theirs = side_by_side(
        lambda: seconds(lambda: train(knn, data), repeat=3), lambda: seconds(lambda: reference.fit(rows))
    )
    yield Measured(f"item-item fit, similarities included: {name}", n, ours, n, theirs)
    yield predicting("item-item", knn, reference, data, test)

    ease = model("ease")
    ours = median(seconds(lambda: train(ease, data)))
    yield Measured(f"EASE fit, {data.n_items:,} items: {name}", n, ours, n, None)
    for kind, trained in (("SVD++", svdpp), ("item-item", knn), ("EASE", ease)):
        yield ranking(kind, trained, data)


def surprise_rows(rows: Interactions) -> surprise.Trainset:
    """The ratings as Surprise's own dictionaries."""
    users, items = ({index: new for new, index in enumerate(dict.fromkeys(c.tolist()))} for c in (rows.user, rows.item))
    of_user, of_item = defaultdict(list), defaultdict(list)
    for user, item, rating in zip(rows.user.tolist(), rows.item.tolist(), rows.rating.tolist(), strict=True):
        of_user[users[user]].append((items[item], rating))
        of_item[items[item]].append((users[user], rating))
    return surprise.Trainset(of_user, of_item, len(users), len(items), len(rows), (1, 10), users, items)


def predicting(kind: str, ours: Any, theirs: Any, data: Any, test: list[tuple[int, int, float]]) -> Measured:
    """Ratings of test rows: ours of all, theirs of those given."""
    rows = data.test.rows(0, len(data.test))
    with torch.no_grad():
        took = side_by_side(lambda: seconds(lambda: ours(rows), repeat=5), lambda: seconds(lambda: theirs.test(test)))
    return Measured(f"{kind} prediction of test ratings", len(data.test), took[0], len(test), took[1])


def ranking(kind: str, trained: Any, data: Any) -> Measured:
    """Every user's top 10 of the whole catalogue, and all metrics of the test set, as `anirec run` has them."""
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[evaluation()])
    took = median(seconds(lambda: trainer.test(trained, datamodule=data, verbose=False), repeat=3))
    n_users = len(np.unique(data.test.user))
    return Measured(f"{kind} full-ranking evaluation of all users", n_users, took, n_users, None)


def warm_up(data: Any) -> None:
    """Everything once, for the compiler and the caches."""
    for name in ("svd", "svdpp", "item_knn"):
        warm = model(name, *(("epochs=1",) if "svd" in name else ()))
        train(warm, data)
        with torch.no_grad():
            warm(data.test.rows(0, len(data.test)))
        ranking(name, warm, data)
