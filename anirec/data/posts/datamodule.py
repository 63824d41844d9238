"""The datamodule of posts on an image board with tags and votes, sampled and split.

One post: 1girl, solo, kantai_collection, ... (23 of the thousand selected tags); score 4.
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
from anirec.data.posts.tags import add_pairs, phi_coefficients, phi_to_tags, strongest_pairs, symmetrise
from anirec.data.prepare.cache import prepare
from anirec.data.prepare.checks import Checks
from anirec.data.prepare.fingerprint import digest
from anirec.data.prepare.tag_rows import ABSENT, TagRows
from anirec.data.readers.cells import unescape_html
from anirec.data.sources.base import Source
from anirec.data.splits.base import TEST, TRAIN, VAL, Split, check_parts
from anirec.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNSAMPLED = 3  # a fourth part, next to TRAIN, VAL and TEST
EVALUATION_ROWS = 1 << 15  # posts per batch in evaluation
KEPT_PAIRS = 1000  # in the table of correlated tags
PAIRED = 2000  # most frequent tags, of which pairs are counted; each matrix takes 32 MB


@dataclass
class PostBatch:
    """A batch of posts: `index`, rows of `Posts.posts`, int64 (B,); `score`, float32 (B,), NaN where unknown.

    The tags are compressed sparse rows: post b has `tag[start[b]:start[b + 1]]`; `start` int64 (B + 1,), `tag` int32.
    """

    index: Tensor
    score: Tensor
    start: Tensor
    tag: Tensor

    @classmethod
    def of(cls, index: NDArray[np.int64], score: NDArray[np.float32], rows: TagRows) -> "PostBatch":
        return cls(*map(torch.from_numpy, (index, score, rows.start, rows.tag)))


class PostBlocks:
    """Batches of about `rows` posts in the given order; every process takes the same number of batches."""

    def __init__(
        self, data: "Posts", index: NDArray[np.int64], *, rows: int, rank: int = 0, world_size: int = 1
    ) -> None:
        n_blocks = math.ceil(len(index) / rows / world_size) * world_size
        self.data, self.parts = data, np.array_split(index, n_blocks)[rank::world_size] if n_blocks else []

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[PostBatch]:
        for index in self.parts:
            yield PostBatch.of(index, self.data.score[index], self.data.rows.select(index, self.data.columns))


class Posts(Data):
    """Posts with tags and score, split into `train`, `val` and `test`.

    All posts are split first and sampled afterwards, so that models can be tested on `population`, all posts of the
    test part, whose scores are distributed as on the board.

    After `setup`, these attributes exist: `posts`, one row per post; `score`, float32 (n_posts,), NaN where unknown;
    `rows`, the tags of all posts, in a file; `columns`, the new numbers of the selected tags; `tags`, their names and
    frequencies; and the row numbers `train`, `val`, `test`, `population` and `train_population` (all posts of the
    training part), int64.

    Args:
        source: The source of the posts.
        sampling: Selection of the posts for training and test.
        tags: Selection of the tags that describe posts.
        ties: Tags whose correlations with all other tags are reported.
        split: Assigns each post to a part.
        cache: Folder of prepared tables.
        checks: Whether findings of `anirec.data.prepare.checks` may stop; "warn" prints them instead.
    """

    def __init__(
        self,
        *,
        source: Source,
        sampling: Sampling,
        tags: TagChoice,
        ties: Sequence[str],
        split: Split,
        cache: str,
        checks: Checks = "stop",
    ) -> None:
        super().__init__()
        self.checks = checks
        self.source, self.sampling, self.choice, self.split = source, sampling, tags, split
        self.ties, self.cache = list(ties), Path(cache)

    def prepare_data(self) -> None:
        """Prepare the tables of the source; Lightning calls this once per machine."""
        prepare(self.source, self.cache, checks=self.checks)

    def load(self) -> None:
        self.read()
        self.choose()
        scored = np.flatnonzero(np.isfinite(self.score))
        part = np.full(len(self.posts), UNSAMPLED, dtype=np.uint8)
        part[scored] = self.split.assign(self.posts[scored])
        self.notes = self.split.notes(self.posts[scored], part[scored])
        self.population, self.train_population = (np.flatnonzero(part == wanted) for wanted in (TEST, TRAIN))
        self.parts = np.where(self.sampled(), part, UNSAMPLED).astype(np.uint8)
        self.train, self.val, self.test = (np.flatnonzero(self.parts == wanted) for wanted in (TRAIN, VAL, TEST))
        check_parts(self.split, {"train": len(self.train), "val": len(self.val), "test": len(self.test)}, "posts")

    def read(self) -> None:
        """Read all posts, without sampling or splitting them."""
        self.prepared = prepare(self.source, self.cache, checks=self.checks)
        if self.prepared.posts is None:
            raise UserError(
                f"{self.source.name} has no posts with tags. Choose a dataset with posts; see anirec data list."
            )
        self.posts = pl.read_parquet(self.prepared.posts, glob=False)
        self.score = self.posts["score"].cast(pl.Float32).fill_null(float("nan")).to_numpy()

    def choose(self) -> None:
        """Select the tags that describe the posts."""
        every = pl.read_parquet(self.prepared.folder / "tags.parquet", glob=False)
        self.columns = self.choice.columns(every)
        self.tags = every.filter(pl.Series(self.columns >= 0))
        self.rows = TagRows.load(self.prepared.folder, len(every))

    def sampled(self) -> NDArray[np.bool_]:
        """Return which posts are in the sample, (n_posts,) bool; posts without a score are not."""
        kept = np.isfinite(self.score)
        kept[kept] = self.sampling.kept(self.score[kept].astype(np.int64))
        return kept

    @property
    def scores(self) -> pl.DataFrame:
        """Number of all posts and of sampled posts with each score: columns score, population, sample."""
        scored = self.posts.select("score", sampled=pl.Series(self.sampled())).drop_nulls("score")
        return scored.group_by("score").agg(population=pl.len(), sample=pl.col("sampled").sum()).sort("score")

    def blocks(self, index: NDArray[np.int64], *, rows: int, rank: int = 0, world_size: int = 1) -> PostBlocks:
        return PostBlocks(self, index, rows=rows, rank=rank, world_size=world_size)

    def val_dataloader(self) -> PostBlocks:
        return self.blocks(self.val, rows=EVALUATION_ROWS)

    def test_dataloader(self) -> PostBlocks:
        """Return batches of all posts of the test part, sampled or not."""
        return self.blocks(self.population, rows=EVALUATION_ROWS)

    def state_dict(self) -> dict[str, Any]:
        """Return the tags in the order of their numbers, and a hash of the ids of the training posts."""
        trained = self.posts["post_id"].gather(self.train).to_numpy().tobytes()
        return {"tags": self.tags["tag"].to_list(), "train": hashlib.sha256(trained).hexdigest()}

    @cached_property
    def tables(self) -> dict[str, pl.DataFrame]:
        """Tables of all posts: counts of `scores`, the most correlated `tag_pairs`, and `tag_ties`, phi with `ties`.

        The last two cover the `PAIRED` most frequent tags, since memory grows with the square of their number.
        """
        tags = self.tags["tag"].head(PAIRED).to_list()
        columns = np.where(self.columns < PAIRED, self.columns, ABSENT).astype(np.int32)
        both = self.pairs(tags, columns).astype(np.float64)
        phi = phi_coefficients(both, len(self.posts))
        found = {"scores": self.scores, "tag_pairs": strongest_pairs(tags, phi, both, KEPT_PAIRS)}
        some = [tag for tag in self.ties if tag in tags]
        return found | ({"tag_ties": phi_to_tags(some, tags, phi)} if some else {})

    def pairs(self, tags: Sequence[str], columns: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the number of posts that have both tags, (n_tags, n_tags); cached with the prepared tables."""
        path = self.prepared.folder / f"tag_pairs-{digest(tags)}.npy"
        with suppress(OSError, ValueError, EOFError):  # the file is missing or damaged
            kept: NDArray[np.int32] = np.load(path, allow_pickle=False)
            if kept.dtype == np.int32 and kept.shape == (len(tags), len(tags)):
                return kept
        pairs = torch.zeros(len(tags), len(tags), dtype=torch.float64)
        for index in np.array_split(np.arange(len(self.posts)), max(1, len(self.posts) // EVALUATION_ROWS)):
            rows = self.rows.select(index, columns)
            add_pairs(pairs, torch.from_numpy(rows.start), torch.from_numpy(rows.tag))
        counts = symmetrise(pairs).numpy().astype(np.int32)
        with suppress(PermissionError), replacing(path) as temporary, temporary.open("wb") as file:  # of another user
            np.save(file, counts, allow_pickle=False)
        return counts

    @property
    def figures(self) -> dict[str, "Figure"]:
        from anirec.figures.posts import draw_score_histogram, draw_tag_pairs, draw_tag_ties

        figures = {
            "scores": draw_score_histogram(self.tables["scores"]),
            "tag_pairs": draw_tag_pairs(self.tables["tag_pairs"]),
        }
        if "tag_ties" in self.tables:
            table = self.tables["tag_ties"]
            figures["tag_ties"] = draw_tag_ties(table, table.columns[1:])
        return figures

    @property
    def findings(self) -> list[str]:
        return self.notes

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
    """Convert rows of a user's file to a batch of posts without scores, and count the posts without a known tag.

    Args:
        rows: A column `tags` of lists, or of text with spaces between tags; HTML entities are replaced.
        tags: Names of the known tags, by number.

    Raises:
        UserError: There is no column `tags`, or it has the wrong dtype.

    >>> posts, lacking = posts_of(pl.DataFrame({"tags": ["solo 1girl", "unheard_of", None]}), ["1girl", "solo"])
    >>> posts.start, posts.tag, lacking
    (tensor([0, 2, 2, 2]), tensor([0, 1], dtype=torch.int32), {'posts without a known tag': 2})
    """
    if rows.schema.get("tags") in (pl.Null, pl.List(pl.Null)):  # no post of the file has a tag
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
    used = rows.select(named).with_row_index("post").explode("tags").with_columns(unescape_html(pl.col("tags")))
    used = used.join(known, on="tags").unique().sort("post", "number")
    start = np.append(0, np.bincount(used["post"], minlength=len(rows)).cumsum())
    posts = TagRows(start, used["number"].cast(pl.Int32).to_numpy(writable=True), len(tags))
    unscored = np.full(len(rows), np.nan, dtype=np.float32)
    lacking = {"posts without a known tag": int((np.diff(start) == 0).sum())}
    return PostBatch.of(np.arange(len(rows)), unscored, posts), lacking
