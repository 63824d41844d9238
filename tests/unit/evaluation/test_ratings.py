"""RatingEvaluation inside real Lightning loops, around a model that knows the answer and a datamodule of arrays."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics import ConcordanceCorrCoef, ExplainedVariance, LogCoshError, MeanSquaredError

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.evaluation import results
from anirec.evaluation.rating_figures import draw_results
from anirec.evaluation.rating_results import RankedLists, RatingResults
from anirec.evaluation.ratings import RatingEvaluation
from anirec.evaluation.results import Ranked, RatingRows
from anirec.evaluation.top_items import TopItems
from anirec.lightning import LightningDataModule, LightningModule, Trainer
from anirec.metrics.definition import DECLARED
from anirec.metrics.rating import rmse
from anirec.report.intervals import RequestedMetric, shared_units
from anirec.tracking.callbacks import LastAndBest, Patience
from anirec.tracking.loggers import HistoryLogger

N_USERS, N_ITEMS = 40, 60
NAMES = [
    *("rmse", "mae", "r2", "ndcg@10", "hit_rate@5", "precision@10", "recall@10", "map@10", "mrr@10"),
    *("coverage@10", "novelty@10", "gini@10", "popularity@10", "diversity@10"),
]


class Batch(NamedTuple):
    user: Tensor
    item: Tensor
    rating: Tensor


class Interactions:
    def __init__(self, pairs: np.ndarray, truth: np.ndarray) -> None:
        self.user, self.item = np.nonzero(pairs)
        self.user, self.item = self.user.astype(np.int32), self.item.astype(np.int32)
        self.rating = truth[self.user, self.item]
        self.indptr = np.searchsorted(self.user, np.arange(N_USERS + 1))

    def batches(self, rows: int) -> DataLoader[Batch]:
        columns = [
            torch.from_numpy(self.user).long(),
            torch.from_numpy(self.item).long(),
            torch.from_numpy(self.rating),
        ]
        batches = [Batch(*part) for part in zip(*(column.split(rows) for column in columns), strict=True)]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


class Data(LightningDataModule):
    scale = Scale()

    def __init__(self, rows: int = 64) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        self.rows = rows
        self.n_users, self.n_items = N_USERS, N_ITEMS
        self.truth = random.integers(1, 11, size=(N_USERS, N_ITEMS)).astype(np.float32)
        part = random.choice(5, size=self.truth.shape, p=[0.5, 0.3, 0.08, 0.08, 0.04])
        part[:, 50] = np.where(part[:, 50] == 1, 0, part[:, 50])  # nobody rated item 50 in training,
        part[0, 50] = 3  # but user 0 did in the test set
        part[39][part[39] > 1] = 0  # user 39 holds nothing out
        self.train, self.val, self.test, self.unrated = (Interactions(part == i, self.truth) for i in (1, 2, 3, 4))
        self.given = self.excluded = self.offered = None
        self.part = part
        self.users = np.array([f"user{index}" for index in range(N_USERS)])
        genres = [[["Drama"], ["Drama", "Sports"], ["Horror"], None][index % 4] for index in range(N_ITEMS)]
        items = {"item_id": np.arange(N_ITEMS) * 10, "title": [f"Anime {index}" for index in range(N_ITEMS)]}
        self.items = pl.DataFrame({**items, "genres": genres})

    def train_dataloader(self) -> DataLoader[Batch]:
        return self.train.batches(self.rows)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self.val.batches(self.rows)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.test.batches(self.rows)


class Oracle(LightningModule):
    """Predicts the truth plus noise; ranks by it."""

    def __init__(self, truth: np.ndarray, noise: float = 1.0) -> None:
        super().__init__()
        errors = noise * np.random.default_rng(1).normal(size=truth.shape).astype(np.float32)
        self.scores = torch.from_numpy(truth + errors)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        return self.weight.sum()

    def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
        return self.scores[batch.user, batch.item]

    test_step = validation_step

    def score_items(self, users: Tensor) -> Tensor:
        return self.scores[users]

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def evaluation(kind: type[RatingEvaluation] = RatingEvaluation, **changed: Any) -> RatingEvaluation:
    ranking = {"block": 7, "relevant_from": None, "max_users": None, "candidates": "all", "rank_every": 1}
    return kind(**{"names": NAMES, "segments": True, "torchmetrics": {}, **ranking, **changed})


def trainer(callback: RatingEvaluation, *others: Any, **changed: Any) -> Trainer:
    settings = {"max_epochs": 2, "logger": False, **changed}
    return Trainer(
        accelerator="cpu",
        callbacks=[callback, *others],
        enable_checkpointing=bool(others),
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def evaluated(data: Data | None = None, model: Oracle | None = None, **changed: Any) -> RatingEvaluation:
    data = data or Data()
    callback = evaluation(**changed)
    model = model or Oracle(data.truth)
    for run in (trainer(callback).validate, trainer(callback).test):
        run(model, datamodule=data, verbose=False)
    return callback


def table(callback: RatingEvaluation, name: str) -> pl.DataFrame:
    return pl.concat(callback.tables[name])


def precision(predictions: pl.DataFrame) -> float:
    """Largest rounding error of a table's predictions, which bounds that of RMSE and MAE computed from them."""
    return 2**-13 * float(predictions["prediction"].abs().max())


def naive_top(data: Data, scores: np.ndarray, user: int, seen: tuple[int, ...]) -> list[int]:
    unseen = [item for item in range(N_ITEMS) if data.part[user, item] not in seen]
    return sorted(unseen, key=lambda item: -scores[user, item])[:10]


@pytest.mark.parametrize(("split", "part", "seen"), [("val", 2, (1, 4)), ("test", 3, (1, 2, 4))])
def test_every_metric_agrees_with_its_definition_applied_user_by_user(
    split: str, part: int, seen: tuple[int, ...]
) -> None:
    data, model = Data(), Oracle(Data().truth)
    metrics = evaluated(data, model).metrics
    rows, scores = getattr(data, split), model.scores.numpy()
    assert metrics[f"{split}/rmse"] == rmse(scores[rows.user, rows.item], rows.rating)
    values: dict[str, list[float]] = {"ndcg@10": [], "hit_rate@5": [], "recall@10": []}
    recommended = []
    for user in np.unique(rows.user):
        recommended.append(naive_top(data, scores, user, seen))
        relevant = set(np.flatnonzero(data.part[user] == part))
        hits = np.array([[item in relevant for item in recommended[-1]]])
        for name, found in values.items():
            metric, _, k = name.partition("@")
            found.append(DECLARED[metric].function(hits[:, : int(k)], np.array([len(relevant)]))[0])
    for name, found in values.items():
        assert metrics[f"{split}/{name}"] == pytest.approx(np.mean(found), rel=1e-12)
    assert metrics[f"{split}/coverage@10"] == len({item for items in recommended for item in items}) / N_ITEMS
    counts = np.bincount(data.train.item, minlength=N_ITEMS)
    assert metrics[f"{split}/popularity@10"] == pytest.approx(counts[np.array(recommended)].mean())


def test_names_logged_are_the_names_asked_for_and_in_that_order() -> None:
    metrics = evaluated(segments=False).metrics
    expected = [*NAMES, "unknown_users", "unknown_items"]
    assert list(metrics) == [f"{split}/{name}" for split in ("val", "test") for name in expected]
    assert all(type(value) is float for value in metrics.values())


def test_metrics_of_torchmetrics_are_computed_with_the_others() -> None:
    data, model = Data(), Oracle(Data().truth)
    further = {"log_cosh": LogCoshError(), "concordance": ConcordanceCorrCoef()}
    metrics = evaluated(data, model, torchmetrics=further).metrics
    error = model.scores.numpy()[data.test.user, data.test.item] - data.test.rating
    assert metrics["test/log_cosh"] == pytest.approx(np.log(np.cosh(error)).mean(), rel=1e-5)
    assert 0 < metrics["test/concordance"] < 1


class TwoNumbers(ExplainedVariance):
    def compute(self) -> Tensor:
        return torch.zeros(2)


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({"rmse": MeanSquaredError()}, "torchmetrics.rmse: expected a name that is not one of anirec's own metrics"),
        ({"two": TwoNumbers()}, "torchmetrics.two: expected a metric that returns one number"),
    ],
)
def test_metrics_of_torchmetrics_that_do_not_fit_are_refused(further: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluated(torchmetrics=further)


def test_neither_block_nor_batch_size_changes_a_digit() -> None:
    assert evaluated(Data(rows=7), block=1).metrics == evaluated(Data(rows=1000), block=1000).metrics


def test_blocks_have_as_many_users_as_the_model_ranks_fastest() -> None:
    sizes: list[int] = []

    class Recording(Oracle):
        def score_items(self, users: Tensor) -> Tensor:
            sizes.append(len(users))
            return super().score_items(users)

    data = Data()
    evaluated(data, Recording(data.truth), block="auto")
    assert max(sizes) == len(np.unique(data.val.user))  # few titles: all users
    sizes.clear()
    fastest = Recording(data.truth)
    fastest.users_at_once = 8  # type: ignore[assignment]
    evaluated(data, fastest, block="auto")
    assert max(sizes) == 8
    assert RatingEvaluation.users_at_once(Oracle(data.truth), 1 << 18) == 4


def test_segments_split_the_rows_and_the_users() -> None:
    data = Data()
    callback = evaluated(data)
    test = table(callback, "predictions").filter(split="test")
    rated = np.bincount(data.train.user, minlength=N_USERS)
    low = np.sort(rated[np.unique(data.test.user)])[len(np.unique(data.test.user)) // 3]
    cold = test.filter(pl.Series(rated[data.test.user] <= low))
    recomputed = rmse(cold["prediction"].to_numpy(), cold["target"].to_numpy())
    assert callback.metrics["test/rmse/cold_users"] == pytest.approx(recomputed, abs=precision(test))
    assert {"test/rmse/heavy_items", "test/mae/middle_users", "val/ndcg@10/heavy_users"} <= set(callback.metrics)
    assert "test/ndcg@10/cold_items" not in callback.metrics


def test_unknown_users_and_items_are_counted() -> None:
    data = Data()
    metrics = evaluated(data).metrics
    assert metrics["test/unknown_users"] == 0
    assert metrics["test/unknown_items"] == (data.test.item == 50).sum() >= 1


def test_cold_candidates_are_all_that_is_ranked_and_found() -> None:
    callback = evaluated(candidates="cold")
    recommendations = table(callback, "recommendations")
    (cold,) = recommendations["item_id"].drop_nulls().unique()
    assert cold == 500  # item 50, which nobody has rated in training
    assert recommendations["n_relevant"].unique().to_list() == [1]
    assert callback.metrics["test/hit_rate@5"] == 1


def test_list_metrics_of_cold_candidates_agree_with_their_definitions_over_these_alone() -> None:
    data = Data()
    data.part[:, 40:56] = np.where(data.part[:, 40:56] == 1, 0, data.part[:, 40:56])  # nobody rated them in training
    data.train = Interactions(data.part == 1, data.truth)
    model = Oracle(data.truth)
    metrics = evaluated(data, model, candidates="cold", names=["coverage@2", "gini@2", "novelty@2", "ndcg@2"]).metrics
    times, gains = dict.fromkeys(range(40, 56), 0), []
    for user in range(N_USERS):
        relevant = {item for item in times if data.part[user, item] == 3}
        if not relevant:
            continue
        unseen = [item for item in times if data.part[user, item] not in (1, 2, 4)]
        best = sorted(unseen, key=lambda item: -model.scores[user, item])[:2]
        gain = sum((item in relevant) / np.log2(2 + rank) for rank, item in enumerate(best))
        gains.append(gain / sum(1 / np.log2(2 + rank) for rank in range(min(2, len(relevant)))))
        for item in best:
            times[item] += 1
    pairs = sum(abs(one - other) for one in times.values() for other in times.values())
    assert metrics["test/coverage@2"] == sum(n > 0 for n in times.values()) / 16
    assert metrics["test/gini@2"] == pytest.approx(pairs / (2 * 16 * sum(times.values())))
    assert metrics["test/novelty@2"] == pytest.approx(np.log2(len(np.unique(data.train.user))))
    assert metrics["test/ndcg@2"] == pytest.approx(np.mean(gains))


def test_tables_have_raw_ids_and_suffice_for_every_ranking_metric() -> None:
    callback = evaluated(relevant_from=8)
    predictions, recommendations = table(callback, "predictions"), table(callback, "recommendations")
    assert predictions.columns == ["user_id", "item_id", "target", "prediction", "split"]
    assert set(predictions["split"]) == {"val", "test"}
    relevant = predictions.filter((pl.col("split") == "test") & (pl.col("target") >= 8))
    assert set(recommendations["user_id"]) == set(relevant["user_id"])
    pairs = set(relevant.select("user_id", "item_id").rows())
    rows = recommendations.select("user_id", "item_id", "relevant").rows()
    assert all(((user, item) in pairs) == flag for user, item, flag in rows)
    (units,) = shared_units([recommendations])
    for name in ("ndcg@10", "hit_rate@5", "precision@10", "recall@10", "map@10", "mrr@10"):
        metric, _, k = name.partition("@")
        asked = RequestedMetric(DECLARED[metric], int(k))
        assert callback.metrics[f"test/{name}"] == pytest.approx(asked.value(*asked.statistics(units).sum(axis=0)))


@pytest.mark.parametrize("at_once", [1, 50, 1 << 20])
def test_tables_made_in_parts_have_all_rows_and_the_metrics_up_to_rounding(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "ROWS_AT_ONCE", at_once)
    data, callback = Data(), evaluated(Data())
    parts = list(callback.tables["predictions"])
    assert all(len(part) <= at_once for part in parts)
    predictions, recommendations = pl.concat(parts), table(callback, "recommendations")
    for split, rows in (("val", data.val), ("test", data.test)):
        found = predictions.filter(split=split)
        assert found["item_id"].to_list() == (rows.item * 10).tolist()
        assert found["user_id"].to_list() == [f"user{user}" for user in rows.user]
        exact = Oracle(data.truth).scores.numpy()[rows.user, rows.item]
        np.testing.assert_allclose(found["prediction"].to_numpy(), exact, rtol=2**-13)
        for name in ("rmse", "mae"):
            value = DECLARED[name].function(found["prediction"].to_numpy(), found["target"].to_numpy())
            assert callback.metrics[f"{split}/{name}"] == pytest.approx(value, abs=precision(found))
    lists = recommendations.group_by("user_id").agg(pl.col("rank", "score"))
    assert all(rank == sorted(rank) for rank in lists["rank"].to_list())
    assert all(score == sorted(score, reverse=True) for score in lists["score"].to_list())


def test_training_logs_validation_metrics_only_and_keeps_no_tables() -> None:
    data, callback = Data(), evaluation()
    run = trainer(callback)
    run.fit(Oracle(data.truth), datamodule=data)
    assert set(run.callback_metrics) == {f"val/{name}" for name in NAMES}
    assert callback.metrics == {}
    assert callback.tables == {}
    final = evaluated(data).metrics
    assert float(run.callback_metrics["val/rmse"]) == final["val/rmse"]


def test_validation_metrics_do_not_depend_on_the_test_set() -> None:
    data, other = Data(), Data()
    other.test = Interactions(np.zeros_like(data.part, dtype=bool), data.truth)
    callback = evaluation()
    trainer(callback).validate(Oracle(data.truth), datamodule=other, verbose=False)
    expected = {name: value for name, value in evaluated(data).metrics.items() if name.startswith("val/")}
    assert callback.metrics == expected


def test_a_sample_of_users_is_the_same_every_time() -> None:
    users = [set(table(evaluated(max_users=9), "recommendations")["user_id"]) for _ in range(2)]
    assert len(users[0]) == 9
    assert users[0] == users[1]


def test_rating_metrics_alone_never_score_items() -> None:
    model = Oracle(Data().truth)
    model.score_items = None  # type: ignore[assignment]
    callback = evaluated(model=model, names=["rmse", "r2"])
    assert set(callback.tables) == {"predictions"}


def test_what_is_undefined_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    data = Data()
    data.items = data.items.with_columns(genres=pl.lit([], dtype=pl.List(pl.String)))
    metrics = evaluated(data).metrics
    assert "Undefined on this data and left out: val/diversity@10" in caplog.messages
    assert "test/diversity@10" not in metrics
    data.scale = Scale(1, 20)
    without = evaluated(data, relevant_from=11)
    assert "test/ndcg@10" not in without.metrics
    assert without.findings[-1].startswith("No list is evaluated: no test rating is 11 or higher; the highest is ")
    assert "val/ndcg@10" in caplog.text


def test_a_relevant_rating_outside_the_rating_scale_stops_before_training() -> None:
    data = Data()
    data.scale = Scale.parse("0.5-5")
    with pytest.raises(UserError, match=r"relevant_from=8: .* from 0\.5 to 5; try metrics\.relevant_from=4$"):
        evaluated(data, relevant_from=8)


@pytest.mark.parametrize(("bad", "message"), [("prediction", r"Oracle .* 1 of \d+ val ratings"), ("score", "rankings")])
def test_a_diverged_model_is_a_clear_error(bad: str, message: str) -> None:
    data = Data()
    model = Oracle(data.truth)
    item = data.val.item[0] if bad == "prediction" else np.flatnonzero(data.part[data.val.user[0]] == 0)[0]
    model.scores[data.val.user[0], item] = torch.nan
    with pytest.raises(UserError, match=message):
        evaluated(data, model)


def test_wrong_settings_are_refused_before_anything_runs() -> None:
    with pytest.raises(UserError, match="max_users=0"):
        evaluation(max_users=0)
    with pytest.raises(UserError, match="did you mean ndcg"):
        evaluation(names=["ndgc@10"])


def test_predictions_of_the_wrong_shape_are_refused() -> None:
    class Column(Oracle):
        def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
            return super().validation_step(batch, batch_index)[:, None]

    with pytest.raises(ValueError, match="shape"):
        evaluated(model=Column(Data().truth))


def test_ratings_of_the_bias_model_are_no_finding() -> None:
    class Lists(Oracle):
        rates_by_bias = True

    data = Data()
    lists, content = evaluated(data, Lists(data.truth, noise=0.5)).findings
    assert "NDCG@10" in lists
    assert content.startswith("The lists contain")


def test_findings_set_a_model_beside_the_dummies() -> None:
    data = Data()
    callback = evaluated(data, Oracle(data.truth, noise=0.5))
    error, users, titles, lists, content = callback.findings
    assert error.startswith(f"Better than damped title means: RMSE {callback.metrics['test/rmse']:.3f} on ")
    assert users.startswith("RMSE of the third of users with the fewest training ratings (at most ")
    assert f"): {callback.metrics['test/rmse/cold_items']:.3f}; with the most (more than" in titles
    assert f"the most popular titles: NDCG@10 {callback.metrics['test/ndcg@10']:.3f}" in lists
    assert f"The lists contain {callback.metrics['test/coverage@10']:.1%} of 60 titles" in content
    assert f"{callback.metrics['test/popularity@10']:.0f} training ratings on average" in content


class Popular(Oracle):
    """Predicts damped means of the training ratings and ranks by their number."""

    def __init__(self, data: Data) -> None:
        super().__init__(data.truth)
        count = np.bincount(data.train.item, minlength=N_ITEMS)
        total = np.bincount(data.train.item, weights=data.train.rating, minlength=N_ITEMS)
        self.means = torch.from_numpy((total + 5 * data.train.rating.mean()) / (count + 5)).float()
        self.scores = torch.from_numpy(count - np.arange(N_ITEMS) / 1000).float().expand(N_USERS, -1)

    def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
        return self.means[batch.item]

    test_step = validation_step


def test_the_dummies_are_damped_means_and_popularity() -> None:
    data = Data()
    callback = evaluated(data, Popular(data))
    assert callback.results is not None
    assert callback.results.gain.model == pytest.approx(callback.results.gain.dummy, rel=1e-6)
    assert callback.results.lists is not None
    lists = callback.results.lists
    assert lists.theirs.top.items_uk.tolist() == lists.ours.top.items_uk.tolist()
    assert callback.findings[3].startswith("Equal to the most popular titles: NDCG@10")


def test_a_model_of_noise_is_not_said_to_have_learned() -> None:
    data = Data()
    findings = evaluated(data, Oracle(np.random.default_rng(5).permuted(data.truth))).findings
    assert findings[0].startswith("Worse than damped title means: RMSE")
    assert not any("Better" in sentence for sentence in findings)


def test_rating_metrics_alone_have_findings_and_figures_without_lists() -> None:
    callback = evaluated(names=["rmse"])
    assert len(callback.findings) == 3
    assert set(callback.figures) == {"error_by_count", "predicted_vs_true"}


def test_figures_can_be_drawn_and_name_their_axes() -> None:
    figures = evaluated().figures
    assert set(figures) == {"error_by_count", "predicted_vs_true", "list_popularity"}
    for figure in figures.values():
        figure.draw_without_rendering()
        assert figure.get_suptitle()
        assert all(axis.get_label_text() for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis))
    counted = [label.get_text().partition("\n")[2] for label in figures["error_by_count"].axes[0].get_xticklabels()]
    assert sum(map(int, counted)) == len(Data().test.user)


def test_figures_of_equal_ratings_and_of_a_single_title_have_axes_of_some_length() -> None:
    eight, nobody = np.full(50, 8.0), np.zeros(50, np.int32)
    rows = RatingRows(nobody, nobody, eight, eight.astype(np.float32))
    top = TopItems(np.arange(3), np.zeros((3, 1), np.int32), np.ones((3, 1), np.float32))
    ranked = Ranked(top, np.ones((3, 1), bool), np.ones(3, np.int64))
    lists = RankedLists(ranked, ranked, "the most popular titles", np.array([9]), np.array([0]))
    counts = np.arange(50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = draw_results(RatingResults(rows, eight, {"users": counts, "titles": counts}, lists))
        for figure in figures.values():
            figure.draw_without_rendering()
    low, high = figures["predicted_vs_true"].axes[0].get_xlim()
    assert low == pytest.approx(7.5)
    assert high == pytest.approx(8.5)
    assert "nan" not in figures["predicted_vs_true"].get_suptitle()


def test_cold_candidates_are_set_beside_lists_in_random_order() -> None:
    data = Data()
    data.part[:, 40:56] = np.where(data.part[:, 40:56] == 1, 0, data.part[:, 40:56])
    data.train = Interactions(data.part == 1, data.truth)
    callback = evaluated(data, candidates="cold")
    assert any("lists in random order" in sentence for sentence in callback.findings)
    callback.figures["list_popularity"].draw_without_rendering()


class CountingOracle(Oracle):
    """Counts its rankings, and the users of all of them."""

    n_ranked = n_users = 0

    def score_items(self, users: Tensor) -> Tensor:
        self.n_ranked += 1
        self.n_users += len(users)
        return super().score_items(users)


@pytest.mark.parametrize(
    ("every", "objective", "epochs"),
    [("auto", "val/rmse", []), ("auto", "val/ndcg@10", [0, 1, 2, 3]), (1, "val/rmse", [0, 1, 2, 3]), (3, None, [2])],
)
def test_the_catalogue_is_ranked_in_training_only_when_it_is_needed(
    tmp_path: Path, every: Any, objective: str | None, epochs: list[int]
) -> None:
    """History has empty cells for epochs without a ranking; the final model is ranked in the row of its epoch."""
    data, callback = Data(), evaluation(rank_every=every, block=1000, names=["rmse", "ndcg@10"])
    model = CountingOracle(data.truth)
    checkpoint = LastAndBest(folder=str(tmp_path / "checkpoints"), objective=objective)
    history = HistoryLogger(folder=str(tmp_path))
    run = trainer(callback, checkpoint, max_epochs=4, logger=history)
    run.fit(model, datamodule=data)
    assert model.n_ranked == len(epochs)
    rows = pl.read_csv(tmp_path / "history.csv") if epochs else pl.DataFrame({"epoch": [], "val/ndcg@10": []})
    assert rows.drop_nulls("val/ndcg@10")["epoch"].to_list() == epochs
    best = tmp_path / "checkpoints" / ("best.ckpt" if objective else "last.ckpt")
    run.validate(model, datamodule=data, ckpt_path=best, weights_only=True, verbose=False)
    run.test(model, datamodule=data, verbose=False)
    rows = pl.read_csv(tmp_path / "history.csv").sort("epoch")
    assert rows["epoch"].to_list() == [0, 1, 2, 3]
    assert rows["val/rmse"].null_count() == 0
    expected = sorted({*epochs, 3})
    assert rows.drop_nulls("val/ndcg@10")["epoch"].to_list() == expected
    assert rows["val/ndcg@10"].drop_nulls()[-1] == pytest.approx(callback.metrics["val/ndcg@10"])
    assert {"val/ndcg@10", "test/ndcg@10"} <= set(callback.metrics)


def test_a_ranking_that_is_needed_after_every_epoch_cannot_be_skipped(tmp_path: Path) -> None:
    data, callback = Data(), evaluation(rank_every=2)
    patience = Patience(objective="val/ndcg@10", epochs=1, min_delta=0)
    with pytest.raises(UserError, match=r"metrics.rank_every=2: val/ndcg@10 is needed after every epoch"):
        trainer(callback, patience).fit(Oracle(data.truth), datamodule=data)


class Forgetful(RatingEvaluation):
    """Ranks for each split separately."""

    def rank(self, *arguments: Any) -> Ranked | None:
        self.known.clear()
        return super().rank(*arguments)


@pytest.mark.parametrize("changed", [{}, {"max_users": 9}, {"candidates": "cold"}, {"relevant_from": 8}])
def test_one_ranking_for_validation_and_test_gives_the_results_of_two(changed: dict[str, Any]) -> None:
    data = Data()
    model, other = CountingOracle(data.truth), CountingOracle(data.truth)
    once = evaluated(data, model, **changed)
    twice = evaluated(data, other, kind=Forgetful, **changed)
    assert once.metrics == twice.metrics
    assert table(once, "recommendations").equals(table(twice, "recommendations"))
    assert model.n_users <= other.n_users
    if not changed:
        users = {split: set(getattr(data, split).user) for split in ("val", "test")}
        assert model.n_users == len(users["val"] | users["test"]) < sum(map(len, users.values())) == other.n_users


def test_validation_ranks_no_user_because_of_the_test_set() -> None:
    data, other = Data(), Data()
    other.test = Interactions(np.zeros_like(data.part, dtype=bool), data.truth)
    models = [CountingOracle(data.truth) for _ in range(2)]
    for model, of in zip(models, (data, other), strict=True):
        trainer(evaluation()).validate(model, datamodule=of, verbose=False)
    assert models[0].n_users == models[1].n_users == len(np.unique(data.val.user))


def test_a_model_that_has_changed_is_ranked_again() -> None:
    data = Data()
    model, callback = Oracle(data.truth), evaluation()
    model.register_buffer("scores_ui", model.scores)
    model.score_items = lambda users: model.scores_ui[users]  # type: ignore[attr-defined]
    trainer(callback).validate(model, datamodule=data, verbose=False)
    before = callback.metrics["val/ndcg@10"]
    model.scores_ui.neg_()
    trainer(callback).validate(model, datamodule=data, verbose=False)
    assert callback.metrics["val/ndcg@10"] < before
    trainer(callback).validate(Oracle(data.truth), datamodule=data, verbose=False)
    assert callback.metrics["val/ndcg@10"] == before


def test_the_ranking_at_the_end_of_training_is_that_of_the_final_model(tmp_path: Path) -> None:
    data, callback = Data(), evaluation(rank_every="auto", names=["rmse", "ndcg@10"])
    model = CountingOracle(data.truth)
    checkpoint = LastAndBest(folder=str(tmp_path), objective="val/ndcg@10")
    run = trainer(callback, checkpoint, max_epochs=1)
    run.fit(model, datamodule=data)
    assert checkpoint.is_best_in_memory
    run.validate(model, datamodule=data, verbose=False)
    run.test(model, datamodule=data, verbose=False)
    assert model.n_users == len(set(data.val.user) | set(data.test.user))
    expected = evaluated(data, names=["rmse", "ndcg@10"])
    assert callback.metrics == expected.metrics
    assert table(callback, "recommendations").equals(table(expected, "recommendations"))
