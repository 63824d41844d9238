"""Dates, points in time and durations in a dump's cells.

moment("my_last_updated"):  "2013-03-03 10:52:53" -> 2013-03-03 10:52:53    "0000-00-00 00:00:00" -> null
"""

import polars as pl

from anirec.data.readers.cells import UNKNOWN, Cell

FIRST_YEAR = 1900  # no title and no list entry is older: a smaller number is no year
MINUTES = {"hr": 60.0, "min": 1.0, "sec": 1 / 60}
DURATION = "^" + "".join(rf"(?:(?P<{unit}>\d+) {unit}\.?\s*)?" for unit in MINUTES) + r"(?:per ep\.?)?$"


def moment(column: str) -> Cell:
    """A point in time, such as 2013-03-03 10:52:53; the epoch and zeros mean unknown."""

    def read(text: pl.Expr) -> pl.Expr:
        moment = text.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False, cache=False)
        return pl.when(moment.dt.year() >= FIRST_YEAR).then(moment)

    return Cell(column, read, "a time", blank=(*UNKNOWN, "1970-01-01 00:00:00", "0000-00-00 00:00:00"))


def instant(column: str) -> Cell:
    """A point in time in UTC: seconds since 1970, 2022-01-14T16:52:26.493-05:00, Fri Jan 14 21:52:26 +0000 2022."""

    def read(text: pl.Expr) -> pl.Expr:
        zoned = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%a %b %d %H:%M:%S %z %Y")
        moments = [text.str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC") for form in zoned]
        plain = text.str.strip_suffix(" UTC").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
        since_1970 = pl.when(text.str.contains(r"^\d{1,10}$")).then(text).cast(pl.Int64, strict=False)
        seconds = pl.from_epoch(since_1970, time_unit="s").cast(pl.Datetime("us"))
        return pl.coalesce(*(moment.dt.replace_time_zone(None) for moment in moments), plain, seconds)

    return Cell(column, read, "a time")


def first_day(column: str) -> Cell:
    """The start of "Apr 3, 1998 to Apr 24, 1999", "Jul, 2021 to ?" or "2005"; a missing day or month is the first.

    "? to 2005" means unknown.
    """

    def read(text: pl.Expr) -> pl.Expr:
        start, end = (text.str.splitn(" to ", 2).struct.field(f"field_{place}").str.strip_chars() for place in (0, 1))
        return pl.when(end.is_null() | (end == "?") | day(end).is_not_null()).then(day(start))

    return Cell(column, read, "a date", blank=(*UNKNOWN, "0000-00-00"), placeholder=r"^\? to ")


def day(text: pl.Expr) -> pl.Expr:
    """A day as MyAnimeList and ISO 8601 write it; a missing day or month is the first."""
    forms = ((text, "%b %d, %Y"), ("1 " + text, "%d %b, %Y"), ("1 1 " + text, "%d %m %Y"), (text, "%Y-%m-%d"))
    found = pl.coalesce(text.str.to_date(form, strict=False) for text, form in forms)
    return pl.when(found.dt.year() >= FIRST_YEAR).then(found)


def minutes(column: str) -> Cell:
    """Minutes out of "1 hr. 55 min.", "24 min per ep" or "30 sec."."""

    def read(text: pl.Expr) -> pl.Expr:
        found = text.str.extract_groups(DURATION)
        parts = [found.struct.field(unit).cast(pl.Float32) * size for unit, size in MINUTES.items()]
        total = pl.sum_horizontal(parts).cast(pl.Float32)  # a part that is not named is none
        return pl.when(pl.any_horizontal(part.is_not_null() for part in parts)).then(total)

    return Cell(column, read, "a duration")
