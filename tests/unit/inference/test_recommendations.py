import json
from io import StringIO
from math import nan
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

from anirec.inference.tables import print_list, recommendations, write_csv, write_json

ITEMS = pl.DataFrame(
    {
        "item_id": [329, 19],
        "title": ["Planetes, or: a title as long as those of light novels are nowadays, if not longer", "Monster"],
        "title_english": ["Planetes", "Monster"],
        "genres": [["Drama", "Sci-Fi", "Romance", "Slice of Life"], []],
        "type": ["TV", None],
        "year": [2003, None],
        "score": [8.3, 8.7],
        "n_ratings": [1200, 1],
        "url": ["https://myanimelist.net/anime/329", "https://myanimelist.net/anime/19"],
    }
)
REASONS = [[("Cowboy Bebop: Tengoku no Tobira, " * 3, 9.0), ("Mushishi", nan)], []]
TABLE = recommendations(ITEMS, np.array([9.41, 8.0]), REASONS, [False, True])


def printed(table: pl.DataFrame, width: int = 80) -> str:
    console = Console(width=width, record=True, file=StringIO())
    print_list(table, console)
    return console.export_text()


def test_each_recommendation_has_a_reason() -> None:
    first, second = TABLE["reason"].to_list()
    assert first.startswith("You rated Cowboy Bebop: ")
    assert first.endswith(" (9) and know Mushishi")
    assert second == "On your watchlist. Rated highly by others (1 rating)"


def test_ratings_are_those_of_the_model_or_missing() -> None:
    assert TABLE["rating"].to_list() == [9.41, 8.0]
    without = recommendations(ITEMS, None, REASONS, [False, True])
    assert without["reason"][1] == "On your watchlist. Popular with everyone (1 rating)"
    assert not {"rating", "score"} & set(without.columns)
    assert "rating" not in printed(without).splitlines()[0]


def test_the_table_fits_the_terminal_and_shortens_titles_and_reasons() -> None:
    for width in (60, 80, 120):
        lines = printed(TABLE, width).splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) == 6, "a heading, a rule, and two lines per title"
    text = printed(TABLE)
    for word in ("Planetes, or: a", "…", "Monster", "2003", "9.41", "Planetes · Drama"):
        assert word in text
    assert "Monster · " not in text, "the English title is the same"


def test_titles_are_links_on_a_terminal() -> None:
    console = Console(width=80, file=StringIO(), force_terminal=True, legacy_windows=False)
    print_list(TABLE, console)
    assert "https://myanimelist.net/anime/329" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "https" not in printed(TABLE)


def test_files_hold_all_columns(tmp_path: Path) -> None:
    write_csv(TABLE, tmp_path / "list.csv")
    again = pl.read_csv(tmp_path / "list.csv")
    assert again["genres"].to_list() == ["Drama, Sci-Fi, Romance, Slice of Life", ""]
    assert again["rank"].to_list() == [1, 2]
    assert again["title_english"].to_list() == ["Planetes", "Monster"]
    assert again["url"].to_list() == ITEMS["url"].to_list()
    write_json(TABLE, tmp_path / "list.json")
    first, _ = json.loads((tmp_path / "list.json").read_text())
    assert first["genres"] == ITEMS["genres"][0].to_list()
    assert first["reason"] == TABLE["reason"][0]
