import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from anirec.errors import UserError
from anirec.report.runs import read_runs
from anirec.report.selection import Selection, select_configuration, show_ranking
from anirec.sweeps.final_test import check_links
from anirec.sweeps.select import print_cautions

WriteRun = Callable[..., Path]


@pytest.fixture
def chosen(tmp_path: Path) -> Callable[..., Selection]:
    return lambda metric=None: select_configuration(read_runs([tmp_path]), metric)


def shown(choice: Selection) -> str:
    text = io.StringIO()
    show_ranking(Console(file=text, width=80), choice)
    return text.getvalue()


def judged(val: float, test: float = 1.0) -> dict[str, float]:
    return {"val/rmse": val, "val/ndcg@10": val / 10, "val/bias": 0.0, "test/rmse": test}


def test_the_best_mean_over_seeds_is_chosen_whatever_the_test_set_says(
    write_run: WriteRun, chosen: Callable[..., Selection]
) -> None:
    for factors, vals in ((20, (1.00, 1.30)), (80, (1.10, 1.11))):
        for seed, val in enumerate(vals):
            write_run(config={"model.n_factors": factors}, seed=seed, metrics=judged(val, test=2.0 - factors / 80))
    found = chosen()
    assert found.metric == "val/rmse"
    assert found.chosen.label == "svdpp n_factors=80"
    assert (found.n_configurations, found.n_runs, found.n_pruned) == (2, 4, 0)
    assert "1.1050 ±0.0071" in shown(found)
    assert chosen("val/ndcg@10").chosen.label == chosen("ndcg@10").chosen.label == "svdpp n_factors=20"


def test_a_configuration_with_fewer_seeds_is_listed_and_not_chosen(
    write_run: WriteRun, chosen: Callable[..., Selection]
) -> None:
    for seed in (1, 2):
        write_run("svd", seed=seed, metrics=judged(1.2))
    write_run("als", seed=1, metrics=judged(0.9))
    found = chosen()
    assert found.chosen.model == "svd"
    assert "fewer than 2 runs" in shown(found)
    assert "als: 0.9000, 1 runs" in shown(found)


def test_a_model_without_randomness_needs_no_other_seeds(write_run: WriteRun, chosen: Callable[..., Selection]) -> None:
    for seed in (1, 2, 3):
        write_run("svd", seed=seed, metrics=judged(1.2 + seed / 100))
    folder = write_run("ease", seed=1, metrics=judged(0.9))
    provenance = json.loads((folder / "provenance.json").read_text())
    del provenance["identity"]["replicate"]["seed"]
    (folder / "provenance.json").write_text(json.dumps(provenance))
    found = chosen()
    assert found.chosen.model == "ease"
    assert found.fewer == []
    assert "same seeds" not in shown(found)


def test_pruned_trials_count_among_what_was_tried(write_run: WriteRun, chosen: Callable[..., Selection]) -> None:
    write_run(metrics=judged(1.2))
    for factors in (20, 40):
        write_run(state="pruned", error="worse", config={"model.n_factors": factors})
    found = chosen()
    assert (found.n_configurations, found.n_runs, found.n_pruned) == (3, 3, 2)
    assert len(found.rows) == 1


def test_what_cannot_be_ranked_together_is_refused(write_run: WriteRun, chosen: Callable[..., Selection]) -> None:
    write_run(metrics={**judged(1.2), "val/unknown_users": 3.0})
    with pytest.raises(UserError, match=r"val/unknown_users: .* available: val/rmse, val/ndcg@10\."):
        chosen("val/unknown_users")
    with pytest.raises(UserError, match=r"test/rmse: choosing by a test metric would bias the test result"):
        chosen("test/rmse")
    with pytest.raises(
        UserError, match=r"val/mae: not a validation metric to choose by; available: val/rmse, val/ndcg@10\."
    ):
        chosen("val/mae")
    with pytest.raises(UserError, match="not a validation metric to choose by"):
        chosen("val/bias")
    write_run(family="other", split="per_user", metrics=judged(1.1))
    with pytest.raises(
        UserError, match=r"(?s)different data or splits.*random split.*: 1 runs\n.*per_user split: 1 runs"
    ):
        chosen()


def test_runs_of_different_objectives_need_a_metric(write_run: WriteRun, chosen: Callable[..., Selection]) -> None:
    folder = write_run("svd", metrics=judged(1.2))
    write_run("als", metrics=judged(1.1))
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("objective: val/rmse", "objective: val/ndcg@10"))
    with pytest.raises(UserError, match=r"different objectives \(val/rmse, val/ndcg@10\)|\(val/ndcg@10, val/rmse\)"):
        chosen()
    assert chosen("val/rmse").chosen.model == "als"


def test_runs_of_several_objectives_need_a_metric(write_run: WriteRun, chosen: Callable[..., Selection]) -> None:
    several = {"objective": ["val/rmse", "val/ndcg@10"]}
    write_run("svd", config=several, metrics={**judged(1.2), "val/ndcg@10": 0.3})
    write_run("als", config=several, metrics={**judged(1.1), "val/ndcg@10": 0.2})
    with pytest.raises(UserError, match=r"several objectives \(val/rmse, val/ndcg@10\).*--metric val/rmse"):
        chosen()
    assert chosen("val/ndcg@10").chosen.model == "svd"


def test_nothing_finished_is_said(write_run: WriteRun, chosen: Callable[..., Selection]) -> None:
    write_run(state="failed", error="out of memory")
    with pytest.raises(UserError, match="None of 1 runs has finished"):
        chosen()


@pytest.mark.parametrize("n_splits", [1, 2])
def test_several_splits_make_the_test_figure_optimistic_too(
    write_run: WriteRun, chosen: Callable[..., Selection], n_splits: int
) -> None:
    write_run("als", seed=0, metrics=judged(1.2))
    for seed in (0, 1):
        provenance = write_run("svd", seed=seed, metrics=judged(1.1)) / "provenance.json"
        content = json.loads(provenance.read_text())
        content["split"]["fingerprint"] = f"split {seed % n_splits}"
        provenance.write_text(json.dumps(content))
    found, text = chosen(), io.StringIO()
    print_cautions(Console(file=text, width=80), found, [], found.chosen.members, 1)
    assert ("The test metric is slightly optimistic" in text.getvalue()) == (n_splits == 2)


def test_a_run_that_links_elsewhere_is_not_written_into(write_run: WriteRun, tmp_path: Path) -> None:
    folder, victim = write_run(), tmp_path / "victim"
    victim.mkdir()
    (folder / "wandb").mkdir()
    (folder / "wandb" / "latest-run").symlink_to("nowhere")
    check_links(folder)
    for name in ("figures", "checkpoints"):
        (folder / name).symlink_to(victim, target_is_directory=True)
        with pytest.raises(UserError, match=f"{name} is a symbolic link"):
            check_links(folder)
        (folder / name).unlink()


def test_equal_means_are_named(write_run: WriteRun, chosen: Callable[..., Selection]) -> None:
    for model in ("svd", "als"):
        write_run(model, metrics=judged(1.2))
    assert "2 configurations are tied for the best; the first by name was chosen." in shown(chosen())
