"""Parsers of cells that hold a date, a point in time or a duration.

parse_datetime("updated"):  "2013-03-03 10:52:53" -> 2013-03-03 10:52:53    "0000-00-00 00:00:00" -> null
"""

import polars as pl

from anirec.data.readers.cells import UNKNOWN, CellParser

FIRST_YEAR = 1900  # no title and no list entry is older, so that a smaller number is not a year
MINUTES = {"hr": 60.0, "min": 1.0, "sec": 1 / 60}
DURATION = "^" + "".join(rf"(?:(?P<{unit}>\d+) {unit}\.?\s*)?" for unit in MINUTES) + r"(?:per ep\.?)?$"


def parse_datetime(column: str) -> CellParser:
    """Parse a point in time such as 2013-03-03 10:52:53; zeros and the start of 1970 mean unknown."""

    def read(text: pl.Expr) -> pl.Expr:
        time = text.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False, cache=False)
        return pl.when(time.dt.year() >= FIRST_YEAR).then(time)

    return CellParser(column, read, "a time", blank=(*UNKNOWN, "1970-01-01 00:00:00", "0000-00-00 00:00:00"))


def parse_utc_time(column: str) -> CellParser:
    """Parse a point in time to UTC.

    Accepts seconds since 1970, 2022-01-14T16:52:26.493-05:00 and Fri Jan 14 21:52:26 +0000 2022.
    """

    def read(text: pl.Expr) -> pl.Expr:
        zoned = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%a %b %d %H:%M:%S %z %Y")
        times = [text.str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC") for form in zoned]
        plain = text.str.strip_suffix(" UTC").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
        since_1970 = pl.when(text.str.contains(r"^\d{1,10}$")).then(text).cast(pl.Int64, strict=False)
        seconds = pl.from_epoch(since_1970, time_unit="s").cast(pl.Datetime("us"))
        return pl.coalesce(*(time.dt.replace_time_zone(None) for time in times), plain, seconds)

    return CellParser(column, read, "a time")


def parse_first_day(column: str) -> CellParser:
    """Parse the first day of "Apr 3, 1998 to Apr 24, 1999", "Jul, 2021 to ?" or "2005".

    Where the day or the month is missing, the first one is used. "? to 2005" means unknown.
    """

    def read(text: pl.Expr) -> pl.Expr:
        start, end = (text.str.splitn(" to ", 2).struct.field(f"field_{n}").str.strip_chars() for n in (0, 1))
        return pl.when(end.is_null() | (end == "?") | to_date(end).is_not_null()).then(to_date(start))

    return CellParser(column, read, "a date", blank=(*UNKNOWN, "0000-00-00"), placeholder=r"^\? to ")


def to_date(text: pl.Expr) -> pl.Expr:
    """Convert dates as written by MyAnimeList and in ISO 8601; a missing day or month is the first, others are null."""
    forms = ((text, "%b %d, %Y"), ("1 " + text, "%d %b, %Y"), ("1 1 " + text, "%d %m %Y"), (text, "%Y-%m-%d"))
    found = pl.coalesce(text.str.to_date(form, strict=False) for text, form in forms)
    return pl.when(found.dt.year() >= FIRST_YEAR).then(found)


def parse_minutes(column: str) -> CellParser:
    """Parse a duration such as "1 hr. 55 min.", "24 min per ep" or "30 sec." to minutes."""

    def read(text: pl.Expr) -> pl.Expr:
        found = text.str.extract_groups(DURATION)
        parts = [found.struct.field(unit).cast(pl.Float32) * size for unit, size in MINUTES.items()]
        total = pl.sum_horizontal(parts).cast(pl.Float32)  # units that are not named count as 0
        return pl.when(pl.any_horizontal(part.is_not_null() for part in parts)).then(total)

    return CellParser(column, read, "a duration")
