import json
from collections.abc import Callable
from pathlib import Path

from anirec.report.groups import families
from anirec.report.runs import read_runs

WriteRun = Callable[..., Path]


def labels(folder: Path) -> dict[str, list[str]]:
    return {family.title: [group.label for group in family.groups] for family in families(read_runs([folder]))}


def test_seeds_and_folds_are_one_group(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in (1, 2):
        for fold in (0, 1, 2):
            write_run("svd", seed=seed, fold=fold, split="k_fold", config={"model.random_state": seed})
    (family,) = families(read_runs([tmp_path]))
    (group,) = family.groups
    assert len(group.members) == 6
    assert group.label == "svd"
    assert family.title == "mal_2016, k_fold split"


def test_groups_of_one_model_are_labelled_by_their_settings(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svdpp")
    write_run("svdpp", config={"model.n_factors": 20})
    write_run("svdpp", config={"trainer.max_epochs": 3})
    write_run("popularity")
    assert sorted(labels(tmp_path)["mal_2016, random split"]) == [
        "popularity",
        "svdpp n_factors=20 max_epochs=12",
        "svdpp n_factors=80 max_epochs=12",
        "svdpp n_factors=80 max_epochs=3",
    ]


def test_runs_with_other_settings_of_metrics_are_in_other_families(write_run: WriteRun, tmp_path: Path) -> None:
    for key, value in {"relevant_from": 8, "candidates": "cold", "max_users": 50, "interval": 0.8}.items():
        usual = {"relevant_from": None, "candidates": "all", "max_users": None, "interval": 0.9}
        for model, settings in {"svd": usual, "bias": usual, "ease": usual | {key: value}}.items():
            write_run(model, dataset=f"of_{key}", family=key, config={"metrics": settings})
    found = labels(tmp_path)
    assert found["of_relevant_from, random split (relevant_from=8)"] == ["ease"]
    assert found["of_relevant_from, random split (relevant_from=null)"] == ["svd", "bias"]
    assert found["of_candidates, random split (candidates=cold)"] == ["ease"]
    assert found["of_max_users, random split (max_users=50)"] == ["ease"]
    assert found["of_interval, random split (interval=0.8)"] == ["ease"]
    assert len(found) == 8


def test_the_choice_of_metrics_makes_no_configuration(write_run: WriteRun, tmp_path: Path) -> None:
    for seed, names in enumerate((["rmse"], ["mae", "rmse"], ["rmse", "mae"])):
        write_run("svd", seed=seed, config={"metrics.names": names, "metrics.segments": seed > 0})
    unranked = {"metrics": {"_target_": "anirec.evaluation.ratings.RatingErrors", "names": ["rmse"]}}
    write_run("svd", seed=4, config=unranked)
    (family,) = families(read_runs([tmp_path]))
    (group,) = family.groups
    assert (group.label, len(group.members)) == ("svd", 4)


def test_a_run_that_ranked_nothing_joins_the_most_runs(write_run: WriteRun, tmp_path: Path) -> None:
    for model, relevant in (("svd", None), ("svd", 8), ("bias", 8)):
        write_run(model, config={"metrics.relevant_from": relevant})
    write_run("als", config={"metrics": {"names": ["rmse"]}})
    assert labels(tmp_path) == {
        "mal_2016, random split (relevant_from=null)": ["svd"],
        "mal_2016, random split (relevant_from=8)": ["svd", "bias", "als"],
    }


def test_a_part_stands_for_its_settings(write_run: WriteRun, tmp_path: Path) -> None:
    patience = {"_target_": "anirec.tracking.callbacks.Patience", "objective": "val/rmse", "epochs": 3}
    write_run("svd")
    write_run("svd", config={"callbacks": {"early_stopping": patience}})
    assert labels(tmp_path)["mal_2016, random split"] == ["svd", "svd early_stopping"]
    write_run("svd", config={"callbacks": {"early_stopping": {**patience, "epochs": 5}}})
    assert "svd early_stopping.epochs=5" in labels(tmp_path)["mal_2016, random split"]


def test_seeds_with_equal_predictions_count_once(write_run: WriteRun, tmp_path: Path) -> None:
    first, *others = (write_run("bias", seed=seed) for seed in (1, 2, 3))
    for other in others:
        (other / "metrics.json").write_text((first / "metrics.json").read_text())
    write_run("svd", seed=1)
    write_run("svd", seed=2)
    (family,) = families(read_runs([tmp_path]))
    bias, svd = sorted(family.groups, key=lambda group: group.model)
    assert (len(bias.members), len(bias.equal), bias.n_replicates) == (1, 2, 3)
    assert (len(svd.members), len(svd.equal)) == (2, 0)


def test_a_newer_run_with_fewer_metrics_replaces_nothing(write_run: WriteRun, tmp_path: Path) -> None:
    older = write_run("svd", config={"metrics.names": ["rmse", "ndcg@10"]})
    newer = write_run("svd", config={"metrics.names": ["rmse"]})
    ((group,),) = (family.groups for family in families(read_runs([tmp_path])))
    assert [run.folder for run in group.members] == [older.resolve()]
    assert [run.folder for run in group.repeats] == [newer.resolve()]


def test_generated_data_of_other_sizes_is_named_by_its_size(write_run: WriteRun, tmp_path: Path) -> None:
    for n_users in (200, 2000):
        folder = write_run("svd", dataset="demo_ratings", family=f"f{n_users}")
        provenance = json.loads((folder / "provenance.json").read_text())
        provenance["data"]["source"] = {"options": {"n_users": n_users, "n_items": 100}}
        (folder / "provenance.json").write_text(json.dumps(provenance))
    assert set(labels(tmp_path)) == {f"demo_ratings, random split (n_users={n})" for n in (200, 2000)}


def test_families_of_one_name_have_distinct_titles(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", family="aaa")
    write_run("svd", family="bbb", config={"split.test": 0.2})
    write_run("svd", family="ccc", dataset="mal_2018")
    write_run("svd", family="ddd", dataset="mal_2018")
    assert set(labels(tmp_path)) == {
        "mal_2016, random split (split.test=0.1)",
        "mal_2016, random split (split.test=0.2)",
        "mal_2018, random split (family ccc)",
        "mal_2018, random split (family ddd)",
    }


def test_a_run_made_again_counts_once_and_the_newest_counts(write_run: WriteRun, tmp_path: Path) -> None:
    older, other, newer = write_run("svd", seed=1), write_run("svd", seed=2), write_run("svd", seed=1)
    ((group,),) = (family.groups for family in families(read_runs([tmp_path])))
    assert {run.folder for run in group.members} == {newer.resolve(), other.resolve()}
    assert [run.folder for run in group.repeats] == [older.resolve()]


def test_groups_that_differ_in_what_is_cut_off_are_numbered_by_age(write_run: WriteRun, tmp_path: Path) -> None:
    older, newer = (write_run("svd", config={"model.layers": [256, 128, 64, 32, 16, 8, 4, 2, last]}) for last in (4, 2))
    for paths in ([older, newer], [newer, older]):
        (family,) = families(read_runs(paths))
        found = {group.members[0].folder.name: group.label for group in family.groups}
        assert (found[older.name], found[newer.name]) == ("svd-1", "svd-2")
        assert [" ".join(group.differences) for group in family.groups] == [
            "layers=[256,128,64,32,16,8,4,2,4]",
            "layers=[256,128,64,32,16,8,4,2,2]",
        ]


def joined(folder: Path, source: str) -> None:
    """Make the run one that has read that source, too, as provenance says it."""
    path = folder / "provenance.json"
    content = json.loads(path.read_text())
    content["identity"] |= {"experiment": source}
    content["identity"]["settings"]["dataset.joined.metadata"] = source
    path.write_text(json.dumps(content))


def test_what_is_joined_makes_rows_of_its_own(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("hybrid")
    joined(write_run("hybrid"), "mal_2018-0f3a9c1d2e4b5a68")
    joined(write_run("hybrid", seed=2), "mal_2018-0f3a9c1d2e4b5a68")
    joined(write_run("hybrid"), "mal_2020-1f3a9c1d2e4b5a68")
    assert labels(tmp_path) == {
        "mal_2016, random split": ["hybrid", "hybrid joined=mal_2018", "hybrid joined=mal_2020"]
    }
