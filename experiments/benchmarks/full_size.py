"""Generate rating files of the size and form of the published dumps, for benchmarks at full size.

    python -m experiments.benchmarks.full_size mal_2023 data/mal-2023
    python -m experiments.benchmarks.full_size mal_2020 data/mal-2020

The first writes 22.5 million ratings (1.1 GB), the second 110 million list entries (2.1 GB). Users and titles have long
tails, and ratings follow a low-rank model, so that models have something to learn.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from anirec.atomic import replacing
from anirec.data.synthetic.demo_ratings import GENRES, WORDS
from experiments.benchmarks.options import create_parser

SIZES = {"mal_2023": (22_500_000, 270_000, 16_500), "mal_2020": (110_000_000, 325_000, 17_500)}  # rows, users, titles
DRAWN = {"mal_2023": 1.143, "mal_2020": 1.4}  # drawn rows for each row; those that repeat a title of a user are dropped
USERS_AT_ONCE = 10_000
RANK = 8
STATUSES = np.array([1, 2, 3, 4, 6])  # watching, completed, on hold, dropped, planned
VOTES = [f"Score-{score}" for score in range(10, 0, -1)]
MEAN, NOISE = 7.5, 1.1


def titles(n: int, random: np.random.Generator) -> pl.DataFrame:
    """Return anime_id, name and genres; every seventh name has a comma, and is therefore quoted in a file."""
    first, second = (np.array(words) for words in WORDS)
    comma = np.where(np.arange(n) % 7 == 0, ", the", "")
    names = [
        f"{a} {b}{c} {number}"
        for a, b, c, number in zip(
            first[random.integers(10, size=n)], second[random.integers(10, size=n)], comma, range(n), strict=True
        )
    ]
    chosen = random.integers(len(GENRES), size=(n, 2))
    genres = [", ".join(sorted({GENRES[a], GENRES[b]})) for a, b in chosen]
    ids = np.sort(random.choice(60_000, n, replace=False)) + 1
    return pl.DataFrame({"anime_id": ids, "name": names, "genres": genres})


def ratings(n_drawn: float, n_users: int, n_items: int, random: np.random.Generator) -> Iterator[pl.DataFrame]:
    """Yield blocks of users: columns user, item (indices) and rating, 1 to 10."""
    spread = random.lognormal(0, 1.2, n_users)
    wanted = np.clip(spread / spread.mean() * n_drawn / n_users, 3, n_items // 3).astype(np.int64)
    share = (random.permutation(n_items) + 20.0) ** -1.0
    cumulated = np.cumsum(share / share.sum())
    item_factors = random.normal(0, 1, (n_items, RANK)).astype(np.float32)
    item_offset = random.normal(0, 0.7, n_items).astype(np.float32)
    for first in range(0, n_users, USERS_AT_ONCE):
        users = np.arange(first, min(first + USERS_AT_ONCE, n_users))
        drawn = np.searchsorted(cumulated, random.random(wanted[users].sum(), dtype=np.float32))
        pairs = np.unique(np.repeat(users, wanted[users]) * n_items + np.minimum(drawn, n_items - 1))
        user, item = np.divmod(pairs, n_items)
        user_factors = random.normal(0, 0.8 / np.sqrt(RANK), (len(users), RANK)).astype(np.float32)
        user_offset = random.normal(0, 0.6, len(users)).astype(np.float32)
        match = np.einsum("nf,nf->n", user_factors[user - first], item_factors[item])
        score = MEAN + user_offset[user - first] + item_offset[item] + match + random.normal(0, NOISE, len(user))
        yield pl.DataFrame({"user": user, "item": item, "rating": np.clip(np.rint(score), 1, 10).astype(np.int64)})


def write_mal_2023(folder: Path, items: pl.DataFrame, rows: Iterator[pl.DataFrame], random: np.random.Generator) -> int:
    names = items.select("anime_id", pl.col("name").alias("Anime Title")).with_row_index("item")
    blocks = (
        block.join(
            names.with_columns(pl.col("item").cast(pl.Int64)), on="item", how="left", maintain_order="left"
        ).select(
            user_id=pl.col("user") + 1,
            Username=pl.format("fan_{}", "user"),
            anime_id="anime_id",
            **{"Anime Title": "Anime Title"},
            rating="rating",
        )
        for block in rows
    )
    n = write_blocks(folder / "users-score-2023.csv", blocks)
    score = np.round(random.normal(6.5, 0.9, len(items)).clip(1, 10), 2)
    metadata = items.select(
        "anime_id",
        Name="name",
        Score=pl.Series(score),
        Genres="genres",
        Episodes=pl.Series(random.integers(1, 50, len(items))),
    )
    metadata.write_csv(folder / "anime-dataset-2023.5col.csv")
    return n


def write_mal_2020(folder: Path, items: pl.DataFrame, rows: Iterator[pl.DataFrame], random: np.random.Generator) -> int:
    ids = items["anime_id"].to_numpy()

    def entries(block: pl.DataFrame) -> pl.DataFrame:
        rated = random.random(len(block)) < 0.52
        status = random.choice(STATUSES, len(block), p=[0.04, 0.6, 0.04, 0.05, 0.27])
        return block.select(
            user_id="user",
            anime_id=pl.Series(ids[block["item"].to_numpy()]),
            rating=pl.col("rating") * pl.Series(rated),
            watching_status=pl.Series(np.where(rated, 2, status)),
            watched_episodes=pl.Series(random.integers(0, 26, len(block))),
        )

    n = write_blocks(folder / "animelist.csv", (entries(block) for block in rows))
    common = items.select(MAL_ID="anime_id", Name="name", Score=pl.lit("7.1"), Genres="genres")
    more = {"Type": "TV", "Episodes": "12", "Ranked": "100.0", "Popularity": "100", "Members": "1000"}
    filled = {name: pl.lit(value) for name, value in (more | dict.fromkeys(VOTES, "10.0")).items()}
    common.with_columns(**filled).write_csv(folder / "anime.csv")
    common.with_columns(sypnopsis=pl.lit("No synopsis information has been added.")).write_csv(
        folder / "anime_with_synopsis.csv"
    )
    return n


def write_blocks(path: Path, blocks: Iterator[pl.DataFrame]) -> int:
    """Write the blocks as one CSV file, and return the number of rows."""
    n = 0
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        for block in blocks:
            block.write_csv(file, include_header=n == 0)
            n += len(block)
    return n


def main(arguments: Sequence[str] | None = None) -> None:
    parser = create_parser(__doc__)
    parser.add_argument("dump", choices=SIZES, help="the published dump whose size and form the files have")
    parser.add_argument("folder", type=Path, help="where to write them: mal-2023 or mal-2020 in the folder ANIREC_DATA")
    parser.add_argument(
        "--rows",
        type=int,
        help="about how many rows to write, for users in proportion; default: as published. A million takes about a "
        "second and 40 MB (mal_2023) or 20 MB (mal_2020)",
    )
    given = parser.parse_args(arguments)
    generator = np.random.default_rng(0)
    n_rows, n_users, n_items = SIZES[given.dump]
    if given.rows:
        n_rows, n_users = given.rows, max(1, n_users * given.rows // n_rows)
    given.folder.mkdir(parents=True, exist_ok=True)
    write = {"mal_2023": write_mal_2023, "mal_2020": write_mal_2020}[given.dump]
    table = titles(n_items, generator)
    blocks = ratings(DRAWN[given.dump] * n_rows, n_users, n_items, generator)
    print(f"{write(given.folder, table, blocks, generator):,} rows")


if __name__ == "__main__":
    main()
