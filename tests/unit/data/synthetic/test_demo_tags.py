"""The generated image board: its scores, tags and effects are what it says, and can be read a block at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from anirec.data.prepare.cache import prepare
from anirec.data.prepare.tag_rows import TagRows
from anirec.data.synthetic.demo_tags import DemoTags, TagWorld, survival
from anirec.data.synthetic.tag_names import FIXED, MEMBERS, tag_names
from anirec.errors import UserError

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {"n_posts": 100_000, "n_tags": 1500, "n_groups": 40, "signal": 0.15, "seed": 0}
SMALL = SETTINGS | {"n_posts": 30_000}


@pytest.fixture(scope="module")
def world() -> TagWorld:
    return TagWorld(**SETTINGS)


@pytest.fixture(scope="module")
def posts(world: TagWorld) -> pl.DataFrame:
    return pl.concat(world.posts())


@pytest.fixture(scope="module")
def matrix(world: TagWorld, posts: pl.DataFrame) -> csr_array:
    """(n_posts, n_tags) of ones and zeros, read back out of the texts."""
    used = posts.select("tags", post=pl.col("post_id") - 1).with_columns(pl.col("tags").str.split(" ")).explode("tags")
    tag = used["tags"].cast(pl.Enum(world.tags)).to_physical()
    return csr_array((np.ones(len(tag)), (used["post"], tag)), shape=(len(posts), len(world.tags)))


def column(world: TagWorld, matrix: csr_array, tag: str) -> np.ndarray:
    return matrix[:, [world.tags.index_of(tag)]].toarray()[:, 0]


def test_scores_are_distributed_as_on_safebooru(posts: pl.DataFrame) -> None:
    score = posts["score"].to_numpy()
    assert (score == 0).mean() == pytest.approx(0.709, abs=0.006)
    assert (score < 0).mean() == pytest.approx(0.0012, abs=0.0005)
    published = {1: 0.29, 2: 0.0998, 3: 0.0387, 5: 0.0084, 10: 0.0007}
    for least, share in published.items():
        assert (score >= least).mean() == pytest.approx(share, rel=0.1 if least < 10 else 0.3)
    assert (score == 16).sum() > 3 * max((score == 15).sum(), (score == 17).sum())
    assert (score == 16).mean() == pytest.approx(0.0004, abs=0.0002)


def test_there_are_ever_fewer_posts_with_ever_higher_scores() -> None:
    share = survival(np.arange(-12, 251))
    assert (np.diff(share) < 0).all()
    assert 1 < 2_000_000 * share[100 + 12] < 4
    assert 1 < 2_000_000 * (1 - share[-10 + 12]) < 20


def test_each_post_has_each_tag_once_sorted(posts: pl.DataFrame) -> None:
    tags = posts["tags"].str.split(" ")
    assert (tags == tags.list.unique().list.sort()).all()
    assert 15 < tags.list.len().mean() < 25
    assert tags.list.len().std() > 5
    assert tags.list.len().min() >= 1


def test_tags_are_as_frequent_as_said(world: TagWorld, matrix: csr_array) -> None:
    share = dict(zip(world.tags, matrix.mean(0), strict=True))
    assert sorted(share, key=lambda tag: -share[tag])[:2] == ["solo", "1girl"]
    assert share["solo"] == pytest.approx(0.4, abs=0.02)
    assert share["1girl"] == pytest.approx(0.33, abs=0.01)
    assert share["1boy"] == pytest.approx(0.06, abs=0.005)
    by_rank = np.sort(matrix.mean(0))[::-1]
    slope, _ = np.polyfit(np.log(np.arange(30, 1000)), np.log(by_rank[29:999]), 1)
    assert -1.5 < slope < -0.7
    assert by_rank[-1] < 0.001
    assert min(share[tag] for tag in world.effects["tag"]) > 0.01


def test_a_post_tagged_tagme_has_hardly_another_tag(world: TagWorld, matrix: csr_array) -> None:
    is_bare, n_tags = column(world, matrix, "tagme") > 0, matrix.sum(1)
    assert is_bare.mean() == pytest.approx(0.012, abs=0.002)
    assert n_tags[is_bare].mean() < 4 < n_tags[~is_bare].mean() / 3


def test_some_tags_go_together(world: TagWorld, matrix: csr_array) -> None:
    def phi(tag: str, other: str) -> float:
        return float(np.corrcoef(column(world, matrix, tag), column(world, matrix, other))[0, 1])

    first = tag_names(np.random.default_rng(0), 1500, 40)[len(FIXED) :][: len(MEMBERS)]
    assert min(phi(first[0], member) for member in first[1:]) > 0.15
    assert phi(first[0], first[-3]) > 0.6
    assert phi("1girl", "dress") > 0.2
    assert phi("1boy", "necktie") > 0.2
    assert phi("1girl", "necktie") < 0
    assert phi("1girl", "1boy") < 0


def test_least_squares_finds_the_planted_effects(world: TagWorld, posts: pl.DataFrame, matrix: csr_array) -> None:
    frequent = np.flatnonzero(matrix.mean(0) > 0.01)
    x = np.column_stack([np.ones(len(posts)), matrix[:, frequent].toarray()])
    found = np.linalg.solve(x.T @ x, x.T @ posts["score"].to_numpy())[1:]
    points = pl.DataFrame({"tag": world.tags[frequent], "points": found})
    both = world.effects.join(points, on="tag", how="left")
    assert both["points"].null_count() == 0
    assert both.filter(pl.col("effect") * pl.col("points") <= 0).is_empty()
    # Scores are cut at zero: what is disliked loses fewer points than what is liked wins.
    by_points = points.sort("points", descending=True)["tag"]
    assert by_points.head(3).to_list() == world.effects.filter(pl.col("effect") > 0)["tag"].head(3).to_list()
    assert set(by_points.tail(3)) == set(world.effects.filter(pl.col("effect") < 0)["tag"].head(3))
    planted = world.effects["tag"].to_list()
    assert points.filter(~pl.col("tag").is_in(planted))["points"].abs().mean() < 0.05


def test_no_prediction_beats_the_floor_and_the_planted_one_reaches_it(
    world: TagWorld, posts: pl.DataFrame, matrix: csr_array
) -> None:
    assert world.effects["effect"].abs().is_sorted(descending=True)
    assert (world.effects["effect"] > 0).sum() == len(world.effects) // 2 == 10
    effect = np.zeros(len(world.tags))
    effect[[world.tags.index_of(tag) for tag in world.effects["tag"]]] = world.effects["effect"]
    quality = matrix @ effect
    assert quality.var() == pytest.approx(0.15, rel=0.03)
    mean, variance = world.expected(quality)
    score = posts["score"].to_numpy()
    floor = world.facts()["floor/rmse/population"]
    assert np.sqrt(variance.mean()) == pytest.approx(floor)
    assert np.sqrt(((score - mean) ** 2).mean()) == pytest.approx(floor, rel=0.1)
    assert mean.mean() == pytest.approx(score.mean(), abs=0.02)
    assert ((score - mean) ** 2).mean() < 0.95 * score.var()
    points = np.diff(mean[np.argsort(quality)])
    assert (points > -1e-9).all()


def test_the_block_and_the_number_of_posts_change_no_post(posts: pl.DataFrame) -> None:
    small = TagWorld(**SMALL)
    blocks = list(small.posts(7_000))
    assert [len(block) for block in blocks] == [7_000] * 4 + [2_000]
    assert pl.concat(blocks).equals(pl.concat(small.posts()))
    assert pl.concat(blocks).drop("timestamp").equals(posts.head(30_000).drop("timestamp"))
    other = next(TagWorld(**SMALL | {"seed": 1}).posts())
    assert not other["tags"].equals(posts.head(30_000)["tags"])


def test_ids_and_times_rise(posts: pl.DataFrame) -> None:
    assert posts["post_id"].equals(pl.Series("post_id", range(1, len(posts) + 1)))
    assert (posts["timestamp"].diff().drop_nulls().dt.total_microseconds() > 0).all()
    assert str(posts["timestamp"][0]) == "2010-01-29 00:00:00"
    assert str(posts["timestamp"][-1]).startswith("2016-11")


def test_names_are_tags() -> None:
    names = tag_names(np.random.default_rng(5), 12_000, 250)  # more than the words make: numbered
    assert len(set(names)) == len(names) == 12_000
    assert not any(character.isspace() for name in names for character in name)
    assert "red_scarf_2" in names


def test_the_source_streams_the_same_posts() -> None:
    source = DemoTags(**SMALL)
    whole = pl.concat(TagWorld(**SMALL).posts())
    assert source.posts().collect().equals(whole)
    is_good = pl.col("score") > 2
    some = source.posts().filter(is_good).select("post_id", "tags").collect(engine="streaming")
    assert some.sort("post_id").equals(whole.filter(is_good).select("post_id", "tags"))
    assert source.posts().head(26_000).select("score").collect().equals(whole.head(26_000).select("score"))
    assert source.posts().head(40).filter(is_good).collect().equals(whole.head(40).filter(is_good))


def test_prepared(tmp_path: Path) -> None:
    source = DemoTags(**SMALL | {"n_posts": 2_000})
    prepared = prepare(source, tmp_path)
    whole = next(source.world.posts())
    assert prepared.posts is not None
    assert pl.read_parquet(prepared.posts).equals(whole.drop("tags"))
    tags = pl.read_parquet(prepared.folder / "tags.parquet")["tag"]
    rows = TagRows.load(prepared.folder, len(tags))
    assert set(tags.gather(rows.tag[: rows.start[1]])) == set(whole["tags"][0].split())
    assert prepared.report["facts"] == source.facts()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"n_posts": 0}, "n_posts=0: expected a number >= 1"),
        ({"n_tags": 300}, "dataset.source.n_tags=300: 40 groups need at least 392 tags"),
        ({"n_groups": 1}, "n_groups=1: expected a number >= 2"),
        ({"signal": 1.0}, "signal=1.0: expected a number >= 0 and < 1"),
    ],
)
def test_impossible_worlds(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        DemoTags(**SETTINGS | wrong).facts()
