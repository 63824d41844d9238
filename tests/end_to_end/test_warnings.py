"""Commands on a dump with unreadable rows: each warning is shown once per command, over all jobs and processes."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .conftest import Anirec

N_USERS, N_ITEMS = 60, 30


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """The files of mal_2016 with a non-numeric rating, a short row and a non-numeric number of episodes."""
    folder, random = tmp_path / "data" / "mal-2016", np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = [
        f"{user},{item},{random.integers(1, 11)}"
        for user in range(1, N_USERS + 1)
        for item in random.choice(N_ITEMS, 12, replace=False) + 1
    ]
    (folder / "rating.csv").write_text("\n".join(["user_id,anime_id,rating", *rows, "2,20,x", "3,20", ""]))
    titles = [f"{item},Anime {item},Comedy,TV,{'soon' if item == 2 else 12},7.5,10" for item in range(1, N_ITEMS + 1)]
    head = "anime_id,name,genre,type,episodes,rating,members"
    (folder / "anime.csv").write_text("\n".join([head, *titles, ""]))
    return tmp_path


def warnings_of(stderr: str) -> list[str]:
    lines = [re.sub(r"^job \d+: ", "", line) for line in stderr.splitlines()]  # of a job in another process
    return [line for line in lines if line.startswith("warning: ")]


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=local", "hydra.launcher.n_jobs=2"]], ids=["basic", "local"])
def test_each_warning_is_shown_once_per_sweep(
    anirec_in: Callable[..., Anirec], dump: Path, launcher: list[str]
) -> None:
    anirec = anirec_in(dump, ANIREC_DATA="data", ANIREC_CACHE=str(dump / "cache"))
    done = anirec(
        *(
            "run",
            "-m",
            "dataset=mal_2016",
            "model=popularity",
            "trainer=cpu",
            "split.seed=1,2,3",
            "select=best",
            *launcher,
        ),
        cold=bool(launcher),  # the processes of a sweep do not start from a forked one
    )
    shown = warnings_of(done.stderr)
    assert len(set(shown)) == len(shown)
    assert [
        sum(words in line for line in shown) for words in ("rows could not be read", "cells could not be read")
    ] == [
        1,
        1,
    ]
    assert done.stderr.count("could not be read") == 2
    (run,) = sorted(path.parent for path in dump.glob("outputs/mal_2016/popularity/*/predictions.parquet"))[:1]
    for command in (["data", "describe", "mal_2016"], ["data", "prepare", "mal_2016"]):
        assert sorted(warnings_of(anirec(*command).stderr)) == sorted(line for line in shown if "be read" in line)
    recommended = warnings_of(anirec("recommend", str(run), "--user", "1").stderr)
    assert len(set(recommended)) == len(recommended)
