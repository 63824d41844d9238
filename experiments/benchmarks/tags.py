"""Posts and their tags: our one pass beside scikit-learn's PCA and least squares on the dense matrix, and growth.

python -m experiments.benchmarks.tags        generates two million posts first; each measurement in a process of its own
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table

from anirec.data.posts.datamodule import Posts
from anirec.tracking.run_folder import PeakMemory
from experiments.benchmarks.ratings import composed, model
from experiments.benchmarks.training import train

SIZES = (500_000, 1_000_000, 2_000_000)
COMPARED = 20_000  # posts whose predictions are compared
COMPONENTS = 100


def main() -> None:
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        data = posts(SIZES[-1], folder, sampled=True)
        n, uses = len(data.train), data.tags["n_posts"].sum()
        took = time.perf_counter() - started
        console.print(f"  {SIZES[-1]:,} posts generated and prepared: {took:.0f} s", style="dim")
        measured = {who: in_process(who, SIZES[-1], folder) for who in ("ours", "theirs")}
        table = Table("", "fit, seconds", "peak MB", title=f"PCA and OLS, {n:,} posts x {len(data.tags):,} tags")
        for who, name in (("ours", "anirec"), ("theirs", "scikit-learn, dense")):
            table.add_row(name, f"{measured[who]['seconds']:.2f}", f"{measured[who]['megabytes']:,.0f}")
        ratios = {key: measured["theirs"][key] / measured["ours"][key] for key in ("seconds", "megabytes")}
        table.add_row("ratio", f"{ratios['seconds']:.0f} x", f"{ratios['megabytes']:.0f} x")
        console.print(table)
        apart = np.abs(np.subtract(*(np.load(f"{folder}/{who}.npy") for who in ("ours", "theirs")))).max()
        console.print(f"Predictions of {COMPARED:,} posts differ by at most {apart:.1e} points.")
        growth = Table("posts", "seconds", "µs a post", "peak MB", title=f"Growth, {uses / SIZES[-1]:.1f} tags a post")
        for n_posts in SIZES:
            posts(n_posts, folder, sampled=False)
            found = in_process("growth", n_posts, folder)
            each = f"{found['seconds']:.2f}", f"{found['seconds'] / n_posts * 1e6:.2f}"
            growth.add_row(f"{n_posts:,}", *each, f"{found['megabytes']:,.0f}")
        console.print(growth)


def posts(n_posts: int, cache: str, *, sampled: bool) -> Posts:
    """Generated posts; sampled as the published count has it, or all of them."""
    zeros = "20000" if sampled else "null"
    chosen = ("model=tag_pca_ols", f"dataset.source.n_posts={n_posts}", "dataset.sampling.ones=null")
    config = composed(*chosen, f"dataset.sampling.zeros={zeros}")
    data: Posts = instantiate(config.dataset, split=config.split, cache=cache, _convert_="all")
    data.setup("fit")
    data.train = np.flatnonzero(data.sampled())
    return data


def in_process(what: str, n_posts: int, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "experiments.benchmarks.tags", what, str(n_posts), folder]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def measure(what: str, n_posts: int, folder: str) -> dict[str, float]:
    """Seconds of the fit and the peak beyond interpreter, libraries and what is compiled; keeps predictions."""
    data = posts(n_posts, folder, sampled=what != "growth")
    every, data.train = data.train, data.train[:20_000]
    train(made(), data)  # warms up
    data.train = every
    few = next(iter(data.blocks(every[:COMPARED], rows=COMPARED)))
    before, memory = PeakMemory().peak_mb(), PeakMemory()
    if what == "theirs":
        took, predicted = dense(data, every)
    else:
        regression = made()
        started = time.perf_counter()
        train(regression, data)
        took = time.perf_counter() - started
        with torch.no_grad():
            predicted = regression(few).numpy()
    np.save(Path(folder) / f"{what}.npy", predicted)
    return {"seconds": took, "megabytes": memory.peak_mb() - before}


def made() -> Any:
    return model("tag_pca_ols", f"components={COMPONENTS}")


def dense(data: Posts, index: Any) -> tuple[float, Any]:
    """As the publication's tools would: the matrix is made beforehand, and its making is not counted."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    x = data.rows.select(index, data.columns).matrix().toarray()
    started = time.perf_counter()
    regression = make_pipeline(PCA(COMPONENTS), LinearRegression()).fit(x, data.score[index])
    return time.perf_counter() - started, regression.predict(x[:COMPARED])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
    else:
        main()
