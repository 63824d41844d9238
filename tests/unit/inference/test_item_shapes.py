"""Titles as sites describe them, in anirec's keys."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from anirec.errors import UserError
from anirec.inference.new_titles.fanbase import read_new_titles
from anirec.inference.prediction_rows import read_rows

JIKAN = {
    "mal_id": 19,
    "title": "Paper Lantern Maid",
    "title_english": "Lantern",
    "title_synonyms": ["PLM"],
    "type": "TV",
    "source": "Light novel",
    "episodes": 12,
    "score": 8.1,
    "members": 5,
    "synopsis": "A maid folds lanterns.",
    "genres": [{"mal_id": 4, "name": "Comedy"}],
    "studios": [{"name": "Paper Works"}],
    "aired": {"from": "2026-04-03T00:00:00+00:00", "to": None},
}
MAL_API = {
    "id": 19,
    "title": "Paper Lantern Maid",
    "media_type": "tv",
    "num_episodes": 12,
    "source": "light_novel",
    "alternative_titles": {"en": "Lantern", "ja": "", "synonyms": ["PLM"]},
    "start_date": "2026-04-03",
    "synopsis": "A maid folds lanterns.",
    "genres": [{"id": 4, "name": "Comedy"}],
    "studios": [{"name": "Paper Works"}],
    "mean": 8.1,
}
ANILIST = {
    "id": 7,
    "idMal": 19,
    "title": {"romaji": "Paper Lantern Maid", "english": "Lantern", "native": None},
    "synonyms": ["PLM"],
    "format": "TV",
    "source": "LIGHT_NOVEL",
    "episodes": 12,
    "description": "A maid<br> folds <i>lanterns</i>.",
    "genres": ["Comedy"],
    "studios": {"nodes": [{"name": "Paper Works"}]},
    "startDate": {"year": 2026, "month": 4, "day": 3},
    "averageScore": 81,
}
KITSU = {
    "id": "7",
    "type": "anime",
    "attributes": {
        "canonicalTitle": "Paper Lantern Maid",
        "titles": {"en": "Lantern", "en_jp": "Paper Lantern Maid"},
        "abbreviatedTitles": ["PLM"],
        "subtype": "TV",
        "episodeCount": 12,
        "synopsis": "A maid folds lanterns.",
        "startDate": "2026-04-03",
    },
}
EXPECTED = {
    "title": "Paper Lantern Maid",
    "title_english": "Lantern",
    "synonyms": ["PLM"],
    "type": "TV",
    "episodes": 12,
    "genres": ["Comedy"],
    "studios": ["Paper Works"],
    "source": "Light novel",
    "aired_from": date(2026, 4, 3),
    "synopsis": "A maid folds lanterns.",
}
NOT_IN_KITSU = {"genres", "studios", "source"}


@pytest.mark.parametrize("shape", [JIKAN, MAL_API, ANILIST, KITSU])
@pytest.mark.parametrize("wrap", ["alone", "list", "answer"])
def test_a_title_of_a_site_has_the_keys_of_the_tables(tmp_path: Path, shape: dict[str, Any], wrap: str) -> None:
    answer = {"data": {"Media": shape}} if "format" in shape else {"data": shape}
    content = {"alone": shape, "list": [shape], "answer": answer}[wrap]
    path = tmp_path / "title.json"
    path.write_text(json.dumps(content))
    (row,) = read_new_titles(path).to_dicts()
    assert row == {key: value for key, value in EXPECTED.items() if shape is not KITSU or key not in NOT_IN_KITSU}


def test_predict_reads_the_same_shapes(tmp_path: Path) -> None:
    (tmp_path / "titles.jsonl").write_text(f"{json.dumps(JIKAN)}\n{json.dumps(JIKAN)}")
    (tmp_path / "titles.json").write_text(json.dumps([ANILIST, KITSU]))
    for name in ("titles.jsonl", "titles.json"):
        rows = read_rows(tmp_path / name)
        assert rows["title"].to_list() == ["Paper Lantern Maid"] * 2
        assert rows["synopsis"].to_list() == ["A maid folds lanterns."] * 2


@pytest.mark.parametrize("content", ["[" * 100_000, '{"data": 5}', '{"data": []}', '{"title": {"romaji": 5}}'])
def test_other_json_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "title.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"title\.json"):
        read_new_titles(path)
