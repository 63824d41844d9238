"""Characters of MyAnimeList's titles (2026), and genres; to be joined to dumps with the same ids.

    anime_characters.csv   anime_id,character_id,role    28977,7,Main    24679,51368,Original Creator
    anime_genres.csv       anime_id,genre                28977,Theme::Gag Humor Gag Humor

Half of the rows are filler, "28977,9,Unknown". Of the 149 roles, all but Main and Supporting are roles of staff. The
text of a genre appears twice, after its kind. A character id stands for a name: characters of the same name share one
id (Shiro in Tekkon Kinkreet and in No Game No Life), so that franchises can be too large, but never too small.
"""

import polars as pl

from anirec.data.readers import cells
from anirec.data.readers.csv import scan_csv
from anirec.data.readers.layout import Layout
from anirec.data.schema import ROLES
from anirec.data.sources.base import Dump, Need

LINKS = Layout(
    header=("anime_id", "character_id", "role"),
    required=("anime_id", "character_id", "role"),
    data={"anime_id": r"\d+", "character_id": r"\d+"},
)
GENRES = Layout(header=("anime_id", "genre"), required=("anime_id", "genre"), data={"anime_id": r"\d+"})
FILLER = "filler between the rows"


class MalCharacters(Dump):
    """Appearances with roles, and genres; no names, descriptions or portraits.

    Args:
        folder: The folder of anime_characters.csv and, if there is one, anime_genres.csv.
    """

    columns = frozenset({"item_id", "genres", "character_id", "role"})
    version = 1
    known_flaws = frozenset({FILLER})
    origin = "a scrape of MyAnimeList's title pages (anime_characters.csv, anime_genres.csv)"
    needs = (Need(("anime_characters.csv",)), Need(("anime_genres.csv",), optional=True))

    def appearances(self) -> pl.LazyFrame:
        [path], _ = self.find_files()
        filler = (pl.col("character_id") == "9") & (pl.col("role") == "Unknown")
        rows = scan_csv(path, LINKS).with_columns(
            reason=pl.when(filler).then(pl.lit(FILLER)).otherwise("reason"),
            role=pl.when(pl.col("role").is_in(ROLES)).then("role"),
        )
        required = {"item_id": cells.parse_id("anime_id"), "character_id": cells.parse_id("character_id")}
        return cells.tidy(rows, required=required, optional={"role": cells.parse_label("role")})

    def items(self) -> pl.LazyFrame | None:
        _, paths = self.find_files()
        if not paths:
            return None
        rows = scan_csv(paths[0], GENRES).with_columns(undouble(pl.col("genre").str.replace(r"^\w+::", "")))
        required = {"item_id": cells.parse_id("anime_id")}
        rows = cells.tidy(rows, required=required, optional={"genres": cells.parse_label("genre")})
        readable, unreadable = (rows.filter(keep) for keep in (pl.col("reason").is_null(), ~pl.col("reason").is_null()))
        genres = readable.group_by("item_id", maintain_order=True).agg(pl.col("genres").drop_nulls())
        return pl.concat([genres, unreadable.drop("genres")], how="diagonal")


def undouble(text: pl.Expr) -> pl.Expr:
    """Return the text once where a cell repeats it, separated by a space.

    >>> rows = pl.DataFrame({"genre": ["Gag Humor Gag Humor", "Sci-Fi"]})
    >>> rows.select(undouble(pl.col("genre"))).rows()
    [('Gag Humor',), ('Sci-Fi',)]
    """
    half = (text.str.len_chars() - 1) // 2
    return (
        pl.when(text == pl.concat_str(text.str.slice(0, half), pl.lit(" "), text.str.slice(0, half)))
        .then(text.str.slice(0, half))
        .otherwise(text)
    )
