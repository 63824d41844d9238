import pytest

from anirec.errors import UserError
from anirec.metrics.definition import DECLARED
from anirec.metrics.names import MetricName, has_direction, is_metric, lower_is_better, minimized, parse_metrics


def test_every_declared_metric_can_be_asked_for_by_name() -> None:
    names = [f"{metric.name}@10" if metric.needs_k else metric.name for metric in DECLARED.values()]
    assert [name.short for name in parse_metrics(names)] == names


def test_directions() -> None:
    lower = {name for name in DECLARED if lower_is_better(name)}
    assert lower >= {"rmse", "mae", "mse", "gini", "popularity"}
    assert not lower & {
        "r2",
        "ndcg",
        "hit_rate",
        "map",
        "mrr",
        "recall",
        "precision",
        "coverage",
        "novelty",
        "diversity",
    }
    assert lower_is_better("val/rmse/cold_users")
    assert lower_is_better("train/loss")
    assert not lower_is_better("test/applause")
    assert lower_is_better("val/interval_half_width")


@pytest.mark.parametrize(
    "name",
    [
        "val/unknown_users",
        "val/unknown_items",
        "val/n_train",
        "floor/rmse",
        "ceiling/r2",
        "test/mae/by_median",
        "test/rmse/population_by_mean",
    ],
)
def test_counts_and_facts_are_no_metrics(name: str) -> None:
    assert not is_metric(name)
    assert not has_direction(name)
    with pytest.raises(
        UserError, match=f"objective={name}: not a metric with a better direction; use one of .*val/rmse"
    ):
        minimized(name)


@pytest.mark.parametrize("name", ["test/bias", "test/bias/score_6_7", "test/interval_coverage", "test/applause"])
def test_some_metrics_have_no_better_direction(name: str) -> None:
    assert is_metric(name)
    assert not has_direction(name)


def test_every_declared_metric_has_a_direction() -> None:
    assert all(has_direction(f"val/{name}/population") for name in DECLARED)


def test_all_wrong_names_are_reported_at_once() -> None:
    with pytest.raises(UserError) as error:
        parse_metrics(["rmse", "ndgc@10", "recall", "mae@5", "test/rmse", "qqqq"])
    message = str(error.value)
    assert "ndgc@10: unknown metric; did you mean ndcg?" in message
    assert "recall@10" in message
    assert "mae@5: does not take @k" in message
    assert "test/rmse: write rmse alone" in message
    assert "qqqq: unknown metric; known: aclt" in message
    assert "\n  rmse" not in message


@pytest.mark.parametrize("name", ["Best ever!", "ndcg@0", "a/b/c/d"])
def test_names_of_another_form_are_taken_as_they_are(name: str) -> None:
    assert MetricName.parse(name).metric == name
