"""Anybody's own table of ratings, described in YAML: files, columns, rating scale; see conf/dataset/table.yaml.

    user;film;stars          ratings: {files: ratings.csv, columns: {user_id: user, item_id: film, rating: stars}}
    ann;Moon Garden;4,5      user_id="ann"  item_id="Moon Garden"  rating=4.5

Only ids are required: without ratings, every row is an interaction; without titles, the id is shown. Sections for
titles and for characters with their own files are optional.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from anirec.data.readers import cells, time_cells
from anirec.data.readers.cells import LIST_SEPARATOR, UNKNOWN, CellParser
from anirec.data.readers.table_files import TextFormat, find_files, internal, scan_table
from anirec.data.scale import THUMBS, Scale
from anirec.data.sources.base import Source
from anirec.data.sources.mal_columns import mal_parsers
from anirec.data.sources.table_settings import STATUSES, WHOLE, mapped, offered_columns

UP = ("1", "+1", "1.0", "up", "like", "liked", "yes", "true", "positive", "+", "\N{THUMBS UP SIGN}")
DOWN = ("0", "-1", "0.0", "-1.0", "down", "dislike", "disliked", "no", "false", "negative", "-", "\N{THUMBS DOWN SIGN}")
MAL_STATUSES = {name: [code] for code, name in cells.STATUS.items()}
DECIMAL = ("duration", "score")  # columns of titles that may have a decimal sign
LISTS = ("synonyms", "genres", "studios", "producers")


class Table(Source):
    """Ratings, and optionally titles and characters, from files of any form.

    Args:
        name: Name of the dataset, of letters, digits and underscores.
        folder: Folder that the paths of `files` are relative to.
        scale: Range of ratings and scores: LOW-HIGH, LOW-HIGH/STEP or thumbs; see `anirec.data.scale`.
        ids: Whether the cells of user_id, item_id and character_id are text or whole numbers; text by default.
        ratings: `files`: a path, or a list of them; * and ? stand for any characters of a file name. `columns`: by our
            name, the file's; the names are those of `schema.INTERACTIONS` and `title`. `unrated`: cells of `rating`
            that mean seen, but not rated, as an empty cell does. `planned`: those that mean planned, not seen.
            `statuses`: by our name, the cells of `status`; null for our names and MyAnimeList's codes. `time`: s or ms
            (since 1970), iso, or a format such as %d/%m/%Y; null: found. `separator`, `decimal` (the sign) and `header`
            (the names of the columns of a file without them); null: found.
        items: `files`, `columns` of `schema.ITEMS` and so on; `lists`: the sign between genres, or other names, of a
            cell; null: a comma. None without titles.
        characters: `files`, `columns`: item_id, character_id or name, description, portrait, role; one row for each
            title and character. None without characters.

    Raises:
        UserError: Files or their columns are missing; see also `table_settings.check_table`.
    """

    constraints: ClassVar[str] = "anirec.data.sources.table_settings:check_table"
    columns_by: ClassVar[str] = "anirec.data.sources.table_settings:offered_columns"
    version = 1
    repair = "Compare these lines with columns, separator, scale and time in the YAML of the dataset."

    def __init__(
        self,
        *,
        name: str,
        folder: str,
        scale: str,
        ids: Mapping[str, str],
        ratings: Mapping[str, Any] | None,
        items: Mapping[str, Any] | None,
        characters: Mapping[str, Any] | None,
    ) -> None:
        self.dataset, self.folder = name, Path(folder)
        self.scale, self.is_thumbs = Scale.parse(scale), scale.strip().lower() == THUMBS
        self.ids = ids
        found = {"ratings": ratings, "items": items, "characters": characters}
        self.sections = {key: section for key, section in found.items() if section is not None}
        self.columns = offered_columns(found)

    @property
    def name(self) -> str:
        return self.dataset

    def files(self) -> list[Path]:
        return [path for section in self.sections for path in self.files_of(section)]

    def files_of(self, section: str) -> list[Path]:
        return find_files(self.folder, self.sections[section]["files"], f"{self.name}: {section}.files")

    def pictures(self, drawn: Path) -> Path:
        return self.folder

    def no_ratings_message(self) -> str:
        return f"{self.name} has no section ratings, so it has no users. Add one, or use a model of scores of titles."

    def rows(self, section: str, *, small: bool) -> pl.LazyFrame:
        """Return the marks and the mapped columns of a section as text, by the names in its files."""
        settings, columns = self.sections[section], mapped(self.sections, section)
        text_format = TextFormat(settings.get("separator"), settings.get("header"))
        key = f"{section}.columns of {self.name}"
        return pl.concat(
            scan_table(path, columns.values(), text_format, small=small, key=key) for path in self.files_of(section)
        )

    def interactions(self) -> pl.LazyFrame | None:
        if "ratings" not in self.sections:
            return None
        settings, columns = self.sections["ratings"], self.mapped("ratings")
        rows, planned = self.rows("ratings", small=False), spellings(settings.get("planned") or ())
        required = {name: self.parse_id(name, columns[name]) for name in ("user_id", "item_id")}
        optional: dict[str, CellParser] = {}
        if "rating" in columns:
            blank = (*spellings(settings.get("unrated") or ()), *planned)
            required["rating"] = self.parse_rating(columns["rating"], blank)
            rows = self.with_decimal_points(rows, "ratings", [columns["rating"]])
        if "timestamp" in columns:
            optional["timestamp"] = parse_time(columns["timestamp"], settings.get("time"))
        if "title" in columns:
            optional["title"] = cells.parse_raw_title(columns["title"])
        if "status" in columns:
            optional["status"] = parse_status(columns["status"], settings.get("statuses") or MAL_STATUSES)
        if not planned or "rating" not in columns:
            return cells.tidy(rows, required=required, optional=optional)
        is_planned = pl.col(columns["rating"]).str.to_lowercase().is_in(planned)
        rows = rows.with_columns(pl.when(is_planned).then(pl.lit(STATUSES[-1])).alias("planned status"))
        optional["planned"] = CellParser("planned status", lambda text: text, "a status", blank=())
        table = cells.tidy(rows, required=required, optional=optional)
        status = pl.col("status") if "status" in columns else pl.lit("completed")
        return table.with_columns(status=pl.coalesce("planned", status)).drop("planned")

    def items(self) -> pl.LazyFrame | None:
        if "items" not in self.sections:
            return None
        settings, columns = self.sections["items"], self.mapped("items")
        rows = self.rows("items", small=True)
        lists = settings.get("lists")
        if lists and (named := [columns[name] for name in LISTS if name in columns]):
            rows = rows.with_columns(pl.col(dict.fromkeys(named)).str.replace_all(lists, LIST_SEPARATOR, literal=True))
        numbers = [columns[name] for name in DECIMAL if name in columns]
        rows = self.with_decimal_points(rows, "items", numbers)
        parsers = mal_parsers(columns.keys(), **columns)
        if "score" in parsers:
            parsers["score"] = self.parse_rating(columns["score"], ("0", "0.0"))
        if "poster" in columns:
            parsers["poster"] = cells.parse_label(columns["poster"])
        required = {"item_id": self.parse_id("item_id", columns["item_id"])}
        table = cells.tidy(rows, required=required, optional=parsers)
        return table if "title" in columns else table.with_columns(title=pl.col("item_id").cast(pl.String))

    def characters(self) -> pl.LazyFrame | None:
        if "characters" not in self.sections:
            return None
        columns = self.mapped("characters")
        named = [name for name in ("name", "portrait") if name in columns]
        optional: dict[str, CellParser] = {name: cells.parse_label(columns[name]) for name in named}
        if "description" in columns:
            optional["description"] = cells.parse_description(columns["description"])
        return cells.tidy(self.rows("characters", small=True), required=self.character_ids(columns), optional=optional)

    def appearances(self) -> pl.LazyFrame | None:
        if "characters" not in self.sections:
            return None
        columns = self.mapped("characters")
        required = {"item_id": self.parse_id("item_id", columns["item_id"]), **self.character_ids(columns)}
        optional = {"role": cells.parse_label(columns["role"])} if "role" in columns else {}
        # What cannot be read counts with the characters.
        table = cells.tidy(self.rows("characters", small=True), required=required, optional=optional)
        return table.with_columns(pl.col("role").str.to_titlecase() if optional else pl.lit("Main").alias("role"))

    def character_ids(self, columns: Mapping[str, str]) -> dict[str, CellParser]:
        if "character_id" in columns:
            return {"character_id": self.parse_id("character_id", columns["character_id"])}
        return {"character_id": cells.parse_title_id(columns["name"])}

    def mapped(self, section: str) -> dict[str, str]:
        """Return, by our name, the name of each mapped column in the rows of a section."""
        return {name: internal(column) for name, column in mapped(self.sections, section).items()}

    def parse_id(self, name: str, column: str) -> CellParser:
        return cells.parse_id(column) if self.ids.get(name) == WHOLE else cells.parse_title_id(column)

    def with_decimal_points(self, rows: pl.LazyFrame, section: str, columns: Sequence[str]) -> pl.LazyFrame:
        """Return the rows with points in place of decimal commas: as `decimal` is set, else by the first rows."""
        sign = self.sections[section].get("decimal")
        if not columns or sign == ".":
            return rows
        if sign is None:
            text = rows.head(SAMPLED).select(pl.concat_list(columns).explode()).collect().to_series()
            commas, points = (text.str.contains(rf"^-?\d+{one}\d+$").sum() for one in (",", r"\."))
            if commas <= points:
                return rows
        return rows.with_columns(pl.col(columns).str.replace(",", ".", literal=True))

    def parse_rating(self, column: str, unrated: Sequence[str]) -> CellParser:
        """Parse a rating on the scale; words for "unknown" and `unrated` mean no rating."""
        blank = (*UNKNOWN, *unrated)
        if self.is_thumbs:
            blank = tuple(word for word in blank if word not in UP + DOWN or word in unrated)
            return CellParser(column, read_thumbs, "a thumb up or down (1 or 0)", blank=blank)
        between = self.scale.low, self.scale.high
        return CellParser(
            column, cells.number_between(*between), f"a number from {self.scale}", blank=blank, between=between
        )


SAMPLED = 10_000  # rows by which a decimal sign is found


def spellings(values: Sequence[Any]) -> tuple[str, ...]:
    """Return cells in lower case; of a number, how it may be written.

    >>> spellings([0, "None"])
    ('0', '0.0', 'none')
    """
    found: dict[str, None] = {}
    for value in values:
        text = str(value).strip().lower()
        found[text] = None
        try:
            number = float(text)
        except ValueError:
            continue
        found |= dict.fromkeys((f"{number:g}", f"{number:.1f}"))
    return tuple(found)


def read_thumbs(text: pl.Expr) -> pl.Expr:
    lower = text.str.to_lowercase()
    thumb = pl.when(lower.is_in(UP)).then(pl.lit(1.0)).when(lower.is_in(DOWN)).then(pl.lit(0.0))
    return thumb.cast(pl.Float32)


def parse_status(column: str, statuses: Mapping[str, Sequence[Any]]) -> CellParser:
    """Parse a status by the cells of each; our own names are known, too."""
    names = {cell: name for name in STATUSES for cell in (name, name.replace("_", " "), name.replace("_", "-"))}
    names |= {cell: name for name, found in statuses.items() for cell in spellings(found)}

    def read(text: pl.Expr) -> pl.Expr:
        lower = text.str.to_lowercase()
        return pl.coalesce(pl.when(lower == cell).then(pl.lit(name)) for cell, name in names.items())

    return CellParser(column, read, "a known status")


UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}  # microseconds
DATES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d")
ISO = "iso"


def parse_time(column: str, time: str | None) -> CellParser:
    """Parse a point in time by a unit since 1970, ISO 8601, or a format; None: a number by its length, or ISO 8601."""
    readers: Mapping[str | None, Callable[[pl.Expr], pl.Expr]] = {
        **{unit: lambda text, unit=unit: read_epoch(text, UNITS[unit]) for unit in UNITS},  # type: ignore[misc]
        ISO: read_iso,
        None: lambda text: pl.coalesce(read_number(text), read_iso(text)),
    }
    by_format = lambda text: text.str.to_datetime(time, time_unit="us", strict=False)  # noqa: E731
    parser = time_cells.parse_datetime(column)
    expected = "a time" if time is None else f"a time ({time})"
    return replace(parser, read=readers.get(time, by_format), expected=expected, blank=(*parser.blank, "0"))


def read_epoch(text: pl.Expr, microseconds: int) -> pl.Expr:
    number = text.cast(pl.Float64, strict=False) * microseconds
    return number.cast(pl.Int64, strict=False).cast(pl.Datetime("us"))


def read_number(text: pl.Expr) -> pl.Expr:
    """Read seconds, milliseconds or microseconds since 1970: whichever gives a time from 1973 to 5138."""
    digits = text.str.extract(r"^(\d{9,16})(?:\.\d+)?$", 1)
    length = digits.str.len_chars()
    unit = pl.when(length <= 11).then(1_000_000).when(length <= 14).then(1_000).otherwise(1)
    return (digits.cast(pl.Int64, strict=False) * unit).cast(pl.Datetime("us"))


def read_iso(text: pl.Expr) -> pl.Expr:
    """Read 2020-05-17, 2020-05-17 10:52:53.25, 2020-05-17T10:52:53Z and offsets such as +02:00, which become UTC."""
    zoned = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", strict=False, time_zone="UTC")
    plain = text.str.strip_suffix("Z").str.strip_suffix(" UTC").str.replace("T", " ", literal=True)
    times = [plain.str.to_datetime(form, time_unit="us", strict=False, exact=True) for form in DATES]
    return pl.coalesce(*times, zoned.dt.replace_time_zone(None))
