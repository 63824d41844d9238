"""Schema of the tidy tables: names, types and ranges of their columns.

    interactions:  user_id=17  item_id=1535  rating=9.0  status="completed"  timestamp=2013-03-03 10:52:53
    items:         item_id=1535  title="Death Note"  genres=["Mystery", "Thriller"]  type="TV"  episodes=37  score=8.71
    characters:    character_id=71  name="L Lawliet"  description="L is a world-renowned detective."  portrait="71.png"
    appearances:   item_id=1535  character_id=71  role="Main"
    posts:         post_id=5055267  score=5  tags="1girl absurdres arm_at_side"  age_rating="s"  width=4093

A reader yields the tables and columns that its dump has. Rows may also carry MARKS, which say where a row comes from
and whether it could be read; `anirec.data.prepare` removes the marks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from anirec.data.scale import Scale
from anirec.errors import UserError

ID = (pl.Int64(), pl.String())
NAMES = (pl.List(pl.String()),)
MAL = Scale()  # of MyAnimeList
ROLES = ("Main", "Supporting")  # of a character in a title; most important first


class ContractError(UserError):
    """The tables that a source returns do not match the schema: an error of its class, not of a dump."""


@dataclass(frozen=True)
class Column:
    """A column: its possible dtypes, its meaning, the range of its values, and whether it may be null.

    A `rated` column is on the rating scale of the dataset; its range here is that of MyAnimeList.
    """

    dtypes: tuple[pl.DataType, ...]
    meaning: str
    low: float | None = None
    high: float | None = None
    nullable: bool = True
    rated: bool = False

    def on(self, scale: Scale) -> "Column":
        """Return the column with the range that it has on a rating scale."""
        return replace(self, low=scale.low, high=scale.high) if self.rated else self


def text_column(meaning: str) -> Column:
    return Column((pl.String(),), meaning)


def count_column(meaning: str, low: int = 0) -> Column:
    return Column((pl.Int64(),), meaning, low=low)


INTERACTIONS: Mapping[str, Column] = {
    "user_id": Column(ID, "the user's id in the dump", nullable=False),
    "item_id": Column(ID, "the title's id in the items table", nullable=False),
    "rating": Column((pl.Float32(),), "the user's rating; null if none was given", 1, 10, rated=True),
    "timestamp": Column((pl.Datetime("us"),), "when the user last changed the entry, in the dump's own time zone"),
    "status": text_column("watching, completed, on_hold, dropped or plan_to_watch"),
}

ITEMS: Mapping[str, Column] = {
    "item_id": Column(ID, "the title's id, or the title itself where a dump has no ids", nullable=False),
    "title": Column((pl.String(),), "the main (romanised) title; the id where no title is known", nullable=False),
    "title_english": text_column("the licensed English title"),
    "title_japanese": text_column("the title in Japanese script"),
    "synonyms": Column(NAMES, "other titles; empty when none is known", nullable=False),
    "type": text_column("TV, Movie, OVA, ONA, Special or Music"),
    "episodes": Column((pl.Int32(),), "number of episodes; null when unknown", low=1),
    "genres": Column(NAMES, "genres; empty when none is known", nullable=False),
    "studios": Column(NAMES, "animation studios; empty when none is known", nullable=False),
    "producers": Column(NAMES, "producers; empty when none is known", nullable=False),
    "source": text_column("what it was adapted from: Manga, Original, Light novel, ..."),
    "duration": Column((pl.Float32(),), "minutes per episode", low=0),
    "aired_from": Column((pl.Date(),), "first day on air; 1 January or day 1 where a dump has only a year or month"),
    "age_rating": text_column("MyAnimeList's age rating, such as PG-13 - Teens 13 or older"),
    "score": Column((pl.Float32(),), "mean score on the site; null when unscored", 1, 10, rated=True),
    "scored_by": count_column("number of users whose ratings make the score"),
    "rank": count_column("rank by score, 1 is best", low=1),
    "popularity": count_column("rank by members, 1 is best", low=1),
    "members": count_column("number of users who have it on their list"),
    "favorites": count_column("number of users who named it a favourite"),
    "synopsis": text_column("the synopsis; null where the dump has only a placeholder"),
    "poster": text_column("picture of the title: a path relative to the source's folder of pictures"),
    "published_part": text_column("the title's part in a published split: train or test"),
}

# Facts about a title that grow or change after it has aired: as features, they leak the future.
KNOWN_LATER = frozenset({"score", "scored_by", "rank", "popularity", "members", "favorites"})

CHARACTERS: Mapping[str, Column] = {
    "character_id": Column(ID, "the character's id", nullable=False),
    "name": text_column("the character's name"),
    "description": text_column("text about the character; null where the dump has only a placeholder"),
    "portrait": text_column("picture of the character: a path relative to the source's folder of pictures"),
}

APPEARANCES: Mapping[str, Column] = {
    "item_id": Column(ID, "the title's id in the items table", nullable=False),
    "character_id": Column(ID, "the character's id in the characters table", nullable=False),
    "role": text_column("Main, Supporting, or null for anything else, staff included"),
}

POSTS: Mapping[str, Column] = {
    "post_id": Column((pl.Int64(),), "the post's id", nullable=False),
    "score": Column((pl.Int32(),), "upvotes minus downvotes; null where unknown"),
    "tags": Column((pl.String(),), "the tags, separated by spaces; empty if there are none", nullable=False),
    "timestamp": Column((pl.Datetime("us"),), "when it was posted, in the dump's own time zone"),
    "age_rating": text_column("the board's content rating: safe, s, g, ..."),
    "width": Column((pl.Int32(),), "width in pixels of the picture, or of its sample", low=0),
    "height": Column((pl.Int32(),), "height in pixels of the picture, or of its sample", low=0),
}

TABLES: Mapping[str, Mapping[str, Column]] = {
    "interactions": INTERACTIONS,
    "items": ITEMS,
    "characters": CHARACTERS,
    "appearances": APPEARANCES,
    "posts": POSTS,
}

MARKS: Mapping[str, pl.DataType] = {
    "file": pl.String(),  # name of the file in the dump
    "line": pl.Int64(),  # 1-based number of the line in the file
    "reason": pl.String(),  # why the row cannot be read; null if it can
    "text": pl.String(),  # the row as in the file; only of unreadable rows
    "note": pl.String(),  # columns, separated by commas, whose unreadable cells became null; the row is kept
}


def check(table: pl.LazyFrame | pl.DataFrame, columns: Mapping[str, Column], name: str) -> None:
    """Check the columns of a reader's table against the schema.

    Raises:
        ContractError: Columns are undeclared, missing or of the wrong dtype; the message lists all of them.
    """
    schema = table.lazy().collect_schema()
    required = {column for column, declared in columns.items() if not declared.nullable and "_id" in column}
    problems = [f"{column} is missing" for column in sorted(required - set(schema))]
    for column, dtype in schema.items():
        if column not in columns:
            problems.append(f"{column} is not declared")
        elif dtype not in columns[column].dtypes:
            expected = " or ".join(map(str, columns[column].dtypes))
            problems.append(f"{column} is {dtype}, not {expected}")
    if problems:
        raise ContractError(f"the table {name} does not match the schema: {'; '.join(problems)}.")


def check_values(table: pl.LazyFrame, columns: Mapping[str, Column], name: str, scale: Scale = MAL) -> None:
    """Check the values of a table that passed `check` against the ranges in the schema and the rating scale.

    Raises:
        ContractError: Values are null in a column without nulls, or out of range.
    """
    wrong = {}
    for column in table.collect_schema():
        declared, values = columns[column].on(scale), pl.col(column)
        if not declared.nullable:
            wrong[f"{column} is null"] = values.null_count()
        if declared.low is not None:
            wrong[f"{column} < {declared.low:g}"] = (values < declared.low).sum()
        if declared.high is not None:
            wrong[f"{column} > {declared.high:g}"] = (values > declared.high).sum()
    found = table.select(**wrong).collect(engine="streaming").row(0, named=True)
    problems = [f"{problem} in {count} rows" for problem, count in found.items() if count]
    if problems:
        raise ContractError(f"the table {name} does not match the schema: {'; '.join(problems)}.")


def ordered(table: pl.DataFrame, columns: Mapping[str, Column]) -> pl.DataFrame:
    """Return `table` with its columns in the order of the schema and null lists replaced by empty ones.

    >>> ordered(pl.DataFrame({"title": ["Monster"], "item_id": [19]}), ITEMS).columns
    ['item_id', 'title']
    """
    table = table.select([column for column in columns if column in table.columns])
    return table.with_columns(pl.col(pl.List(pl.String())).fill_null([]))
