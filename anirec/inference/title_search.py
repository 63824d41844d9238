"""Which title does somebody mean? Case, punctuation, accents, language and small slips do not matter.

One line of `names`: item 43, "Cowboy Bebop", as written "cowboy bebop", letters "cowboybebop", 10,234 ratings.
"""

from difflib import SequenceMatcher

import polars as pl

from anirec.errors import UserError

FAR_AHEAD = 5  # times as many ratings as any other title of the same name: then it is meant
ALIKE = 0.85  # share of letters in common from which a name may be a slip of another
CLEARLY = 0.06  # how much more alike the meant name is than the next
PART = 0.65  # share of what was asked that a longer name holds, to be named as a candidate
COMPARED = 60  # names compared letter by letter
SHOWN = 8
NAMES = ("title", "title_english", "title_japanese", "synonyms")


class TitleSearch:
    """Finds items by what people call them.

    Args:
        items: One row an item, in index order: item_id, title and n_ratings; of title_english, title_japanese and
            synonyms what there is; year and type help to tell candidates apart.
    """

    def __init__(self, items: pl.DataFrame) -> None:
        self.items = items
        self.names = pl.concat([names_of(items, column) for column in NAMES if column in items.columns])

    def find(self, wanted: str) -> int:
        """The index of the item that is meant: `#id`, or any of its names.

        Names as written count before names whose letters are the same, and those before names that are nearly the same.

        Raises:
            UserError: No title has such a name, or several; they are listed.
        """
        if wanted.startswith("#"):
            return self.by_id(wanted)
        asked = spelt(pl.Series("name", [wanted])).row(0, named=True)
        if not asked["letters"]:
            raise UserError(f"{wanted!r}: no title; expected a name, or # and an id")
        as_written, same_letters = pl.col("written") == asked["written"], pl.col("letters") == asked["letters"]
        for matches in (as_written & pl.col("is_main"), as_written, same_letters):
            found = self.items_of(self.names.filter(matches))
            if len(found):
                return self.chosen(wanted, found)
        near = self.near(asked["letters"])
        slips = near.filter((pl.col("alike") >= ALIKE) & (pl.col("alike") > pl.col("alike").max() - CLEARLY))
        for meant in (slips, near.filter("holds")):
            if len(meant) == 1:
                return int(meant["index"][0])
        raise UserError(self.several(wanted, near) if len(near) else f"{wanted!r}: no title is called anything like it")

    def by_id(self, wanted: str) -> int:
        is_it = self.items["item_id"].cast(pl.String) == wanted.removeprefix("#").strip()
        if not is_it.any():
            raise UserError(f"{wanted}: no title of this run has the id {wanted.removeprefix('#')}")
        return int(is_it.arg_max() or 0)

    def chosen(self, wanted: str, found: pl.DataFrame) -> int:
        """The only item, or the one that far more people know than any other."""
        if len(found) > 1 and found["n_ratings"][0] < FAR_AHEAD * max(1, found["n_ratings"][1]):
            raise UserError(self.several(wanted, found))
        return int(found["index"][0])

    def items_of(self, names: pl.DataFrame) -> pl.DataFrame:
        """Each item once, the most rated first."""
        return names.unique("index", keep="first", maintain_order=True).sort("n_ratings", descending=True)

    def near(self, letters: str) -> pl.DataFrame:
        """Items with a name like these letters, most rated first: how much `alike`, 0 to 1, and if it `holds` them.

        Runs of three letters find them: a slip of the pen shares many with the name, a shortened name has most of its
        own in it.
        """
        runs = sorted({letters[start : start + 3] for start in range(max(1, len(letters) - 2))})
        name = pl.col("letters")
        shared = pl.sum_horizontal(name.str.contains(run, literal=True).cast(pl.Int32) for run in runs)
        both = len(runs) + (name.str.len_chars().cast(pl.Int32) - 2).clip(lower_bound=1)
        table = self.names.with_columns(
            holds=name.str.contains(letters, literal=True), part=shared / len(runs), likeness=2 * shared / both
        )
        table = pl.concat([table.top_k(COMPARED, by=[by, "n_ratings"]) for by in ("part", "likeness")])
        matcher = SequenceMatcher(b=letters, autojunk=False)
        table = table.with_columns(
            alike=pl.Series([ratio(matcher, name) for name in table["letters"]], dtype=pl.Float64)
        )
        table = table.filter((pl.col("part") >= PART) | (pl.col("alike") >= ALIKE))
        table = table.sort("holds", "alike", descending=True)
        return self.items_of(table)

    def several(self, wanted: str, found: pl.DataFrame) -> str:
        """The candidates, and how to name one of them."""
        ids = [f"#{self.items['item_id'][index]}" for index in found["index"]]
        lines = [f"  {code}  {self.described(index)}" for code, index in zip(ids, found["index"], strict=True)][:SHOWN]
        if len(found) > SHOWN:
            lines.append(f"  and {len(found) - SHOWN} more")
        what = f"{wanted!r}: which one is meant? Give its exact title, or its id, as in {ids[0]}=9:"
        return "\n".join([what, *lines])

    def described(self, index: int) -> str:
        """Title, and type, year and number of ratings as far as they are known."""
        item = self.items.row(index, named=True)
        known = [str(item[column]) for column in ("type", "year") if item.get(column) is not None]
        return f"{item['title']} ({', '.join([*known, format(item['n_ratings'], ',') + ' ratings'])})"


def names_of(items: pl.DataFrame, column: str) -> pl.DataFrame:
    """index, n_ratings, is_main, and the name as written and as letters; a line a name."""
    table = items.select(
        "n_ratings", index=pl.int_range(pl.len()), name=pl.col(column), is_main=pl.lit(column == "title")
    )
    if table.schema["name"] == pl.List(pl.String):
        table = table.explode("name")
    table = table.drop_nulls("name")
    return table.hstack(spelt(table["name"]).get_columns()).filter(pl.col("letters") != "")


def spelt(names: pl.Series) -> pl.DataFrame:
    """The names in small letters; and nothing of them but letters and digits, without accents.

    >>> spelt(pl.Series(["K-ON!!", "Pokémon: The Movie", "ガンダム & Co."])).rows()
    [('k-on!!', 'kon'), ('pokémon: the movie', 'pokemonthemovie'), ('ガンダム & co.', 'ガンダムandco')]
    """
    written = pl.col("name").str.normalize("NFKC").str.to_lowercase().str.strip_chars()
    signs = written.str.replace_all("&", "and", literal=True).str.replace_all("\u00d7", "x", literal=True)
    plain = (
        signs.str.normalize("NFKD").str.replace_all("[\u0300-\u036f]", "").str.normalize("NFKC")
    )  # Japanese marks stay
    return (
        names.alias("name").to_frame().select(written=written, letters=plain.str.replace_all(r"[^\p{L}\p{M}\p{N}]", ""))
    )


def ratio(matcher: "SequenceMatcher[str]", name: str) -> float:
    """Share of the letters that two names have in common, in order."""
    matcher.set_seq1(name)
    return matcher.ratio()
