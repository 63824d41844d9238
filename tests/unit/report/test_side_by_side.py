"""Lists side by side: the same users, the titles of each model, and which are relevant."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from anirec.errors import UserError
from anirec.printable import Console
from anirec.report.compare import compare
from anirec.report.groups import families
from anirec.report.leaderboard import leaderboard
from anirec.report.runs import read_runs
from anirec.report.side_by_side import SideBySide, side_by_side

WriteRun = Callable[..., Path]


def with_items(folder: Path, first_item: int) -> Path:
    """Give all lists of a run the items from `first_item` on, and names to the items."""
    path = folder / "recommendations.parquet"
    table = pl.read_parquet(path).with_columns(item_id=first_item + pl.col("rank").cast(pl.Int64))
    table.write_parquet(path)
    names = pl.DataFrame({"item_id": range(600), "title": [f"Title <{item}>" for item in range(600)]})
    names.write_parquet(folder / "items.parquet")
    return folder


def found_in(folder: Path) -> SideBySide | None:
    (family,) = families(read_runs([folder]))
    return side_by_side(leaderboard(family, "test/ndcg@10", []))


@pytest.fixture
def runs(write_run: WriteRun, tmp_path: Path) -> Path:
    with_items(write_run("ease", quality=0.9), 0)
    with_items(write_run("popularity", quality=0.2), 4)
    return tmp_path


def test_the_same_users_have_the_titles_of_each_model_by_rank(runs: Path) -> None:
    found = found_in(runs)
    assert found is not None
    assert found.models == ["ease", "popularity"]
    assert found.n_users == 300
    assert len({one.user for one in found.users}) == 10
    assert found == found_in(runs)
    folder = next(run.folder for run in read_runs([runs]) if run.model == "ease")
    table = pl.read_parquet(folder / "recommendations.parquet")
    for one in found.users:
        rows = table.filter(pl.col("user_id") == int(one.user)).sort("rank")
        assert one.lists[0] == [
            (f"Title <{item}>", hit) for item, hit in rows.select("item_id", "relevant").iter_rows()
        ]
        assert len(one.held_out) == 6
    assert found.shared == pytest.approx([1.0, 0.6])


def test_they_fit_the_terminal_and_are_escaped_on_the_page(runs: Path) -> None:
    printed = io.StringIO()
    compare([runs], lists=True, html=runs / "page.html", console=Console(file=printed, width=80))
    text = printed.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("User ") == 10
    assert "Share of titles that ease lists, too, over all users: popularity 60%." in " ".join(text.split())
    page = (runs / "page.html").read_text()
    assert "Title &lt;7&gt;" in page
    assert "Title <7>" not in page


def test_runs_of_other_splits_or_without_items_are_left_out(runs: Path, write_run: WriteRun) -> None:
    write_run("svd", quality=0.5)
    found = found_in(runs)
    assert found is not None
    assert found.models == ["ease", "popularity"]


def test_titles_cannot_control_the_terminal(runs: Path) -> None:
    for run in read_runs([runs]):
        names = pl.DataFrame(
            {"item_id": range(600), "title": [f"\x1b]0;pwned\x07\x1b[31m{n}\u202e" for n in range(600)]}
        )
        names.write_parquet(run.folder / "items.parquet")
    printed = io.StringIO()
    compare([runs], lists=True, html=runs / "page.html", console=Console(file=printed, width=80))
    for text in (printed.getvalue(), (runs / "page.html").read_text()):
        assert "]0;pwned" in text
        assert "[31m7" in text
        assert not {*"\x1b\x07\u202e"} & {*text}


def test_lists_are_of_a_split_that_both_have(write_run: WriteRun, tmp_path: Path) -> None:
    for model, folds in (("ease", (0, 1)), ("popularity", (1, 2)), ("svd", (1,))):
        for fold in folds:
            folder = with_items(write_run(model, fold=fold), fold)
            about = json.loads((folder / "provenance.json").read_text())
            about["split"]["fingerprint"] = f"fold {fold}"
            (folder / "provenance.json").write_text(json.dumps(about))
    found = found_in(tmp_path)
    assert found is not None
    assert sorted(found.models) == ["ease", "popularity", "svd"]
    assert found.users[0].lists[0][0][0] == "Title <2>"


def test_ids_of_another_type_are_an_error_that_names_the_file(runs: Path) -> None:
    run = next(run for run in read_runs([runs]) if run.model == "popularity")
    path = run.folder / "recommendations.parquet"
    pl.read_parquet(path).with_columns(pl.col("item_id").cast(pl.String)).write_parquet(path)
    with pytest.raises(UserError, match=r"popularity.*item_id is String; it is Int64 in .*ease"):
        found_in(runs)


def test_hits_below_the_first_titles_have_their_rank(runs: Path) -> None:
    folder = next(run.folder for run in read_runs([runs]) if run.model == "ease")
    path = folder / "recommendations.parquet"
    pl.read_parquet(path).with_columns(relevant=pl.col("rank") == 8).write_parquet(path)
    printed = io.StringIO()
    compare([runs], lists=True, console=Console(file=printed, width=80))
    assert printed.getvalue().count("✓ rank 8: Title <8>") == 10
    assert "The first 5 of 10 titles" in printed.getvalue()
