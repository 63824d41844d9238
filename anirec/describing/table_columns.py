"""What the columns of an unknown table mean: users, titles, ratings, times, by their names and their cells."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from anirec.data.readers.cells import UNKNOWN
from anirec.data.scale import THUMBS, Scale
from anirec.data.sources.table import DOWN, UP, parse_time

# Names of columns, only their letters and digits, the most certain first.
KNOWN: Mapping[str, Sequence[str]] = {
    "user_id": (
        *("userid", "user", "uid", "username", "userhash", "reviewerid", "reviewer", "memberid", "member", "profileid"),
        *("profile", "accountid", "account", "viewer", "customerid", "customer", "kunde"),
    ),
    "item_id": (
        *("itemid", "item", "animeid", "anime", "movieid", "movie", "titleid", "malid", "filmid", "film", "showid"),
        *("show", "seriesid", "series", "mangaid", "bookid", "book", "isbn", "gameid", "productid", "product", "asin"),
        *("iid", "aid", "title", "name"),
    ),
    "rating": (
        *("rating", "userrating", "myrating", "score", "myscore", "userscore", "stars", "star", "overall", "vote"),
        *("grade", "mark", "points", "liked", "like", "thumb", "thumbs", "sterne", "bewertung", "note"),
    ),
    "timestamp": (
        *("timestamp", "time", "datetime", "date", "ratedat", "updatedat", "createdat", "mylastupdated", "lastupdated"),
        *("unixreviewtime", "reviewdate", "when", "tstamp", "ts"),
    ),
    "status": ("status", "mystatus", "watchingstatus", "liststatus", "watchstatus"),
    "title": ("title", "animetitle", "movietitle", "itemtitle", "name", "itemname", "animename"),
}
WHOLE = r"^(0|[1-9]\d{0,17})$"
NUMBER = r"^[+-]?\d+([.,]\d+)?$"
DAYS = [f"%{one}{sign}%{two}{sign}%Y" for sign in "/.-" for one, two in ("dm", "md")]
BINARY = "the scale: 0 and 1 are taken for disliked and liked; if 1 means seen, set rating: null and keep rows with 1"
CONTINUOUS = 1e-6  # step of a continuous scale
COMMON = (Scale(1, 5), Scale(0.5, 5, 0.5), Scale(1, 10), Scale(1, 10, 0.5), Scale(1, 100))
MANY_REPEATED = 20  # rows of titles with another row, from which equal ratings of each title are no chance
TOPS = (5, 10, 100)  # ends of common scales
FEW_ABOVE = 0.01  # share of ratings up to which those above an end are errors, not a larger scale
ZEROS = ("0", "0.0")
MANY_ZEROS = 0.1  # share of ratings from which 0 rather means unrated than the worst rating


@dataclass
class Found:
    """What a column of ratings holds: the scale, cells without a rating, and what is not certain, as sentences."""

    scale: str
    unrated: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def plain(name: str) -> str:
    """
    >>> plain("User-ID"), plain("my_score")
    ('userid', 'myscore')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_known(name: str) -> bool:
    return any(without_number(name) in names for names in KNOWN.values())


def guess_columns(rows: pl.DataFrame, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the column of the file for each of ours, and what is not certain, as sentences.

    Args:
        rows: The first rows, as text.
        given: Columns that the user has named.
    """
    columns, doubts = dict(given), []
    for ours, names in KNOWN.items():
        free = [name for name in rows.columns if name not in columns.values()]
        exact = [name for name in free if without_number(name) in names]
        if ours in columns or not exact:
            continue
        unfit = {name: reason for name in exact if (reason := why_unfit(ours, name, rows, columns))}
        exact.sort(key=lambda name: (name in unfit, names.index(without_number(name)), name != name.lower()))
        columns[ours] = exact[0]
        doubts += doubt_names(ours, exact, unfit)
    left = [name for name in rows.columns if name not in columns.values()]
    if "rating" not in columns and (likely := [name for name in left if looks_like_ratings(rows[name])]):
        fewest = min(likely, key=lambda name: rows[name].n_unique())
        columns["rating"] = fewest
        doubts.append(f"rating: {fewest}, as it holds few different numbers ({sample(rows[fewest])})")
        left.remove(fewest)
    if "timestamp" not in columns and (likely := [name for name in left if is_epoch(rows[name])]):
        columns["timestamp"] = likely[0]
        doubts.append(f"timestamp: {likely[0]}, read as a time since 1970 ({sample(rows[likely[0]])})")
        left.remove(likely[0])
    for ours in ("user_id", "item_id"):
        unknown = [name for name in left if not is_known(name)]
        if ours not in columns and (likely := [name for name in unknown if looks_like_ids(rows[name])]):
            columns[ours] = likely[0]
            others = f"; or {', '.join(likely[1:])}" if likely[1:] else ""
            doubts.append(f"{ours}: {likely[0]} ({sample(rows[likely[0]])}){others}")
            left.remove(likely[0])
    if "timestamp" in columns and not looks_like_times(cells := rows[columns["timestamp"]]):
        formats = day_formats(cells)
        if len(formats) != 1:
            choice = f"; set this column and time: {' or time: '.join(map(repr, formats))}" if formats else ""
            doubts.append(f"timestamp: {columns['timestamp']} holds {sample(cells)}: not read as a time{choice}")
            del columns["timestamp"]
    if columns.get("title") == columns.get("item_id"):
        columns.pop("title", None)
    return columns, doubts


def without_number(name: str) -> str:
    """Return the plain name without the number that the second of two equal names gets.

    >>> without_number("rating_2")
    'rating'
    """
    return plain(re.sub(r"_\d+$", "", name))


def why_unfit(ours: str, name: str, rows: pl.DataFrame, columns: Mapping[str, str]) -> str:
    """Return why a column hardly holds what its name tells; "" if it may."""
    cells = rows[name]
    if ours == "user_id" and len(cells) > 1 and cells.n_unique() == len(cells):
        return f"{name} differs in all rows"
    if ours == "rating" and "item_id" in columns and cells.n_unique() > 1:
        by_title = rows.group_by(pl.col(columns["item_id"]).alias("title")).agg(n=pl.col(name).n_unique())
        if len(rows) - len(by_title) >= MANY_REPEATED and (by_title["n"] == 1).all():
            return f"{name} is the same in all rows of a title, as a mean of many people is"
    return ""


def doubt_names(ours: str, names: Sequence[str], unfit: Mapping[str, str]) -> list[str]:
    """Return the doubt about a column, the first of those with known names; none if the others clearly differ."""
    first, *others = names
    if ours == "rating":
        equal = others
    elif first in unfit and not others:
        return []
    else:
        equal = [name for name in others if name in unfit or without_number(name) == without_number(first)]
    if not equal and first not in unfit:
        return []
    or_other = f"; or {', '.join(equal)}" if equal else ""
    reasons = "".join(f"; {unfit[name]}" for name in (first, *equal) if name in unfit)
    return [f"{ours}: {first}{or_other}{reasons}"]


def sample(cells: pl.Series) -> str:
    return ", ".join(cells.unique(maintain_order=True).head(3))


def looks_like_ids(cells: pl.Series) -> bool:
    return bool((cells.str.len_chars() > 0).all()) and cells.n_unique() > 1


def looks_like_ratings(cells: pl.Series) -> bool:
    """Whether cells are numbers, or thumbs, with few different values."""
    known = cells.filter(~cells.str.to_lowercase().is_in(UNKNOWN))
    words = {*known.str.to_lowercase()}
    if words and words <= {*UP, *DOWN}:
        return True
    return (
        len(known) > 0
        and bool(known.str.contains(NUMBER).all())
        and 1 < known.n_unique() <= 201
        and len(known) > 3 * known.n_unique()
    )


def looks_like_times(cells: pl.Series) -> bool:
    times = cells.to_frame("cell").select(parse_time("cell", None).read(pl.col("cell"))).to_series()
    return times.null_count() < 0.5 * len(cells)


def day_formats(cells: pl.Series) -> list[str]:
    """Return the formats of days that read all cells: one if a day above 12 proves it, else both orders; or none.

    >>> day_formats(pl.Series(["10/04/2019", "23/04/2019"])), day_formats(pl.Series(["10/04/2019"]))
    (['%d/%m/%Y'], ['%d/%m/%Y', '%m/%d/%Y'])
    """
    known = cells.filter(~cells.str.to_lowercase().is_in(UNKNOWN)).unique()
    return [form for form in DAYS if len(known) and not known.str.to_date(form, strict=False).null_count()]


def is_epoch(cells: pl.Series) -> bool:
    """Whether all cells are seconds or milliseconds since 1970, of a time from 1990 to 2099."""
    if not cells.str.contains(r"^(\d{9,10}|\d{12,13})$").all():
        return False
    year = cells.to_frame("cell").select(parse_time("cell", None).read(pl.col("cell"))).to_series().dt.year()
    return bool(year.is_between(1990, 2099).all())


def is_whole(cells: pl.Series) -> bool:
    return bool(cells.str.contains(WHOLE).all())


def decimal_sign(cells: pl.Series) -> str:
    return "," if cells.str.contains(r"^[+-]?\d+,\d+$").sum() > cells.str.contains(r"^[+-]?\d+\.\d+$").sum() else "."


def guess_scale(cells: pl.Series) -> Found:
    """Return the scale of ratings by their distinct values; an empty one if there is none.

    >>> guess_scale(pl.Series(["4,5", "0,5", "5"] * 9)).scale, guess_scale(pl.Series(["0", "70", "85"] * 9)).unrated
    ('0.5-5', ['0'])
    """
    lower = cells.str.to_lowercase().str.strip_chars()
    known = lower.filter(~lower.is_in(UNKNOWN))
    words = {*known}
    if words <= {*UP, *DOWN} and words:
        neutral = sorted(words & {*ZEROS}) if words & {"-1", "-1.0", "-"} else []
        share = float(known.is_in(neutral).to_numpy().mean())
        doubt = f"0 in the ratings ({share:.0%} of them), between 1 and -1, is taken for neutral or unrated (unrated)"
        return Found(THUMBS, neutral, [doubt] if neutral else [BINARY] if words <= {"0", "1"} else [])
    numbers = known.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False).drop_nulls()
    if not len(numbers):
        return Found("")
    unrated, doubts = [], []
    if (numbers == -1).any() and ((numbers == -1) | (numbers >= 0)).all():
        unrated.append("-1")
        numbers = numbers.filter(numbers != -1)
        doubts.append("-1 in the ratings is taken for seen, but not rated (unrated)")
    above = numbers.filter(numbers > 0)
    if len(above) and (numbers == 0).any() and (numbers >= 0).all():
        share = 1 - len(above) / len(numbers)
        if share >= MANY_ZEROS or (above > 10).any():
            unrated.append("0")
            numbers = above
            doubts.append(f"0 in the ratings ({share:.0%} of them) is taken for seen, but not rated (unrated)")
        else:
            doubts.append(
                f"0 in the ratings ({share:.0%} of them) is taken for the worst rating; or list it in unrated"
            )
    numbers, outliers = without_outliers(numbers)
    doubts += outliers
    low, high = numbers.to_numpy().min(), numbers.to_numpy().max()
    step = step_of(numbers)
    scale, more = fitting_scale(low, high, step)
    return Found(scale, unrated, doubts + more)


def without_outliers(numbers: pl.Series) -> tuple[pl.Series, list[str]]:
    """Return the ratings without a few that are above the scale of all others, and a doubt about these."""
    for top in TOPS:
        above = numbers.filter(numbers > top)
        if 0 < len(above) <= FEW_ABOVE * len(numbers):
            examples = ", ".join(f"{value:g}" for value in above.unique(maintain_order=True).head(3))
            doubt = f"the scale: {len(above):,} of {len(numbers):,} ratings are above {top} ({examples}), not read"
            return numbers.filter(numbers <= top), [doubt]
    return numbers, []


def step_of(numbers: pl.Series) -> float:
    """Return the largest of 1, 0.5 and 0.1 that divides all numbers; else a millionth, as of a continuous scale."""
    for step in (1.0, 0.5, 0.1):
        if (((numbers / step).round() * step - numbers).abs() < CONTINUOUS).all():
            return step
    return CONTINUOUS


def fitting_scale(low: float, high: float, step: float) -> tuple[str, list[str]]:
    """Return the common scale that holds all ratings, and doubts about it.

    >>> fitting_scale(1, 10, 1), fitting_scale(0.5, 5, 0.5)[0], fitting_scale(3, 97, 1)[0]
    (('1-10', []), '0.5-5', '1-100')
    """
    if low < 0:
        return f"{low:g} to {high:g}/{written_step(step)}", [end_doubt(low, high)]
    top = next((end for end in TOPS if high <= end), None)
    if top is None:
        return f"{low:g}-{high:g}/{written_step(step)}", [end_doubt(low, high)]
    bottom = 0.0 if low == 0 else min(1.0, low) if top == 5 and step == 0.5 else 0.0 if low < 1 else 1.0
    written = f"{bottom:g}-{top}"
    if Scale.parse(written).step != step:
        written += f"/{written_step(step)}"
    doubts = []
    if high < top:
        doubts.append(f"the scale: the highest rating is {high:g}, so that it may end there instead of at {top}")
    return written, doubts


def written_step(step: float) -> str:
    """
    >>> written_step(1.0), written_step(0.1), written_step(1e-6)
    ('1', '0.1', '0.000001')
    """
    return f"{step:f}".rstrip("0").rstrip(".")


def end_doubt(low: float, high: float) -> str:
    return f"the scale: its ends are those of the ratings, {low:g} and {high:g}"


def suggested(columns: Mapping[str, str], all_columns: Collection[str]) -> list[str]:
    """Return the columns of the file that have no meaning yet."""
    return [name for name in all_columns if name not in columns.values()]
