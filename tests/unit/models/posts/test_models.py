"""Post models: the one-pass closed form against scikit-learn, and the adapter for scikit-learn estimators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import norm
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import HuberRegressor, LinearRegression, LogisticRegression, Ridge, SGDRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor, export_text

from anirec.data.posts.datamodule import PostBatch
from anirec.data.posts.tags import add_dense, add_pairs, symmetrise
from anirec.data.prepare.tag_rows import TagRows
from anirec.data.synthetic.demo_tags import TagWorld
from anirec.errors import UserError
from anirec.models.posts.base import PostModel
from anirec.models.posts.sklearn import SklearnModel
from anirec.models.posts.tag_pca_ols import TagPcaOls
from anirec.models.posts.two_part import TwoPart

Matrix = NDArray[np.float64]
N, N_TAGS = 600, 14


def planted(n: int = N, n_tags: int = N_TAGS, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Return tags (n, n_tags) of ones and zeros, some of them correlated, and scores (n,): mostly 0, a few negative."""
    random = np.random.default_rng(seed)
    x = (random.random((n, n_tags)) < random.uniform(0.05, 0.6, n_tags)).astype(float)
    x[:, 1] = np.where(random.random(n) < 0.8, x[:, 0], x[:, 1])
    latent = x @ random.normal(0, 1, n_tags) + random.normal(0, 1, n)
    score = np.round(latent - np.quantile(latent, 0.6)).clip(-1)
    return x, np.where(score == -1, -(random.random(n) < 0.05).astype(float), score)


X, SCORE = planted()


def batch_of(x: Matrix, score: Matrix) -> PostBatch:
    sparse = csr_array(x)
    rows = TagRows(sparse.indptr.astype(np.int64), sparse.indices.astype(np.int32), x.shape[1])
    return PostBatch.of(np.arange(len(x)), score.astype(np.float32), rows)


def learned(model: Any, x: Matrix = X, score: Matrix = SCORE, *, n_batches: int = 1) -> Any:
    model.tags = [f"tag_{number}" for number in range(x.shape[1])]
    model.configure_model()
    for some in np.array_split(np.arange(len(x)), n_batches):
        model.accumulate(batch_of(x[some], score[some]))
    if isinstance(model, SklearnModel):
        model.memory.close(world_size=1)
    model.solve()
    return model


def predicted(model: PostModel, x: Matrix = X) -> Matrix:
    return model(batch_of(x, np.full(len(x), np.nan))).numpy()


@pytest.mark.parametrize("components", [1, 5, N_TAGS - 1, N_TAGS])
def test_components_and_least_squares_match_scikit_learn(components: int) -> None:
    new, _ = planted(seed=0, n=50)
    pca = PCA(components, svd_solver="full")
    expected = make_pipeline(pca, LinearRegression()).fit(X, SCORE)
    model = learned(TagPcaOls(components=components), n_batches=3)
    np.testing.assert_allclose(predicted(model, new), expected.predict(new), atol=1e-6)
    np.testing.assert_allclose(model.coefficient, pca.components_.T @ expected[-1].coef_, atol=1e-9)
    np.testing.assert_allclose(model.share, pca.explained_variance_ratio_, atol=1e-9)
    assert f"{components} components explain {pca.explained_variance_ratio_.sum():.1%}" in model.findings[0]


def redundant() -> dict[str, Matrix]:
    """Return matrices with redundant tags: copies, complements, tags of all posts and of none."""
    whole_row, none = np.ones((N, 1)), np.zeros((N, 1))
    return {
        "copies": np.hstack([X, X[:, :3]]),
        "opposites": np.hstack([X, 1 - X[:, :2]]),
        "constants": np.hstack([whole_row, X, none]),
        "all of these": np.hstack([whole_row, X, X, 1 - X, none]),
    }


@pytest.mark.parametrize("which", redundant())
def test_all_components_give_least_squares_with_redundant_tags(which: str) -> None:
    x = redundant()[which]
    model = learned(TagPcaOls(components=x.shape[1]), x)
    np.testing.assert_allclose(predicted(model, x), LinearRegression().fit(X, SCORE).predict(X), atol=1e-5)
    assert torch.isfinite(model.error).all()
    assert float(model.share.sum()) == pytest.approx(1)
    some = learned(TagPcaOls(components=6), x)
    expected = make_pipeline(PCA(6, svd_solver="full"), LinearRegression()).fit(x, SCORE)
    np.testing.assert_allclose(predicted(some, x), expected.predict(x), atol=1e-5)


def test_tags_of_all_posts_leave_the_mean() -> None:
    model = learned(TagPcaOls(components=2), np.ones((9, 2)), np.arange(9.0))
    assert predicted(model, np.ones((2, 2))).tolist() == [4, 4]
    assert model.tables["effects"].select(pl.all_horizontal(pl.col("effect", "low", "high") == 0).all()).item()


def test_intervals_are_those_of_ordinary_least_squares() -> None:
    model = learned(TagPcaOls(components=N_TAGS))
    design = np.column_stack([np.ones(N), X])
    beta, (squares,), *_ = np.linalg.lstsq(design, SCORE)
    error = np.sqrt(squares / (N - N_TAGS - 1) * np.linalg.inv(design.T @ design).diagonal())[1:]
    np.testing.assert_allclose(model.error, error, rtol=1e-6)
    effects = model.tables["effects"]
    np.testing.assert_allclose(effects["effect"], beta[1:], atol=1e-9)
    np.testing.assert_allclose(
        effects["high"] - effects["low"], 2 * norm.ppf(1 - 0.025 / len(effects)) * error, rtol=1e-6
    )


def test_batches_and_processes_change_nothing() -> None:
    one, many = (learned(TagPcaOls(components=5), n_batches=n) for n in (1, 7))
    first, second = (learned(TagPcaOls(components=5), X[part::2], SCORE[part::2]) for part in (0, 1))
    for name in first.statistics:
        first.get_buffer(name).add_(second.get_buffer(name))
    first.solve()
    for model in (many, first):
        for name, buffer in one.named_buffers():
            torch.testing.assert_close(model.get_buffer(name), buffer, rtol=0, atol=1e-9)


def test_kernel_and_matrix_products_count_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a block starts within a batch, and for posts without tags."""
    monkeypatch.setattr("anirec.data.posts.tags.DENSE_ROWS", 7)
    x = X[:40] * (np.arange(40)[:, None] % 5 > 0)
    batch = batch_of(x, SCORE[:40])
    for count in (add_pairs, add_dense):
        pairs = torch.zeros(N_TAGS, N_TAGS, dtype=torch.float64)
        for _ in range(2):
            count(pairs, batch.start, batch.tag)
        assert torch.equal(symmetrise(pairs), torch.from_numpy(2 * x.T @ x)), count.__name__


def test_more_components_than_tags_are_refused() -> None:
    with pytest.raises(UserError, match=r"model.components=15: there are only 14 tags"):
        learned(TagPcaOls(components=N_TAGS + 1))
    with pytest.raises(UserError, match=r"components=0"):
        TagPcaOls(components=0)


def test_components_are_named_by_their_strongest_tags() -> None:
    x = np.repeat([[1.0, 1, 0], [0, 0, 1]], [30, 20], axis=0)
    components = learned(TagPcaOls(components=2), x, x[:, 0]).tables["components"]
    assert components["component"].to_list() == [1, 2]
    assert components["share"].to_list() == pytest.approx([1, 0])
    signs = {name[0]: {tag[1:] for tag in components["tags"][0] if tag[0] == name[0]} for name in components["tags"][0]}
    assert sorted(map(sorted, signs.values())) == [["tag_0", "tag_1"], ["tag_2"]]


def test_planted_effects_are_found() -> None:
    """The three most liked and the three most disliked tags of twenty thousand generated posts, in their order."""
    world = TagWorld(n_posts=20_000, n_tags=300, n_groups=5, signal=0.3, seed=0)
    posts = pl.concat(world.posts())
    number = pl.col("tags").str.split(" ").cast(pl.List(pl.Enum(world.tags)))
    lists = posts.select(number)["tags"]
    x = np.zeros((len(posts), len(world.tags)))
    x[np.repeat(np.arange(len(posts)), lists.list.len()), lists.explode().to_physical()] = 1
    model = learned(TagPcaOls(components=200), x, posts["score"].to_numpy().astype(float))
    often = pl.Series(x.sum(0) > 200)
    found = pl.DataFrame({"tag": world.tags, "effect": model.coefficient.numpy()}).filter(often).sort("effect")
    true = world.effects.sort("effect")
    assert set(found["tag"].tail(3)) == set(true["tag"].tail(3))
    assert set(found["tag"].head(3)) == set(true["tag"].head(3))


def seeded(seed: int, regressor: Any) -> SklearnModel:
    torch.manual_seed(seed)
    return learned(SklearnModel(regressor=regressor))


def test_an_estimator_is_fitted_to_the_posts_as_a_sparse_matrix() -> None:
    model = learned(SklearnModel(regressor=Ridge(alpha=2.0, solver="sparse_cg")), n_batches=4)
    expected = Ridge(alpha=2.0, solver="sparse_cg").fit(csr_array(X), SCORE)
    np.testing.assert_allclose(predicted(model), expected.predict(csr_array(X)), atol=1e-6)
    effects = model.tables["effects"]
    np.testing.assert_allclose(effects["effect"], expected.coef_, atol=1e-9)
    assert effects["low"].null_count() == effects["high"].null_count() == N_TAGS
    assert set(model.figures) == {"tag_effects"}


def test_an_estimator_that_takes_no_sparse_matrix_gets_a_dense_one() -> None:
    settings = {"max_iter": 5, "early_stopping": False, "random_state": 1}
    model = learned(SklearnModel(regressor=HistGradientBoostingRegressor(**settings)))
    expected = HistGradientBoostingRegressor(**settings).fit(X, SCORE)
    np.testing.assert_allclose(predicted(model), expected.predict(X), atol=1e-6)
    assert model.tables == model.figures == {}


def test_too_little_memory_for_a_dense_matrix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    free = type("Free", (), {"available": 2 * 8 * N * N_TAGS - 1})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(UserError, match=r"HistGradientBoostingRegressor does not accept a sparse.*600 posts x 14 tags"):
        learned(SklearnModel(regressor=HistGradientBoostingRegressor(max_iter=2)))
    learned(SklearnModel(regressor=Ridge(solver="sparse_cg")))


@pytest.mark.parametrize(
    "regressor",
    [HuberRegressor(), SVR(kernel="linear"), TwoPart(classifier=LogisticRegression(), regressor=Ridge())],
    ids=["one row", "sparse", "two parts"],
)
def test_coefficients_are_reported_in_any_format(regressor: Any) -> None:
    model = learned(SklearnModel(regressor=regressor))
    assert np.isfinite(predicted(model)).all()
    effects = model.tables.get("effects")
    assert effects is None if isinstance(regressor, TwoPart) else effects["effect"].null_count() == 0


def test_the_runs_seed_is_set_in_every_part_without_a_seed() -> None:
    def pipeline() -> Pipeline:
        return Pipeline([("less", TruncatedSVD(4)), ("fit", SGDRegressor(random_state=7))])

    first, again, other = (seeded(seed, pipeline()) for seed in (3, 3, 4))
    assert first.regressor["less"].random_state == 3
    assert first.regressor["fit"].random_state == 7
    assert other.regressor["less"].random_state == 4
    assert predicted(first).tolist() == predicted(again).tolist()


def test_it_is_not_fitted_again_while_the_posts_are_the_same() -> None:
    model = learned(SklearnModel(regressor=DecisionTreeRegressor(max_depth=2)))
    tree = model.regressor.tree_
    predicted(model)
    assert model.regressor.tree_ is tree
    before = predicted(model)
    learned(model, X, -SCORE)  # a second epoch replaces the posts of the first
    np.testing.assert_allclose(predicted(model), -before, atol=1e-6)


@pytest.mark.parametrize("place", [N_TAGS, 50_000_000, -1])
def test_a_checkpoint_whose_posts_have_other_tags_is_refused(place: int) -> None:
    """Checkpoints may come from others, and compiled code does not check the indices of sparse matrices."""
    model = learned(SklearnModel(regressor=Ridge()))
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    SklearnModel(regressor=Ridge()).on_load_checkpoint(checkpoint)
    checkpoint["state_dict"]["memory.tag"][3] = place
    with pytest.raises(ValueError, match="indices must be"):
        SklearnModel(regressor=Ridge()).on_load_checkpoint(checkpoint)


def test_the_table_of_a_tree_is_the_tree() -> None:
    model = learned(SklearnModel(regressor=DecisionTreeRegressor(max_depth=3, min_samples_leaf=20, random_state=0)))
    table = model.tables["tree"]
    assert set(model.figures) == {"tree"}
    assert tree_text(table) == export_text(model.regressor, feature_names=model.tags, decimals=3)
    for row in table.filter(pl.col("left").is_null()).iter_rows(named=True):
        reached = SCORE[model.regressor.apply(X) == row["node"]]
        assert (row["n"], row["mean"], row["sd"]) == pytest.approx((len(reached), reached.mean(), reached.std()))
    assert table.filter(pl.col("left").is_null())["tag"].null_count() == model.regressor.get_n_leaves()


def tree_text(table: pl.DataFrame, node: int = 0, depth: int = 0) -> str:
    """Print a tree as scikit-learn does."""
    row = table.row(node, named=True)
    bars = "|   " * depth + "|--- "
    if row["left"] is None:
        return f"{bars}value: [{row['mean']:.3f}]\n"
    left, right = (tree_text(table, row[side], depth + 1) for side in ("left", "right"))
    return f"{bars}{row['tag']} <= 0.500\n{left}{bars}{row['tag']} >  0.500\n{right}"


def test_two_parts_are_a_product() -> None:
    model = TwoPart(classifier=LogisticRegression(C=0.5), regressor=Ridge(alpha=3.0)).fit(X, SCORE)
    some = SCORE != 0
    assert (SCORE < 0).any(), "negative scores are scores, too"
    probability = LogisticRegression(C=0.5).fit(X, some).predict_proba(X)[:, 1]
    expected = probability * Ridge(alpha=3.0).fit(X[some], SCORE[some]).predict(X)
    np.testing.assert_allclose(model.predict(X), expected)


@pytest.mark.parametrize(("scores", "words"), [([0, 0, 0], "all of the 3"), ([2, -1, 1], "none of the 3")])
def test_two_parts_need_scores_of_both_kinds(scores: Sequence[int], words: str) -> None:
    with pytest.raises(UserError, match=f"{words}.*dataset.sampling.zeros"):
        TwoPart(classifier=DummyClassifier(), regressor=DummyRegressor()).fit(X[:3], np.array(scores))
