"""Sequence models on a planted order: hit rate, new users, a killed run, and two processes."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from .conftest import Anirec, content, runs

DATASET = ["dataset=demo_sequences", "dataset.source.n_users=800", "dataset.source.n_items=100", "trainer=cpu"]
RUN = ["run", *DATASET, "dataset.source.length=15", "split=last_k", "objective=null"]
SHORT = [*RUN, "model=sasrec", "model.n_factors=32", "model.training.epochs=15"]
HIT_RATE = "test/hit_rate@10"


@pytest.fixture(scope="module")
def made(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    anirec = anirec_in(folder)
    anirec(*SHORT)
    anirec(*RUN, "model=ease")
    return folder


@pytest.mark.slow
def test_sasrec_is_near_the_best_reachable_hit_rate_and_ease_is_not(made: Path) -> None:
    sasrec, ease = (content(*runs(made, model, "demo_sequences"), "metrics.json") for model in ("sasrec", "ease"))
    best = sasrec["ceiling/hit_rate@10/next"]
    assert 0.9 * best < sasrec[HIT_RATE] < best
    assert ease[HIT_RATE] < 0.6 * best


@pytest.mark.slow
def test_the_newest_title_of_a_new_user_decides(made: Path, anirec_in: Callable[..., Anirec]) -> None:
    (run,) = runs(made, "sasrec", "demo_sequences")
    anirec = anirec_in(made)
    lists = []
    for likes in ("#7=8; #12=8", "#12=8; #7=8"):
        anirec("recommend", str(run), "--likes", likes, "-k", "10", "--csv", "list.csv")
        lists.append(pl.read_csv(made / "list.csv")["item_id"].to_list())
        assert not set(lists[-1]) & {7, 12}
    assert len(set(lists[0]) - set(lists[1])) > 2


@pytest.mark.slow
def test_a_killed_run_is_resumed_to_equal_results(made: Path, anirec_in: Callable[..., Anirec], tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "anirec", *SHORT], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("outputs/*/*/*/checkpoints/last.ckpt")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    anirec_in(tmp_path)(*SHORT, "resume=true")
    (killed,), (whole,) = (runs(folder, "sasrec", "demo_sequences") for folder in (tmp_path, made))
    assert content(killed, "metrics.json") == content(whole, "metrics.json")


@pytest.mark.slow
def test_two_processes_learn_as_one(made: Path, anirec: Anirec, tmp_path: Path) -> None:
    """Each process takes half of the batches, of half the size."""
    halves = ["model.training.batch_size=16", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    anirec(*SHORT, *halves, cold=True)
    (two,), (one,) = (runs(folder, "sasrec", "demo_sequences") for folder in (tmp_path, made))
    assert content(two, "metrics.json")[HIT_RATE] == pytest.approx(content(one, "metrics.json")[HIT_RATE], abs=0.05)
