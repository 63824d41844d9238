import base64
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anirec.metrics.names import metric_phrase
from anirec.report.groups import families
from anirec.report.leaderboard import leaderboard
from anirec.report.page import tables as pairs
from anirec.report.page import write_page
from anirec.report.page.curves import curves, history
from anirec.report.pareto import front, loss
from anirec.report.runs import read_runs

WriteRun = Callable[..., Path]
MANY = [(factors, lr) for factors in (5, 20, 80) for lr in (0.001, 0.01, 0.1)]


def page(folder: Path, metric: str = "test/rmse") -> str:
    runs = read_runs([folder])
    found = families(run for run in runs if run.state == "finished")
    boards = [leaderboard(family, metric, [metric]) for family in found]
    rest = [run for run in runs if run.state != "finished"]
    write_page(folder / "page.html", families=found, boards=boards, rest=rest)
    return (folder / "page.html").read_text()


def titles(html: str) -> list[str]:
    return [unescape(title) for title in re.findall("<h3>(.*?)</h3>", html)]


def plots(html: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', html)]


def write_history(folder: Path, lines: list[str]) -> None:
    (folder / "history.csv").write_text("\n".join(lines) + "\n")


def test_the_table_has_the_numbers_of_the_leaderboard(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run("svdpp", quality=0.9, seed=seed)
    write_run("bias", quality=0.7)
    html = page(tmp_path)
    (found,) = families(read_runs([tmp_path]))
    best = leaderboard(found, "test/rmse", ["test/rmse"]).rows[0]
    low, high = best.interval["test/rmse"]
    figures = f"{best.mean['test/rmse']:.4f} ±{best.std['test/rmse']:.4f}"
    assert f"svdpp has the lowest test RMSE of 2 configurations: {figures}, 95% interval {low:.4f}–{high:.4f}" in html  # noqa: RUF001
    assert f'best" data-key="{best.mean["test/rmse"]}">{figures}</td>' in html
    assert html.index("svdpp</th>") < html.index("bias</th>")
    assert "seed 1, 2, 3" in html


def test_what_a_run_is_called_is_text_and_nothing_else(write_run: WriteRun, tmp_path: Path) -> None:
    evil = '</script><img src="http://evil.example/x" onerror=alert(1)>'
    for lr in (0.1, 0.2):
        write_run(
            evil.replace("/", "_"), dataset=f"{evil.replace('/', '_')}", config={"model.lr": lr, "model.name": evil}
        )
    write_run("svd", dataset=evil.replace("/", "_"), state="failed", error=f"ValueError: {evil}")
    write_history(next(tmp_path.glob("outputs/*/*/*/metrics.json")).parent, ["epoch,val/rmse", "0,1.2", "1,1.1"])
    html = page(tmp_path)
    shown = html.replace(re.search(r"<script>.*plotly\.js.*?</script>", html, re.DOTALL)[0], "")  # type: ignore[index]
    assert "<img" not in shown
    assert "&lt;img" in shown
    found = plots(shown)
    for trace in (trace for plot in found for trace in plot["data"]):
        trace.pop("legendgroup", None)  # never shown
    assert len(found) > 2
    assert "<img" not in str(found), "Plotly reads HTML in its texts"
    assert "&lt;img" in str(found)


@pytest.mark.parametrize(
    "metric", ["test/rmse", "val/rmse", "test/ndcg@10", "test/coverage@10", "test/rmse/cold_users"]
)
def test_any_metric_can_be_sorted_by(write_run: WriteRun, tmp_path: Path, metric: str) -> None:
    for model, quality in (("bias", 0.7), ("svdpp", 0.9), ("mean", 0.2)):
        write_run(model, quality=quality)
    html = page(tmp_path, metric)
    assert f"3 runs by {metric_phrase(metric)}" in html
    assert html.count('scope="row" data-key') == 3


def test_scores_work_too(write_score_run: WriteRun, tmp_path: Path) -> None:
    write_score_run("tfidf_ridge", quality=0.4)
    write_score_run("bert", quality=0.6)
    html = page(tmp_path, "test/pearson")
    assert "bert has the highest test Pearson of 2 configurations" in html
    assert any("predictions lie between" in title for title in titles(html))


def test_sections_that_have_nothing_to_show_are_left_out(write_run: WriteRun, tmp_path: Path) -> None:
    folder = write_run("svd", tables=False)
    write_history(folder, ["epoch,val/rmse", "0,1.2"])
    assert titles(page(tmp_path)) == ["Settings, metrics and commands"]


def test_learning_curves_average_the_seeds(write_run: WriteRun, tmp_path: Path) -> None:
    for seed, values in ((1, (1.3, 1.1, 1.2)), (2, (1.5, 1.3, 1.4))):
        lines = [f"{epoch},{value},{value / 2}" for epoch, value in enumerate(values)]
        write_history(write_run("svd", seed=seed), ["epoch,val/rmse,train/loss", *lines])
    (found,) = families(read_runs([tmp_path]))
    board = leaderboard(found, "test/rmse", ["test/rmse"])
    (curve,) = curves({"svd": history(board.rows[0])}, "val/rmse")
    assert curve.epochs == [1, 2, 3]
    assert np.allclose([curve.low, curve.mean, curve.high], [(1.3, 1.1, 1.2), (1.4, 1.2, 1.3), (1.5, 1.3, 1.4)])
    html = page(tmp_path)
    assert "svd reaches the lowest validation RMSE, 1.2000, in epoch 2 of 3" in titles(html)
    assert "training loss" in html


def test_metrics_of_the_final_models_make_no_learning_curve(write_run: WriteRun, tmp_path: Path) -> None:
    """The best epochs of two seeds are two points of different models."""
    for seed, last in ((1, ("", "0.2")), (2, ("0.3", ""))):
        lines = [f"{epoch},{1.2 - epoch / 10},{value}" for epoch, value in enumerate(last)]
        write_history(write_run("svd", seed=seed), ["epoch,val/rmse,val/ndcg@10", *lines])
    (found,) = families(read_runs([tmp_path]))
    board = leaderboard(found, "test/rmse", ["test/rmse"])
    assert not curves({"svd": history(board.rows[0])}, "val/ndcg@10")
    assert curves({"svd": history(board.rows[0])}, "val/rmse")


def test_histories_that_lack_columns_or_are_damaged_do_no_harm(write_run: WriteRun, tmp_path: Path) -> None:
    write_history(write_run("svd"), ["epoch,val/rmse", "0,1.2", "1,1.1"])
    write_history(write_run("svdpp", quality=0.9), ["epoch,val/mae", "0,", "1,nan", "2,x"])
    (write_run("bias") / "history.csv").write_text("")
    assert any(title.startswith("svd reaches the lowest validation RMSE") for title in titles(page(tmp_path)))


def test_settings_of_a_model_are_weighed(write_run: WriteRun, tmp_path: Path) -> None:
    for factors, lr in MANY:
        write_run("svd", quality=0.5 + lr * 4 + factors / 1000, config={"model.n_factors": factors, "model.lr": lr})
    html = page(tmp_path)
    assert any(title.startswith("svd: lr matters most for test RMSE") for title in titles(html))
    assert "permutation importance on held-out configurations, 9 in all" in html


def test_settings_that_predict_nothing_get_no_importance(write_run: WriteRun, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for factors, lr in MANY:
        write_run("svd", quality=random.uniform(0.5, 0.9), config={"model.n_factors": factors, "model.lr": lr})
    html = page(tmp_path)
    assert "No importance is given: the settings do not predict test/rmse of held-out configurations." in html
    assert "matters most" not in html
    assert any(
        title.startswith("svd: test RMSE from ") and title.endswith("in 9 configurations") for title in titles(html)
    )


def test_few_configurations_get_no_importance(write_run: WriteRun, tmp_path: Path) -> None:
    for factors, lr in MANY[:4]:
        write_run("svd", quality=0.5 + lr * 4, config={"model.n_factors": factors, "model.lr": lr})
    html = page(tmp_path)
    assert "Fewer than 8 configurations: too few to compute the importance" in html
    assert "matters most" not in html


def test_the_front_holds_whom_nobody_beats_in_both(write_run: WriteRun, tmp_path: Path) -> None:
    for model, quality, seconds in (("svdpp", 0.9, 60.0), ("bias", 0.6, 1.0), ("ncf", 0.7, 600.0), ("svd", 0.8, 9.0)):
        write_run(model, quality=quality, seconds=seconds)
    (found,) = families(read_runs([tmp_path]))
    rows = leaderboard(found, "test/rmse", []).rows
    assert [row.group.model for row in front(rows, lambda row: [loss(row, "test/rmse"), row.cost["fit_seconds"]])] == [
        "svdpp",
        "svd",
        "bias",
    ]
    assert "Test RMSE against training time: svdpp, svd and bias are on the Pareto front" in titles(page(tmp_path))


def test_several_objectives_have_a_pareto_front(write_run: WriteRun, tmp_path: Path) -> None:
    several = {"objective": ["val/rmse", "val/coverage@10"]}
    for model, rmse, coverage in (("svd", 1.1, 0.3), ("bias", 1.3, 0.6), ("ncf", 1.2, 0.2), ("svdpp", 1.2, 0.5)):
        write_run(model, config=several, metrics={"val/rmse": rmse, "val/coverage@10": coverage})
    html = page(tmp_path)
    title = "Pareto front: 3 of 4 configurations, by validation RMSE and validation coverage@10"
    assert title in titles(html)
    table = html.partition(title)[2].partition("</table>")[0]
    assert re.findall(r"</span> (\w+)</th>", table) == ["svd", "svdpp", "bias"]
    assert "0.6000" in table
    write_run("ease", metrics={"val/rmse": 1.0})  # of one objective: there is nothing that all were searched for
    assert "Pareto front:" not in page(tmp_path)


def test_each_group_tells_its_config_and_command(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svdpp", quality=0.9)
    for seed in (1, 2):
        folder = write_run("svdpp", quality=0.5, seed=seed, config={"model.n_factors": 5})
        provenance = json.loads((folder / "provenance.json").read_text())
        given = ["model=svdpp", "model.layers=[8, 4]", "~callbacks.swa", f"seed={seed}"]
        (folder / "provenance.json").write_text(json.dumps({**provenance, "overrides": given}))
    html = unescape(page(tmp_path))
    assert "anirec run -m model=svdpp 'model.layers=[8, 4]' '~callbacks.swa' seed=1,2</code>" in html
    assert '<th scope="row">model.n_factors</th><td>80</td><td>5</td>' in html
    assert str(folder.resolve()) in html
    assert "<code>d00d</code>" in html


def test_runs_in_no_table_are_named_with_their_reason(write_run: WriteRun, tmp_path: Path) -> None:
    older = write_run("svd")
    write_run("svd")
    failed = write_run("svdpp", state="failed", error="ValueError: lr=-1\n  at line 3")
    html = page(tmp_path)
    assert f"{failed.resolve()}</code></td><td>ValueError: lr=-1</td>" in html
    assert f"{older.resolve()}</code></td><td>another run has equal settings and seed" in html


def test_a_group_far_behind_hides_nothing(write_run: WriteRun, tmp_path: Path) -> None:
    for model, quality in (("svdpp", 0.9), ("svd", 0.88), ("bias", 0.86), ("broken", 0.01)):
        write_run(model, quality=quality)
    html = page(tmp_path)
    assert "Far behind, outside the plotted range: broken." in html


def test_the_page_asks_nobody_for_anything(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd")
    html = page(tmp_path)
    assert "default-src 'none'" in html
    before_scripts = html.partition("<script>")[0]
    assert set(re.findall(r'(?:src|href)="(.*?)"', before_scripts)) == {"data:,", "#family-1-details"}
    assert page(tmp_path) == html, "equal runs give an equal page"


def test_the_page_warns_as_the_terminal_does(write_run: WriteRun, tmp_path: Path) -> None:
    for model, quality, fold in (("svd", 0.8, 0), ("svd", 0.4, 1), ("bias", 0.6, 0), ("svdpp", 0.5, 0)):
        path = write_run(model, quality=quality, fold=fold, tables=model != "svdpp") / "predictions.parquet"
        if path.is_file():
            pl.read_parquet(path).head(60).write_parquet(path)
    html = unescape(page(tmp_path))
    assert "On shared splits, bias is significantly worse than svd" in html
    assert "Not all rows average the same splits" in html
    assert re.search(r"Not tested \(.*\): svdpp\.", html)
    assert "over 10 users" in html
    assert "Fewer than 30 users" in html


def test_groups_that_look_alike_keep_tests_of_their_own(write_run: WriteRun, tmp_path: Path) -> None:
    for last, quality in ((4, 0.9), (2, 0.5)):
        layers = [256, 128, 64, 32, 16, 8, last]
        write_run("svd", quality=quality, config={"model.layers": layers})
    html = page(tmp_path)
    assert html.count('<td class="better">') == html.count('<td class="worse">') == 1


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("huge", [[1e308], [1e308, 1.7e308], [-1.7e308, 1.7e308]])
def test_huge_figures_draw_nothing_that_is_no_number(write_run: WriteRun, tmp_path: Path, huge: list[float]) -> None:
    write_run("svd")
    for seed, value in enumerate(huge):
        write_run("broken", seed=seed, metrics={"test/rmse": value})
    drawings = re.findall(r"<svg class=\"mark\".*?</svg>", page(tmp_path), re.DOTALL)
    assert len(drawings) == 2
    assert not re.search(r'="-?(inf|nan)', "".join(drawings))


def test_groups_are_tested_once(write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run("svd")
    write_run("bias", quality=0.5)
    monkeypatch.setattr(pairs, "why_no_pairs", lambda *_: pytest.fail("costs as much as the tests"))
    assert "better" in page(tmp_path)


def test_errors_are_drawn_against_lists_with_intervals_of_both(write_run: WriteRun, tmp_path: Path) -> None:
    for model, quality in (("svdpp", 0.9), ("bias", 0.6)):
        write_run(model, quality=quality)
    html = page(tmp_path)
    assert "Test RMSE against test NDCG@10: svdpp is best in both" in titles(html)
    scatter = next(one for one in plots(html) if one["layout"]["xaxis"].get("title", {}).get("text") == "ndcg@10 ↑")
    points = [trace for trace in scatter["data"] if "markers" in trace["mode"]]
    assert [point["text"] for point in points] == ["svdpp", "bias"]
    for point in points:
        assert point["error_x"]["array"][0] > 0
        assert point["error_y"]["array"][0] > 0


def test_rows_are_counted_once_however_many_seeds_predict_them(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run("svd", seed=seed)
    assert "1,800 rows, predicted by up to 3 runs" in page(tmp_path)


def test_true_values_are_drawn_by_prediction(write_run: WriteRun, tmp_path: Path) -> None:
    folder = write_run("svd")
    random = np.random.default_rng(0)
    prediction = np.repeat(np.linspace(3, 9, 12), 400)
    target = np.clip(np.round(prediction + random.normal(size=len(prediction))), 1, 10)
    rows = {
        "user_id": np.arange(len(target)),
        "item_id": 1,
        "target": target,
        "prediction": prediction,
        "split": "test",
    }
    pl.DataFrame(rows).write_parquet(folder / "predictions.parquet")
    drawing = next(one for one in plots(page(tmp_path)) if one["data"][0]["type"] == "heatmap")
    mean = next(trace for trace in drawing["data"] if trace.get("mode") == "lines+markers")
    values = {axis: np.array(decoded(mean[axis]), dtype=float) for axis in "xy"}
    assert np.allclose(values["x"], np.linspace(3, 9, 12))
    assert np.allclose(values["y"], values["x"], atol=0.3), "calibrated predictions lie on the diagonal"


def decoded(values: Any) -> Any:
    """Return numbers that Plotly may have written as base64."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
    return values


def test_every_metric_is_listed_with_the_settings(write_run: WriteRun, tmp_path: Path) -> None:
    for name in ("svd", "bias"):
        write_run(name, metrics={f"test/extra_{n}": n / 10 for n in range(12)})
    html = page(tmp_path)
    head = html.partition("</thead>")[0]
    assert "extra_" not in head.replace("_\u200b", "_"), "the table shows the most informative ones"
    assert html.count("<dt>test/extra_11</dt><dd>1.1000</dd>") == 2


def test_epochs_outside_the_axes_are_named(write_run: WriteRun, tmp_path: Path) -> None:
    values = [9.0, *(1.3 - 0.01 * epoch for epoch in range(12))]
    write_history(write_run("svd"), ["epoch,val/rmse", *(f"{epoch},{value}" for epoch, value in enumerate(values))])
    assert re.search(r"validation RMSE; axis cut at [\d.]+, outside: epoch 1 of svd", page(tmp_path))


def test_equal_means_share_the_first_place(write_run: WriteRun, tmp_path: Path) -> None:
    for model in ("svd", "als"):
        write_run(model, quality=0.7)
    assert "als and svd share the lowest test RMSE of 2 configurations" in page(tmp_path)
