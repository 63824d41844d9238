"""`anirec reproduce`: a finished run once more, from its config alone; which metrics are equal, and what differs."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra import initialize_config_dir
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from anirec.config.checks import check
from anirec.config.compose import conf_folder, first_line, nearest, plain
from anirec.config.identity import flat, identity_of
from anirec.errors import UserError
from anirec.inference.rerun import config_of, perform_again
from anirec.report.repetition import show_repetition
from anirec.report.runs import Run, read_run
from anirec.run import other_process, run_path


def reproduce(run: Path, *, overrides: Sequence[str], trust: bool, console: Console | None = None) -> None:
    """Run a finished run's config again, in a new folder; ends the process with status 1 unless all metrics are equal.

    Args:
        run: Its folder.
        overrides: key=value of keys that its config has.
        trust: Let the config name code that is no part of anirec.
        console: Where to print.

    Raises:
        UserError: It cannot be run again: it has not finished, its data are not here, an override fits nothing.
    """
    then = read_run(run.resolve())
    if then.state != "finished":
        raise UserError(f"{run}: {then.state}: {then.error}. Only a finished run can be reproduced.")
    config = config_of(then, trust=trust)
    override(config, overrides)
    if not any(name.startswith("test/") for name in then.metrics):
        config.select = then.config.get("select")  # its sweep has not chosen it: the test set stays unread
    config = checked(config)
    identity = identity_of(config)
    path = run_path(config, placed(config, then), identity.run)
    typed = [*(then.provenance.get("overrides") or []), *overrides]
    told = f"reproduces {then.folder.name}:"
    perform_again(config, path, then, identity=identity, told=told, overrides=typed, reproduces=str(run))
    if other_process():
        return
    console = console or Console()
    if not show_repetition(console, then, read_run(path)).is_equal:
        sys.exit(1)


def override(config: DictConfig, overrides: Sequence[str]) -> None:
    """Set keys that are there.

    Raises:
        UserError: One is not, or is no key=value.
    """
    known = [key for key, _ in flat(plain(config, resolve=False))]
    for text in overrides:
        key, equals, _ = text.partition("=")
        if not equals:
            raise UserError(f"{text}: expected key=value, such as paths.data=/data")
        if key not in known:
            hint = "; set one of its keys" if any(name.startswith(f"{key}.") for name in known) else nearest(key, known)
            raise UserError(f"{text}: the run's config has no setting {key}{hint}")
        try:
            config.merge_with_dotlist([text])
        except (OmegaConfBaseException, ValueError) as error:
            raise UserError(f"{text}: {first_line(error)}") from None


def checked(config: DictConfig) -> DictConfig:
    """The config; a run of an older anirec, or an override, may have made it unfit.

    Raises:
        UserError: With all problems.
    """
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        problems = check(config)
    if problems:
        raise UserError("\n".join(["The run's config does not fit this anirec:", *(f"- {told}" for told in problems)]))
    return config


def placed(config: DictConfig, run: Run) -> Path:
    """Where runs of its dataset and model lie, below paths.outputs."""
    outputs = Path(config.paths.outputs).resolve()
    place = (outputs / run.dataset / run.model).resolve()
    if not place.is_relative_to(outputs):
        raise UserError(f"{run.folder / 'provenance.json'}: {run.dataset}/{run.model} lies outside of {outputs}")
    return place
