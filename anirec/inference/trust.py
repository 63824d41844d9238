"""What a stored config may name: a run folder may come from a stranger, and to run it is to call what it names."""

from typing import Any

from omegaconf import OmegaConf

from anirec.config.compose import conf_folder, to_dict
from anirec.config.definitions import inherits
from anirec.errors import UserError
from anirec.inference.predict import check_trusted

CHECKPOINTS = "anirec.tracking.callbacks.LastAndBest"
DATA_PARALLEL = "anirec.models.one_pass.DataParallel"
# By part of a config: the kinds of anirec's own classes that it may name.
KINDS = {
    "dataset": ("anirec.data.datamodule.Data", "anirec.data.sources.base.Source"),
    "split": ("anirec.data.splits.base.Split",),
    "metrics": ("anirec.evaluation.base.Evaluation",),
    "trainer": (),
    "callbacks": (),
}
# These are of no such kind, and only compute, or write into the run's folder.
NAMED = {
    "dataset": (
        "anirec.data.titles.cleaning.Cleaning",
        "anirec.data.posts.sampling.Sampling",
        "anirec.data.posts.sampling.TagChoice",
    ),
    "trainer": ("pytorch_lightning.Trainer", DATA_PARALLEL),
    "callbacks": (
        CHECKPOINTS,
        *(f"anirec.tracking.callbacks.{name}" for name in ("Patience", "ProgressBar")),
        "anirec.tracking.callbacks.Until",
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
        check_trainer(config["trainer"])
        if CHECKPOINTS not in [node["_target_"] for node in config["callbacks"].values()]:
            raise UserError(f"config.yaml: without {CHECKPOINTS} Lightning saves where it likes; not run.")
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


def check_trainer(node: dict[str, Any]) -> None:
    """Refuse settings that conf/trainer has not: some write files anywhere. A number or a yes or no cannot."""
    files = sorted((conf_folder() / "trainer").glob("*.yaml"))
    known = {key for file in files for key in to_dict(OmegaConf.load(file), resolve=False)}
    strategy = node.get("strategy")
    for key, value in node.items():
        if not is_number(value) and (key not in known or (isinstance(value, dict) and key != "strategy")):
            raise UserError(f"config.yaml: trainer.{key}={value} is no setting of conf/trainer; not run.")
    if isinstance(strategy, dict):
        for key, value in strategy.items():
            if value != DATA_PARALLEL if key == "_target_" else not is_number(value):
                raise UserError(f"config.yaml: trainer.strategy.{key}={value}: a number was expected; not run.")


def is_number(value: Any) -> bool:
    """Also true, false and null."""
    return value is None or isinstance(value, int | float)


def is_known(part: str, target: str) -> bool:
    """
    >>> is_known("split", "anirec.data.splits.rows.Random"), is_known("split", "os.system")
    (True, False)
    """
    ours = target.startswith("anirec.") and any(inherits(target, kind) for kind in KINDS[part])
    return ours or target in NAMED.get(part, ())
