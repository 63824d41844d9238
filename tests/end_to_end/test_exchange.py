"""Exchange with other frameworks: rows of a split, and results that are evaluated like those of any run."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from .conftest import SMALL, Anirec, content, runs

PROTOCOL = [*SMALL, "dataset=demo_ratings", "split=per_user"]


@pytest.fixture(scope="module")
def place(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the rows of a split, a run of EASE, and its results as files."""
    folder = tmp_path_factory.mktemp("exchange")
    anirec = anirec_in(folder, ANIREC_CACHE=str(folder / "cache"))
    anirec("export", "split", *PROTOCOL, "--output", "rows")
    anirec("run", *PROTOCOL, "model=ease")
    (run,) = runs(folder, "ease")
    lists = pl.read_parquet(run / "recommendations.parquet").sort("user_id", "rank")
    lists.filter(split="test").select(user="user_id", item="item_id", rank="rank").write_csv(folder / "lists.csv")
    predictions = pl.read_parquet(run / "predictions.parquet").filter(split="test")
    predictions.select("user_id", "item_id", "prediction").write_csv(folder / "predictions.csv")
    return folder


@pytest.fixture
def anirec(anirec_in: Callable[..., Anirec], place: Path) -> Anirec:
    return anirec_in(place, ANIREC_CACHE=str(place / "cache"))


def test_parts_are_disjoint_and_complete(place: Path) -> None:
    parts = [pl.read_csv(place / "rows" / f"{part}.csv") for part in ("train", "val", "test")]
    (run,) = runs(place, "ease")
    split = content(run, "provenance.json")["split"]
    assert [len(part) for part in parts] == [split["n_train"], split["n_val"], split["n_test"]]
    assert content(place / "rows", "split.json")["fingerprint"] == split["fingerprint"]
    pairs = pl.concat(parts).select("user_id", "item_id")
    assert pairs.is_unique().all()
    targets = pl.read_parquet(run / "predictions.parquet").filter(split="test").select("user_id", "item_id", "target")
    assert targets.join(parts[2], on=["user_id", "item_id"]).select((pl.col("target") == pl.col("rating")).all()).item()


def test_results_of_a_run_keep_its_metrics_when_they_are_imported(place: Path, anirec: Anirec) -> None:
    files = "--lists", "lists.csv", "--predictions", "predictions.csv"
    anirec("import", *PROTOCOL, "--model", "other_ease", *files)
    (run,), (own,) = runs(place, "other_ease"), runs(place, "ease")
    found, expected = content(run, "metrics.json"), content(own, "metrics.json")
    assert not any(name.startswith("val/") for name in found)
    tested = {name: value for name, value in expected.items() if name.startswith("test/")}
    assert {name: found[name] for name in tested} == pytest.approx(tested, rel=1e-3)
    table = anirec("compare", "outputs").stdout
    assert "other_ease" in table
    assert "2 configurations" in table


def test_lists_alone_have_ranking_metrics_alone(place: Path, anirec: Anirec) -> None:
    pl.read_csv(place / "lists.csv").select("user", "item").write_csv(place / "order.csv")
    anirec("import", *PROTOCOL, "--model", "lists_only", "--lists", "order.csv")
    (run,), (own,) = runs(place, "lists_only"), runs(place, "ease")
    found = content(run, "metrics.json")
    assert "test/rmse" not in found
    assert "RMSE" not in (run / "findings.txt").read_text()
    assert not (run / "predictions.parquet").exists()
    assert content(run, "provenance.json")["fit_seconds"] is None
    (line,) = [
        line
        for line in anirec("compare", "outputs", "--metric", "ndcg@10").stdout.splitlines()
        if line.startswith("lists_only")
    ]
    assert line.split()[-1] == "-"
    assert found["test/ndcg@10"] == content(own, "metrics.json")["test/ndcg@10"]


def changed(table: pl.DataFrame, kind: str, seen: pl.DataFrame) -> pl.DataFrame:
    user, item, third = table.columns
    return {
        "unknown user": lambda: table.with_columns(pl.lit(987654).alias(user)),
        "doubled": lambda: pl.concat([table, table[:1]]),
        "missing": lambda: table.filter(pl.col(user) != table[user][0]),
        "seen": lambda: pl.concat(
            [
                table,
                seen[:1].select(
                    pl.col("user_id").alias(user),
                    pl.col("item_id").alias(item),
                    pl.lit(99).cast(table[third].dtype).alias(third),
                ),
            ]
        ),
        "no number": lambda: table.with_columns(pl.lit("best").alias(third)),
        "nan": lambda: table.with_columns(pl.Series(third, ["NaN", *table[third].cast(pl.String)[1:]])),
        "too large": lambda: table.with_columns(pl.Series(third, ["1e39", *table[third].cast(pl.String)[1:]])),
        "infinite": lambda: table.with_columns(pl.Series(third, [*table[third].cast(pl.String)[:-1], "-inf"])),
        "same rank": lambda: table.with_columns(pl.lit(1).alias(third)),
        "other scale": lambda: table.with_columns(pl.col(third) * 10),
        "no column": lambda: table.drop(item),
        "empty": lambda: table[:0],
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("unknown user", "line 2 (user_id 987654, item_id"),
        ("doubled", "the same user and title as in an earlier row; 1 of"),
        ("missing", "users with test ratings have no list, such as user"),
        ("seen", "the user has seen this title: a list holds no title of train, val, given, unrated or excluded; 1 of"),
        ("no number", "the rank is no finite number"),
        ("nan", "rank NaN): the rank is no finite number; 1 of"),
        ("same rank", "the user has another title with this rank"),
        ("no column", "no column item_id; the columns are user, rank"),
        ("empty", "the file has no rows"),
    ],
)
def test_wrong_lists_are_errors_that_name_the_row(place: Path, anirec: Anirec, kind: str, words: str) -> None:
    seen = pl.read_csv(place / "rows" / "train.csv")
    changed(pl.read_csv(place / "lists.csv"), kind, seen).write_csv(place / "wrong.csv")
    printed = anirec("import", *PROTOCOL, "--model", "wrong", "--lists", "wrong.csv", expect=1)
    assert words in " ".join((printed.stderr + printed.stdout).split())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "test rows have no prediction, such as user"),
        ("seen", "not a row of the test set; 1 of"),
        ("no number", "the prediction is no finite number"),
        ("infinite", "prediction -inf): the prediction is no finite number; 1 of"),
        ("too large", "prediction 1e39): the prediction is too large for single precision; 1 of"),
        ("other scale", "predictions are outside the scale of the ratings, 1"),
    ],
)
def test_wrong_predictions_are_errors_that_name_the_row(place: Path, anirec: Anirec, kind: str, words: str) -> None:
    seen = pl.read_csv(place / "rows" / "train.csv")
    changed(pl.read_csv(place / "predictions.csv"), kind, seen).write_csv(place / "wrong.csv")
    printed = anirec("import", *PROTOCOL, "--model", "wrong", "--predictions", "wrong.csv", expect=1)
    assert words in " ".join((printed.stderr + printed.stdout).split())


def test_ids_may_have_spaces_and_leading_zeros_and_further_columns_are_ignored(place: Path, anirec: Anirec) -> None:
    lists = pl.read_csv(place / "lists.csv")
    written = lists.select(
        pl.format("  00{}.0", "user").alias("user"), pl.format("{} ", "item").alias("item"), "rank", time=pl.lit("soon")
    )
    written.write_csv(place / "spaces.csv")
    anirec("import", *PROTOCOL, "--model", "spaces", "--lists", "spaces.csv")
    (run,), (own,) = runs(place, "spaces"), runs(place, "ease")
    assert content(run, "metrics.json")["test/ndcg@10"] == content(own, "metrics.json")["test/ndcg@10"]
    doubled = pl.concat([written, written[:1].with_columns(user=pl.format("{}", lists["user"][0]))])
    doubled.write_csv(place / "wrong.csv")
    printed = anirec("import", *PROTOCOL, "--model", "wrong", "--lists", "wrong.csv", expect=1)
    assert "the same user and title as in an earlier row" in " ".join((printed.stderr + printed.stdout).split())


def test_ranks_may_be_large_numbers(place: Path, anirec: Anirec) -> None:
    pl.read_csv(place / "lists.csv").with_columns(pl.col("rank") + 2**60).write_csv(place / "large.csv")
    anirec("import", *PROTOCOL, "--model", "large", "--lists", "large.csv")
    (run,), (own,) = runs(place, "large"), runs(place, "ease")
    assert content(run, "metrics.json")["test/ndcg@10"] == content(own, "metrics.json")["test/ndcg@10"]


def test_short_lists_are_counted(place: Path, anirec: Anirec) -> None:
    lists = pl.read_csv(place / "lists.csv")
    lists.filter((pl.col("rank") <= 3) | (pl.col("user") != lists["user"][0])).write_csv(place / "short.csv")
    printed = anirec("import", *PROTOCOL, "--model", "short", "--lists", "short.csv").stderr
    words = f"short.csv: 1 of 200 lists have fewer than 10 titles, such as that of user {lists['user'][0]}"
    assert words in " ".join(printed.split())
    (run,) = runs(place, "short")
    assert words in (run / "findings.txt").read_text()


def test_offsets_in_the_file_and_the_zone_of_the_machine_change_no_row_of_a_split(anirec: Anirec, place: Path) -> None:
    utc = [f"2020-01-{1 + n // 12:02}T{2 * (n % 12):02}:30:00" for n in range(240)]
    hours = [(n * 7) % 25 - 12 for n in range(240)]
    times = pl.Series(utc).str.to_datetime()
    zoned = [
        f"{(time + timedelta(hours=hour)).isoformat()}{'-' if hour < 0 else '+'}{abs(hour):02}:00"
        for time, hour in zip(times, hours, strict=True)
    ]
    found = []
    for zone, column in (("UTC", [f"{time}Z" for time in utc]), ("Pacific/Kiritimati", zoned)):
        folder = place / zone.replace("/", "_")
        folder.mkdir()
        ids = {"user_id": [f"u{n % 20}" for n in range(240)], "item_id": [f"t{n // 20}" for n in range(240)]}
        pl.DataFrame({**ids, "rating": [1 + n % 10 for n in range(240)], "timestamp": column}).write_csv(
            folder / "ratings.csv"
        )
        keys = [f"dataset.source.folder={folder}", "dataset.source.ratings.columns.timestamp=timestamp"]
        split = ["dataset=table", *keys, "split=rolling", "split.folds=2", "split.fold=0", "split.days=4"]
        rows = str(folder / "rows")
        anirec("export", "split", *split, "split.val_days=4", "--output", rows, cold=True, TZ=zone)
        found.append({path.name: path.read_text() for path in Path(rows).glob("*.csv")})
    assert set(found[0]) == {"train.csv", "val.csv", "test.csv"}
    assert found[0] == found[1]


def test_exported_rows_are_all_that_a_list_may_not_hold(anirec: Anirec, place: Path) -> None:
    folder = place / "statuses"
    folder.mkdir()
    rows = [(n % 20, n // 20, 1 + n % 10, "completed" if n % 7 else "dropped") for n in range(240)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "rating", "status"], orient="row")
    table.write_csv(folder / "ratings.csv")
    keys = ["dataset=table", f"dataset.source.folder={folder}", "+dataset.source.ratings.columns.status=status"]
    split = [*keys, "dataset.statuses=[completed]", "split=per_user", "trainer=cpu"]
    anirec("export", "split", *split, "--output", str(folder / "rows"))
    parts = {path.stem: pl.read_csv(path) for path in (folder / "rows").glob("*.csv")}
    assert set(parts) == {"train", "val", "test", "excluded"}
    assert sum(map(len, parts.values())) == len(table)
    seen = pl.concat([parts[name].select("user_id", "item_id") for name in ("train", "val", "excluded")])
    pairs = parts["test"].select("user_id").unique().join(table.select(pl.col("item_id").unique()), how="cross")
    pairs.join(seen, on=["user_id", "item_id"], how="anti").write_csv(folder / "lists.csv")
    anirec("import", *split, "--model", "unseen", "--lists", str(folder / "lists.csv"))


def test_what_cannot_be_imported_or_exported_is_said(anirec: Anirec) -> None:
    for words, arguments in {
        "Set --predictions FILE": ["import", "--model", "x"],
        "no such file: nowhere.csv": ["import", "--model", "x", "--lists", "nowhere.csv"],
        "anirec has a model of this name": ["import", "--model", "ease", "--lists", "lists.csv"],
        "expected a name of at most 60 letters": ["import", "--model", "../x", "--lists", "lists.csv"],
        "--model aaaaa": ["import", "--model", "a" * 300, "--lists", "lists.csv"],
        "--output lists.csv: cannot create this folder (File exists)": [
            "export",
            "split",
            "dataset=demo_ratings",
            "--output",
            "lists.csv",
        ],
        "Set --output FOLDER": ["export", "split", "dataset=demo_ratings"],
        "Only splits of ratings": ["export", "split", "dataset=demo_tags", "model=tag_mean", "--output", "posts"],
        "belong to `anirec export split`": ["export", "outputs", "seed=1"],
    }.items():
        assert words in " ".join(anirec(*arguments, expect=2).stderr.split())
