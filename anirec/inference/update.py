"""`anirec update`: train a finished run further on newer data, and compare it with the run as it was."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.text import Text

from anirec.config.definitions import inherits
from anirec.config.identity import identity_of
from anirec.errors import UserError
from anirec.inference.predict import require_checkpoint
from anirec.inference.reproduce import config_of, output_folder, override, perform_again, require_valid
from anirec.models.checkpoint import restore
from anirec.models.warm_start import IDS
from anirec.printable import Console
from anirec.report.compare import compare
from anirec.report.run_files import nested, require_run
from anirec.report.runs import Run, read_run
from anirec.run import instantiate_node
from anirec.tracking.choose_folder import choose_folder, is_helper_process

RATING_MODEL = "anirec.models.base.RatingModel"
EARLIER = "anirec.models.ratings.earlier.Earlier"
BEFORE, AFTER = "_before", "_updated"  # endings of the models' names
COUNTS = {"n_train": "training rows", "n_users_train": "users", "n_items_train": "titles with training rows"}


def update(run: Path, *, overrides: Sequence[str], trust: bool, console: Console | None = None) -> None:
    """Evaluate a finished run as it is on newer data, train it further on them, and compare the two.

    Args:
        run: Folder of the finished run, with a checkpoint.
        overrides: key=value for keys of its config, such as a later window or fewer epochs.
        trust: Allow the config to load code from outside anirec.
        console: Where to print; default: the terminal.

    Raises:
        UserError: The run is not finished or of another task, its checkpoint is damaged, none of its users and titles
            is in the newer data, or it has learned from rows that are held out now.
    """
    require_run(run)
    original = read_run(run.resolve())
    if original.state != "finished":
        raise UserError(f"{run}: {original.state}: {original.error}. Only a finished run can be updated.")
    target = str(nested(original.config, "model._target_"))
    if not inherits(target, RATING_MODEL) or inherits(target, EARLIER):
        raise UserError(
            f"{run}: only rating models can be updated with new interactions. Run its config again instead."
        )
    config = config_of(original, trust=trust)
    earlier = deepcopy(config.model)
    restore(instantiate_node(earlier), require_checkpoint(original.folder))  # before anything is created
    override(config, overrides)
    config.warm_start = str(original.folder)
    config = require_valid(config)
    name = original.model.removesuffix(AFTER)
    before = perform(before_config(config, earlier), original, f"{name}{BEFORE}", overrides)
    after = perform(config, original, f"{name}{AFTER}", overrides)
    if is_helper_process():
        return
    console = console or Console()
    for sentence in sentences(original, after):
        console.print(Text(sentence))
    compare([before.folder, after.folder], console=console)


def before_config(config: DictConfig, earlier: DictConfig) -> DictConfig:
    """Return a config that evaluates the earlier model as it is, with its own settings."""
    before = deepcopy(config)
    before.model = {"_target_": EARLIER, "model": earlier, "run": config.warm_start}
    before.warm_start, before.checkpoints = None, "none"
    OmegaConf.update(before, "trainer", {"max_epochs": 1, "gradient_clip_val": None, "accumulate_grad_batches": 1})
    return before


def perform(config: DictConfig, original: Run, name: str, overrides: Sequence[str]) -> Run:
    """Run a config in a new folder, and return the finished run."""
    identity = identity_of(config)
    folder = output_folder(config, original)
    path = choose_folder(config, folder.with_name(name), identity.run)
    typed = [*(original.provenance.get("overrides") or []), *overrides]
    about: dict[str, Any] = {"model": name, "overrides": typed, "updates": str(original.folder)}
    perform_again(config, path, original, identity=identity, title=f"{name}:", **about)
    return read_run(path)


def sentences(original: Run, after: Run) -> list[str]:
    """Return what the update has trained on, and whether it has continued from the checkpoint."""
    then, now = original.split, after.split
    counts = ", ".join(
        f"{then[key]:,} → {now[key]:,} {what}" for key, what in COUNTS.items() if key in then and key in now
    )
    why_not = nested(after.provenance, "warm_start.why_not")
    how = f"{original.model} is trained from scratch: {why_not}." if why_not else (
        f"{original.model} has continued from the checkpoint of {original.folder.name}."
    )  # fmt: skip
    known = nested(after.provenance, "warm_start.known")
    sizes = {"user_id": after.provenance["data"]["n_users"], "item_id": after.provenance["data"]["n_items"]}
    found = " and ".join(f"{known[key]:,} of {sizes[key]:,} {what}" for key, what in IDS.items())
    is_same = all(then.get(key) == now.get(key) for key in (*COUNTS, "train_until"))
    same = ["No new rows: as many training rows as before, until the same time; they are trained on again."]
    return [f"{counts}.", *(same if is_same else []), f"The earlier run knows {found}.", how]
