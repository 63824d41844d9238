"""The generated corpus: what it plants is there, can be read, and is all that it says it is."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict

from anirec.data.prepare.cache import prepare
from anirec.data.synthetic.demo_corpus import DemoCorpus
from anirec.data.synthetic.title_world import TitleWorld
from anirec.data.titles.catalogue import clusters
from anirec.errors import UserError

SHARES = {"synopsis": 0.3, "descriptions": 0.15, "portraits": 0.15, "franchise": 0.15, "noise": 0.25}


@pytest.fixture(scope="module")
def world() -> TitleWorld:
    return TitleWorld(n_titles=900, seed=0, **SHARES)


def explained(world: TitleWorld, features: Any, *, whole_franchises: bool = True) -> float:
    """Share of the scores' variance that a ridge explains out of fold."""
    folds = GroupKFold(5) if whole_franchises else KFold(5, shuffle=True, random_state=0)
    groups = world.franchises.number if whole_franchises else None
    ridge = RidgeCV(alphas=np.logspace(-1, 3, 9))
    guess = cross_val_predict(ridge, features, world.score, cv=folds, groups=groups)
    return float(1 - ((world.score - guess) ** 2).mean() / world.score.var())


def test_each_cause_makes_up_its_share(world: TitleWorld) -> None:
    found = {name: effect.var() / 0.9**2 for name, effect in world.effects.items()}
    assert found == pytest.approx(SHARES)
    assert world.score.mean() == pytest.approx(6.5, abs=0.05)
    assert world.score.std() == pytest.approx(0.9, abs=0.06)
    assert world.score.min() >= 1
    assert world.score.max() <= 10


def test_the_ceiling_is_what_text_and_pictures_explain(world: TitleWorld) -> None:
    facts = world.facts()
    assert facts["ceiling/r2"] == pytest.approx(0.6, abs=0.04)
    assert facts["ceiling/pearson"] == pytest.approx(facts["ceiling/r2"] ** 0.5, abs=0.02)
    assert facts["floor/rmse"] == pytest.approx(0.9 * 0.4**0.5, abs=0.04)
    sure = TitleWorld(n_titles=300, seed=0, **(SHARES | {"franchise": 0, "noise": 0})).facts()
    assert sure["floor/rmse"] < 0.01  # scores are rounded


def test_the_synopsis_can_be_learned_and_franchises_leak(world: TitleWorld) -> None:
    words = TfidfVectorizer(min_df=2).fit_transform(world.synopses)
    on_unseen = explained(world, words)
    assert 0.1 < on_unseen < SHARES["synopsis"]
    assert explained(world, words, whole_franchises=False) > on_unseen + 0.05


def test_the_first_word_says_nothing(world: TitleWorld) -> None:
    first = TfidfVectorizer().fit_transform([text.split()[0] for text in world.synopses])
    assert explained(world, first) < 0.02


def test_longer_synopses_belong_to_slightly_better_titles(world: TitleWorld) -> None:
    words = np.array([len(text.split()) for text in world.synopses])
    assert 0.1 < np.corrcoef(words, world.score)[0, 1] < 0.4
    assert words.min() >= 20
    assert words.max() <= 210


def test_the_colour_of_the_hair_can_be_seen(tmp_path: Path) -> None:
    world = TitleWorld(n_titles=150, seed=0, **SHARES)
    world.draw(tmp_path / "pictures")
    warmth = []
    for number in range(1, len(world.names) + 1):
        with Image.open(tmp_path / f"pictures/{number}.png") as picture:
            assert (picture.size, picture.mode) == ((64, 64), "RGB")
            red, _, blue = np.asarray(picture, dtype=float).mean((0, 1))
        warmth.append(red - blue)
    assert np.corrcoef(warmth, world.warmth)[0, 1] > 0.5


def test_franchises_have_every_shape(world: TitleWorld) -> None:
    casts = world.franchises.casts
    together = clusters(pl.Series(casts))
    assert len(set(zip(together.tolist(), world.franchises.number, strict=True))) == world.franchises.n_franchises
    sizes = Counter(Counter(world.franchises.number).values())
    assert sizes[12] == 2
    assert sizes[8] == 1
    assert sizes[1] > 100
    assert {len(cast) for cast in casts} == {1, 2, 3, 4}
    cycle = [set(cast) for cast, number in zip(casts, world.franchises.number, strict=True) if number == 2]
    n_neighbours = [sum(bool(cast & other) for other in cycle) - 1 for cast in cycle]
    assert n_neighbours == [2] * 8


def test_tables(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"n_titles": 40, "seed": 3, **SHARES}
    source = DemoCorpus(**settings)
    prepared = prepare(source, tmp_path)
    assert prepared.interactions is None
    tables = [pl.read_parquet(path) for path in (prepared.items, prepared.characters, prepared.appearances) if path]
    items, characters, links = tables
    assert items["item_id"].to_list() == list(range(1, 41))
    assert set(links["character_id"]) <= set(characters["character_id"])
    assert characters["name"].is_unique().all()
    assert all((source.pictures(prepared.pictures) / name).is_file() for name in characters["portrait"])
    assert prepared.report["facts"] == TitleWorld(**settings).facts()
    main = links.filter(pl.col("role") == "Main").group_by("item_id").agg("character_id").sort("item_id")
    assert TitleWorld(**settings).franchises.n_franchises == len(set(clusters(main["character_id"]).tolist()))


def test_everything_follows_from_the_seed(world: TitleWorld) -> None:
    again, other = (TitleWorld(n_titles=900, seed=seed, **SHARES) for seed in (0, 1))
    assert again.items().equals(world.items())
    assert again.characters().equals(world.characters())
    assert again.appearances().equals(world.appearances())
    assert not other.items().equals(world.items())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"n_titles": 3}, "n_titles=3: expected a number >= 10"),
        ({"noise": -0.1}, "noise=-0.1: expected a number >= 0"),
        (dict.fromkeys(SHARES, 0), "expected at least one share > 0"),
    ],
)
def test_impossible_worlds(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        DemoCorpus(**({"n_titles": 50, "seed": 0} | SHARES | wrong)).items()
