"""Definitions of studies, the choice of their data, and the comparison with published figures."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from anirec.errors import UserError
from anirec.studies import study
from anirec.studies.datasets import choose_data
from anirec.studies.definition import Part, read_study
from anirec.studies.published import (
    Comparison,
    compare_figures,
    figures_markdown,
    print_figures,
    read_our_figures,
    read_published_figures,
)

YAML = """
question: Who will love it?
source: A. Author, 2025
parts:
  ratings:
    question: How well?
    metric: test/rmse
    size: {ratings: 3}
    least: 2
    data:
      mal_2016: {overrides: trainer=cpu, commands: [model=svdpp]}
      demo_ratings:
    overrides: split=per_user
    commands: [model=bias, model=svd split=random]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a study, with no data available."""
    monkeypatch.setenv("ANIREC_DATA", str(tmp_path / "data"))
    return write(tmp_path / "mine", YAML)


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(text)
    return folder


def ratings(data: Path, n: int) -> None:
    """Write a dump with `n` ratings."""
    dump = data / "mal-2016"
    dump.mkdir(parents=True)
    rows = "".join(f"{user},1,8\n" for user in range(1, n + 1))
    (dump / "rating.csv").write_text(f"user_id,anime_id,rating\n{rows}")
    title = '1,Cowboy Bebop,"Action, Sci-Fi",TV,26,8.8,1000\n'
    (dump / "anime.csv").write_text(f"anime_id,name,genre,type,episodes,rating,members\n{title}")


def only_part(folder: Path) -> Part:
    return read_study(str(folder)).parts[0]


def test_a_dataset_adds_commands_and_the_last_override_of_a_key_counts(folder: Path) -> None:
    part = only_part(folder)
    assert part.commands_for(part.data[0]) == [
        ["dataset=mal_2016", "split=per_user", "trainer=cpu", "model=bias"],
        ["dataset=mal_2016", "split=random", "trainer=cpu", "model=svd"],
        ["dataset=mal_2016", "split=per_user", "trainer=cpu", "model=svdpp"],
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("metric:", "metrics:"), "unknown key metrics; did you mean metric?"),
        (("question: Who", "quest: Who"), "unknown key quest"),
        (("    metric: test/rmse\n", ""), "missing metric"),
        (("ratings: 3", "users: 3"), "expected the number of one of ratings, titles, posts"),
        (("data:", "data: mal_2016\n    least: 1\n    x:"), "unknown key x"),
        (("question: Who", "{"), "is not valid YAML"),
    ],
)
def test_an_invalid_study_is_reported(folder: Path, wrong: tuple[str, str], message: str) -> None:
    write(folder, YAML.replace(*wrong, 1))
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        read_study(str(folder))


def test_an_unknown_study_suggests_the_closest_name() -> None:
    with pytest.raises(UserError, match="did you mean malsugoi"):
        read_study("malsugio")


def test_generated_data_is_used_without_dumps(folder: Path) -> None:
    chosen = choose_data(only_part(folder), [])
    assert chosen is not None
    assert chosen.choice.dataset == "demo_ratings"
    assert not chosen.is_own
    assert "cannot be compared" in chosen.description
    assert chosen.rejected == ["mal_2016: 2 of 2 files are missing in " + missing(folder)]


def missing(folder: Path) -> str:
    return f"{folder.parent / 'data' / 'mal-2016'} (there is no such folder)"


@pytest.mark.parametrize(
    ("n", "description"),
    [
        (3, "mal_2016: 3 ratings, the study's own data (3 published)"),
        (2, "mal_2016: 2 ratings, a sample of the study's 3"),
        (1, "demo_ratings: generated data; results cannot be compared with the published ones"),
    ],
)
def test_a_real_dump_is_used_if_it_is_large_enough(folder: Path, n: int, description: str) -> None:
    ratings(folder.parent / "data", n)
    chosen = choose_data(only_part(folder), [])
    assert chosen is not None
    assert chosen.description == description
    assert chosen.rejected == (["mal_2016: only 1 ratings; at least 2 are needed"] if n == 1 else [])


def test_another_dump_is_distinguished_from_the_studys_own(folder: Path) -> None:
    write(folder, YAML.replace("      mal_2016:", "      mal_2018:\n      mal_2016:"))
    ratings(folder.parent / "data", 3)
    chosen = choose_data(only_part(folder), [])
    assert chosen is not None
    assert chosen.description == "mal_2016: 3 ratings, not the study's own data (mal_2018: 3)"


def test_a_dataset_and_its_folder_can_be_chosen(folder: Path, tmp_path: Path) -> None:
    ratings(tmp_path / "elsewhere", 1)
    chosen = choose_data(only_part(folder), [f"paths.data={tmp_path / 'elsewhere'}", "dataset=mal_2016"])
    assert chosen is not None
    assert chosen.choice.dataset == "mal_2016"
    assert choose_data(only_part(folder), ["dataset=mal_2018"]) is None


def test_no_available_data_is_an_error_with_reasons(folder: Path) -> None:
    write(folder, YAML.replace("      demo_ratings:\n", ""))
    with pytest.raises(
        UserError, match=r"ratings: none of its datasets is available:\n  mal_2016: 2 of 2 files are missing"
    ):
        study.run_study(str(folder), overrides=[], dry=True)


def test_dry_prints_the_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study.run_study(str(folder), overrides=["seed=7"], dry=True)
    printed = capsys.readouterr().out
    assert "Who will love it?" in printed
    assert "  anirec run -m dataset=demo_ratings split=random model=svd seed=7\n" in printed
    assert not (folder.parent / "outputs").exists()


def test_an_invalid_override_is_reported_before_any_run(folder: Path) -> None:
    with pytest.raises(UserError, match="no key sed"):
        study.run_study(str(folder), overrides=["sed=7"], dry=False)


def test_a_dataset_that_is_not_of_the_study_is_an_error(folder: Path) -> None:
    with pytest.raises(UserError, match="Its datasets are: demo_ratings, mal_2016"):
        study.run_study(str(folder), overrides=["dataset=malsugoi"], dry=True)


PUBLISHED = """model,source,test/rmse,test/mae,comparable,note
svd,paper,1.1805,,yes,by Surprise
ease,paper,1.2,,no,on other users
bert,paper,,0.5,,
mean,paper,,,,
"""
OURS = """dataset,split,model,settings,test/rmse:mean,test/rmse:std,test/mae:mean,test/mae:std
mal_2016,random,svd,reg=0.02,1.19,0.01,,
mal_2016,random,svd,,1.17,,,
mal_2016,random,ease,,1.3,,,
mal_2016,random,mean,,1.4,,,
"""


def compared(folder: Path, *own: str) -> list[Comparison]:
    (folder / "published.csv").write_text(PUBLISHED)
    (folder / "ours.csv").write_text(OURS)
    return compare_figures(read_published_figures(folder / "published.csv"), read_our_figures(folder / "ours.csv"), own)


def test_published_figures_stand_next_to_ours(tmp_path: Path) -> None:
    found = [(one.model, one.settings, one.metric, one.published, one.ours) for one in compared(tmp_path)]
    assert found == [
        ("svd", "reg=0.02", "test/rmse", "1.1805", "1.1900 ±0.0100"),
        ("svd", "", "test/rmse", "1.1805", "1.1700"),
        ("ease", "", "test/rmse", "1.2", "1.3000"),
        ("bert", "", "test/mae", "0.5", "not run"),
        ("mean", "", "test/rmse", "-", "1.4000"),
    ]


def test_differences_are_given_on_the_studys_own_data_only(tmp_path: Path) -> None:
    assert [one.difference for one in compared(tmp_path, "mal_2016")] == ["+0.0095", "-0.0105", "", "", ""]
    assert not any(one.difference for one in compared(tmp_path, "mal_2018"))
    assert "difference" in figures_markdown(compared(tmp_path, "mal_2016")).splitlines()[2]
    elsewhere = figures_markdown(compared(tmp_path))
    assert "on mal_2016, random split; not comparable, so no differences are given." in elsewhere
    assert "difference |" not in elsewhere


def test_a_table_of_figures_fits_80_columns_and_cuts_no_name(tmp_path: Path) -> None:
    stream = io.StringIO()
    long = [one._replace(model="profile_mlp_malsugoi_with_all_features") for one in compared(tmp_path, "mal_2016")]
    print_figures(Console(file=stream, width=80), long)
    printed = stream.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    assert "profile_mlp_malsugoi_with_all_features reg=0.02 (note 1)\n  RMSE" in printed
    assert "Note 2: on other users." in printed


def test_counts_of_the_full_data_are_scaled_to_a_sample(folder: Path) -> None:
    text = YAML.replace("least: 2", "least: 2\n    scaled: {dataset.min_item_ratings: 9}").replace(
        "ratings: 3", "ratings: 300"
    )
    part = only_part(write(folder, text))
    assert part.scaled_settings(100) == {"dataset.min_item_ratings": 3}
    assert part.scaled_settings(1) == {"dataset.min_item_ratings": 1}
    assert part.scaled_settings(300) == {}
    assert part.commands_for(part.data[0], 100)[0] == [
        "dataset=mal_2016", "split=per_user", "dataset.min_item_ratings=3", "trainer=cpu", "model=bias"
    ]  # fmt: skip
    assert "dataset.min_item_ratings=9" not in str(part.commands_for(part.data[0]))


def test_scaled_settings_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = YAML.replace("least: 2", "least: 2\n    scaled: {dataset.min_item_ratings: 9}").replace(
        "ratings: 3", "ratings: 9"
    )
    ratings(folder.parent / "data", 3)
    study.run_study(str(write(folder, text)), overrides=[], dry=True)
    printed = capsys.readouterr().out
    assert "(dataset.min_item_ratings=3 instead of 9: the same share)" in printed
    assert "dataset.min_item_ratings=3 trainer=cpu model=bias" in printed


def test_dry_gives_the_time_of_earlier_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "results.csv").write_text(
        "part,dataset,model,settings,runs,wall_seconds\nratings,demo_ratings,svd,a,3,20.0\n"
        "ratings,demo_ratings,ease,,1,900\nratings,mal_2016,svd,,1,900\nother,demo_ratings,svd,,1,900\n"
    )
    study.run_study(str(folder), overrides=[], dry=True)
    assert "About 1.0 min, without bias: time of the study's results.csv." in capsys.readouterr().out


def test_published_figures_need_a_model_and_a_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"published\.csv is missing"):
        read_published_figures(tmp_path / "published.csv")
    (tmp_path / "published.csv").write_text("model,test/rmse\nsvd,1\n")
    with pytest.raises(UserError, match="missing columns: source"):
        read_published_figures(tmp_path / "published.csv")
