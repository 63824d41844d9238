"""Prepared posts: a table of posts, a table of tags, and the tags of each post as compressed sparse rows.

<folder>/
    posts.parquet      columns of `schema.POSTS` without the tags; each post once, in file order
    tags.parquet       tag, n_posts; most frequent first, the row is the number of the tag
    tag_start.npy      int64 (n_posts + 1,)        } compressed sparse rows, see `TagRows`
    tag_number.i4      int32, one per use of a tag }

The tags are read twice, in blocks of posts: first to count, then to number them.
"""

from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import polars as pl

from anirec.data import schema
from anirec.data.prepare.small_tables import READABLE
from anirec.errors import UserError

START, NUMBER = "tag_start.npy", "tag_number.i4"
BLOCK = 100_000  # posts in memory at once, about 200 MB with their tags as lists
TAGS = pl.col("tags").str.split(" ").list.unique()


def write_posts(raw: pl.LazyFrame, folder: Path, *, block: int = BLOCK) -> dict[str, int]:
    """Write the files of posts from raw rows with marks; return counts: read = rejected + duplicates + kept.

    Raises:
        UserError: No post has a tag.
        ValueError: Values are out of the range in the schema; a bug of the reader.
    """
    posts = raw.drop("tags", "file", "line", "text", "note").collect(engine="streaming")
    is_readable = posts.select(READABLE).to_series()
    is_kept = is_readable & posts.select(pl.struct(READABLE, "post_id").is_first_distinct()).to_series()
    kept = posts.filter(is_kept).drop("reason")
    schema.check_values(kept.lazy(), schema.POSTS, "posts")
    kept.write_parquet(folder / "posts.parquet")
    tags = write_tags(raw, is_kept, folder, block)
    return {
        "posts_read": len(posts),
        "posts_rejected": int((~is_readable).sum()),
        "duplicate_posts_removed": int((is_readable & ~is_kept).sum()),
        "posts_kept": len(kept),
        "posts_without_score": kept["score"].null_count(),
        "distinct_tags": len(tags),
        "tags_of_all_posts": int(tags["n_posts"].sum()),
    }


def write_tags(raw: pl.LazyFrame, is_kept: pl.Series, folder: Path, block: int) -> pl.DataFrame:
    """Number the tags, write tags.parquet and the sparse rows of the kept posts, and return the table of tags."""
    tags, spellings = number_tags(count_posts(raw, is_kept, block))
    spelling, number_of = pl.Enum(spellings["spelling"]), spellings["number"].to_numpy()
    n_posts, start = np.zeros(len(tags), dtype=np.int64), [np.zeros(1, dtype=np.int64)]
    with (folder / NUMBER).open("wb") as file:
        for some in blocks(raw, is_kept, block):
            used = some.with_row_index("post").explode("tag").filter(pl.col("tag") != "")
            number = pl.Series("number", number_of[used["tag"].cast(spelling).to_physical()])
            used = used.select("post", number).unique().sort("post", "number")
            used["number"].to_numpy().tofile(file)
            start.append(np.bincount(used["post"].to_numpy(), minlength=len(some)))
            n_posts += np.bincount(used["number"].to_numpy(), minlength=len(tags))
    np.save(folder / START, np.concatenate(start).cumsum(dtype=np.int64))
    tags = tags.select("tag", n_posts=pl.Series(n_posts))
    tags.write_parquet(folder / "tags.parquet")
    return tags


def count_posts(raw: pl.LazyFrame, is_kept: pl.Series, block: int) -> pl.DataFrame:
    """Count the posts with each spelling of a tag; columns spelling and n.

    Raises:
        UserError: No post has a tag.
    """
    counts = pl.DataFrame(schema={"spelling": pl.String, "n": pl.UInt32})
    for some in blocks(raw, is_kept, block):
        more = some["tag"].explode().drop_nulls().value_counts(name="n").rename({"tag": "spelling"})
        counts = pl.concat([counts, more]).group_by("spelling").agg(pl.col("n").sum())
    counts = counts.filter(pl.col("spelling") != "")
    if not len(counts):
        raise UserError("No post has a single tag. Is the column or key `tags` (or `tag_string`) of this dump empty?")
    return counts


def number_tags(counts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tags by decreasing frequency, and the number of each spelling.

    Spellings differ because some copies of a dump escape HTML entities.

    >>> number_tags(pl.DataFrame({"spelling": ["don&#039;t", "solo", "don't"], "n": [1, 2, 2]}))[1].rows()
    [('don&#039;t', 0), ('solo', 1), ("don't", 0)]
    """
    counts = counts.with_columns(
        tag=pl.Series([unescape(spelling) for spelling in counts["spelling"]], dtype=pl.String)
    )
    tags = counts.group_by("tag").agg(pl.col("n").sum()).sort("n", "tag", descending=[True, False])
    tags = tags.select("tag").with_row_index("number")
    spellings = counts.join(tags, on="tag", maintain_order="left").select("spelling", pl.col("number").cast(pl.Int32))
    return tags, spellings


def blocks(raw: pl.LazyFrame, is_kept: pl.Series, block: int) -> Iterator[pl.DataFrame]:
    """Yield the tags of the kept posts in order, a list `tag` per post; [""] stands for no tags."""
    for start in range(0, len(is_kept), block):
        rows = raw.slice(start, block).select(tag=TAGS).collect()
        yield rows.filter(is_kept[start : start + len(rows)])
