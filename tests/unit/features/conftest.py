"""A handful of titles, their pictures, and the shortest way to make a branch."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from anirec.features.pictures import Pictures
from anirec.features.text import Text
from anirec.features.tfidf import TfIdf

CPU = torch.device("cpu")
TEXT: dict[str, Any] = {
    "column": "synopsis",
    "encoder": "tiny",
    "layers": None,
    "max_tokens": 24,
    "pooling": "mean",
    "padding": "right",
    "join": True,
    "frozen": False,
    "trained_layers": None,
    "lora_rank": None,
    "gradient_checkpointing": False,
    "compile": False,
}
PICTURES: dict[str, Any] = {
    "encoder": "tiny",
    "layout": "each",
    "output": "pooled",
    "frozen": False,
    "trained_layers": None,
    "compile": False,
}
TFIDF: dict[str, Any] = {
    "columns": ["synopsis"],
    "ngrams": [1, 2],
    "analyzer": "word",
    "min_df": 1,
    "max_features": None,
    "sublinear": True,
    "punctuation": False,
}
SYNOPSES = [
    "A thief steals the crown of a forgotten kingdom.",
    "A thief hides in the kingdom. Detectives hunt the thief through the night, and through every night after that.",
    None,
    "   ",
    "Pilots of giant robots defend the last city.",
    "Two students open a bakery.",
]


def text(**changed: Any) -> Text:
    return Text(**{**TEXT, **changed})


def pictures(**changed: Any) -> Pictures:
    return Pictures(**{**PICTURES, **changed})


def tfidf(**changed: Any) -> TfIdf:
    return TfIdf(**{**TFIDF, **changed})


@pytest.fixture
def make_text():
    return text


@pytest.fixture
def make_pictures():
    return pictures


@pytest.fixture
def make_tfidf():
    return tfidf


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six portraits of noise, 0.png to 5.jpg, of several sizes, and some that cannot be read."""
    folder = tmp_path_factory.mktemp("gallery")
    random = np.random.default_rng(0)
    for number, suffix in enumerate(["png", "png", "jpg", "gif", "webp", "jpg"]):
        pixels = random.integers(0, 255, (90 + 30 * number, 70 + 10 * number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.{suffix}")
    (folder / "truncated.jpg").write_bytes((folder / "5.jpg").read_bytes()[:2000])
    (folder / "page.png").write_text("<html>Not found</html>")
    Image.new("L", (50_000, 10)).save(folder / "slender.png")
    Image.new("1", (50_000, 6_000)).save(folder / "huge.png")
    Image.new("RGB", (50, 50)).save(folder / "bitmap.bmp")
    return folder


@pytest.fixture
def titles(gallery: Path) -> pl.DataFrame:
    portraits = [["0.png"], ["1.png", None, "2.jpg"], [], ["truncated.jpg", "nowhere.png"], ["page.png", "3.gif"], []]
    descriptions = [["A young thief."], ["A king.", None, "A thief."], [], [None, ""], ["A pilot.", "A robot."], []]
    return pl.DataFrame(
        {
            "title": list("abcdef"),
            "synopsis": SYNOPSES,
            "descriptions": pl.Series(descriptions, dtype=pl.List(pl.String)),
            "portraits": [[path and str(gallery / path) for path in row] for row in portraits],
            "n_main_characters": pl.Series([1, 3, 0, 2, 2, 0], dtype=pl.Int32),
            "type": ["TV", "TV", "Movie", None, "TV", "Movie"],
            "genres": [["Drama", "Action"], ["Action"], [], ["Drama"], ["Action", "Rare"], ["Drama"]],
            "episodes": pl.Series([12, 24, None, 1, 12, 1], dtype=pl.Int32),
        }
    )


@pytest.fixture
def seen(titles: pl.DataFrame, tmp_path: Path):
    """A branch, fitted on the titles, that has looked at them or at others."""

    def seen(branch: Any, looked: pl.DataFrame | None = None, cache: Path = tmp_path) -> Any:
        torch.manual_seed(0)
        branch.fit(titles)
        branch.look(titles if looked is None else looked, cache=cache, device=CPU)
        return branch.eval()

    return seen
