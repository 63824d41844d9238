"""One measurement of `experiments.benchmarks.peers`: fit one algorithm of one library and recommend to all users.

    python peer_process.py LIBRARY ALGORITHM ROWS.npz THREADS

Prints one line of JSON. Runs in a process of its own, in the environment of the library, which may lack anirec.
"""

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

PACKAGES = {
    "anirec": "anirec",
    "implicit": "implicit",
    "lenskit": "lenskit",
    "rectools": "rectools",
    "surprise": "scikit-surprise",
}
K = 10
REPEAT_BELOW = 20.0  # seconds; a shorter fit is repeated, so that compilation and caches do not count
FACTORS, SWEEPS, EPOCHS, NEIGHBOURS = 64, 5, 12, 20
WEIGHT, REG_ALS, REG_EASE, REG_SVD, RATE = 4.0, 30.0, 100.0, 0.02, 0.005


class Rows:
    """Training rows sorted by user, and test rows, as arrays of indices."""

    def __init__(self, path: str) -> None:
        import numpy as np

        for name, values in np.load(path).items():
            setattr(self, name, values)
        self.n_users, self.n_items = int(self.sizes[0]), int(self.sizes[1])  # type: ignore[attr-defined]

    def matrix(self) -> Any:
        """Return the interactions as a sparse matrix of ones, float32 (n_users, n_items)."""
        import numpy as np
        from scipy.sparse import csr_matrix

        ones, shape = np.ones(len(self.item), np.float32), (self.n_users, self.n_items)  # type: ignore[attr-defined]
        return csr_matrix((ones, (self.user, self.item)), shape=shape)  # type: ignore[attr-defined]

    def frame(self, user: str, item: str, rating: str) -> Any:
        import pandas as pd

        return pd.DataFrame({user: self.user, item: self.item, rating: self.rating})  # type: ignore[attr-defined]

    def hit_rate(self, users: Any, items_uk: Any) -> float:
        """Return the share of test rows whose item is in the list of its user."""
        lists = {int(user): set(map(int, items)) for user, items in zip(users, items_uk, strict=True)}
        hits = [
            item in lists.get(user, ())
            for user, item in zip(self.test_user.tolist(), self.test_item.tolist(), strict=True)
        ]  # type: ignore[attr-defined]
        return sum(hits) / len(hits)


Steps = tuple[Callable[[], Any], Callable[[Any], tuple[Any, Any]] | None]  # fit, and recommend with what it returns


def anirec(algorithm: str, rows: Rows, threads: int) -> Steps:
    import numpy as np

    from anirec.data.ratings.interactions import Interactions
    from anirec.evaluation.ratings import RatingEvaluation
    from anirec.evaluation.top_items import top_items
    from anirec.threads import set_threads
    from experiments.benchmarks.ratings import Generated, create_model
    from experiments.benchmarks.training import train

    set_threads(threads)
    settings = {
        "als": ("als", f"n_factors={FACTORS}", f"epochs={SWEEPS}", f"alpha={WEIGHT}", f"reg={REG_ALS}"),
        "cosine": (
            "item_knn",
            "similarity=cosine",
            "around=nothing",
            f"neighbours={NEIGHBOURS}",
            f"keep={NEIGHBOURS}",
            "shrinkage=0",
        ),
        "item-item": ("item_knn", f"neighbours={NEIGHBOURS}"),
        "ease": ("ease", f"reg={REG_EASE}"),
        "svd": (
            "svd",
            f"n_factors={FACTORS}",
            f"epochs={EPOCHS}",
            f"lr={RATE}",
            "lr_decay=1",
            f"reg={REG_SVD}",
            f"reg_bias={REG_SVD}",
        ),
    }[algorithm]
    train_rows = Interactions(rows.user, rows.item, rows.rating, rows.n_users)  # type: ignore[attr-defined]
    data = Generated(train_rows)
    data.n_items = rows.n_items

    models = [create_model(*settings) for _ in range(2)]

    def fit() -> Any:
        fresh = models.pop()
        train(fresh, data, epochs=getattr(fresh, "epochs", 1))
        return fresh.eval()

    def recommend(fitted: Any) -> tuple[Any, Any]:
        block = RatingEvaluation.users_at_once(fitted, rows.n_items)
        top = top_items(fitted.score_items, np.arange(rows.n_users), [train_rows], k=K, block=block)
        return top.users, top.items_uk

    return fit, recommend


def implicit(algorithm: str, rows: Rows, threads: int) -> Steps:
    import numpy as np
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking
    from implicit.nearest_neighbours import CosineRecommender

    model = {
        # A confidence of alpha stands for 1 + alpha of the other libraries.
        "als": lambda: AlternatingLeastSquares(
            FACTORS, regularization=REG_ALS, alpha=1 + WEIGHT, iterations=SWEEPS, num_threads=threads, random_state=0
        ),
        "cosine": lambda: CosineRecommender(NEIGHBOURS, num_threads=threads),
        "bpr": lambda: BayesianPersonalizedRanking(FACTORS, iterations=EPOCHS, num_threads=threads, random_state=0),
    }[algorithm]
    matrix = rows.matrix()

    def fit() -> Any:
        made = model()
        made.fit(matrix, show_progress=False)
        return made

    users = np.arange(rows.n_users)
    return fit, lambda made: (users, made.recommend(users, matrix, N=K)[0])


def rectools(algorithm: str, rows: Rows, threads: int) -> Steps:
    from implicit.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import CosineRecommender
    from rectools import models
    from rectools.dataset import Dataset

    made = {
        "als": lambda: models.ImplicitALSWrapperModel(
            AlternatingLeastSquares(
                FACTORS,
                regularization=REG_ALS,
                alpha=1 + WEIGHT,
                iterations=SWEEPS,
                num_threads=threads,
                random_state=0,
            )
        ),
        "cosine": lambda: models.ImplicitItemKNNWrapperModel(CosineRecommender(NEIGHBOURS, num_threads=threads)),
        "ease": lambda: models.EASEModel(REG_EASE, recommend_n_threads=threads),
    }[algorithm]
    table = rows.frame("user_id", "item_id", "weight").assign(weight=1.0, datetime="2020-01-01")
    data = Dataset.construct(table)

    def recommend(model: Any) -> tuple[Any, Any]:
        found = model.recommend(table["user_id"].unique(), dataset=data, k=K, filter_viewed=True)
        lists = found.groupby("user_id")["item_id"].apply(list)
        return lists.index, lists.tolist()

    return lambda: made().fit(data), recommend


def lenskit(algorithm: str, rows: Rows, threads: int) -> Steps:
    import numpy as np
    from lenskit.als import ImplicitMFScorer
    from lenskit.batch import recommend as recommend_all
    from lenskit.data import from_interactions_df
    from lenskit.funksvd import FunkSVDScorer
    from lenskit.knn import EASEScorer, ItemKNNScorer
    from lenskit.pipeline import topn_pipeline

    scorer = {
        "als": lambda: ImplicitMFScorer(embedding_size=FACTORS, epochs=SWEEPS, weight=WEIGHT, regularization=REG_ALS),
        "cosine": lambda: ItemKNNScorer(max_nbrs=NEIGHBOURS, save_nbrs=NEIGHBOURS, feedback="implicit"),
        "item-item": lambda: ItemKNNScorer(max_nbrs=NEIGHBOURS, save_nbrs=500, feedback="explicit"),
        "ease": lambda: EASEScorer(regularization=REG_EASE),
        "svd": lambda: FunkSVDScorer(embedding_size=FACTORS, epochs=EPOCHS, learning_rate=RATE, regularization=REG_SVD),
    }[algorithm]
    data = from_interactions_df(rows.frame("user_id", "item_id", "rating"))

    def fit() -> Any:
        pipeline = topn_pipeline(scorer(), n=K)
        pipeline.train(data)
        return pipeline

    def recommend(pipeline: Any) -> tuple[Any, Any]:
        lists = recommend_all(pipeline, np.unique(rows.user), K, n_jobs=threads)  # type: ignore[attr-defined]
        pairs = [(key.user_id, items.ids().tolist()) for key, items in lists]
        return [user for user, _ in pairs], [items for _, items in pairs]

    return fit, recommend


def surprise(algorithm: str, rows: Rows, _: int) -> Steps:
    """Surprise uses one thread and ranks no catalogue: it would predict each pair in Python."""
    import surprise
    from surprise import Dataset, Reader

    model = {
        "item-item": lambda: surprise.KNNBaseline(
            k=NEIGHBOURS, sim_options={"name": "pearson_baseline", "user_based": False, "shrinkage": 500}, verbose=False
        ),
        "svd": lambda: surprise.SVD(n_factors=FACTORS, n_epochs=EPOCHS, lr_all=RATE, reg_all=REG_SVD, random_state=0),
    }[algorithm]
    table = rows.frame("user", "item", "rating")
    data = Dataset.load_from_df(table, Reader(rating_scale=(table.rating.min(), table.rating.max())))
    trainset = data.build_full_trainset()
    return lambda: model().fit(trainset), None


def timed(step: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result, the seconds and the CPU seconds of this process and its finished children."""
    started, cpu = time.perf_counter(), sum(os.times()[:4])
    result = step()
    return result, time.perf_counter() - started, sum(os.times()[:4]) - cpu


def main() -> None:
    library, algorithm, path, threads = sys.argv[1:]
    warnings.filterwarnings("ignore")
    rows = Rows(path)
    fit, recommend = globals()[library](algorithm, rows, int(threads))
    baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fitted, seconds, cpu = timed(fit)
    if seconds < REPEAT_BELOW:
        fitted, seconds, cpu = timed(fit)
    found = {"version": version(PACKAGES[library]), "fit": seconds, "fit_cpu": cpu}
    if recommend is not None:
        (users, items_uk), seconds, cpu = timed(lambda: recommend(fitted))
        if seconds < REPEAT_BELOW:
            _, seconds, cpu = timed(lambda: recommend(fitted))
        found |= {"recommend": seconds, "recommend_cpu": cpu, "hit_rate": rows.hit_rate(users, items_uk)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(found | {"megabytes": (peak - baseline) / 1024}))


if __name__ == "__main__":
    main()
