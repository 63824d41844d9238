"""Parsers of cells that hold a date, a point in time or a duration.

parse_datetime("updated"):  "2013-03-03 10:52:53" -> 2013-03-03 10:52:53    "0000-00-00 00:00:00" -> null
"""

import polars as pl

from anirec.data.readers.cells import UNKNOWN, ZERO, CellParser

FIRST_YEAR = 1900  # no title and no list entry is older, so that a smaller number is not a year
NO_TIME = ("1970-01-01 00:00:00", "0000-00-00 00:00:00", "0000-00-00")
SINCE_1970 = r"^\d{9,13}(\.0)?$"  # seconds since 1973, or milliseconds
LEAST_MILLISECONDS = 100_000_000_000  # as seconds, this would be in the year 5138
MINUTES = {"hr": 60.0, "min": 1.0, "sec": 1 / 60}
DURATION = "^" + "".join(rf"(?:(?P<{unit}>\d+) {unit}\.?\s*)?" for unit in MINUTES) + r"(?:per ep\.?)?$"


def parse_datetime(column: str) -> CellParser:
    """Parse a point in time; one with a zone, or in seconds or milliseconds since 1970, to UTC.

    Accepts 2013-03-03 10:52:53, the same with T, with fractions of a second and with a zone (Z, +02:00); 2013-03-03;
    1362307973 and 1362307973000; Fri Jan 14 21:52:26 +0000 2022. Zeros and the start of 1970 mean unknown. 03/04/2013
    is not read, since it can be a day in March or in April.
    """

    def read(text: pl.Expr) -> pl.Expr:
        time = text.map_batches(read_times, return_dtype=pl.Datetime("us"), is_elementwise=True)
        return pl.when(time.dt.year() >= FIRST_YEAR).then(time)

    return CellParser(column, read, "a time", blank=(*UNKNOWN, *ZERO, *NO_TIME))


def read_times(cells: pl.Series) -> pl.Series:
    """Return the points in time; only cells that are not in the most common form are tried in the others."""
    times = cells.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False, cache=False)
    others = (cells.is_not_null() & times.is_null()).arg_true()
    if not len(others):
        return times
    rest = pl.DataFrame({"text": cells.gather(others)})
    return times.scatter(others, rest.select(other_forms(pl.col("text"))).to_series())


def other_forms(text: pl.Expr) -> pl.Expr:
    """Return the points in time in the less common forms of `parse_datetime`."""
    iso = text.str.replace(r"^(\d{4}-\d\d-\d\d)T", "${1} ").str.strip_suffix(" UTC").str.replace(r"Z$", "+00:00")
    zoned = [(iso, "%Y-%m-%d %H:%M:%S%.f%:z"), (text, "%a %b %d %H:%M:%S %z %Y")]
    in_utc = [form.str.to_datetime(code, time_unit="us", strict=False, time_zone="UTC") for form, code in zoned]
    plain = iso.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    day = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    number = pl.when(text.str.contains(SINCE_1970)).then(text.str.strip_suffix(".0")).cast(pl.Int64, strict=False)
    seconds = pl.when(number >= LEAST_MILLISECONDS).then(number * 1_000).otherwise(number * 1_000_000)
    since_1970 = seconds.cast(pl.Datetime("us"))
    return pl.coalesce(*(time.dt.replace_time_zone(None) for time in in_utc), plain, day, since_1970)


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
