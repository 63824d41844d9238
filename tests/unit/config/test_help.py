"""Help comes from the comments of the YAML files."""

from pathlib import Path

import pytest

from anirec.config.comments import key_comments, purpose
from anirec.config.compose import conf_folder
from anirec.config.help import GROUPS, describe_keys, find_choices, list_choices, list_keys
from anirec.errors import UserError


@pytest.fixture(scope="module")
def choices() -> str:
    return list_choices()


def sections(text: str) -> dict[str, str]:
    """Return the text below each heading, with single spaces."""
    parts = (part.partition("\n") for part in text.split("\n\n"))
    return {heading: " ".join(rows.split()) for heading, _, rows in parts}


def test_each_choice_of_each_group_is_listed_with_the_first_comment_of_its_file(choices: str) -> None:
    found = sections(choices)
    for group in ("model", *GROUPS):
        listed = " ".join(rows for heading, rows in found.items() if heading.endswith(f"({group}=NAME):"))
        for name, path in find_choices(group, [conf_folder()]).items():
            assert f"{name} {' '.join(purpose(path).split())}"[:70] in listed.replace("- ", "-")


def test_models_are_grouped_by_task(choices: str) -> None:
    found = sections(choices)
    of_ratings, of_titles, of_posts = (rows for heading, rows in found.items() if heading.startswith("Models of "))
    assert "svdpp SVD++" in of_ratings
    assert "item_knn_cosine MALSugoi" in of_ratings
    assert "mean The mean training score for every title" in of_titles
    assert "tag_tree A regression tree" in of_posts


def test_choices_of_the_users_own_are_listed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tuned.yaml").write_text("# Our SVD, tuned.\ndefaults:\n  - svd\n")
    (tmp_path / "model" / "tuned_tree.yaml").write_text("# Our tree.\ndefaults:\n  - tag_tree\n  - _self_\n")
    found = sections(list_choices(str(tmp_path)))
    assert "tuned Our SVD, tuned." in found["Models of ratings by users (model=NAME):"]
    assert "tuned_tree Our tree." in found["Models of scores of posts (model=NAME):"]
    keys = list_keys(["model=tuned"], str(tmp_path))
    assert keys.startswith("model=tuned: Our SVD, tuned.")
    assert "model.lr=0.03" in keys


def test_keys_have_the_comments_of_the_files_that_theirs_extends() -> None:
    found = sections(list_keys(["model=fusion_portraits", "model.training.clip=2"]))
    model = found["model=fusion_portraits: The fusion network on portraits only (published"]
    assert "model.training.clip=2 maximum norm of the gradient" in model  # training/head.yaml
    assert "model.training.lr=0.0003 of the encoders" in model  # training/network.yaml
    assert "model.branches.portraits.layout=each each: one vector per portrait" in model  # branch/pictures.yaml
    assert "_target_=" not in model
    svdpp = " ".join(list_keys(["model=svdpp"]).split())
    assert "model.reg=0.08 L2 penalty on factors, per rating; .05 for denser" in svdpp  # model/svd.yaml


def test_keys_of_the_parts_of_a_run_and_of_groups_on_the_command_line() -> None:
    text = list_keys(["model=bias,svd", "search=svd", "hydra/launcher=local"])
    headings = [line.partition(":")[0] for line in text.splitlines() if line and not line.startswith(" ")]
    wanted = ["model=bias", "dataset=demo_ratings", "split=random", "metrics=ratings", "trainer=auto", "search=svd"]
    assert [heading for heading in headings if "=" in heading] == [*wanted, "hydra/launcher=local"]
    assert "model.reg=tag(log, interval(0.01, 0.3))" in text
    assert "hydra.launcher.n_jobs=-1" in text


def test_keys_of_a_config_that_does_not_compose() -> None:
    with pytest.raises(UserError, match="did you mean svd"):
        list_keys(["model=svdd"])


@pytest.mark.parametrize("overrides", [[], ["model=blend"], ["model=fusion_paper", "dataset=animepop"]])
def test_help_fits_a_terminal(overrides: list[str], choices: str) -> None:
    text = list_keys(overrides) if overrides else choices
    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_comments_behind_values_of_every_form() -> None:
    text = """
plain: 1            # a number
quoted: "a # b"     # a text
listed: [a, b]      # of names
flow: {a: 1, b: 2}  # weights
block:              # a mapping
  inner: null       # a key of it
items:              # a list
  - a               # of an item, not of a key
  - b
# of the file
none: 3
"""
    assert key_comments(text) == {
        "plain": "a number",
        "quoted": "a text",
        "listed": "of names",
        "flow": "weights",
        "block": "a mapping",
        "block.inner": "a key of it",
        "items": "a list",
    }


def test_a_mapping_with_one_comment_is_one_value() -> None:
    content = {"weights": {"a": 0.7, "b": 0.3}, "training": {"epochs": 3}}
    assert list(describe_keys(content, "model", {"model.weights": "of models"})) == [
        ("model.weights={a: 0.7, b: 0.3}", "of models"),
        ("model.training.epochs=3", ""),
    ]
