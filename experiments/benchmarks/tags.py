"""Regression of scores on tags: our one pass against scikit-learn's PCA and OLS on the dense matrix, and growth.

python -m experiments.benchmarks.tags     generates two million posts first; each measurement runs in a new process
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
from experiments.benchmarks.options import create_parser
from experiments.benchmarks.ratings import compose_config, create_model
from experiments.benchmarks.training import train

SIZES = (500_000, 1_000_000, 2_000_000)
COMPARED = 20_000  # posts whose predictions are compared
COMPONENTS = 100


def main() -> None:
    create_parser(__doc__).parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        data = generate_posts(SIZES[-1], folder, sampled=True)
        n, uses = len(data.train), data.tags["n_posts"].sum()
        took = time.perf_counter() - started
        console.print(f"  {SIZES[-1]:,} posts generated and prepared: {took:.0f} s", style="dim")
        measured = {who: measure_in_process(who, SIZES[-1], folder) for who in ("ours", "theirs")}
        table = Table("", "fit, seconds", "peak MB", title=f"PCA and OLS, {n:,} posts x {len(data.tags):,} tags")
        for who, name in (("ours", "anirec"), ("theirs", "scikit-learn, dense")):
            table.add_row(name, f"{measured[who]['seconds']:.2f}", f"{measured[who]['megabytes']:,.0f}")
        ratios = {key: measured["theirs"][key] / measured["ours"][key] for key in ("seconds", "megabytes")}
        table.add_row("ratio", f"{ratios['seconds']:.0f} x", f"{ratios['megabytes']:.0f} x")
        console.print(table)
        difference = np.abs(np.subtract(*(np.load(f"{folder}/{who}.npy") for who in ("ours", "theirs")))).max()
        console.print(f"The predictions for {COMPARED:,} posts differ by at most {difference:.1e} points.")
        growth = Table(
            "posts", "seconds", "µs per post", "peak MB", title=f"Growth, {uses / SIZES[-1]:.1f} tags per post"
        )
        for n_posts in SIZES:
            generate_posts(n_posts, folder, sampled=False)
            found = measure_in_process("growth", n_posts, folder)
            each = f"{found['seconds']:.2f}", f"{found['seconds'] / n_posts * 1e6:.2f}"
            growth.add_row(f"{n_posts:,}", *each, f"{found['megabytes']:,.0f}")
        console.print(growth)


def generate_posts(n_posts: int, cache: str, *, sampled: bool) -> Posts:
    """Generate posts; the training posts are sampled as in the publication, or all of them."""
    zeros = "20000" if sampled else "null"
    chosen = ("model=tag_pca_ols", f"dataset.source.n_posts={n_posts}", "dataset.sampling.ones=null")
    config = compose_config(*chosen, f"dataset.sampling.zeros={zeros}")
    data: Posts = instantiate(config.dataset, split=config.split, cache=cache, _convert_="all")
    data.setup("fit")
    data.train = np.flatnonzero(data.sampled())
    return data


def measure_in_process(what: str, n_posts: int, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "experiments.benchmarks.tags", what, str(n_posts), folder]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def measure(what: str, n_posts: int, folder: str) -> dict[str, float]:
    """Measure the seconds and the peak memory of the fit after a warm-up, and save predictions to compare."""
    data = generate_posts(n_posts, folder, sampled=what != "growth")
    every, data.train = data.train, data.train[:20_000]
    train(create_regression(), data)  # warm-up
    data.train = every
    few = next(iter(data.blocks(every[:COMPARED], rows=COMPARED)))
    before, memory = PeakMemory().peak_mb(), PeakMemory()
    if what == "theirs":
        took, predicted = fit_dense(data, every)
    else:
        regression = create_regression()
        started = time.perf_counter()
        train(regression, data)
        took = time.perf_counter() - started
        with torch.no_grad():
            predicted = regression(few).numpy()
    np.save(Path(folder) / f"{what}.npy", predicted)
    return {"seconds": took, "megabytes": memory.peak_mb() - before}


def create_regression() -> Any:
    return create_model("tag_pca_ols", f"components={COMPONENTS}")


def fit_dense(data: Posts, index: Any) -> tuple[float, Any]:
    """Return seconds and predictions of scikit-learn on the dense matrix, whose construction is not measured."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    x = data.rows.select(index, data.columns).matrix().toarray()
    started = time.perf_counter()
    regression = make_pipeline(PCA(COMPONENTS), LinearRegression()).fit(x, data.score[index])
    return time.perf_counter() - started, regression.predict(x[:COMPARED])


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
    else:
        main()
