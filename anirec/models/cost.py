"""Memory and time that training needs, as functions of the counts of the data; compared with what there is."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import nn

from anirec.errors import UserError
from anirec.memory import format_size
from anirec.notices import warn
from anirec.progress import duration

LONG = 3600.0  # seconds of training from which a warning is printed
SKEW = 3.5  # the mean rating is in a list of this times the mean length (mal_2016)
FEWER = {
    "n_items": ("titles", "dataset.min_item_ratings"),
    "n_users": ("users", "dataset.min_user_ratings"),
    "n_tags": ("tags", "dataset.tags.top"),
    "n_rows": ("rows", "a sample of the data"),
}


@dataclass(frozen=True)
class Counts:
    """Counts of the training data; 0 for what a task does not have.

    Args:
        n_rows: Training rows: interactions, titles or posts.
        n_users: Users.
        n_items: Items of the catalogue.
        n_tags: Tags of posts.
    """

    n_rows: int
    n_users: int = 0
    n_items: int = 0
    n_tags: int = 0

    def __str__(self) -> str:
        counts = {name: getattr(self, name) for name in ("n_users", "n_items", "n_tags", "n_rows")}
        parts = [f"{count:,} {FEWER[name][0]}" for name, count in counts.items() if count]
        return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))

    @property
    def n_pairs(self) -> float:
        """Approximate number of pairs of rows of the same user: the sum of the squared lengths of all lists."""
        return SKEW * self.n_rows**2 / max(1, self.n_users)


@dataclass(frozen=True)
class Cost:
    """What training needs, beyond the data and the libraries; costs of parts can be added.

    Args:
        memory: Peak memory in bytes, of the device on which the model trains.
        checkpoint: Size of the checkpoint in bytes.
        operations: Multiplications with an addition, of the whole training.
    """

    memory: float = 0.0
    checkpoint: float = 0.0
    operations: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def check_memory(name: str, cost_of: Callable[[Counts], Cost], counts: Counts, available: float, instead: str) -> None:
    """Raise UserError if training needs more memory than is available, and say what would fit.

    Args:
        name: The model's name.
        cost_of: The model's cost of counts.
        counts: Counts of the training data.
        available: Memory in bytes.
        instead: What needs less memory, such as "model=item_knn"; may be empty.
    """
    needed = cost_of(counts).memory
    if needed <= available:
        return
    smaller = [instead] if instead else []
    for key, (noun, setting) in FEWER.items():
        if most := most_that_fit(cost_of, counts, key, available):
            smaller.append(f"at most about {most:,} {noun} ({setting})")
    raise UserError(
        f"{name} needs about {format_size(needed)} of memory for {counts}, but only {format_size(available)} are "
        f"available. Use {', or '.join(smaller or ['a machine with more memory'])}."
    )


def most_that_fit(cost_of: Callable[[Counts], Cost], counts: Counts, key: str, available: float) -> int:
    """Return about the largest value of one count, two digits, for which the memory suffices; 0 if that is too few.

    Less than a tenth of the data is too few.
    """
    count = getattr(counts, key)
    fitting = [
        share for share in range(10, 100) if cost_of(replace(counts, **{key: count * share // 100})).memory <= available
    ]
    if not count or not fitting:
        return 0
    most = count * max(fitting) // 100
    unit = 10 ** max(0, len(str(most)) - 2)
    return most // unit * unit


def warn_if_long(name: str, seconds: float, counts: Counts) -> None:
    """Print a warning if training will probably take more than an hour."""
    if seconds > LONG:
        warn(f"{name} will train for about {duration(seconds)} on {counts}.")


def size_of(module: nn.Module) -> int:
    """Return the size of the parameters and buffers of a module, in bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in [*module.parameters(), *module.buffers()])


def trainable_size_of(module: nn.Module) -> int:
    """Return the size of the trained parameters of a module, in bytes."""
    return sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)


def without_memory() -> torch.device:
    """Return a context in which new tensors have a shape, but no memory."""
    return torch.device("meta")
