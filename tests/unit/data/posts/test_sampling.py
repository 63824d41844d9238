"""Which posts and which tags are learned from."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from anirec.data.posts.sampling import Sampling, TagChoice
from anirec.data.prepare.tag_rows import ABSENT
from anirec.errors import UserError

SCORE = np.repeat([0, 1, 2, -1, 16], [50_000, 20_000, 3_000, 100, 20])
TAGS = pl.DataFrame({"tag": ["solo", "tagme", "1girl", "hat", "bow"], "n_posts": [90, 50, 40, 10, 2]})


def n_kept(**wanted: Any) -> dict[int, int]:
    kept = SCORE[Sampling(**{"zeros": None, "ones": None, "seed": 0} | wanted).kept(SCORE)]
    return dict(zip(*(values.tolist() for values in np.unique(kept, return_counts=True)), strict=True))


def test_zeros_and_ones_are_thinned_and_nothing_else() -> None:
    found = n_kept(zeros=5_000, ones=8_000)
    assert found[0] == pytest.approx(5_000, abs=5 * 5_000**0.5)
    assert found[1] == pytest.approx(8_000, abs=5 * 8_000**0.5)
    assert (found[2], found[-1], found[16]) == (3_000, 100, 20)
    every = np.mean([n_kept(zeros=5_000, seed=seed)[0] for seed in range(30)])
    assert every == pytest.approx(5_000, abs=5 * (5_000 / 30) ** 0.5)


def test_null_keeps_all_and_so_does_more_than_there_are() -> None:
    whole = {-1: 100, 0: 50_000, 1: 20_000, 2: 3_000, 16: 20}
    assert n_kept() == n_kept(zeros=50_000, ones=10**9) == whole
    assert n_kept(zeros=0) == {score: n for score, n in whole.items() if score != 0}


def test_the_seed_decides() -> None:
    first, same, other = (Sampling(zeros=100, ones=None, seed=seed).kept(SCORE) for seed in (0, 0, 1))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_sampling_without_zeros_or_without_posts() -> None:
    sampling = Sampling(zeros=5, ones=5, seed=0)
    assert sampling.kept(np.array([3, 4])).all()
    assert len(sampling.kept(np.array([], dtype=np.int64))) == 0


@pytest.mark.parametrize("name", ["zeros", "ones"])
def test_a_negative_number_of_posts_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}=-1: expected"):
        Sampling(**{"zeros": 1, "ones": 1, "seed": 0} | {name: -1})


@pytest.mark.parametrize(
    ("drop", "min_posts", "top", "chosen"),
    [
        ([], 1, None, ["solo", "tagme", "1girl", "hat", "bow"]),
        (["tagme", "unheard_of"], 1, None, ["solo", "1girl", "hat", "bow"]),
        ([], 10, None, ["solo", "tagme", "1girl", "hat"]),
        (["tagme"], 3, 2, ["solo", "1girl"]),
        (["solo"], 1, 100, ["tagme", "1girl", "hat", "bow"]),
    ],
)
def test_the_chosen_tags_are_renumbered(drop: list[str], min_posts: int, top: int | None, chosen: list[str]) -> None:
    columns = TagChoice(drop=drop, min_posts=min_posts, top=top).columns(TAGS)
    expected = [chosen.index(tag) if tag in chosen else ABSENT for tag in TAGS["tag"]]
    assert columns.tolist() == expected
    assert columns.dtype == np.int32


def test_no_tag_left_is_refused() -> None:
    with pytest.raises(UserError, match=r"min_posts=91: none of 5 tags .* most frequent tag, solo, is on 90"):
        TagChoice(drop=[], min_posts=91, top=None).columns(TAGS)
    with pytest.raises(UserError, match=r"top=0: expected a number >= 1"):
        TagChoice(drop=[], min_posts=1, top=0)
