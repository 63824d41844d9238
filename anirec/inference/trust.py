"""Checks that a stored config names only trusted classes, since a run folder may come from a stranger."""

from typing import Any

from omegaconf import OmegaConf

from anirec.config.compose import conf_folder, to_dict
from anirec.config.definitions import inherits
from anirec.errors import UserError
from anirec.inference.predict import check_trusted

CHECKPOINTS = "anirec.tracking.callbacks.LastAndBest"
DATA_PARALLEL = "anirec.models.one_pass.DataParallel"
# For each part of a config, the base classes of anirec whose subclasses it may name.
KINDS = {
    "dataset": ("anirec.data.datamodule.Data", "anirec.data.sources.base.Source"),
    "split": ("anirec.data.splits.base.Split",),
    "metrics": ("anirec.evaluation.base.Evaluation",),
    "trainer": (),
    "callbacks": (),
}
# Further classes that are allowed: they only compute, or write into the run folder.
ALSO_ALLOWED = {
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
    """Raise an error if a config names any class but those of anirec that belong in its parts.

    Args:
        config: Resolved config of a run.

    Raises:
        UserError: A part names a class that is not allowed there.
    """
    try:
        check_trusted(config["model"])
        for part in KINDS:
            check_part(part, config[part])
        check_trainer(config["trainer"])
        if CHECKPOINTS not in [node["_target_"] for node in config["callbacks"].values()]:
            raise UserError(
                f"config.yaml: callbacks lack {CHECKPOINTS}, without which Lightning may save anywhere; not run."
            )
    except UserError as error:
        raise UserError(f"{error}\nIf you trust this run, add --trust.") from None


def check_part(part: str, node: Any) -> None:
    if isinstance(node, dict):
        if "_target_" in node and not is_allowed(part, str(node["_target_"])):
            raise UserError(f"config.yaml: {part} names {node['_target_']}, which is not allowed there; not run.")
        for value in node.values():
            check_part(part, value)
    elif isinstance(node, list):
        for value in node:
            check_part(part, value)


def check_trainer(node: dict[str, Any]) -> None:
    """Raise a UserError for non-scalar settings that conf/trainer lacks: some could write files anywhere."""
    files = sorted((conf_folder() / "trainer").glob("*.yaml"))
    known = {key for file in files for key in to_dict(OmegaConf.load(file), resolve=False)}
    strategy = node.get("strategy")
    for key, value in node.items():
        if not is_scalar(value) and (key not in known or (isinstance(value, dict) and key != "strategy")):
            raise UserError(f"config.yaml: trainer.{key}={value} is not a setting of conf/trainer; not run.")
    if isinstance(strategy, dict):
        for key, value in strategy.items():
            if value != DATA_PARALLEL if key == "_target_" else not is_scalar(value):
                raise UserError(f"config.yaml: trainer.strategy.{key}={value}: expected a number; not run.")


def is_scalar(value: Any) -> bool:
    """Return whether a value is a number, a boolean or null."""
    return value is None or isinstance(value, int | float)


def is_allowed(part: str, target: str) -> bool:
    """Return whether a part of a config may name this class.

    >>> is_allowed("split", "anirec.data.splits.rows.Random"), is_allowed("split", "os.system")
    (True, False)
    """
    ours = target.startswith("anirec.") and any(inherits(target, kind) for kind in KINDS[part])
    return ours or target in ALSO_ALLOWED.get(part, ())
