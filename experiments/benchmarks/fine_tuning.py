"""Fine-tuning of encoders of published sizes, beside the Trainer of transformers with the same batches.

    python -m experiments.benchmarks.fine_tuning
    python -m experiments.benchmarks.fine_tuning --titles 64 --small

The second command shows on the CPU that it works, not how fast it is.

The encoders have the shapes of BERT (base), GPT-2 (small) and ResNet-50, and random weights: a step takes as long as
with pretrained ones, and nothing is downloaded. Both sides train the same network on the same batches in the same
precision, with AdamW, and load no other data. "of peak" is the share of the speed of a product of large random matrices
in that precision on the same device; the operations of forward and backward passes are counted by torch.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from anirec.data.titles.datamodule import Corpus
from anirec.data.titles.loaders import TitleBatch
from experiments.benchmarks.options import create_parser
from experiments.benchmarks.output import write_machine, write_table
from experiments.benchmarks.ratings import compose_config
from experiments.benchmarks.scores import matrix_flops
from experiments.benchmarks.training import EpochSeconds, train

EPOCHS = 3  # the last one is reported; the first compiles and allocates
SMALL: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
SMALL_GPT2: dict[str, Any] = {"n_embd": 64, "n_layer": 2, "n_head": 2}
NETWORKS: dict[str, tuple[str, ...]] = {
    "bert": ("model=bert", "encoders.text={bert}"),
    "gpt2": ("model=bert", "encoders.text={gpt2}", "encoders.pooling=last"),
    "fusion": (
        "model=fusion",
        "encoders.text={bert}",
        "encoders.picture={resnet}",
        "encoders.layers=null",
        "encoders.frozen=false",
        "model.branches.portraits.frozen=false",
    ),
}


class Wrapped(nn.Module):
    """A network of anirec in the form that the Trainer of transformers expects."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, index: Tensor, score: Tensor) -> dict[str, Tensor]:
        return {"loss": self.model.unit_mse(self.model(TitleBatch(index, score)), score)}


def main(arguments: Sequence[str] | None = None) -> None:
    warnings.filterwarnings("ignore")
    parser = create_parser(__doc__)
    parser.add_argument("--titles", type=int, default=3000, help="number of titles, of which 70 %% are for training")
    parser.add_argument("--batch-size", type=int, default=64, help="titles at once; default: 64")
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=NETWORKS,
        default=list(NETWORKS),
        metavar="NAME",
        help=f"of {', '.join(NETWORKS)}; default: all",
    )
    parser.add_argument("--small", action="store_true", help="two layers of width 64, and a ResNet-18")
    given = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = "bf16-mixed" if device == "cuda" else "32-true"
    started, rows = time.time(), []
    name = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    peak = matrix_flops(device, precision, 8192 if device == "cuda" else 1024)
    table = Table("network", "titles/s", "of peak", "HF Trainer", "of peak", "ratio", box=None, title=f"On {name}")
    with tempfile.TemporaryDirectory() as folder:
        data = corpus(given, folder)
        encoders = build_encoders(data, Path(folder), small=given.small)
        for network in given.networks:
            row = measure(network, data, encoders, rows=given.batch_size, device=device, precision=precision, peak=peak)
            rows.append(row)
            table.add_row(
                network,
                f"{row['titles_per_second']:.0f}",
                f"{row['share_of_peak']:.1%}",
                f"{row['hf_titles_per_second']:.0f}",
                f"{row['hf_share_of_peak']:.1%}",
                f"{row['ratio']:.2f}",
            )
    console = Console(width=80)
    console.print(table)
    write_table("fine_tuning", rows)
    write_machine("fine_tuning", time.time() - started)
    console.print(f"Peak: {peak / 1e12:.0f} TFLOP/s in products of {precision} matrices.", style="dim")


def corpus(given: argparse.Namespace, folder: str) -> Corpus:
    """Generate titles with synopses of 30 to 200 words, characters and portraits."""
    n = f"dataset.source.n_titles={given.titles}"
    config = compose_config("dataset=demo_corpus", "model=fusion", n)
    data: Corpus = instantiate(config.dataset, split=config.split, cache=folder, _convert_="all")
    data.prepare_data()
    data.setup("fit")
    return data


def build_encoders(data: Corpus, folder: Path, *, small: bool) -> dict[str, Path]:
    """Write encoders with random weights, in the layout of the Hugging Face hub; return their folders by name."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import (
        BertConfig,
        BertModel,
        ConvNextImageProcessor,
        GPT2Config,
        GPT2Model,
        PreTrainedTokenizerFast,
        ResNetConfig,
        ResNetModel,
    )

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.train_from_iterator(data.titles["synopsis"].drop_nulls(), trainers.WordPieceTrainer(special_tokens=special))
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=512,
    )
    resnet: dict[str, Any] = (
        {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"} if small else {}
    )
    torch.manual_seed(1)
    built: dict[str, Any] = {
        "bert": BertModel(BertConfig(**(SMALL if small else {}))),
        "gpt2": GPT2Model(GPT2Config(**(SMALL_GPT2 if small else {}))),
        "resnet": ResNetModel(ResNetConfig(**resnet)),
    }
    for name, model in built.items():
        model.save_pretrained(folder / name)
        if name == "resnet":
            ConvNextImageProcessor(size={"shortest_edge": 224}).save_pretrained(folder / name)
        else:
            tokenizer.save_pretrained(folder / name)
    return {name: folder / name for name in built}


def measure(
    network: str, data: Corpus, encoders: dict[str, Path], *, rows: int, device: str, precision: str, peak: float
) -> dict[str, Any]:
    """Train with both trainers; return titles per second and shares of the device's peak."""
    ours, model = with_lightning(create(network, encoders, rows), data, device, precision)
    batches = list(model.batches(data, 0, 1))
    operations = sum(count_operations(model.to(device), batch, device, precision) for batch in batches)
    theirs = with_transformers(model, batches, device, precision)
    n = len(data.train)
    return {
        "network": network,
        "titles_per_second": n / ours,
        "share_of_peak": operations / ours / peak,
        "hf_titles_per_second": n / theirs,
        "hf_share_of_peak": operations / theirs / peak,
        "ratio": theirs / ours,
        "teraflop_per_epoch": operations / 1e12,
        "precision": precision,
        "batch_size": rows,
    }


def create(network: str, encoders: dict[str, Path], rows: int) -> Any:
    chosen = [override.format(**encoders) for override in NETWORKS[network]]
    chosen = [f"+{override}" if override.startswith("encoders.") else override for override in chosen]
    config = compose_config("dataset=demo_corpus", "encoders=own", *chosen, f"model.training.batch_size={rows}")
    return instantiate(config.model, _convert_="all")


def with_lightning(model: Any, data: Corpus, device: str, precision: str) -> tuple[float, Any]:
    """Train as `anirec run` does; return the seconds of the last epoch, and the model."""
    timer = EpochSeconds()
    train(model, data, epochs=EPOCHS, callbacks=(timer,), device=device, precision=precision)
    return timer.seconds[-1], model


def count_operations(model: Any, batch: TitleBatch, device: str, precision: str) -> int:
    """Return the floating-point operations of the forward and backward pass of a batch."""
    index, score = batch.index, batch.score.to(device)
    mixed = torch.autocast(device, dtype=torch.bfloat16) if precision.startswith("bf16") else nullcontext()
    with FlopCounterMode(display=False) as counter, mixed:
        model.unit_mse(model(TitleBatch(index, score)), score).backward()
    model.zero_grad()
    return int(counter.get_total_flops())


def with_transformers(model: Any, batches: list[TitleBatch], device: str, precision: str) -> float:
    """Train the same network with the Trainer of transformers; return the seconds of the last epoch."""
    from transformers import Trainer as HuggingFaceTrainer
    from transformers import TrainerCallback, TrainingArguments

    class SameBatches(HuggingFaceTrainer):
        def get_train_dataloader(self) -> Any:
            return Batches(batches, device)

    class Clock(TrainerCallback):
        seconds: float
        started: float

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            wait(device)
            self.started = time.perf_counter()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            wait(device)
            self.seconds = time.perf_counter() - self.started

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            num_train_epochs=EPOCHS,
            bf16=precision.startswith("bf16"),
            use_cpu=device == "cpu",
            learning_rate=2e-5,
            max_grad_norm=0.0,  # as ours, which clips no gradients by default
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        SameBatches(model=Wrapped(model), args=settings, train_dataset=[0] * len(batches), callbacks=[clock]).train()
    return clock.seconds


class Batches:
    """Batches in the form of a DataLoader."""

    def __init__(self, batches: list[TitleBatch], device: str) -> None:
        self.batches, self.device = batches, device
        self.dataset, self.batch_size = [0] * sum(len(batch.index) for batch in batches), len(batches[0].index)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in self.batches:
            yield {"index": batch.index, "score": batch.score.to(self.device)}


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
