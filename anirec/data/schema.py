"""The tidy tables that readers yield, each those that its dump has. Their columns are declared here, once.

    interactions:  user_id=17  item_id=1535  rating=9.0  status="completed"  timestamp=2013-03-03 10:52:53
    items:         item_id=1535  title="Death Note"  genres=["Mystery", "Thriller"]  type="TV"  episodes=37  score=8.71
    characters:    character_id=71  name="L Lawliet"  description="L is a world-renowned detective."  portrait="71.png"
    appearances:   item_id=1535  character_id=71  role="Main"
    posts:         post_id=5055267  score=5  tags="1girl absurdres arm_at_side"  age_rating="s"  width=4093

A reader yields the columns that its dump has. Rows may also carry MARKS: where they come from, and whether they could
be read; `prepare` takes the marks off.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

ID = (pl.Int64(), pl.String())
NAMES = (pl.List(pl.String()),)
ROLES = ("Main", "Supporting")  # of a character in a title; weightiest first


@dataclass(frozen=True)
class Column:
    """What a column holds: its possible dtypes, its meaning, its range, and whether it may be null."""

    dtypes: tuple[pl.DataType, ...]
    meaning: str
    low: float | None = None
    high: float | None = None
    nullable: bool = True


def text(meaning: str) -> Column:
    return Column((pl.String(),), meaning)


def count(meaning: str, low: int = 0) -> Column:
    return Column((pl.Int64(),), meaning, low=low)


INTERACTIONS: Mapping[str, Column] = {
    "user_id": Column(ID, "the user, as the dump names them", nullable=False),
    "item_id": Column(ID, "the title, as the items table names it", nullable=False),
    "rating": Column((pl.Float32(),), "the user's rating; null: none was given", 1, 10),
    "timestamp": Column((pl.Datetime("us"),), "when the user last changed the entry, in the dump's own time zone"),
    "status": text("watching, completed, on_hold, dropped or plan_to_watch"),
}

ITEMS: Mapping[str, Column] = {
    "item_id": Column(ID, "the title's id, or the title itself where a dump has no ids", nullable=False),
    "title": Column((pl.String(),), "the main (romanised) title; the id where no title is known", nullable=False),
    "title_english": text("the licensed English title"),
    "title_japanese": text("the title in Japanese script"),
    "synonyms": Column(NAMES, "other titles; empty when none is known", nullable=False),
    "type": text("TV, Movie, OVA, ONA, Special or Music"),
    "episodes": Column((pl.Int32(),), "number of episodes; null when unknown", low=1),
    "genres": Column(NAMES, "genres; empty when none is known", nullable=False),
    "studios": Column(NAMES, "animation studios; empty when none is known", nullable=False),
    "producers": Column(NAMES, "producers; empty when none is known", nullable=False),
    "source": text("what it was adapted from: Manga, Original, Light novel, ..."),
    "duration": Column((pl.Float32(),), "minutes an episode", low=0),
    "aired_from": Column((pl.Date(),), "first day on air; 1 January or day 1 where a dump has only year or month"),
    "age_rating": text("MyAnimeList's age rating, such as PG-13 - Teens 13 or older"),
    "score": Column((pl.Float32(),), "mean score on the site; null when unscored", 1, 10),
    "scored_by": count("users whose ratings make the score"),
    "rank": count("place by score, 1 is best", low=1),
    "popularity": count("place by members, 1 is best", low=1),
    "members": count("users who have it on a list"),
    "favorites": count("users who name it a favourite"),
    "synopsis": text("the synopsis; null where the dump has only a placeholder"),
    "poster": text("picture of the title: a path inside the source's folder of pictures"),
    "published_part": text("the side of a published split that the title is on: train or test"),
}

CHARACTERS: Mapping[str, Column] = {
    "character_id": Column(ID, "the character's id", nullable=False),
    "name": text("the character's name"),
    "description": text("who they are; null where the dump has only a placeholder"),
    "portrait": text("picture of the character: a path inside the source's folder of pictures"),
}

APPEARANCES: Mapping[str, Column] = {
    "item_id": Column(ID, "the title, as the items table names it", nullable=False),
    "character_id": Column(ID, "the character, as the characters table names it", nullable=False),
    "role": text("Main, Supporting, or null for anything else, staff included"),
}

POSTS: Mapping[str, Column] = {
    "post_id": Column((pl.Int64(),), "the post's id", nullable=False),
    "score": Column((pl.Int32(),), "votes up less votes down; null where nobody says"),
    "tags": Column((pl.String(),), "the tags, a space between two; empty when there is none", nullable=False),
    "timestamp": Column((pl.Datetime("us"),), "when it was posted, in the dump's own time zone"),
    "age_rating": text("whom it is fit for, as the board says: safe, s, g, ..."),
    "width": Column((pl.Int32(),), "pixels of the picture, or of its sample", low=0),
    "height": Column((pl.Int32(),), "likewise", low=0),
}

TABLES: Mapping[str, Mapping[str, Column]] = {
    "interactions": INTERACTIONS,
    "items": ITEMS,
    "characters": CHARACTERS,
    "appearances": APPEARANCES,
    "posts": POSTS,
}

MARKS: Mapping[str, pl.DataType] = {
    "file": pl.String(),  # name of the dump's file
    "line": pl.Int64(),  # 1-based line in it
    "reason": pl.String(),  # why the row cannot be read; null: it can
    "text": pl.String(),  # the row as it stands in the file; of unreadable rows only
    "note": pl.String(),  # columns (joined by commas) whose cell was unreadable and became null; the row is kept
}


def check(table: pl.LazyFrame | pl.DataFrame, columns: Mapping[str, Column], name: str) -> None:
    """Hold a reader's table against the declared columns.

    Raises:
        TypeError: An undeclared column, a missing required one, or a wrong dtype; all of them at once. It is the
            reader's mistake, not the user's.
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
        raise TypeError(f"The reader's table of {name} breaks its declaration: {'; '.join(problems)}.")


def check_values(table: pl.LazyFrame, columns: Mapping[str, Column], name: str) -> None:
    """Hold the values of a table that passed `check` against their declared ranges.

    Raises:
        ValueError: Nulls where none may be, or values out of range; the reader's mistake.
    """
    wrong = {}
    for column in table.collect_schema():
        declared, values = columns[column], pl.col(column)
        if not declared.nullable:
            wrong[f"{column} is null"] = values.null_count()
        if declared.low is not None:
            wrong[f"{column} < {declared.low:g}"] = (values < declared.low).sum()
        if declared.high is not None:
            wrong[f"{column} > {declared.high:g}"] = (values > declared.high).sum()
    found = table.select(**wrong).collect(engine="streaming").row(0, named=True)
    problems = [f"{problem} in {count} rows" for problem, count in found.items() if count]
    if problems:
        raise ValueError(f"The reader's table of {name} breaks its declaration: {'; '.join(problems)}.")


def ordered(table: pl.DataFrame, columns: Mapping[str, Column]) -> pl.DataFrame:
    """`table` with its columns in declared order, lists never null.

    >>> ordered(pl.DataFrame({"title": ["Monster"], "item_id": [19]}), ITEMS).columns
    ['item_id', 'title']
    """
    table = table.select([column for column in columns if column in table.columns])
    return table.with_columns(pl.col(pl.List(pl.String())).fill_null([]))
