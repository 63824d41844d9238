"""`anirec data describe` on a tiny dump of every kind, with what a user may ask of it."""

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
    """Titles 1 to 60, the first without a score; each has two characters and shares one with the next."""
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


def told(capsys: pytest.CaptureFixture[str], *overrides: str, figure: str | None = None) -> str:
    show_description(NAME, overrides, Path(figure) if figure else None)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    return text


def test_both_parts_of_a_dump_with_ratings_and_texts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ratings, titles = told(capsys, LOOSE).split("Titles to be judged")
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
        "main characters 60; 2.00 a title",
        "franchises 1; the largest holds 100.0% of titles (59)",
        "only a poster in 1.7% of titles (1)",
        "main characters 59 titles does not vary does not vary",
    ):
        assert line in lines
    assert any(line.startswith("all 59 ") for line in lines)
    assert any(line.startswith("synopsis words 59 titles 0.") and "moderate" in line for line in lines)
    assert "dataset.cleaning.ablate_below=0.2" in titles


def test_an_ablation_before_and_after(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["dataset.cleaning.ablate_below=0.3", "dataset.cleaning.ablate_min_words=40"]
    text = told(capsys, LOOSE, *asked)
    assert "59 before ablation" in text
    (after,) = [line for line in text.splitlines() if "after ablation" in line and "vary" not in line]
    n_left, correlation = int(after.split()[0]), float(after.split()[3])
    assert correlation < 0.3
    assert f"dropped {59 - n_left} titles" in text
    assert "with a score from 7 and more than 40 words" in text


def test_the_figure_is_where_it_was_asked_for(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "The figure is in drawn/here.png" in told(capsys, LOOSE, figure="drawn/here.png")
    assert [path.name for path in Path("drawn").iterdir()] == ["here.png"]
    with Image.open("drawn/here.png") as picture:
        assert picture.width > 2 * picture.height


def test_without_the_figure_nothing_is_written_here(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, LOOSE)
    assert {path.name for path in Path.cwd().iterdir()} == {"data", "cache"}


def test_a_missing_dump_is_named_and_done_without_only_when_asked(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    text = told(capsys, *without, "dataset.cleaning.main_character=false")
    assert "none is known: each title is a franchise of its own" in text


def test_ratings_alone_are_described_as_ratings_alone(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["dataset.source.n_users=30", "dataset.source.n_items=40"]
    show_description("demo_ratings", small, None)
    text = capsys.readouterr().out
    assert text.startswith("interactions")
    assert "Titles" not in text
    with pytest.raises(UserError, match="demo_ratings has no synopsis and no score here"):
        show_description("demo_ratings", [*small, LOOSE], None)
    with pytest.raises(UserError, match=r"a\.png: demo_ratings has no synopsis"):
        show_description("demo_ratings", small, Path("a.png"))


def test_titles_alone_are_described_as_titles_alone(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_description("demo_corpus", ["dataset.source.n_titles=40"], None)
    text = capsys.readouterr().out
    assert "Ratings by users" not in text
    assert "character_portrait=true" in text
    assert "descriptions     of" in text


@pytest.mark.parametrize("wrong", ["dataset.cleaning.ablate_bellow=0.2", "+dataset.cleaning.ablate=1", "sed=1"])
def test_mistakes_are_told_as_validate_tells_them(data: Path, wrong: str) -> None:
    with pytest.raises(UserError) as told_here:
        show_description(NAME, [wrong], None)
    with pytest.raises(UserError) as told_there:
        validate([f"dataset={NAME}", "model=mean", wrong])
    assert str(told_here.value) == str(told_there.value)
    assert "did you mean" in str(told_here.value)


@pytest.mark.parametrize(
    ("overrides", "figure", "words"),
    [
        (["seed=1"], None, "seed=1: this changes nothing"),
        ([f"{LOOSE},3"], None, "Several values for a key"),
        ([], "a.txt", "a.txt: expected a file that ends in .png"),
        ([LOOSE], "data/posters/2.jpg/a.png", "it cannot be written there"),
    ],
)
def test_what_cannot_be_done_is_said(data: Path, overrides: list[str], figure: str | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        show_description(NAME, overrides, Path(figure) if figure else None)


def test_nothing_heavy_is_imported(data: Path) -> None:
    code = "import sys; from anirec.cli import app; app(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    call = [sys.executable, "-c", code, "data", "describe", NAME, LOOSE]
    modules = subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
    assert "anirec.describing.describe" in modules
    assert not {"torch", "pytorch_lightning", "transformers", "matplotlib"} & set(modules)
