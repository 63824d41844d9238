"""`anirec recommend` on runs of generated data; called in this process, which saves the imports."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml
from typer.testing import CliRunner

from anirec.cli import app
from anirec.data.synthetic.demo_ratings import World
from anirec.errors import UserError

from .conftest import SMALL, Anirec, runs

LIKES = ["--likes", "crimson vojage=9; Silent Academy=10; #23"]


@pytest.fixture(scope="module")
def made(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs of EASE and Bias; the cache was deleted, so that tables are prepared again."""
    folder = tmp_path_factory.mktemp("recommend")
    anirec = anirec_in(folder, ANIREC_CACHE=str(folder / "cache"))
    anirec("run", "-m", *SMALL, "model=ease,bias")
    shutil.rmtree(folder / "cache")
    return folder


def recommend(run: Path, *arguments: str) -> str:
    """Return what the command prints."""
    return CliRunner().invoke(app, ["recommend", str(run), *arguments], catch_exceptions=False).stdout


def recommended(run: Path, *arguments: str) -> pl.DataFrame:
    """Return the list that the command writes."""
    recommend(run, *arguments, "--csv", str(run / "list.csv"))
    return pl.read_csv(run / "list.csv")


def test_a_new_user_gets_recommendations_with_reasons(made: Path) -> None:
    (run,) = runs(made, "ease")
    printed = recommend(run, *LIKES, "-k", "5", "--csv", str(run / "list.csv"), "--json", str(run / "list.json"))
    assert "crimson vojage=9 -> Crimson Voyage=9" in printed
    assert max(map(len, printed.splitlines())) <= 80
    table = pl.read_csv(run / "list.csv")
    assert table["rank"].to_list() == [1, 2, 3, 4, 5]
    assert not set(table["title"]) & {"Crimson Voyage", "Silent Academy"}
    assert 23 not in table["item_id"]
    assert table["reason"].str.contains(r"Crimson Voyage \(9\)|Silent Academy \(10\)").any()
    assert [row["title"] for row in json.loads((run / "list.json").read_text())] == table["title"].to_list()


def test_a_model_without_fold_in_says_that_it_has_no_reasons(anirec: Anirec, tmp_path: Path) -> None:
    anirec("run", *SMALL, "model=surprise_svd")
    (run,) = runs(tmp_path, "surprise_svd")
    user = str(pl.read_parquet(run / "predictions.parquet")["user_id"][0])
    printed = " ".join(recommend(run, "--user", user).split())
    assert "No reasons from the user's list: SurpriseModel cannot score a list with a title removed." in printed


def test_filters_apply(made: Path) -> None:
    (run,) = runs(made, "ease")
    films = recommended(run, *LIKES, "--type", "movie", "--not-genre", "drama,horror", "--min-ratings", "5")
    assert set(films["type"]) == {"Movie"}
    assert not films["genres"].str.contains("Drama|Horror").any()
    assert films["n_ratings"].min() >= 5  # type: ignore[operator]


def test_titles_of_unknown_genres_are_counted_below_the_list(made: Path, tmp_path: Path) -> None:
    (run,) = runs(made, "ease")
    copy = shutil.copytree(run, tmp_path / "run")
    items = pl.read_parquet(run / "items.parquet")
    genres = pl.when(pl.int_range(pl.len()) > 0).then("genres")
    items.with_columns(genres=genres, age_rating=pl.lit(None, pl.String)).write_parquet(copy / "items.parquet")
    lines = recommend(copy, *LIKES, "-k", "3").splitlines()
    (position,) = (number for number, line in enumerate(lines) if line.startswith("1 title is left out"))
    assert position > max(number for number, line in enumerate(lines) if line.startswith("  3  "))


@pytest.mark.parametrize("model", ["ease", "bias"])
def test_seen_titles_are_recommended_only_with_seen(made: Path, model: str) -> None:
    (run,) = runs(made, model)
    world = World(n_users=200, n_items=80, ratings_per_user=20, rank=4, noise=1.0, seed=0)
    seen = set(world.interactions().filter(user_id=7)["item_id"])
    everything = set(pl.read_parquet(run / "items.parquet")["item_id"])
    assert set(recommended(run, "--user", "7", "-k", "100", "--novelty", "0.3")["item_id"]) == everything - seen
    assert set(recommended(run, "--user", "7", "-k", "100", "--seen")["item_id"]) == everything


def test_personal_1_removes_the_scores_of_an_unknown_user(made: Path) -> None:
    (run,) = runs(made, "bias")
    plain, personal = recommended(run, *LIKES), recommended(run, *LIKES, "--personal", "1")
    assert plain["rating"].is_sorted(descending=True)
    assert plain["item_id"].to_list() != personal["item_id"].to_list()
    assert personal["item_id"].is_sorted(), "all scores are equal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], 'Set --user ID, --list FILE, or --likes with titles such as "'),
        (["--user", "7", *LIKES], "one of the three"),
        ([*LIKES, "--list", "list.xml"], "one of the three"),
        (["--list", "nowhere.xml"], "--list nowhere.xml: no such file"),
        (["--list", "."], "--list .: not a regular file"),
        (["--user", "99999"], "--user 99999: not in the data of this run, which has users such as 1, 2, 3"),
        (["--user", "7", "--user", "somebody"], "--user somebody: not in the data of this run"),
        (["--users", "nowhere.txt"], "--users nowhere.txt: cannot be read"),
        (["--likes", "Crimson=9"], "may be one of several titles"),
        (["--likes", "Neon Genesis Evangelion=9"], 'for example, ".*(?s:.*)The titles of this run are generated'),
        (["--likes", "Crimson Voyage=9, Silent Academy=8"], 'semicolons: "Crimson Voyage=9; Silent Academy=8"'),
        (["--likes", "Crimson Voyage=11"], "expected a rating from 1 to 10"),
        (["--user", "7", "--genre", "Dramma", "--type", "tvv"], "genre Dramma; did you mean Drama(?s:.*)"),
        (["--user", "7", "--year", "2005-2015"], "have no year of titles"),
        (["--user", "7", "--novelty", "3"], "expected a number from 0 to 1"),
    ],
)
def test_mistakes_are_explained(made: Path, arguments: list[str], message: str) -> None:
    (run,) = runs(made, "bias")
    with pytest.raises(UserError, match=message):
        recommended(run, *arguments)


def test_predict_finds_titles_by_name(made: Path, tmp_path: Path) -> None:
    (run,) = runs(made, "bias")
    items = pl.read_parquet(run / "items.parquet").select("item_id", "title")
    (tmp_path / "named.csv").write_text(
        f"user_id,title,n\n7,{items['title'][5].upper()},Unknown\n7,Nobody's Series,1\n,,\n"
    )
    (tmp_path / "ids.csv").write_text(f"user_id,item_id\n7.0,{items['item_id'][5]}\n")
    for name in ("named", "ids"):
        files = ["--input", str(tmp_path / f"{name}.csv"), "--output", str(tmp_path / f"{name}.out.csv")]
        printed = CliRunner().invoke(app, ["predict", str(run), *files], catch_exceptions=False).stdout
        assert name == "ids" or "unknown users: 1, unknown titles: 2" in printed
    named, ids = (pl.read_csv(tmp_path / f"{name}.out.csv") for name in ("named", "ids"))
    assert named["item_id"].to_list() == [items["item_id"][5], None, None]
    assert named["n"].to_list() == ["Unknown", "1", None]
    assert named["prediction"][0] == ids["prediction"][0]
    (tmp_path / "ids.csv").write_text("user_id,item_id\n7,Monster\n")
    with pytest.raises(UserError, match="column item_id, row 1: 'Monster' is no whole number"):
        CliRunner().invoke(app, ["predict", str(run), *files], catch_exceptions=False)


def test_a_run_without_its_titles_is_an_error(made: Path, tmp_path: Path) -> None:
    (run,) = runs(made, "bias")
    older = shutil.copytree(run, tmp_path / "older")
    (older / "items.parquet").unlink()
    with pytest.raises(UserError, match="if an older version of anirec made this run"):
        recommended(older, "--user", "7")
    with pytest.raises(UserError, match="No run in "):
        recommended(tmp_path, "--user", "7")


def test_several_users_get_a_list_each(made: Path, tmp_path: Path) -> None:
    (run,) = runs(made, "ease")
    (tmp_path / "users.txt").write_text("9\n\n7\n")
    table = recommended(run, "--user", "7", "--users", str(tmp_path / "users.txt"), "-k", "4")
    assert table.columns[:2] == ["user_id", "rank"]
    assert table["user_id"].to_list() == [7] * 4 + [9] * 4
    alone = recommended(run, "--user", "9", "-k", "4")
    assert table.filter(user_id=9).equals(alone)
    printed = recommend(run, "--user", "7", "--user", "9", "-k", "4")
    assert printed.index("User 7") < printed.index("User 9")


@pytest.mark.parametrize("model", ["ease", "bias"])
def test_a_disliked_title_is_no_reason_and_scores_are_ratings_or_missing(made: Path, model: str) -> None:
    (run,) = runs(made, model)
    table = recommended(run, "--likes", "Crimson Voyage=1; Silent Academy=10; Paper Kingdom=9", "-k", "60")
    assert not table["reason"].str.contains("Crimson Voyage").any()
    assert ("rating" in table.columns) == (model == "bias")
    assert "score" not in table.columns
    if model == "bias":
        assert table["rating"].is_between(1, 10).all()


def mal_xml(rows: list[tuple[int, str, int, str]]) -> str:
    """Return MyAnimeList's export with these ids, titles, scores and statuses."""
    entries = [
        f"<anime><series_animedb_id>{item}</series_animedb_id><series_title><![CDATA[{title}]]></series_title>"
        f"<my_score>{score}</my_score><my_status>{status}</my_status></anime>"
        for item, title, score, status in rows
    ]
    return f'<?xml version="1.0" encoding="UTF-8" ?><myanimelist>{"".join(entries)}</myanimelist>'


def test_a_list_from_a_file_is_a_history(made: Path, tmp_path: Path) -> None:
    (run,) = runs(made, "ease")
    titles = pl.read_parquet(run / "items.parquet")["title"].to_list()
    rows = [(n, title, 10 - n % 4, "Completed") for n, title in enumerate(titles[:9])]
    rows += [(90, titles[9], 0, "Plan to Watch"), (91, titles[10], 0, "Dropped"), (92, titles[11], 9, "Dropped")]
    path = tmp_path / "list.xml"
    path.write_text(mal_xml([*rows, (93, "Nobody's Series 2", 9, "Completed")]))
    printed = recommend(run, "--list", str(path), "-k", "100", "--sequels", "--csv", str(tmp_path / "list.csv"))
    text = " ".join(printed.split())
    assert "list.xml: MyAnimeList, 13 entries: 9 completed, 2 dropped, 1 plan to watch, 1 not used; 10 rated" in text
    assert "Not used: 1 not in the data of this run; listed in " in text
    assert (tmp_path / "list.xml.unused.csv").read_text().splitlines() == [
        "entry,title,reason",
        "13,Nobody's Series 2,not in the data of this run",
    ]
    table = pl.read_csv(tmp_path / "list.csv")
    assert set(table["title"]) == set(titles) - {*titles[:9], titles[10], titles[11]}
    planned = table.filter(title=titles[9])
    assert planned["reason"].str.starts_with("On your watchlist.").all()
    likes = "; ".join(f"{title}={score}" for _, title, score, status in rows if status == "Completed")
    same = recommended(run, "--likes", likes, "-k", "100", "--sequels")
    out = [titles[10], titles[11]]
    assert same.filter(~pl.col("title").is_in(out))["title"].to_list() == table["title"].to_list(), "a drop is no like"
    without = recommended(run, "--list", str(path), "-k", "100", "--skip-planned", "--unused", str(tmp_path / "u.csv"))
    assert titles[9] not in without["title"]
    assert (tmp_path / "u.csv").exists()


def test_a_list_without_seen_titles_is_an_error(made: Path, tmp_path: Path) -> None:
    (run,) = runs(made, "ease")
    path = tmp_path / "list.csv"
    path.write_text("title,score\nNobody's Series,9\n")
    with pytest.raises(UserError, match=r"Nothing to recommend from: no title of this run was seen or rated"):
        recommend(run, "--list", str(path))
    path.write_text("title,score\nCrimson Voyage,5\n")
    with pytest.raises(UserError, match=r"--list .*: the largest score is 5, so their scale is not clear"):
        recommend(run, "--list", str(path))
    recommend(run, "--list", str(path), "--list-scale", "0.5-5")


def test_likes_that_cannot_be_used_are_skipped_and_printed(made: Path) -> None:
    (run,) = runs(made, "ease")
    printed = recommend(run, "--likes", "#1=9; #999999=8; #19=0; Silent Academy=★★★★")
    assert "#999999: no title of this run has the id 999999; skipped" in printed
    assert "#19=0: 0 means unrated" in printed
    assert "Silent Academy=★★★★ -> Silent Academy=8" in printed
    with pytest.raises(UserError, match="is not exactly this title"):
        recommend(run, "--likes", "Silent Academy III=9; #1=9")
    skipped = recommend(run, "--yes", "--likes", "Silent Academy III=9; #1=9")
    assert "Silent Academy III=9: skipped; similar to Silent Academy" in skipped


def test_mistakes_are_reported_before_the_model_is_read(made: Path, tmp_path: Path) -> None:
    (run,) = runs(made, "ease")
    broken = shutil.copytree(run, tmp_path / "broken")
    (broken / "checkpoints" / "best.ckpt").unlink(missing_ok=True)
    (broken / "checkpoints" / "last.ckpt").write_bytes(b"no checkpoint")
    for arguments in (["--likes", "qwertyuiop=9"], ["--user", "99999"], ["--user", "7", "--genre", "Dramma"]):
        with pytest.raises(UserError, match=r"qwertyuiop|99999|Dramma"):
            recommended(broken, *arguments)
    with pytest.raises(UserError, match="damaged"):
        recommended(broken, *LIKES)


def test_a_run_of_another_version_is_an_error_that_names_what_has_changed(made: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs(made, "ease")[0], tmp_path / "run")
    config, checkpoint = run / "config.yaml", run / "checkpoints" / "best.ckpt"
    text = config.read_text()
    content = yaml.safe_load(text)
    for changes, message in (
        ({"parallel": 2}, f"{run}: made by another version of anirec: model.parallel is no setting of this one"),
        ({"a": 1, "b": 2}, f"{run}: made by another version of anirec: model.a, model.b are no settings of this one"),
        ({"reg": -1.0}, r"config.yaml: not valid in this version of anirec: model\.reg"),
        ({"_target_": "anirec.models.ease.EASE"}, "names anirec.models.ease.EASE, .*If another version of anirec made"),
    ):
        config.write_text(yaml.safe_dump({**content, "model": {**content["model"], **changes}}))
        with pytest.raises(UserError, match=message):
            recommend(run, *LIKES)
    config.write_text(text)
    saved = torch.load(checkpoint, weights_only=True)
    torch.save({**saved, "state_dict": {**saved["state_dict"], "lost.part": torch.zeros(1)}}, checkpoint)
    with pytest.raises(
        UserError, match=r"best\.ckpt: not loaded: .*another version of anirec\. Run the experiment again"
    ):
        recommend(run, *LIKES)
