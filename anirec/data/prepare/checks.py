"""Checks of what prepared tables mean: cells that can be read, but mean something else, and rows that fit nothing.

Each check of `CHECKS` looks at counts and aggregates, never at the dump, and yields a sentence with the figures that
made it speak. A finding that stops makes the results of a run worthless; `dataset.checks=warn` prints it and goes on.

    mal_2016: 430 of 490 list entries (87.8%) could not be read; see …/rejects.parquet
    mal_2016: 1 of 2 ratings (50.0%) are above 10, such as 1,8,85 in rating.csv, line 2; the scale is 1 to 10 …
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from anirec.data.prepare.title_agreement import compare_titles
from anirec.data.scale import Scale
from anirec.data.sources.base import Source
from anirec.errors import UserError
from anirec.notices import warn

Checks = Literal["stop", "warn"]  # what a finding that stops does
MOST_REJECTED = 0.5  # share of unreadable rows above which a table stops a run
MOST_OFF_SCALE = 0.01  # share of ratings outside the scale, or between its steps
LEAST_RATINGS = 100  # so many ratings, all in the lower half of the scale, are on another scale
MOST_UNLISTED = 0.95  # share of rated titles without a row in the table of titles; a third are listed in malsugoi
MOST_ODD_TAGS = 0.01
LEAST_TITLES = 10  # so many titles of which few are listed, or agree by name, have other ids
# Shares of titles with the same id that agree by names or genres, below which a check stops or warns. Of real dumps:
# 0.92 to 0.996 by names, 0.81 to 1 by genres; between titles at random: 0 by names, 0.44 to 0.51 by genres.
AGREEING = {"names": (0.5, 0.8), "genres": (0.6, 0.75)}
ODD_TAG = r'^[\[{]+"|"[\]}:,]+$|,$'  # what is left of JSON, or of a list with commas
OFF_RANGE = re.compile(r": .+ is (above|below) \S+$")
NO_RATING = re.compile(r": .+ is (not a number from|above|below) ")
# What the rows of each table are, by the name of the table in the report.
COUNTED = {"rows": "list entries"} | {name: name for name in ("posts", "items", "characters", "appearances")}


@dataclass(frozen=True)
class Finding:
    """What a check found, in a sentence, and whether a run stops at it."""

    sentence: str
    stops: bool = False


@dataclass(frozen=True)
class Subject:
    """The prepared tables of a source.

    Args:
        source: The source.
        folder: The folder of its tables.
        joined_to: The table of titles of the dataset that the source is joined to; None if it is the dataset itself.
    """

    source: Source
    folder: Path
    joined_to: Path | None = None

    @cached_property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return found

    @property
    def scale(self) -> Scale:
        return Scale.of(self.report.get("scale"))

    @cached_property
    def rejects(self) -> dict[str, int]:
        """Number of rows that could not be read, by file and reason, without known flaws of the published files."""
        counts = self.report["rejects"]
        return {key: n for key, n in counts.items() if key.split(": ", 1)[1] not in self.source.known_flaws}

    @cached_property
    def measured(self) -> Mapping[str, Any]:
        """The values of `measure`; computed now for tables that were prepared by an older version."""
        return self.report.get("measured") or measure(self.folder, self.report, self.scale)


def measure(folder: Path, report: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """Return what the checks need to know of the tables in a folder, in addition to the counts of its report."""
    measured: dict[str, Any] = {}
    if (folder / "interactions.parquet").is_file():
        rows, rating = pl.scan_parquet(folder / "interactions.parquet", glob=False), pl.col("rating")
        steps = (rating - scale.low) / scale.step
        off_step = ((steps - steps.round()).abs() > 1e-3).sum()
        found = rows.select(lowest=rating.min(), highest=rating.max(), off_step=off_step)
        measured["ratings"] = found.collect(engine="streaming").row(0, named=True)
        if n_unlisted := report["unlisted_items"]:
            unlisted = pl.read_parquet(folder / "items.parquet", columns=["item_id"], glob=False).tail(n_unlisted)
            by_title = rows.group_by("item_id").len().collect(engine="streaming")
            entries = by_title.join(unlisted, on="item_id", how="semi")["len"].sum()
            measured["unlisted"] = {"titles": len(by_title), "entries": entries}
    if (folder / "tags.parquet").is_file():
        tags = pl.read_parquet(folder / "tags.parquet", glob=False)
        odd = tags.filter(pl.col("tag").str.contains(ODD_TAG))
        measured["odd_tags"] = {"uses": odd["n_posts"].sum(), "examples": odd["tag"].head(3).to_list()}
    return measured


def rejected_rows(data: Subject) -> Iterator[Finding]:
    """Rows that could not be read; more than half of a table stop."""
    place = f"see {data.folder / 'rejects.parquet'}"
    n_flaws = sum(data.report["rejects"].values()) - sum(data.rejects.values())
    for name, kind in COUNTED.items():
        n_known = min(n_flaws, data.report.get(f"{name}_rejected", 0))
        n_rejected = data.report.get(f"{name}_rejected", 0) - n_known
        n_read = data.report.get(f"{name}_read", 0) - n_known
        if n_rejected > MOST_REJECTED * n_read:
            yield Finding(f"{share(n_rejected, n_read, kind)} could not be read; {place}", stops=True)
    if n_rejected := sum(data.rejects.values()):
        n_rows = sum(count for name, count in data.report.items() if name.endswith("_read"))
        yield Finding(f"{n_rejected} of {n_rows} rows could not be read; {place}")


def unreadable_cells(data: Subject) -> Iterator[Finding]:
    """Cells that could not be read in rows that are kept."""
    if cells := data.report["unreadable_cells"]:
        if "timestamp" in data.report["empty_columns"] and (n := sum_of("timestamp", cells)):
            yield Finding(f"none of the {n:,} times could be read; is another column the timestamp?", stops=True)
        which = ", ".join(f"{column}: {n:,}" for column, n in cells.items())
        yield Finding(f"{sum(cells.values()):,} cells could not be read and are treated as unknown ({which})")


def sum_of(column: str, cells: Mapping[str, int]) -> int:
    """
    >>> sum_of("timestamp", {"a.csv: timestamp": 2, "b.csv: timestamp": 3, "b.csv: status": 1})
    5
    """
    return sum(n for key, n in cells.items() if key.endswith(f": {column}"))


def rating_scale(data: Subject) -> Iterator[Finding]:
    """Ratings that show another scale: outside the range, between the steps, or all in the lower half."""
    if data.joined_to or "ratings" not in data.measured:  # a joined source's ratings are not used
        return
    scale, found = data.scale, data.measured["ratings"]
    others = "set dataset.source.scale" if "scale" in vars(data.source) else "dataset=table reads any other"
    declared = f"the scale is {scale} ({others})"
    n_rated = data.report["rows_kept"] - data.report["unrated_rows"]
    n_unread = sum(n for reason, n in data.rejects.items() if NO_RATING.search(reason))
    n_given = n_rated + n_unread
    for key, n in data.rejects.items():
        if OFF_RANGE.search(key) and n > MOST_OFF_SCALE * n_given:
            what = key.rpartition(" is ")[2]
            yield Finding(f"{share(n, n_given, 'ratings')} are {what}{example(data, key)}; {declared}", stops=True)
    if n_unread > MOST_REJECTED * n_given and n_rated == 0:
        yield Finding(f"none of the {n_unread:,} ratings could be read; {declared}", stops=True)
    if n := found["off_step"] or 0:
        sentence = f"{share(n, n_rated, 'ratings')} are between the steps of {scale.step:g}; {declared}"
        yield Finding(sentence, stops=n > MOST_OFF_SCALE * n_rated)
    if n_rated >= LEAST_RATINGS and found["highest"] <= (scale.low + scale.high) / 2:
        yield Finding(f"all {n_rated:,} ratings are {found['highest']:g} or lower; {declared}", stops=True)


def unlisted_titles(data: Subject) -> Iterator[Finding]:
    """Rated titles that no file of titles lists."""
    if data.joined_to or "unlisted" not in data.measured or not data.report["items_kept"]:
        return
    n, found = data.report["unlisted_items"], data.measured["unlisted"]
    which = f"{share(n, found['titles'], 'listed titles')} with {found['entries']:,} entries are in no file of titles"
    known = {"genres", "age_rating"} & data.source.columns - set(data.report["empty_columns"])
    effect = (
        ": their genres and age ratings are unknown, so that they are only recommended with --adult, unless a joined "
        "dataset knows them"
    )
    which += effect if known else ""
    yield Finding(which, stops=n > MOST_UNLISTED * found["titles"] and n >= LEAST_TITLES)


def disagreeing_duplicates(data: Subject) -> Iterator[Finding]:
    """Pairs of user and title that are listed several times, with different ratings."""
    if (n := data.report.get("disagreeing_duplicates", 0)) and not data.joined_to:
        kept = "the newest" if "timestamp" in data.source.columns else "the last in the files"
        which = share(n, data.report["duplicates_removed"], "repeated entries")
        yield Finding(f"{which} of a user and a title have another rating than the one that is kept, {kept}")


def odd_tags(data: Subject) -> Iterator[Finding]:
    """Tags that are pieces of JSON, or end with a comma."""
    found = data.measured.get("odd_tags", {"uses": 0})
    if found["uses"] > MOST_ODD_TAGS * data.report.get("tags_of_all_posts", 0):
        which = ", ".join(found["examples"])
        n_tags = data.report["tags_of_all_posts"]
        yield Finding(f"{share(found['uses'], n_tags, 'tags')} of the posts are no tags, such as {which}", stops=True)


def joined_titles(data: Subject) -> Iterator[Finding]:
    """Titles of a joined source that are not those of the dataset with the same ids, by their names or genres."""
    items = data.folder / "items.parquet"
    if data.joined_to is None or not items.is_file() or not (found := compare_titles(data.joined_to, items)):
        return
    if not found.n_shared:
        yield Finding("no title of the dataset has an id that occurs in it")
    stop, few = AGREEING[found.by]
    if found.n_agreeing < few * found.n_compared:
        which = share(found.n_agreeing, found.n_compared, "titles")
        common = "its name, too" if found.by == "names" else "a genre in common with it"
        yield Finding(
            f"{which} with an id of the dataset have {common}: title {found.example[0]} is {found.example[1]} in the "
            f"dataset and {found.example[2]} here",
            stops=found.n_agreeing < stop * found.n_compared and found.n_compared >= LEAST_TITLES,
        )


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    rejected_rows,
    unreadable_cells,
    rating_scale,
    unlisted_titles,
    disagreeing_duplicates,
    odd_tags,
    joined_titles,
)


def check_tables(data: Subject, checks: Checks) -> None:
    """Run all checks on the tables of a source, and warn of what they find.

    Raises:
        UserError: `checks` is "stop", and findings stop; the message holds all of them.
    """
    findings = [finding for check in CHECKS for finding in check(data)]
    stopping = [finding.sentence for finding in findings if finding.stops]
    for finding in findings:
        if checks == "warn" or not finding.stops:
            warn(f"{data.source.name}: {finding.sentence}")
    if stopping and checks == "stop":
        lines = [f"{data.source.name}: these data are probably not what the config takes them for:"]
        lines += [f"- {sentence}" for sentence in stopping]
        if "measured" not in data.report:
            lines.append(
                f"An older version prepared them; anirec data clean {data.source.name} lets this one read them."
            )
        lines.append("If they are right, set dataset.checks=warn.")
        raise UserError("\n".join(lines))


def share(n: int, total: int, what: str) -> str:
    """Return a count, of how many, and the share, as text.

    >>> share(430, 490, "rows")
    '430 of 490 rows (87.8%)'
    """
    return f"{n:,} of {total:,} {what} ({n / max(total, 1):.1%})"


def example(data: Subject, key: str) -> str:
    """Return the first row that was rejected for a reason, and where it is."""
    file, reason = key.split(": ", 1)
    rows = pl.scan_parquet(data.folder / "rejects.parquet", glob=False).filter(
        pl.col("file") == file, pl.col("reason") == reason
    )
    found = rows.select("text", "line").head(1).collect().rows()
    return f", such as {found[0][0]} in {file}, line {found[0][1]}" if found else ""
