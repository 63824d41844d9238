"""Speed of score models: fine-tuning against a plain training loop, frozen encoders, ridge against scikit-learn.

python -m experiments.benchmarks.scores                                   on the CPU
python -m experiments.benchmarks.scores --device cuda --batch-size 64     on a GPU
"""

import tempfile
import time
import warnings
from statistics import median
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from anirec.data.titles.datamodule import Corpus
from anirec.data.titles.loaders import TitleBatch
from experiments.benchmarks.options import create_parser
from experiments.benchmarks.ratings import compose_config
from experiments.benchmarks.training import EpochSeconds, seconds, side_by_side, train

MAX_TOKENS = 256


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = create_parser(__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="default: cpu")
    parser.add_argument("--precision", default=None, help="default: bf16-mixed on cuda, 32-true on cpu")
    parser.add_argument("--encoder", default="minilm", help="text encoder of the synopses; default: minilm")
    parser.add_argument("--batch-size", type=int, default=8, help="titles at once; default: 8")
    parser.add_argument("--titles", type=int, default=400, help="number of titles, of which 70 %% are for training")
    arguments = parser.parse_args()
    precision = arguments.precision or ("bf16-mixed" if arguments.device == "cuda" else "32-true")
    console = Console()
    with tempfile.TemporaryDirectory() as cache:
        data = generate_corpus(arguments.titles, cache)
        console.print(measure_fine_tuning(data, arguments.device, precision, arguments.encoder, arguments.batch_size))
        console.print(measure_frozen(data, arguments.encoder))
        console.print(measure_ridge(data))


def generate_corpus(n_titles: int, cache: str) -> Corpus:
    """Generate titles with synopses of 30 to 200 words."""
    config = compose_config("dataset=demo_corpus", "task@_global_=scores", f"dataset.source.n_titles={n_titles}")
    data: Corpus = instantiate(config.dataset, split=config.split, cache=cache, _convert_="all")
    data.prepare_data()
    data.setup("fit")
    return data


def create_model(name: str, *overrides: str) -> Any:
    return instantiate(compose_config(f"model={name}", "encoders=own", *overrides).model, _convert_="all")


def measure_fine_tuning(data: Corpus, device: str, precision: str, encoder: str, batch_size: int) -> Table:
    """Measure samples/s and share of peak FLOP/s of our epoch, and of a plain loop over rows padded to `MAX_TOKENS`."""
    model = create_model(
        "bert",
        f"model.branches.synopsis.encoder={encoder}",
        "model.branches.synopsis.pooling=mean",
        f"model.training.batch_size={batch_size}",
    )
    timer = EpochSeconds()
    train(model, data, epochs=2, callbacks=(timer,), device=device, precision=precision)
    n, ours = len(data.train), timer.seconds[-1]  # the first epoch warms up
    tokens = int(model.branch("synopsis").lengths()[data.train].sum())
    theirs = plain_loop(model, data, device, precision, batch_size)
    flops = 6 * n_weights(model) * tokens
    peak = matrix_flops(device, precision)
    table = Table("", "samples/s", "share of peak", title=f"Fine-tuning {encoder}, {n} titles, {device}")
    table.add_row("anirec, batches of similar length", f"{n / ours:.1f}", f"{flops / ours / peak:.0%}")
    table.add_row(f"rows padded to {MAX_TOKENS}", f"{n / theirs:.1f}", f"{flops / theirs / peak:.0%}")
    table.add_row("ratio", f"{theirs / ours:.1f} x", f"peak: {peak / 1e12:.2f} TFLOP/s in matrix products")
    return table


def n_weights(model: Any) -> int:
    """Return the number of weights that every token is multiplied with: all except embeddings."""
    parameters = model.named_parameters()
    return sum(weight.numel() for name, weight in parameters if weight.ndim > 1 and "embedding" not in name)


def plain_loop(model: Any, data: Corpus, device: str, precision: str, batch_size: int) -> float:
    """Return the seconds of an epoch as in tutorials: shuffled rows, all padded to `MAX_TOKENS`."""
    from anirec.features.tokens import Reading

    branch = model.branch("synopsis").to(device)
    model.to(device).train()
    reading = branch.reading(branch.recipe)
    settings = {**vars(reading), "pad_batch": True, "width": MAX_TOKENS}
    branch.reading = lambda _: Reading(**settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    order = np.random.default_rng(0).permutation(data.train)
    started = time.perf_counter()
    for start in range(0, len(order), batch_size):
        index = torch.from_numpy(order[start : start + batch_size])
        score = torch.from_numpy(data.score[index.numpy()]).to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision.startswith("bf16")):
            loss = model.unit_mse(model(TitleBatch(index, score)), score)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matrix_flops(device: str, precision: str, size: int = 2048) -> float:
    """Return the FLOP/s of the device in matrix products of this precision."""
    dtype = torch.bfloat16 if precision.startswith("bf16") else torch.float32
    a = torch.randn(size, size, device=device, dtype=dtype)

    def product() -> None:
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()

    return 2 * size**3 / median(seconds(product, repeat=7)[2:])


def measure_frozen(data: Corpus, encoder: str) -> Table:
    """Measure how long a frozen encoder takes for all titles, first without and then with the cache."""
    took = []
    for _ in range(2):
        branch = create_model("fusion_synopsis", f"model.branches.synopsis.encoder={encoder}").branch("synopsis")
        branch.fit(data.titles[data.train])
        took += seconds(lambda b=branch: b.look(data.titles, cache=data.cache, device=torch.device("cpu")))
    table = Table("", "seconds", title=f"Frozen {encoder}, first four layers, {len(data.titles)} titles")
    table.add_row("first run", f"{took[0]:.2f}")
    table.add_row("later runs (cached)", f"{took[1]:.4f}")
    table.add_row("ratio", f"{took[0] / took[1]:,.0f} x")
    return table


def measure_ridge(data: Corpus) -> Table:
    """Measure the fit of TF-IDF and ridge in anirec, and in scikit-learn with its default solver."""
    train = data.titles[data.train]
    score = torch.from_numpy(train["score"].to_numpy(writable=True))

    models = [create_model("tfidf_ridge") for _ in range(6)]

    def ours() -> None:
        model = models.pop()
        model.fit(train)
        model.look(train, cache=data.cache, device=torch.device("cpu"))
        model.configure_model()
        model.learn(TitleBatch(torch.arange(len(train)), score))

    def theirs() -> None:
        terms = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(train["synopsis"])
        Ridge(alpha=1.0).fit(terms, score.numpy())

    our_seconds, their_seconds = side_by_side(lambda: seconds(ours, repeat=3), lambda: seconds(theirs, repeat=3))
    table = Table("", "seconds", title=f"TF-IDF and ridge, {len(train)} titles")
    table.add_row("anirec", f"{our_seconds:.3f}")
    table.add_row("scikit-learn", f"{their_seconds:.3f}")
    return table


if __name__ == "__main__":
    main()
