"""`anirec study`: run a published study on the available data, and compare results with the published figures."""

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from rich.padding import Padding
from rich.text import Text

from anirec.config.validate import validate
from anirec.errors import UserError
from anirec.metrics.names import lower_is_better
from anirec.printable import Console
from anirec.report import formatting as cells
from anirec.report.compare import compare, ensure_folder
from anirec.report.runs import read_runs
from anirec.studies import published
from anirec.studies.datasets import ChosenData, choose_data
from anirec.studies.definition import Part, Study, keep_last, read_study, study_names
from anirec.sweeps.worker import mark_sweep_process

CONSOLE = Console(highlight=False, soft_wrap=True)  # for commands, to be copied
WRAPPED = Console(highlight=False)
CONTINUE = ["sweep.skip_done=true", "resume=true"]  # a repeated study runs only what is not finished
INTERRUPTED = 130


@dataclass(frozen=True)
class Plan:
    """The commands of one part of a study, on the chosen data.

    Args:
        part: Part of the study.
        data: Data that it runs on.
        commands: Arguments of `anirec run -m`.
    """

    part: Part
    data: ChosenData
    commands: list[list[str]]

    @property
    def command_lines(self) -> list[str]:
        """Commands as a user would type them."""
        return [f"anirec run -m {shlex.join(command)}" for command in self.commands]


def run_study(name: str | None, *, overrides: Sequence[str], dry: bool) -> None:
    """Run a study, or list all studies. Tables are printed and written to `outputs/studies/NAME`.

    Args:
        name: Name of the study, or a folder with a study.yaml; None lists all studies.
        overrides: Overrides for all of its commands; `dataset=…` selects one of its datasets.
        dry: Print the commands without running them.

    Raises:
        UserError: There is no such study, no data for it, or a command is invalid. Raised before anything runs.
    """
    if name is None:
        print_studies()
        return
    chosen = read_study(name)
    plans = make_plans(chosen, overrides)
    WRAPPED.print(Text(f"{chosen.question}\n{chosen.source}"))
    folder = outputs_folder(overrides) / "studies" / chosen.name
    earlier = {"your earlier runs": folder / "results.csv", "the study's results.csv": chosen.folder / "results.csv"}
    for one in plans:
        print_plan(one)
        print_estimate(one, earlier)
        for command in one.commands:
            validate(command)
    if dry:
        return
    failed: list[str] = []
    sweeps = {one.part.name: run_plan(one, chosen.name, overrides, failed) for one in plans}
    write_report(chosen, plans, sweeps, folder)
    if failed:
        CONSOLE.print(Text("\n".join(["Jobs failed in these commands:", *failed])))
        sys.exit(1)


def print_studies() -> None:
    """Print every study, its question, its source, and the data that it would run on."""
    for name in study_names():
        found = read_study(name)
        WRAPPED.print(Text(name, style="bold"))
        lines = [found.question, found.source, *(f"{p.part.name}: {p.data.description}" for p in make_plans(found, []))]
        for line in lines:
            WRAPPED.print(Padding(Text(line), (0, 0, 0, 2), expand=False))


def make_plans(chosen: Study, overrides: Sequence[str]) -> list[Plan]:
    """Return the plan of each part that has data.

    Raises:
        UserError: No part has the requested dataset.
    """
    others = [override for override in overrides if not override.startswith("dataset=")]
    found = [(part, choose_data(part, overrides)) for part in chosen.parts]
    plans = [
        Plan(part, data, [keep_last([*command, *others]) for command in part.commands_for(data.choice, data.n_scaled)])
        for part, data in found
        if data
    ]
    if not plans:
        known = sorted({choice.dataset for part in chosen.parts for choice in part.data})
        raise UserError(f"{chosen.name} does not run on this dataset. Its datasets are: {', '.join(known)}")
    return plans


def print_plan(one: Plan) -> None:
    """Print the question of a part, its data and its commands."""
    lines = [f"  ({why})" for why in one.data.rejected]
    scaled = one.part.scaled_settings(one.data.n_scaled) if one.data.n_scaled else {}
    lines += [f"  ({key}={value} instead of {one.part.scaled[key]}: the same share)" for key, value in scaled.items()]
    WRAPPED.print(Text(f"\n{one.part.question}", style="bold"))
    WRAPPED.print(Text("\n".join([one.data.description, *lines])))
    for command in one.command_lines:
        CONSOLE.print(Text(f"  {command}"))


def print_estimate(one: Plan, earlier: Mapping[str, Path]) -> None:
    """Print how long the runs of a part took earlier on the same dataset.

    Args:
        one: The plan.
        earlier: Files of results in order of preference, by the words that name them. Nothing is printed if none has
            the times.
    """
    models = {model for command in one.commands for model in models_of(command)}
    for name, file in earlier.items():
        rows = published.read_our_figures(file) if file.is_file() else pl.DataFrame()
        if not {"part", "wall_seconds"} <= set(rows.columns):
            continue
        rows = rows.filter(part=one.part.name, dataset=one.data.choice.dataset).drop_nulls("wall_seconds")
        rows = rows.filter(pl.col("model").is_in(list(models)))
        if len(rows):
            seconds = float((rows["wall_seconds"] * rows["runs"]).sum())
            missing = sorted(models.difference(rows["model"]))
            rest = f", without {cells.join_names(missing)}" if missing else ""
            WRAPPED.print(Text(f"About {cells.duration(seconds)}{rest}: time of {name}.", style="dim"))
            return


def models_of(command: Sequence[str]) -> list[str]:
    """Return the models of a command.

    >>> models_of(["dataset=mal_2016", "model=bias,svd", "model.lr=0.1"])
    ['bias', 'svd']
    """
    given = [override.partition("=")[2] for override in command if override.startswith("model=")]
    return [model for models in given for model in models.split(",")]


def run_plan(one: Plan, study: str, overrides: Sequence[str], failed: list[str]) -> list[Path]:
    """Run each command in its own process, so that a failure does not stop the others.

    Args:
        one: The plan.
        study: Name of the study.
        overrides: Overrides of the user.
        failed: List to which failed commands are added.

    Returns:
        The folders of the sweeps.
    """
    sweeps = []
    mark_sweep_process()  # if this process is killed, the commands end
    for number, command in enumerate(one.commands):
        began = time.strftime("%Y-%m-%d_%H-%M-%S")
        sweep = outputs_folder(overrides) / "sweeps" / f"{began}_{study}_{one.part.name}_{number}"
        CONSOLE.print(Text(f"\n{one.command_lines[number]}", style="bold"))
        arguments = [*command, *CONTINUE, f"hydra.sweep.dir='{sweep}'"]
        line = [sys.executable, "-m", "anirec", "run", "-m", *arguments]
        status = subprocess.run(line, check=False).returncode  # noqa: S603 (this very program)
        if status == INTERRUPTED:
            CONSOLE.print("Interrupted. Repeat the command to continue.")
            sys.exit(INTERRUPTED)
        if status:
            failed.append(one.command_lines[number])
        if sweep.is_dir():
            sweeps.append(sweep)
    return sweeps


def write_report(chosen: Study, plans: list[Plan], sweeps: dict[str, list[Path]], folder: Path) -> None:
    """Compare the runs of each part, and all results with the published figures.

    Writes report.md, results.csv and figures/ in `folder`.
    """
    figures = published.read_published_figures(chosen.folder / "published.csv")
    tables, written = [], [f"# {chosen.name}\n\n{chosen.question}\n\n{chosen.source}\n"]
    for one in plans:
        WRAPPED.print(Text(f"\n{one.part.question}\n{one.data.description}", style="bold"))
        written.append(
            "\n".join([f"## {one.part.question}\n\n{one.data.description}\n\n```sh", *one.command_lines, "```\n"])
        )
        with TemporaryDirectory() as folder_of_part:
            csv, markdown = Path(folder_of_part) / "part.csv", Path(folder_of_part) / "part.md"
            try:
                compare(sweeps[one.part.name], metric=one.part.metric, csv=csv, markdown=markdown, console=WRAPPED)
            except UserError as error:  # no run has finished
                WRAPPED.print(Text(str(error), style="yellow"))
                written.append(f"{error}\n")
                continue
            tables.append(published.read_our_figures(csv).select(pl.lit(one.part.name).alias("part"), pl.all()))
            written.append(markdown.read_text(encoding="utf-8"))
        written += copy_figures(sweeps[one.part.name], one.part, folder)
    results = pl.concat(tables, how="diagonal_relaxed") if tables else pl.DataFrame(schema={"model": pl.String})
    own = {one.data.choice.dataset for one in plans if one.data.is_own}
    if found := published.compare_figures(figures, results, own):
        published.print_figures(WRAPPED, found)
        written.append(f"## Published figures\n\n{published.figures_markdown(found)}")
    results.write_csv(ensure_folder(folder / "results.csv"))
    ensure_folder(folder / "report.md").write_text("\n".join(written), encoding="utf-8")
    WRAPPED.print(Text(f"\nWritten to {folder}: report.md, results.csv"))


def copy_figures(sweeps: Sequence[Path], part: Part, folder: Path) -> list[str]:
    """Copy the figures of the runs of a part to `folder`; return Markdown that shows them.

    Of figures with the same name, that of the best run by the part's metric is copied.
    """
    runs = [run for run in read_runs(sweeps) if part.metric in run.metrics]
    runs.sort(key=lambda run: run.metrics[part.metric], reverse=not lower_is_better(part.metric))
    best = {path.name: (run, path) for run in reversed(runs) for path in sorted(run.folder.glob("figures/*.png"))}
    lines = []
    for name, (run, path) in sorted(best.items()):
        copy = ensure_folder(folder / "figures" / f"{part.name}_{run.model}_{name}")
        shutil.copyfile(path, copy)
        lines.append(f"![{path.stem.replace('_', ' ')} of {run.model}](figures/{copy.name})\n")
    return lines


def outputs_folder(overrides: Sequence[str]) -> Path:
    """Return `paths.outputs`, as the overrides set it."""
    given = [override.partition("=")[2] for override in overrides if override.startswith("paths.outputs=")]
    return Path(given[-1] if given else "outputs")
