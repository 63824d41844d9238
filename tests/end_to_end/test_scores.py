"""Commands that predict the scores of titles: run folders, resuming, predictions, and errors for invalid input."""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from PIL import Image

from anirec.errors import UserError
from anirec.inference.predict import predict

from .conftest import Anirec, content

SMALL = ["dataset=demo_corpus", "dataset.source.n_titles=110", "trainer=cpu", "trainer.deterministic=true"]
FUSION = ["run", *SMALL, "split.val=0.3", "model=fusion", "encoders=tiny", "model.training.epochs=2"]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for all tests, so that they share the cache."""
    return tmp_path_factory.mktemp("scores")


@pytest.fixture(scope="module")
def anirec(anirec_in: Callable[..., Anirec], place: Path) -> Anirec:
    return anirec_in(place, **variables(place))


@pytest.fixture(scope="module")
def finished(anirec: Anirec, place: Path) -> tuple[Path, str]:
    """Return the folder of an uninterrupted run of the fusion net, and what the run printed."""
    printed = anirec(*FUSION).stderr
    (run,) = runs(place, "fusion")
    return run, printed


@pytest.fixture
def run(finished: tuple[Path, str], place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANIREC_CACHE", str(place / "cache"))
    return finished[0]


def variables(place: Path) -> dict[str, str]:
    """Return the environment variables with the folders of data and cache."""
    return {f"ANIREC_{name.upper()}": str(place / name) for name in ("cache", "data")}


def runs(place: Path, model: str, dataset: str = "demo_corpus") -> list[Path]:
    return sorted(path.parent for path in place.glob(f"outputs/{dataset}/{model}/*/status.json"))


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def picture(path: Path, size: tuple[int, int] = (64, 64), colour: str = "red") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return str(path)


def test_a_run_writes_its_folder(finished: tuple[Path, str]) -> None:
    run, printed = finished
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.yaml", "provenance.json", "status.json", "metrics.json", "history.csv", "findings.txt"}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    figures = {path.name for path in (run / "figures").iterdir()}
    assert figures == {"learning_curves.png", "predicted_vs_true.png", "residuals.png"}
    assert content(run, "status.json")["state"] == "finished"
    metrics = content(run, "metrics.json")
    assert metrics["floor/rmse"] < metrics["test/rmse"]
    assert 0 < metrics["test/interval_coverage"] <= 1
    assert any(name.startswith("test/mae/score_") for name in metrics)
    assert pl.read_csv(run / "history.csv")["epoch"].to_list() == [0, 1]
    provenance = content(run, "provenance.json")
    assert provenance["data"]["removed"]["titles_kept"] == 110
    predictions = pl.read_parquet(run / "predictions.parquet").filter(split="test")
    assert len(predictions) == provenance["split"]["n_test"]
    assert predictions.select((pl.col("low") < pl.col("prediction")).all()).item()
    findings = (run / "findings.txt").read_text().splitlines()
    is_gain = findings[0].startswith("Better than the training mean: RMSE ")
    assert any("Predicted and true test scores " in sentence for sentence in findings) == is_gain
    for words in (
        f"RMSE {metrics['test/rmse']:.3f} on {provenance['split']['n_test']} test titles",
        "Learning curves: ",
        "to contain the true score of 90% of new titles",
    ):
        assert any(words in sentence for sentence in findings), words
    assert "best reachable rmse on this data" in printed


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_results_of_an_uninterrupted_one(
    anirec: Anirec, finished: tuple[Path, str], place: Path
) -> None:
    """Dropout included: the state of the random generators is restored."""
    uninterrupted, _ = finished
    command = [sys.executable, "-m", "anirec", *FUSION]
    process = subprocess.Popen(command, cwd=place, env={**os.environ, **variables(place)}, stderr=subprocess.DEVNULL)
    while len(runs(place, "fusion")) < 2 or not (runs(place, "fusion")[1] / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = runs(place, "fusion")[1]
    assert content(killed, "status.json")["state"] == "running"
    anirec(*FUSION, "resume=true")
    assert runs(place, "fusion") == [uninterrupted, killed]
    assert (killed / "history.csv").read_text() == (uninterrupted / "history.csv").read_text()
    assert content(killed, "metrics.json") == content(uninterrupted, "metrics.json")


@pytest.mark.slow
def test_two_processes_give_the_results_of_one(anirec: Anirec, place: Path) -> None:
    """The multirun also has a model whose encoder is missing; its error says how to download it."""
    printed = anirec("run", "-m", *SMALL, "encoders=own", "model=tfidf_ridge,bert", expect=1).stderr
    assert "1 of 2 jobs finished" in printed
    assert "hf download bert-base-uncased" in " ".join(printed.split())
    anirec("run", *SMALL, "encoders=own", "model=tfidf_ridge", *TWO)
    one, two = (content(run, "metrics.json") for run in runs(place, "tfidf_ridge"))
    assert one == pytest.approx(two, abs=1e-9)


def test_predictions_have_intervals(run: Path, tmp_path: Path) -> None:
    known = {"synopsis": "A reckless ghost.", "descriptions": ["A timid one.", None], "portraits": [None, None]}
    bare = {"synopsis": "A reckless ghost.", "descriptions": [], "portraits": []}
    counts = predict(
        run,
        input=write_rows(tmp_path / "new.jsonl", known, bare, {**bare, "synopsis": None}),
        output=tmp_path / "out.jsonl",
    )
    assert counts == {"rows": 3, "titles without a synopsis": 1}
    rows = pl.read_ndjson(tmp_path / "out.jsonl")
    assert rows["prediction"].n_unique() == 3
    assert rows.select((pl.col("low") >= 1) & (pl.col("low") < pl.col("prediction"))).to_series().all()
    assert rows.select((pl.col("prediction") < pl.col("high")) & (pl.col("high") <= 10)).to_series().all()
    (tmp_path / "only.csv").write_text('synopsis\n"A reckless ghost."\n')
    predict(run, input=tmp_path / "only.csv", output=tmp_path / "out.csv")
    assert pl.read_csv(tmp_path / "out.csv")["prediction"].item() == pytest.approx(rows["prediction"][1], abs=1e-5)


def test_invalid_input_files_are_errors(run: Path, tmp_path: Path) -> None:
    lists = write_rows(tmp_path / "lists.jsonl", {"synopsis": "A ghost.", "descriptions": ["timid"]})
    empty = write_rows(tmp_path / "empty_lists.jsonl", {"synopsis": "A ghost.", "descriptions": [], "portraits": []})
    (tmp_path / "no_rows.csv").write_text("synopsis\n")
    (tmp_path / "title.csv").write_text("title\nGhost\n")
    (tmp_path / "text.csv").write_text("synopsis,descriptions\nA ghost.,timid\n")
    predict(run, input=empty, output=tmp_path / "out.jsonl")
    for file, output, message in (
        (lists, "out.csv", r"CSV cannot hold lists.*descriptions.*\.jsonl"),
        (tmp_path / "no_rows.csv", "out.csv", "the file has no rows"),
        (tmp_path / "title.csv", "out.csv", "no column synopsis; there are title"),
        (tmp_path / "text.csv", "out.csv", r"column descriptions holds String, expected List\(String\)"),
    ):
        with pytest.raises(UserError, match=message):
            predict(run, input=file, output=tmp_path / output)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("branch", "target"),
    [(None, "os.system"), ("synopsis", "subprocess.run"), ("portraits", "anirec.data.sources.animepop.AnimePop")],
)
def test_an_untrusted_config_calls_nothing_else(run: Path, tmp_path: Path, branch: str | None, target: str) -> None:
    stranger = copied(run, tmp_path)
    config = yaml.safe_load((run / "config.yaml").read_text())
    node = config["model"]["branches"][branch] if branch else config["model"]
    node["_target_"] = target
    (stranger / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(
        UserError, match=f"model names {re.escape(target)}, which is not an anirec model or a known part; not loaded"
    ):
        predict(stranger, input=a_title(tmp_path), output=tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("branch", "key", "value", "message"),
    [
        ("portraits", "config", {"architecture": "hf-hub:some/one", "args": {}}, "no architecture hf-hub:some/one"),
        ("portraits", "config", {"architecture": "test_resnet", "args": {"checkpoint_path": "x"}}, "checkpoint_path"),
        (
            "synopsis",
            "config",
            {"model_type": "detr", "backbone": "some/one", "use_pretrained_backbone": True, "d_model": 8},
            "cannot build the text encoder",
        ),
        ("synopsis", "tokenizer", "{", "tokenizer cannot be read"),
    ],
)
def test_an_untrusted_checkpoint_downloads_nothing(
    run: Path, tmp_path: Path, branch: str, key: str, value: Any, message: str
) -> None:
    stranger = copied(run, tmp_path)
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["branches"][branch][key] = value
    torch.save(checkpoint, stranger / "checkpoints" / "best.ckpt")
    with pytest.raises(UserError, match=message):
        predict(stranger, input=a_title(tmp_path), output=tmp_path / "out.jsonl")


def test_a_truncated_checkpoint_is_an_error(run: Path, tmp_path: Path) -> None:
    stranger = copied(run, tmp_path)
    whole = (run / "checkpoints" / "best.ckpt").read_bytes()
    for n_bytes in (0, 5_000, len(whole) // 2):
        (stranger / "checkpoints" / "best.ckpt").write_bytes(whole[:n_bytes])
        with pytest.raises(UserError, match="damaged"):
            predict(stranger, input=a_title(tmp_path), output=tmp_path / "out.jsonl")


def copied(run: Path, tmp_path: Path) -> Path:
    """Return a copy of the run folder with a checkpoint that may be changed (the original best.ckpt is a link)."""
    stranger = tmp_path / "stranger"
    (stranger / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "metrics.json", "checkpoints/best.ckpt"):
        shutil.copyfile(run / name, stranger / name)
    return stranger


def a_title(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "title.jsonl", {"synopsis": "A reckless ghost."})


def test_unreadable_pictures_are_ignored_and_reported(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = picture(tmp_path / "good.png")
    cut = Path(picture(tmp_path / "cut.jpg", size=(300, 400)))
    cut.write_bytes(cut.read_bytes()[:-900])
    wide = picture(tmp_path / "wide.png", size=(50_000, 40))
    (tmp_path / "text.png").write_text("no picture")
    portraits = [good, str(tmp_path / "missing.png"), str(cut), wide, str(tmp_path / "text.png"), None]
    rows = [{"synopsis": "A ghost.", "descriptions": ["timid"], "portraits": [path]} for path in portraits]
    with caplog.at_level(logging.WARNING):
        predict(run, input=write_rows(tmp_path / "new.jsonl", *rows), output=tmp_path / "out.jsonl")
    assert "4 of 5 pictures cannot be read and are left out" in caplog.text
    for words in ("missing.png: no such file", "cut.jpg: damaged"):
        assert words in caplog.text
    seen, *blind = pl.read_ndjson(tmp_path / "out.jsonl")["prediction"].to_list()
    assert blind == pytest.approx([blind[-1]] * 5, abs=1e-5)
    assert seen != pytest.approx(blind[-1], abs=1e-5)


def test_a_synopsis_of_ten_thousand_words_is_truncated(run: Path, tmp_path: Path) -> None:
    long = " ".join(["ghost"] * 10_000)
    rows = write_rows(tmp_path / "new.jsonl", {"synopsis": long}, {"synopsis": long[: len(long) // 2]})
    predict(run, input=rows, output=tmp_path / "out.jsonl")
    first, second = pl.read_ndjson(tmp_path / "out.jsonl")["prediction"].to_list()
    assert first == pytest.approx(second, abs=1e-5), "both are cut to the same tokens"


def test_invalid_titles_are_dropped_and_counted(anirec: Anirec, place: Path) -> None:
    """An unknown score, missing and damaged portraits, and a cyclic franchise; the model trains on the rest."""
    write_animepop(place / "data" / "animepop")
    printed = anirec(
        *("run", "dataset=animepop", "split=cluster", "trainer=cpu", "model=fusion_portraits", "encoders=tiny"),
        *("model.training.epochs=1", "metrics.interval=null"),
    ).stderr
    assert "1 of 60 pictures cannot be read and are left out" in printed
    assert "2.png: damaged" in printed
    (run,) = runs(place, "fusion_portraits", dataset="animepop")
    data = content(run, "provenance.json")["data"]
    assert data["removed"]["titles_read"] == 62
    assert data["removed"]["character_portrait"] == 1
    assert data["removed"]["score"] == 1
    assert data["removed"]["main_character"] == 1
    assert data["removed"]["titles_kept"] == 60
    predictions = pl.read_parquet(run / "predictions.parquet")
    cycle = predictions.filter(pl.col("item_id") <= 3)
    assert cycle["cluster"].n_unique() <= 1
    assert cycle["split"].n_unique() <= 1


def write_animepop(folder: Path) -> None:
    """Write a dump: titles 1 to 3 share characters in a cycle, 61 has no score, and the character of 62 no portrait."""
    casts = {1: [1, 2], 2: [2, 3], 3: [3, 1], **{title: [title] for title in range(4, 61)}, 61: [61], 62: [64]}
    folder.mkdir(parents=True)
    titles = ["MAL ID,Title,Score,Synopsis,Main Characters"]
    for title, cast in casts.items():
        score = "Unknown" if title == 61 else str(5 + title % 40 / 10)
        titles.append(f'{title},Title {title},{score},"{" ".join(["ghost"] * 25)}","{cast}"')
    characters = ["MAL ID,Name,Description", *(f"{number},Name,A ghost." for number in range(1, 65))]
    for part, rows in (("train", slice(None)), ("test", slice(0, 1))):
        (folder / f"Anime_{part}.csv").write_text("\n".join(titles[rows]) + "\n")
        (folder / f"Char_{part}.csv").write_text("\n".join(characters[rows]) + "\n")
    for number in range(1, 64):
        path = Path(picture(folder / "char train" / f"{number}.png", colour=f"hsl({number * 5}, 80%, 50%)"))
        if number == 2:
            path.write_bytes(path.read_bytes()[:60])
