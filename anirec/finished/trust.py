"""What a stored config may name: a run folder may come from a stranger, and to run it is to call what it names."""

from typing import Any

from anirec.composing.definitions import descends
from anirec.errors import UserError
from anirec.finished.predict import check_trusted

# By part of a config: the kinds of anirec's own classes that it may name.
KINDS = {
    "dataset": ("anirec.data.base.Data", "anirec.data.sources.source.Source"),
    "split": ("anirec.data.splits.Split",),
    "metrics": ("anirec.metrics.base.Evaluation",),
    "trainer": (),
    "callbacks": (),
}
# These are of no such kind, and only compute, or write into the run's folder.
NAMED = {
    "dataset": ("anirec.data.cleaning.Cleaning", "anirec.data.sampling.Sampling", "anirec.data.sampling.TagChoice"),
    "trainer": ("pytorch_lightning.Trainer", "anirec.models.distributed.DataParallel"),
    "callbacks": (
        *(f"anirec.tracking.callbacks.{name}" for name in ("LastAndBest", "Patience", "ProgressBar")),
        "anirec.tracking.epochs.Until",
    ),
}


def check_run(config: dict[str, Any]) -> None:
    """Refuse a config that names anything but anirec's own classes of the right kinds, and what they are made of.

    Args:
        config: What is instantiated of it, nothing left to resolve.

    Raises:
        UserError: Naming the part and what it names.
    """
    try:
        check_trusted(config["model"])
        for part in KINDS:
            check_part(part, config[part])
    except UserError as error:
        raise UserError(f"{error}\nIf you know what that does: --trust") from None


def check_part(part: str, node: Any) -> None:
    if isinstance(node, dict):
        if "_target_" in node and not is_known(part, str(node["_target_"])):
            raise UserError(f"config.yaml: {part} names {node['_target_']}, which is no such part of anirec; not run.")
        for value in node.values():
            check_part(part, value)
    elif isinstance(node, list):
        for value in node:
            check_part(part, value)


def is_known(part: str, target: str) -> bool:
    """
    >>> is_known("split", "anirec.data.splits.Random"), is_known("split", "os.system")
    (True, False)
    """
    ours = target.startswith("anirec.") and any(descends(target, kind) for kind in KINDS[part])
    return ours or target in NAMED.get(part, ())
