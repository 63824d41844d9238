"""Posts: pictures of an image board with their tags and votes, sampled and split, as Lightning wants them.

One post: 1girl, solo, kantai_collection, ... (23 tags of the chosen thousand); score 4.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.atomic import replacing
from anirec.data.datamodule import Data
from anirec.data.posts.sampling import Sampling, TagChoice
from anirec.data.posts.tags import add_pairs, correlations, strongest_pairs, ties_to, whole
from anirec.data.prepare.cache import prepare
from anirec.data.prepare.fingerprint import digest
from anirec.data.prepare.posts import ABSENT, TagRows
from anirec.data.readers.cells import decoded
from anirec.data.sources.base import Source
from anirec.data.splits.base import TEST, TRAIN, VAL, Split, check_parts
from anirec.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNSAMPLED = 3  # a part beside train, val and test
EVALUATION_ROWS = 1 << 15
KEPT_PAIRS = 1000
PAIRED = 2000  # tags; 32 MB for each matrix of them
Indices = NDArray[np.int64]


@dataclass
class PostBatch:
    """Posts as a model sees them: `index` int64 (B,), rows of `Posts.posts`; `score` float32 (B,), NaN where unknown.

    Their tags as compressed sparse rows: post b has `tag[start[b]:start[b + 1]]`; `start` int64 (B + 1,), `tag` int32.
    """

    index: Tensor
    score: Tensor
    start: Tensor
    tag: Tensor

    @classmethod
    def of(cls, index: Indices, score: NDArray[np.float32], rows: TagRows) -> "PostBatch":
        return cls(*map(torch.from_numpy, (index, score, rows.start, rows.tag)))


class PostBlocks:
    """Posts in the given order, about `rows` at a time; every process takes an equal number of blocks."""

    def __init__(self, data: "Posts", index: Indices, *, rows: int, rank: int = 0, world_size: int = 1) -> None:
        n_blocks = math.ceil(len(index) / rows / world_size) * world_size
        self.data, self.parts = data, np.array_split(index, n_blocks)[rank::world_size] if n_blocks else []

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[PostBatch]:
        for index in self.parts:
            yield PostBatch.of(index, self.data.score[index], self.data.rows.of(index, self.data.columns))


class Posts(Data):
    """Posts with tags and score, split into `train`, `val` and `test`.

    All posts are split first and then sampled, so that `population`, all posts of the test part, shows what a model
    is worth on posts as they come.

    Args:
        source: The dump's reader.
        sampling: Which posts are learned from and tested on.
        tags: Which tags they are described by.
        ties: Tags whose correlations with all others are shown.
        split: Decides which posts train, validate and test.
        cache: Folder of prepared tables.

    After `setup`: `posts`, one row a post; `score` float32 (n_posts,), NaN where unknown; `rows`, the tags of all
    posts, in a file; `columns`, the chosen ones; `tags`, their names and frequencies; the row numbers `train`, `val`,
    `test`, `population` and `train_population` (all posts of the training part), int64.
    """

    def __init__(
        self, *, source: Source, sampling: Sampling, tags: TagChoice, ties: Sequence[str], split: Split, cache: str
    ) -> None:
        super().__init__()
        self.source, self.sampling, self.choice, self.split = source, sampling, tags, split
        self.ties, self.cache = list(ties), Path(cache)

    def prepare_data(self) -> None:
        """Fill the cache, once a machine."""
        prepare(self.source, self.cache)

    def load(self) -> None:
        self.read()
        self.choose()
        scored = np.flatnonzero(np.isfinite(self.score))
        part = np.full(len(self.posts), UNSAMPLED, dtype=np.uint8)
        part[scored] = self.split.assign(self.posts[scored])
        self.population, self.train_population = (np.flatnonzero(part == wanted) for wanted in (TEST, TRAIN))
        self.parts = np.where(self.sampled(), part, UNSAMPLED).astype(np.uint8)
        self.train, self.val, self.test = (np.flatnonzero(self.parts == wanted) for wanted in (TRAIN, VAL, TEST))
        check_parts(self.split, {"train": len(self.train), "val": len(self.val), "test": len(self.test)}, "posts")

    def read(self) -> None:
        """All posts, before any sampling and split."""
        self.prepared = prepare(self.source, self.cache)
        if self.prepared.posts is None:
            raise UserError(
                f"{self.source.name} holds no posts with tags; choose a dataset that does (anirec data list)"
            )
        self.posts = pl.read_parquet(self.prepared.posts)
        self.score = self.posts["score"].cast(pl.Float32).fill_null(float("nan")).to_numpy()

    def choose(self) -> None:
        """The tags that describe them."""
        every = pl.read_parquet(self.prepared.folder / "tags.parquet")
        self.columns = self.choice.columns(every)
        self.tags = every.filter(pl.Series(self.columns >= 0))
        self.rows = TagRows.stored(self.prepared.folder, len(every))

    def sampled(self) -> NDArray[np.bool_]:
        """(n_posts,): which posts the sampling keeps; none without a score."""
        kept = np.isfinite(self.score)
        kept[kept] = self.sampling.kept(self.score[kept].astype(np.int64))
        return kept

    @property
    def scores(self) -> pl.DataFrame:
        """How many posts, and sampled posts, have each score: score, population, sample."""
        scored = self.posts.select("score", sampled=pl.Series(self.sampled())).drop_nulls("score")
        return scored.group_by("score").agg(population=pl.len(), sample=pl.col("sampled").sum()).sort("score")

    def blocks(self, index: Indices, *, rows: int, rank: int = 0, world_size: int = 1) -> PostBlocks:
        return PostBlocks(self, index, rows=rows, rank=rank, world_size=world_size)

    def val_dataloader(self) -> PostBlocks:
        return self.blocks(self.val, rows=EVALUATION_ROWS)

    def test_dataloader(self) -> PostBlocks:
        """All posts of the test part, sampled or not."""
        return self.blocks(self.population, rows=EVALUATION_ROWS)

    def state_dict(self) -> dict[str, Any]:
        """The tags by their numbers, and which posts trained."""
        trained = self.posts["post_id"].gather(self.train).to_numpy().tobytes()
        return {"tags": self.tags["tag"].to_list(), "train": hashlib.sha256(trained).hexdigest()}

    @cached_property
    def tables(self) -> dict[str, pl.DataFrame]:
        """Of all posts: `scores`, how many have each; `tag_pairs`, the most correlated; `tag_ties` to `ties`.

        Pairs and ties are of the `PAIRED` most frequent tags: they take memory with the square of the number.
        """
        tags = self.tags["tag"].head(PAIRED).to_list()
        columns = np.where(self.columns < PAIRED, self.columns, ABSENT).astype(np.int32)
        both = self.pairs(tags, columns).astype(np.float64)
        phi = correlations(both, len(self.posts))
        found = {"scores": self.scores, "tag_pairs": strongest_pairs(tags, phi, both, KEPT_PAIRS)}
        some = [tag for tag in self.ties if tag in tags]
        return found | ({"tag_ties": ties_to(some, tags, phi)} if some else {})

    def pairs(self, tags: Sequence[str], columns: NDArray[np.int32]) -> NDArray[np.int32]:
        """(n_tags, n_tags): how many of all posts have both tags; counted once and kept with the prepared tables."""
        path = self.prepared.folder / f"tag_pairs-{digest(tags)}.npy"
        with suppress(OSError, ValueError, EOFError):  # there is none yet, or it is damaged
            kept: NDArray[np.int32] = np.load(path, allow_pickle=False)
            if kept.dtype == np.int32 and kept.shape == (len(tags), len(tags)):
                return kept
        pairs = torch.zeros(len(tags), len(tags), dtype=torch.float64)
        for index in np.array_split(np.arange(len(self.posts)), max(1, len(self.posts) // EVALUATION_ROWS)):
            rows = self.rows.of(index, columns)
            add_pairs(pairs, torch.from_numpy(rows.start), torch.from_numpy(rows.tag))
        counted = whole(pairs).numpy().astype(np.int32)
        with replacing(path) as beside, beside.open("wb") as file:
            np.save(file, counted, allow_pickle=False)
        return counted

    @property
    def figures(self) -> dict[str, "Figure"]:
        from anirec.figures.posts import draw_score_histogram, draw_tag_pairs, draw_tag_ties

        drawn = {
            "scores": draw_score_histogram(self.tables["scores"]),
            "tag_pairs": draw_tag_pairs(self.tables["tag_pairs"]),
        }
        if "tag_ties" in self.tables:
            table = self.tables["tag_ties"]
            drawn["tag_ties"] = draw_tag_ties(table, table.columns[1:])
        return drawn

    @property
    def facts(self) -> dict[str, float]:
        return self.prepared.report["facts"]

    def provenance(self) -> dict[str, Any]:
        settings = {"sampling": vars(self.sampling), "tags": vars(self.choice)}
        data = digest(self.prepared.fingerprint, settings)
        return {
            "data": {"fingerprint": data, **settings, "n_tags": len(self.tags), **self.prepared.report},
            "split": {**self.split.provenance(self.parts, data), "n_population": len(self.population)},
        }


def posts_of(rows: pl.DataFrame, tags: Sequence[str]) -> tuple[PostBatch, dict[str, int]]:
    """Rows of a stranger's file, with a column `tags`, as posts without a score; and how many of them lack what.

    Args:
        rows: `tags` is a list, or text with spaces between the tags; they may be escaped for HTML.
        tags: The names of the known tags, by number.

    Raises:
        UserError: There is no such column, or it is of another type.

    >>> posts, lacking = posts_of(pl.DataFrame({"tags": ["solo 1girl", "unheard_of", None]}), ["1girl", "solo"])
    >>> posts.start, posts.tag, lacking
    (tensor([0, 2, 2, 2]), tensor([0, 1], dtype=torch.int32), {'posts without a known tag': 2})
    """
    if rows.schema.get("tags") in (pl.Null, pl.List(pl.Null)):  # no post of the file has any
        rows = rows.with_columns(pl.col("tags").cast(pl.List(pl.String)))
    dtype = rows.schema.get("tags")
    if dtype not in (pl.String, pl.List(pl.String)):
        raise UserError(
            f"column tags holds {dtype}, expected text or lists of text"
            if dtype
            else f"no column tags; there are {', '.join(rows.columns)}"
        )
    underscored = pl.element().str.replace_all(" ", "_", literal=True)
    named = pl.col("tags").str.split(" ") if dtype == pl.String else pl.col("tags").list.eval(underscored)
    known = pl.DataFrame({"tags": tags}, schema={"tags": pl.String}).with_row_index("number")
    used = rows.select(named).with_row_index("post").explode("tags").with_columns(decoded(pl.col("tags")))
    used = used.join(known, on="tags").unique().sort("post", "number")
    start = np.append(0, np.bincount(used["post"], minlength=len(rows)).cumsum())
    posts = TagRows(start, used["number"].cast(pl.Int32).to_numpy(writable=True), len(tags))
    unscored = np.full(len(rows), np.nan, dtype=np.float32)
    lacking = {"posts without a known tag": int((np.diff(start) == 0).sum())}
    return PostBatch.of(np.arange(len(rows)), unscored, posts), lacking
