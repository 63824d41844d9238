"""What each command imports: heavy libraries only where they are used, as they cost seconds."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from .conftest import SMALL, Anirec, runs

HEAVY = (
    *("torch", "torch._dynamo", "torch._inductor", "torchvision", "transformers", "timm", "pytorch_lightning"),
    *("numba", "pandas", "scipy.sparse", "scipy.stats", "sklearn", "matplotlib", "plotly", "wandb", "optuna", "sympy"),
)
LIGHTNING = {"torch", "pytorch_lightning"}
TRAINING = LIGHTNING | {"numba", "scipy.sparse", "matplotlib"}
REPORT = "anirec-imported:"
# Prints which heavy modules are in `sys.modules` when the command ends.
CODE = f"""
import atexit, sys
atexit.register(lambda: print("{REPORT}", *(name for name in {HEAVY} if name in sys.modules)))
from anirec.cli import main
main()
"""


@pytest.fixture(scope="module")
def place(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of ease and one of bias, and rows to predict."""
    folder = tmp_path_factory.mktemp("imports")
    call = anirec_in(folder)
    call("run", "-m", *SMALL, "model=ease,bias")
    (ease,) = runs(folder, "ease")
    pl.read_parquet(ease / "predictions.parquet").select("user_id", "item_id").head(5).write_csv(folder / "rows.csv")
    return folder


COMMANDS: dict[str, tuple[list[str], int, set[str]]] = {
    "run": (["run", *SMALL, "model=popularity", "seed=7"], 0, TRAINING),
    "an unknown key": (["run", *SMALL, "model.dampin=1"], 2, set()),
    "a missing dump": (["run", "dataset=mal_2016", "paths.data=nowhere"], 1, set()),
    "skip_done": (["run", *SMALL, "model=ease", "sweep.skip_done=true"], 0, set()),
    "validate": (["validate", *SMALL], 0, set()),
    "predict": (["predict", "{ease}", "--input", "rows.csv", "--output", "out.csv"], 0, LIGHTNING),
    "recommend": (["recommend", "{ease}", "--user", "{user}"], 0, LIGHTNING),
    "an unknown title": (["recommend", "{ease}", "--likes", "No such title=9"], 2, set()),
    "an unknown user": (["recommend", "{ease}", "--user", "nobody"], 2, set()),
    "an unknown genre": (["recommend", "{ease}", "--user", "{user}", "--genre", "Dramma"], 2, set()),
    "explain of a rating model": (["explain", "{ease}", "--item", "1"], 2, set()),
    "compare": (["compare", "outputs"], 0, set()),
    "select": (["select", "outputs/demo_ratings"], 0, set()),
    "data list": (["data", "list"], 0, set()),
    "data describe": (["data", "describe", "demo_ratings"], 0, set()),
    "study": (["study", "malsugoi", "--dry"], 0, set()),
    "help": (["--help"], 0, set()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_only_what_it_uses(name: str, place: Path) -> None:
    arguments, status, allowed = COMMANDS[name]
    (ease,) = runs(place, "ease")
    user = str(pl.read_csv(place / "rows.csv")["user_id"][0])
    line = [argument.format(ease=ease, user=user) for argument in arguments]
    done = subprocess.run([sys.executable, "-c", CODE, *line], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    imported = set(done.stdout.rpartition(REPORT)[2].split())
    assert imported <= allowed
    assert "GPU available" not in done.stderr  # log messages of Lightning, wherever it is imported
