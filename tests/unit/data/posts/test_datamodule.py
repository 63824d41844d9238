"""Posts, sampled and split: who learns from what, and who is tested on what."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from anirec.data.posts.datamodule import Posts, posts_of
from anirec.data.posts.sampling import Sampling, TagChoice
from anirec.data.posts.tags import add_pairs
from anirec.data.sources.safebooru import Safebooru
from anirec.data.splits.base import Split
from anirec.data.splits.rows import Random
from anirec.data.synthetic.demo_ratings import DemoRatings
from anirec.data.synthetic.demo_tags import DemoTags
from anirec.errors import UserError

N_POSTS = 2_000
SPLIT = Random(test=0.2, val=0.1, seed=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of posts of which every seventh has no score."""
    folder = tmp_path_factory.mktemp("board")
    rng = np.random.default_rng(0)
    score = rng.choice([0, 1, 2, 5], N_POSTS, p=[0.7, 0.2, 0.07, 0.03])
    lines = []
    for post in range(N_POSTS):
        tags = " ".join(f"t{tag}" for tag in np.flatnonzero(rng.random(20) < 0.3))
        votes = "null" if post % 7 == 0 else score[post]
        lines.append(f'{{"id": {10 * post}, "score": {votes}, "tags": "tagme {tags}"}}')
    (folder / "posts.jsonl").write_text("\n".join(lines))
    return folder


def data(
    folder: Path,
    cache: Path,
    *,
    split: Split = SPLIT,
    sampling: dict[str, Any] | None = None,
    tags: dict[str, Any] | None = None,
    ties: tuple[str, ...] = ("t0",),
) -> Posts:
    made = Posts(
        source=Safebooru(folder=str(folder)),
        sampling=Sampling(**{"zeros": 300, "ones": 200, "seed": 0} | (sampling or {})),
        tags=TagChoice(**{"drop": ["tagme"], "min_posts": 1, "top": None} | (tags or {})),
        ties=ties,
        split=split,
        cache=str(cache),
    )
    made.setup("fit")
    return made


def names(made: Posts, rows: Any) -> list[list[str]]:
    tags = made.tags["tag"].to_list()
    return [[tags[tag] for tag in rows.tag[a:b]] for a, b in zip(rows.start[:-1], rows.start[1:], strict=True)]


def test_all_posts_are_split_before_any_is_left_out(folder: Path, cache: Path) -> None:
    made, whole = data(folder, cache), data(folder, cache, sampling={"zeros": None, "ones": None})
    other = data(folder, cache, sampling={"zeros": 50, "seed": 9})
    assert np.array_equal(whole.test, whole.population)
    for some in (made, other):
        assert np.array_equal(some.population, whole.population), "tested on the same posts, however many are sampled"
        assert np.array_equal(some.train_population, whole.train_population)
        assert set(some.train) < set(whole.train)
        assert set(some.val) < set(whole.val)
        assert set(some.test) < set(some.population)
    assert len(whole.population) == round(0.2 * len(whole.posts.drop_nulls("score")))
    n_sampled = len(made.train) + len(made.val) + len(made.test)
    assert n_sampled == pytest.approx(300 + 200 + (made.score > 1).sum(), abs=100)


def test_posts_without_a_score_are_in_no_part_and_no_two_parts_share_one(folder: Path, cache: Path) -> None:
    made = data(folder, cache)
    unscored = set(np.flatnonzero(np.arange(N_POSTS) % 7 == 0))
    assert np.isnan(made.score[sorted(unscored)]).all()
    parts = [set(made.train), set(made.val), set(made.population)]
    assert all(parts)
    assert len(set.union(*parts, unscored)) == sum(map(len, [*parts, unscored]))
    scored = set(made.train_population) | set(made.population)
    assert np.isfinite(made.score[sorted(scored)]).all()


def test_tags_are_counted_over_all_posts(folder: Path, cache: Path) -> None:
    made = data(folder, cache, tags={"top": 3, "drop": ["tagme", "t4"]})
    lines = pl.read_ndjson(folder / "posts.jsonl")["tags"].str.split(" ")
    counts = lines.explode().value_counts().filter(~pl.col("tags").is_in(["", "tagme", "t4"]))
    most = counts.sort("count", "tags", descending=[True, False]).head(3)
    assert made.tags.rows() == most.rows()
    rows = made.rows.select(np.arange(N_POSTS), made.columns)
    assert [set(tags) for tags in names(made, rows)] == [set(tags) & set(most["tags"]) for tags in lines]


@pytest.mark.parametrize("n", [0, 1, 2, 7, 300, 1999])
def test_two_processes_share_all_posts_in_equally_many_blocks(folder: Path, cache: Path, n: int) -> None:
    made = data(folder, cache)
    index = np.random.default_rng(0).permutation(N_POSTS)[:n]
    shares = [made.blocks(index, rows=100, rank=rank, world_size=2) for rank in range(2)]
    assert len(shares[0]) == len(shares[1])
    batches = [list(share) for share in shares]
    seen = [batch.index for share in batches for batch in share]
    assert sorted(torch.cat(seen).tolist() if seen else []) == sorted(index)
    assert max((len(batch) for batch in seen), default=0) <= 100
    alone = list(made.blocks(index, rows=100))
    assert [post for batch in alone for post in batch.index.tolist()] == index.tolist()


def test_a_block_has_the_scores_and_tags_of_its_posts(folder: Path, cache: Path) -> None:
    made = data(folder, cache)
    lines = pl.read_ndjson(folder / "posts.jsonl")
    [batch] = made.blocks(made.population[:50], rows=1000)
    posts = lines[batch.index.numpy()]
    assert batch.score.tolist() == posts["score"].to_list()
    expected = [set(tags.split()) - {"tagme"} for tags in posts["tags"]]
    assert [set(tags) for tags in names(made, batch)] == expected
    assert (batch.score.dtype, batch.start.dtype, batch.tag.dtype) == (torch.float32, torch.int64, torch.int32)


def test_the_test_set_is_the_population(folder: Path, cache: Path) -> None:
    made = data(folder, cache)
    assert [post for batch in made.test_dataloader() for post in batch.index.tolist()] == made.population.tolist()
    assert [post for batch in made.val_dataloader() for post in batch.index.tolist()] == made.val.tolist()
    unvalidated = data(folder, cache, split=Random(test=0.2, val=0, seed=0))
    assert list(unvalidated.val_dataloader()) == []


def test_what_is_told_apart_by_fingerprints(folder: Path, cache: Path) -> None:
    first, same, sampled, described, seed = (
        made.provenance()
        for made in (
            data(folder, cache),
            data(folder, cache),
            data(folder, cache, sampling={"zeros": 100}),
            data(folder, cache, tags={"top": 5}),
            data(folder, cache, split=Random(test=0.2, val=0.1, seed=1)),
        )
    )
    assert first == same
    assert len({made["split"]["family"] for made in (first, sampled, described)}) == 3
    assert len({made["data"]["fingerprint"] for made in (first, sampled, described)}) == 3
    assert seed["split"]["family"] == first["split"]["family"], "seeds of one protocol may be averaged"
    assert seed["split"]["fingerprint"] != first["split"]["fingerprint"]
    made = data(folder, cache)
    for part in ("train", "val", "test", "population"):
        assert first["split"][f"n_{part}"] == len(getattr(made, part))


def test_a_checkpoint_of_other_posts_or_tags_is_refused(folder: Path, cache: Path) -> None:
    made = data(folder, cache)
    made.load_state_dict(data(folder, cache).state_dict())
    for other in (data(folder, cache, sampling={"seed": 1}), data(folder, cache, tags={"top": 5})):
        with pytest.raises(UserError, match="trained on other data"):
            made.load_state_dict(other.state_dict())


def test_the_tables_are_of_all_posts(folder: Path, cache: Path) -> None:
    made = data(folder, cache, ties=("t0", "unheard_of"))
    scores = made.tables["scores"]
    assert scores["population"].sum() == np.isfinite(made.score).sum()
    assert scores["sample"].sum() == len(made.train) + len(made.val) + len(made.test)
    assert scores["score"].to_list() == [0, 1, 2, 5]
    x = made.rows.select(np.arange(N_POSTS), made.columns).matrix().toarray()
    phi = np.corrcoef(x, rowvar=False)
    tag, other, value, n_both = made.tables["tag_pairs"].row(0)
    place = [made.tags["tag"].to_list().index(name) for name in (tag, other)]
    assert value == pytest.approx(phi[*place])
    assert abs(value) == pytest.approx(np.abs(np.tril(phi, -1)).max())
    assert n_both == x[:, place].prod(1).sum()
    assert made.tables["tag_ties"].columns == ["tag", "t0"]
    assert "tag_ties" not in data(folder, cache, ties=("unheard_of",)).tables


def test_tag_pairs_are_counted_once_for_the_same_posts_and_tags(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def count(gram: torch.Tensor, *rows: torch.Tensor) -> None:
        counted.append(len(gram))
        add_pairs(gram, *rows)

    monkeypatch.setattr("anirec.data.posts.datamodule.add_pairs", count)
    first = data(folder, tmp_path).tables["tag_pairs"]
    assert counted == [20]
    again = data(folder, tmp_path, split=Random(test=0.5, val=0.1, seed=3))
    assert again.tables["tag_pairs"].equals(first)
    assert counted == [20]
    data(folder, tmp_path, tags={"top": 5}).tables  # noqa: B018
    assert counted == [20, 5]
    (kept,) = (path for path in again.prepared.folder.glob("tag_pairs-*.npy") if np.load(path).shape == (20, 20))
    kept.write_bytes(kept.read_bytes()[:100])
    assert data(folder, tmp_path).tables["tag_pairs"].equals(first)
    assert counted == [20, 5, 20]
    other = tmp_path / "other"
    other.mkdir()
    lines = (folder / "posts.jsonl").read_text().splitlines()
    (other / "posts.jsonl").write_text("\n".join(lines[: N_POSTS // 2]))
    assert not data(other, tmp_path).tables["tag_pairs"].equals(first)
    assert counted == [20, 5, 20, 20]


def test_the_best_reachable_error_of_generated_posts_is_known(cache: Path) -> None:
    source = DemoTags(n_posts=500, n_tags=1500, n_groups=40, signal=0.15, seed=0)
    choice = TagChoice(drop=[], min_posts=5, top=None)
    sampling = Sampling(zeros=None, ones=None, seed=0)
    made = Posts(source=source, sampling=sampling, tags=choice, ties=[], split=SPLIT, cache=str(cache))
    made.setup("fit")
    assert made.facts == source.facts()


def test_a_source_without_posts_and_posts_without_scores_say_so(tmp_path: Path) -> None:
    source = DemoRatings(n_users=30, n_items=20, ratings_per_user=5, rank=2, noise=1.0, seed=0)
    sampling, choice = Sampling(zeros=None, ones=None, seed=0), TagChoice(drop=[], min_posts=1, top=None)
    made = Posts(source=source, sampling=sampling, tags=choice, ties=[], split=SPLIT, cache=str(tmp_path))
    with pytest.raises(UserError, match="demo_ratings has no posts with tags"):
        made.setup("fit")
    (tmp_path / "posts.jsonl").write_text('{"id": 1, "tags": "a"}')
    with pytest.raises(UserError, match="training and test must not be empty"):
        data(tmp_path, tmp_path)


@pytest.mark.parametrize(
    "tags",
    [
        ["solo 1girl  don&#039;t", "unheard_of", None, "", "solo solo"],
        [["don't", "1girl", "solo"], ["unheard_of"], None, [], ["solo", "solo", None]],
    ],
)
def test_rows_of_a_strangers_file_become_posts(tags: list) -> None:
    posts, lacking = posts_of(pl.DataFrame({"tags": tags, "id": range(5)}), ["1girl", "solo", "don't"])
    assert posts.start.tolist() == [0, 3, 3, 3, 3, 4]
    assert posts.tag.tolist() == [0, 1, 2, 1]
    assert posts.score.isnan().all()
    assert posts.index.tolist() == list(range(5))
    assert lacking == {"posts without a known tag": 3}


def test_a_strangers_file_without_tags_is_refused() -> None:
    with pytest.raises(UserError, match="no column tags; there are id, tag"):
        posts_of(pl.DataFrame({"id": [1], "tag": ["solo"]}), ["solo"])
    with pytest.raises(UserError, match="column tags holds Int64"):
        posts_of(pl.DataFrame({"tags": [1]}), ["solo"])
