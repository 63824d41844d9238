"""`anirec data describe` of posts: a generated image board and a tiny dump."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anirec.config.validate import validate
from anirec.describing.describe import show_description
from anirec.errors import UserError

pytestmark = pytest.mark.slow

SMALL = [
    *("dataset.source.n_posts=3000", "dataset.source.n_tags=80", "dataset.source.n_groups=3"),
    *("dataset.sampling.zeros=800", "dataset.tags.min_posts=40"),
]
LOOSE = "dataset.tags.min_posts=2"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANIREC_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_dump(place: Path, *scores: int | None) -> None:
    """Write a post for each score: all have the tag solo and one of their own, and nonzero ones also sky."""
    posts: list[dict[str, Any]] = [
        {"id": n + 1, "score": score, "tags": f"solo {'sky ' * bool(score)}own_{n}"} for n, score in enumerate(scores)
    ]
    (place / "data" / "safebooru").mkdir(parents=True)
    (place / "data" / "safebooru" / "page.json").write_text(json.dumps(posts))


def describe(capsys: pytest.CaptureFixture[str], name: str, *overrides: str, figure: str | None = None) -> str:
    show_description(name, overrides, Path(figure) if figure else None)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    return text


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_generated_board_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    text = describe(capsys, "demo_tags", *SMALL)
    for words in (
        "posts                    3,000",
        "share of posts, on a logarithmic scale",
        "median               all posts      0.000",
        "median               sampled posts",
        "points, 95%",
        "posts with both",
        "correlated with 1girl",
        "correlated with 1boy",
        "components explain",
        "Add --figure FILE.png to draw these tables",
    ):
        assert words in text, words
    found = lines(text)
    assert any(line.startswith("photo -") or " photo -" in line for line in found), "the most disliked tag"
    assert any(line.startswith(("male_focus muscular", "1boy male_focus")) for line in found)
    assert any(line.startswith("0 ") and "█" in line for line in found)


def test_posts_tags_and_scores_are_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dump(place, *[0] * 6, 2, 2, 4, 30, -9, None)
    text = describe(capsys, "safebooru", LOOSE, "dataset.ties=[sky,unheard_of]")
    found = lines(text)
    for line in ("posts kept 12", "posts without score 1", "distinct tags 14", "tags of all posts 29"):
        assert line in found, line
    for start in ("-3 or less 1 1", "0 6 6", "2 2 2", "16 or more 1 1"):
        assert any(line.startswith(f"{start} ") for line in found), start
    assert "mean all posts 2.636 5.223 9.188" in found
    assert "median all posts 0.000 4.273 9.558" in found
    assert "correlated with sky phi" in found
    assert "unheard_of" not in text
    assert "1girl" not in text


def test_posts_without_scores_are_described_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The site's API returns such posts."""
    write_dump(place, *[None] * 8)
    text = describe(capsys, "safebooru", "dataset.tags.min_posts=1")
    assert "posts without score 8" in lines(text)
    assert "cannot be estimated: the sample has no post with a score" in " ".join(text.split())
    assert "posts with both" in text
    assert "95%" not in text
    describe(capsys, "safebooru", "dataset.tags.min_posts=1", figure="board.svg")
    assert {path.name for path in place.glob("*.svg")} == {"board_scores.svg", "board_tag_pairs.svg"}


def test_overrides_take_effect(capsys: pytest.CaptureFixture[str]) -> None:
    every, few = (
        describe(capsys, "demo_tags", *SMALL, f"dataset.sampling.{more}") for more in ("zeros=null", "ones=10")
    )
    scored = {line.split()[0]: line.split()[1:3] for line in lines(every) if "█" in line}
    assert scored["0"][0] == scored["0"][1]
    sampled = next(line.split()[2] for line in lines(few) if line.startswith("1 ") and "█" in line)
    assert int(sampled) < 30
    assert "tags of all posts" in every
    assert "of the variance of 5 tags" in describe(capsys, "demo_tags", *SMALL, "dataset.tags.top=5")


@pytest.mark.parametrize("wrong", ["dataset.tags.min_post=2", "+dataset.sampling.twos=1", "sed=1"])
def test_invalid_overrides_raise_the_error_of_validate(wrong: str) -> None:
    with pytest.raises(UserError) as raised:
        show_description("demo_tags", [wrong], None)
    with pytest.raises(UserError) as expected:
        validate(["dataset=demo_tags", "model=tag_mean", wrong])
    assert str(raised.value) == str(expected.value)
    assert "did you mean" in str(raised.value)


@pytest.mark.parametrize(
    ("overrides", "figure", "words"),
    [
        (["seed=1"], None, "seed=1: no effect on the description of demo_tags, which depends on dataset.source"),
        (["model.components=3"], None, "model.components"),
        (["dataset.tags.top=3,4"], None, "A key has several values"),
        (["dataset.tags.min_posts=9000"], None, "min_posts=9000: none of .* tags is on so many posts"),
        (["dataset.sampling.zeros=-1"], None, "zeros=-1: expected a number >= 0"),
        (["dataset.source.n_tags=20"], None, "n_tags=20"),
        ([], "a.txt", "a.txt: expected a file name that ends in .png"),
    ],
)
def test_impossible_requests_are_errors(overrides: list[str], figure: str | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        show_description("demo_tags", [*SMALL, *overrides], Path(figure) if figure else None)


def test_a_missing_dump_is_an_error() -> None:
    with pytest.raises(UserError, match=r"all_data.csv"):
        show_description("safebooru", [], None)


def test_figures_are_written_with_the_given_stem(capsys: pytest.CaptureFixture[str]) -> None:
    text = describe(capsys, "demo_tags", *SMALL, figure="drawn/board.png")
    names = {path.name for path in Path("drawn").iterdir()}
    assert names == {
        f"board_{which}.png" for which in ("scores", "tag_pairs", "tag_ties", "explained_variance", "tag_effects")
    }
    for name in names:
        assert f"Figure written to drawn/{name}" in text
        with Image.open(f"drawn/{name}") as picture:
            assert picture.width > 300
    Path("file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        show_description("demo_tags", SMALL, Path("file/board.png"))
