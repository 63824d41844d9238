"""Folders whose names hold characters of patterns: cache, outputs and files given on the command line."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from .conftest import SMALL, Anirec, runs


def test_folders_may_have_brackets_and_asterisks_in_their_names(
    anirec_in: Callable[..., Anirec], tmp_path: Path
) -> None:
    place = tmp_path / "out[1]*"
    place.mkdir()
    anirec = anirec_in(place, ANIREC_CACHE=str(tmp_path / "ca[c]he"))
    anirec("run", *SMALL, "model=bias")
    anirec("run", *SMALL, "model=ease")
    table = anirec("compare", "outputs", "--csv", "table[1].csv", "--html", "page[1].html").stdout
    assert all(name in table for name in ("bias", "ease"))
    assert all((place / name).is_file() for name in ("table[1].csv", "page[1].html"))
    (bias,), (ease,) = runs(place, "bias"), runs(place, "ease")
    assert "Crimson Voyage" in anirec("recommend", str(ease), "--likes", "Crimson Voyage=9").stdout
    assert "list entries" in anirec("export", str(ease)).stdout
    pl.read_parquet(bias / "predictions.parquet", glob=False).select("user_id", "item_id").head(3).write_csv(
        place / "rows[1].csv"
    )
    for kind in (".parquet", ".csv"):
        anirec("predict", str(bias), "--input", "rows[1].csv", "--output", f"predicted[1]{kind}")
        anirec("predict", str(bias), "--input", f"predicted[1]{kind}", "--output", "again[1].csv")
    assert pl.read_csv(place / "again[1].csv", glob=False)["prediction"].is_not_null().all()
    assert "interactions" in anirec("data", "describe", "demo_ratings", *SMALL[:3]).stdout
