"""`anirec data describe` of ratings and titles, on tiny dumps of every kind."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anirec.config.validate import validate
from anirec.data.sources.mal_2020 import ITEMS
from anirec.describing.describe import show_description
from anirec.errors import UserError

pytestmark = pytest.mark.slow

N = 60
NAME = "mal_2020"
LOOSE = "dataset.cleaning.min_synopsis_words=2"


def write(folder: Path, **files: list[str]) -> None:
    folder.mkdir(parents=True)
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")


def anime(number: int, score: float) -> str:
    cells = {"mal_id": str(number), "name": f"Title {number}", "score": f"{score:.2f}" if number > 1 else "Unknown"}
    return ",".join(cells.get(name, "Unknown") for name in ITEMS.header)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder with titles 1 to 60, the first without a score; each shares a character with the next."""
    random = np.random.default_rng(0)
    score = random.uniform(5, 9, N)
    words = (3 + 20 * (score - 5) + random.normal(0, 40, N)).clip(3).astype(int)
    synopses = [f"{n + 1},Title {n + 1},Unknown,Action,{'word ' * words[n]}" for n in range(N)]
    write(
        tmp_path / "data" / "mal-2020",
        animelist=["user_id,anime_id,rating,watching_status,watched_episodes", "1,2,9,2,26", "1,3,7,2,1", "2,2,8,2,3"],
        anime=[",".join(ITEMS.header), *(anime(n + 1, score[n]) for n in range(N))],
        anime_with_synopsis=["MAL_ID,Name,Score,Genres,sypnopsis", *synopses],
    )
    cast = [f"{n + 1},{character},Main" for n in range(N) for character in (n + 100, n + 101)]
    write(tmp_path / "data" / "mal-characters", anime_characters=["anime_id,character_id,role", *cast])
    write(
        tmp_path / "data" / "posters",
        posters_index=["mal_id,file,width,height,bytes", "2,2.jpg,1,1,1", "3,3.jpg,1,1,1"],
    )
    Image.new("RGB", (1, 1)).save(tmp_path / "data" / "posters" / "2.jpg")
    monkeypatch.setenv("ANIREC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ANIREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def describe(capsys: pytest.CaptureFixture[str], *overrides: str, figure: str | None = None) -> str:
    show_description(NAME, overrides, Path(figure) if figure else None)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    return text


def test_a_dump_with_ratings_and_texts_is_described_in_two_parts(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ratings, titles = describe(capsys, LOOSE).split("Titles with scores")
    assert ratings.startswith("Ratings by users")
    for words in ("interactions", "8.000 ± 1.000", "█", "fingerprint"):
        assert words in ratings
        assert words not in titles
    lines = [" ".join(line.split()) for line in titles.splitlines()]
    for line in (
        "titles read 60",
        "score=true 1 59",
        "main_character=true 0 59",
        "titles kept 59",
        "main characters 60; 2.00 per title",
        "franchises 1; the largest has 100.0% of titles (59)",
        "only a poster in 1.7% of titles (1)",
        "main characters 59 titles constant constant",
    ):
        assert line in lines
    assert any(line.startswith("all 59 ") for line in lines)
    assert any(line.startswith("synopsis words 59 titles 0.") and "moderate" in line for line in lines)
    assert "dataset.cleaning.ablate_below=0.2" in titles


def test_correlations_before_and_after_the_ablation(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ablation = ["dataset.cleaning.ablate_below=0.3", "dataset.cleaning.ablate_min_words=40"]
    text = describe(capsys, LOOSE, *ablation)
    assert "59 before ablation" in text
    (after,) = [line for line in text.splitlines() if "after ablation" in line and "constant" not in line]
    n_left, correlation = int(after.split()[0]), float(after.split()[3])
    assert correlation < 0.3
    assert f"dropped the {59 - n_left} titles" in text
    assert "with a score of at least 7 and more than 40 words" in text


def test_the_figure_is_written_to_the_given_path(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Figure written to drawn/here.png" in describe(capsys, LOOSE, figure="drawn/here.png")
    assert [path.name for path in Path("drawn").iterdir()] == ["here.png"]
    with Image.open("drawn/here.png") as picture:
        assert picture.width > 2 * picture.height


def test_without_figure_no_file_is_written(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    describe(capsys, LOOSE)
    assert {path.name for path in Path.cwd().iterdir()} == {"data", "cache"}


def test_a_missing_dump_is_an_error_unless_it_is_set_to_null(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(data / "mal-characters")
    shutil.rmtree(data / "posters")
    with pytest.raises(UserError) as error:
        show_description(NAME, [LOOSE], None)
    for words in ("anime_characters.csv", "joined.characters=null", "posters_index.csv", "joined.posters=null"):
        assert words in str(error.value)
    assert "interactions" in capsys.readouterr().out
    without = [LOOSE, "dataset.joined.characters=null", "dataset.joined.posters=null"]
    with pytest.raises(UserError, match=r"main_character dropped 59. Relax a rule.*cleaning.main_character"):
        show_description(NAME, without, None)
    capsys.readouterr()
    text = describe(capsys, *without, "dataset.cleaning.main_character=false")
    assert "none known; each title is a franchise of its own" in text


def test_a_dataset_of_ratings_is_described_without_titles(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["dataset.source.n_users=30", "dataset.source.n_items=40"]
    show_description("demo_ratings", small, None)
    text = capsys.readouterr().out
    assert text.startswith("interactions")
    assert "Titles" not in text
    with pytest.raises(UserError, match="demo_ratings has no synopsis and no score, so titles are not described"):
        show_description("demo_ratings", [*small, LOOSE], None)
    with pytest.raises(UserError, match=r"a\.png: demo_ratings has no synopsis"):
        show_description("demo_ratings", small, Path("a.png"))


def test_a_dataset_of_titles_is_described_without_ratings(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_description("demo_corpus", ["dataset.source.n_titles=40"], None)
    text = capsys.readouterr().out
    assert "Ratings by users" not in text
    assert "character_portrait=true" in text
    assert any(line.startswith("descriptions of") for line in (" ".join(line.split()) for line in text.splitlines()))


@pytest.mark.parametrize("wrong", ["dataset.cleaning.ablate_bellow=0.2", "+dataset.cleaning.ablate=1", "sed=1"])
def test_invalid_overrides_raise_the_error_of_validate(data: Path, wrong: str) -> None:
    with pytest.raises(UserError) as raised:
        show_description(NAME, [wrong], None)
    with pytest.raises(UserError) as expected:
        validate([f"dataset={NAME}", "model=mean", wrong])
    assert str(raised.value) == str(expected.value)
    assert "did you mean" in str(raised.value)


@pytest.mark.parametrize(
    ("overrides", "figure", "words"),
    [
        (["seed=1"], None, "seed=1: no effect on"),
        ([f"{LOOSE},3"], None, "A key has several values"),
        ([], "a.txt", "a.txt: expected a file name that ends in .png"),
        ([LOOSE], "data/posters/2.jpg/a.png", "cannot be written"),
    ],
)
def test_impossible_requests_are_errors(data: Path, overrides: list[str], figure: str | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        show_description(NAME, overrides, Path(figure) if figure else None)


def test_no_heavy_library_is_imported(data: Path) -> None:
    code = "import sys; from anirec.cli import app; app(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    call = [sys.executable, "-c", code, "data", "describe", NAME, LOOSE]
    modules = subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
    assert "anirec.describing.describe" in modules
    assert not {"torch", "pytorch_lightning", "transformers", "matplotlib"} & set(modules)
