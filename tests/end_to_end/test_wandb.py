"""Offline W&B runs, read from the file that `wandb sync` would upload."""

import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import wandb
from hydra.utils import instantiate
from omegaconf import OmegaConf
from wandb.proto.wandb_internal_pb2 import Record

from anirec.config.compose import conf_folder
from anirec.tracking.folders import Pruned
from anirec.tracking.loggers import loggers_of_run
from anirec.tracking.run_folder import RunFolder

from .conftest import SMALL, Anirec, content, runs

OFFLINE = ["logger=wandb", "logger.wandb.offline=true"]
HEADER, BLOCK = struct.Struct("<IHB"), 1 << 15  # checksum, length, kind; kinds 2 and 3 begin and continue a record
FULL, LAST = 1, 4


@pytest.fixture
def anirec(anirec_in: Callable[..., Anirec], tmp_path: Path) -> Anirec:
    """`anirec` in new processes: W&B starts helpers and ends them when Python exits."""
    return anirec_in(tmp_path, cold=True)


def files(run: Path) -> list[Path]:
    return sorted(run.glob("wandb/offline-run-*/*.wandb"))


def records(path: Path) -> list[Record]:
    """Read the records of an offline run: protobuf messages in LevelDB's log format, after a header of seven bytes."""
    written, place, message, found = path.read_bytes(), 7, b"", []
    while place < len(written):
        left = BLOCK - place % BLOCK
        if left < HEADER.size:
            place += left
            continue
        _, length, kind = HEADER.unpack_from(written, place)
        place += HEADER.size
        message += written[place : place + length]
        place += length
        if kind in (FULL, LAST):
            found.append(Record.FromString(message))
            message = b""
    return found


def of_kind(path: Path, kind: str) -> list[Any]:
    return [getattr(record, kind) for record in records(path) if record.HasField(kind)]


def values(items: Any) -> dict[str, Any]:
    """Return keys and values of a config, a summary or a row of the history; nested keys are joined by dots."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def updates(path: Path, kind: str) -> dict[str, Any]:
    """Return the final value of each key of the config or summary."""
    found: dict[str, Any] = {}
    for update in of_kind(path, kind):
        found |= values(update.update)
    return found


def test_an_offline_run_is_complete_and_sends_nothing(anirec: Anirec, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        more = ["logger.wandb.log_model=best", "logger.wandb.log_predictions=50", "tags=[mine]"]
        proxies = {"HTTPS_PROXY": address, "HTTP_PROXY": address}
        anirec("run", *SMALL, "model=svd", "model.epochs=3", *OFFLINE, *more, **proxies)
        proxy.settimeout(0)
        try:
            raise AssertionError(f"somebody called: {proxy.accept()[0].recv(100)!r}")
        except BlockingIOError:
            pass
    (run,) = runs(tmp_path)
    (path,) = files(run)
    metrics, provenance = content(run, "metrics.json"), content(run, "provenance.json")

    (begun, *_) = of_kind(path, "run")
    assert (begun.project, begun.job_type, begun.run_group) == ("anirec", "train", "")
    assert begun.display_name == str(run.relative_to(tmp_path / "outputs"))
    assert list(begun.tags) == ["mine", "demo_ratings", "svd", "random"]

    config = updates(path, "config")
    assert config["model"]["epochs"] == 3
    assert config["provenance"]["identity"]["run"] == provenance["identity"]["run"]
    assert config["provenance"]["split"]["fingerprint"] == provenance["split"]["fingerprint"]

    rows = [values(row.item) for row in of_kind(path, "history")]
    assert [row["epoch"] for row in rows if "val/rmse" in row] == [0, 1, 2]
    axes = {metric.name or metric.glob_name: metric.step_metric for metric in of_kind(path, "metric")}
    assert axes["*"] == axes["val/rmse"] == "epoch"

    summary = updates(path, "summary")
    assert summary["val/rmse"]["final"] == metrics["val/rmse"]
    assert summary["val/rmse"]["min"] <= metrics["val/rmse"]
    assert summary["test/rmse"] == metrics["test/rmse"]
    assert summary["fit_seconds"] == provenance["fit_seconds"]
    assert (summary["predictions_shown"], summary["predictions.nrows"]) == (50, 50)
    assert summary["predictions_of"] > 50
    table = json.loads((path.parent / "files" / summary["predictions.path"]).read_text())
    assert table["columns"][:2] == ["user_id", "item_id"]

    artifacts = {artifact.type: artifact for artifact in of_kind(path, "artifact")}
    assert set(artifacts) == {"run_table", "model"}
    model = artifacts["model"]
    assert "best" in model.aliases
    assert json.loads(model.metadata)["metrics"]["test/rmse"] == metrics["test/rmse"]
    assert Path(model.manifest.contents[0].local_path) == run / "checkpoints" / "best.ckpt"

    assert not list(path.parent.glob("files/**/*.py")) + list(path.parent.glob("files/**/*.patch"))
    assert of_kind(path, "exit")[0].exit_code == 0


def test_a_failed_run_is_marked_as_failed(anirec: Anirec, tmp_path: Path) -> None:
    anirec("run", *SMALL, "model=svd", "model.lr=50", *OFFLINE, expect=1)
    (run,) = runs(tmp_path)
    (path,) = files(run)
    assert content(run, "status.json")["state"] == "failed"
    assert of_kind(path, "exit")[0].exit_code == 1


def test_the_jobs_of_a_sweep_are_a_group_of_runs_with_figures(anirec: Anirec, tmp_path: Path) -> None:
    small = ["dataset.source.n_titles=150", "trainer=cpu"]
    anirec("run", "-m", *small, "model=mean,tfidf_ridge", *OFFLINE, "logger.wandb.log_predictions=0")
    (sweep,) = tmp_path.glob("outputs/sweeps/*")
    begun = []
    for run in (sweep / "0000", sweep / "0001"):
        (path,) = files(run)
        begun.append(of_kind(path, "run")[0])
        summary = updates(path, "summary")
        shown = {key.split(".")[0].removeprefix("figures/") for key in summary if key.startswith("figures/")}
        assert shown == {figure.stem for figure in run.glob("figures/*.png")} != set()
        assert not any(key.startswith("predictions") for key in summary)
        assert list(path.parent.glob("files/media/images/**/*.png"))
        assert of_kind(path, "exit")[0].exit_code == 0
    assert [run.run_group for run in begun] == [sweep.name, sweep.name]
    assert begun[0].run_id != begun[1].run_id
    assert "tfidf_ridge" in begun[1].tags


@pytest.mark.slow
def test_a_killed_run_leaves_no_processes_and_resumes_the_same_wandb_run(anirec: Anirec, tmp_path: Path) -> None:
    command = ["run", *SMALL, "model=svd", "model.epochs=1000", "metrics=ratings_only", *OFFLINE]
    process = subprocess.Popen([sys.executable, "-m", "anirec", *command], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (runs(tmp_path) and (runs(tmp_path)[0] / "checkpoints" / "last.ckpt").exists()):
        assert process.poll() is None
        time.sleep(0.01)
    helpers = psutil.Process(process.pid).children(recursive=True)
    assert helpers
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(helpers, timeout=30)[1]
    anirec(*command, "resume=true")
    (run,) = runs(tmp_path)
    before, after = files(run)
    assert before.name == after.name == f"run-{of_kind(after, 'run')[0].run_id}.wandb"
    assert of_kind(after, "exit")[0].exit_code == 0


def test_an_interrupted_run_is_not_marked_as_finished(tmp_path: Path) -> None:
    command = ["run", *SMALL, "model=svd", "model.epochs=3000", "metrics=ratings_only", *OFFLINE]
    process = subprocess.Popen([sys.executable, "-m", "anirec", *command], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (runs(tmp_path) and (runs(tmp_path)[0] / "checkpoints" / "last.ckpt").exists()):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)  # as a W&B agent ends a poor trial
    assert process.wait(60) != 0
    (path,) = files(runs(tmp_path)[0])
    assert of_kind(path, "exit")[0].exit_code != 0


def test_a_pruned_trial_is_tagged_and_not_failed(tmp_path: Path) -> None:
    settings = OmegaConf.load(conf_folder() / "logger" / "wandb.yaml").wandb
    settings.update({"folder": str(tmp_path), "metrics": ["rmse"], "name": "trial", "group": None, "tags": ["mine"]})
    with suppress(Pruned), loggers_of_run() as loggers, RunFolder(tmp_path, config="", about={}):
        loggers.append(instantiate(settings, offline=True, _convert_="all"))
        loggers[0].log_metrics({"val/rmse": 1.5, "epoch": 0}, step=0)
        raise Pruned("worse than the median")
    wandb.teardown()  # the process of W&B that writes the file must have ended
    (path,) = files(tmp_path)
    assert list(of_kind(path, "run")[-1].tags) == ["mine", "pruned"]
    assert of_kind(path, "exit")[0].exit_code == 0


@pytest.mark.slow
def test_without_login_or_server_nothing_is_trained_and_no_prompt_is_shown(anirec: Anirec, tmp_path: Path) -> None:
    online = {"HOME": str(tmp_path), "WANDB_MODE": "online", "WANDB_HTTP_TIMEOUT": "2"}
    nobody = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    command = ["run", *SMALL, "model=svd", "logger=wandb"]
    output = anirec(*command, expect=2, **online).stderr
    assert "wandb login" in output
    assert "logger.wandb.offline=true" in output
    output = anirec(*command, expect=1, **online, **nobody).stderr
    assert "http://127.0.0.1:9" in output
    for run in runs(tmp_path):
        assert content(run, "status.json")["state"] == "failed"
        assert not (run / "checkpoints").exists()


def test_wandb_is_imported_only_for_its_logger() -> None:
    check = "import sys, anirec.sweeps.jobs, anirec.tracking.loggers; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
