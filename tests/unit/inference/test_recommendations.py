import json
from io import StringIO
from math import nan
from pathlib import Path

import polars as pl
from rich.console import Console

from anirec.inference.tables import recommendations, terminal_list, write_csv, write_json

ITEMS = pl.DataFrame(
    {
        "item_id": [329, 19],
        "title": ["Planetes, or: a title as long as those of light novels are nowadays, if not longer", "Monster"],
        "genres": [["Drama", "Sci-Fi", "Romance"], []],
        "year": [2003, None],
        "score": [8.3, 8.7],
        "n_ratings": [1200, 20],
    }
)
TABLE = recommendations(
    ITEMS, pl.Series([0.41234, 0.3]), [[("Cowboy Bebop", 9.0), ("Mushishi", nan)], []], [False, True]
)


def test_each_recommendation_has_a_reason() -> None:
    assert TABLE["because"].to_list() == [
        "You rated Cowboy Bebop 9 and Mushishi",
        "On your watchlist. Popular with everyone (20 ratings)",
    ]
    assert TABLE["score"].to_list() == [0.41234, 0.3], "the model's, not the site's"


def test_the_table_fits_80_columns() -> None:
    console = Console(width=80, record=True, file=StringIO())
    console.print(terminal_list(TABLE))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(lines)
    for word in ("Planetes", "Monster", "2003", "0.4123", "Drama"):
        assert word in text


def test_files_hold_all_columns(tmp_path: Path) -> None:
    write_csv(TABLE, tmp_path / "list.csv")
    again = pl.read_csv(tmp_path / "list.csv")
    assert again["genres"].to_list() == ["Drama, Sci-Fi, Romance", ""]
    assert again["rank"].to_list() == [1, 2]
    write_json(TABLE, tmp_path / "list.json")
    first, _ = json.loads((tmp_path / "list.json").read_text())
    assert first["genres"] == ["Drama", "Sci-Fi", "Romance"]
    assert first["because"] == "You rated Cowboy Bebop 9 and Mushishi"
