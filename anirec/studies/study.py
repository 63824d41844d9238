"""`anirec study`: run a published study on the available data, and compare results with the published figures."""

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from rich.console import Console
from rich.text import Text

from anirec.config.validate import validate
from anirec.errors import UserError
from anirec.report.compare import compare, ensure_folder
from anirec.studies import published
from anirec.studies.datasets import ChosenData, choose_data
from anirec.studies.definition import Part, Study, keep_last, read_study, study_names
from anirec.sweeps.worker import mark_sweep_process

CONSOLE = Console(highlight=False, soft_wrap=True)
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
    CONSOLE.print(Text(f"{chosen.question}\n{chosen.source}"))
    for one in plans:
        print_plan(one)
        for command in one.commands:
            validate(command)
    if dry:
        return
    folder = outputs_folder(overrides) / "studies" / chosen.name
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
        CONSOLE.print(Text.assemble((name, "bold"), f"  {found.question}\n  {found.source}"))
        for one in make_plans(found, []):
            CONSOLE.print(Text(f"  {one.part.name}: {one.data.description}"))


def make_plans(chosen: Study, overrides: Sequence[str]) -> list[Plan]:
    """Return the plan of each part that has data.

    Raises:
        UserError: No part has the requested dataset.
    """
    others = [override for override in overrides if not override.startswith("dataset=")]
    found = [(part, choose_data(part, overrides)) for part in chosen.parts]
    plans = [
        Plan(part, data, [keep_last([*command, *others]) for command in part.commands_for(data.choice)])
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
    CONSOLE.print(Text.assemble("\n", (one.part.question, "bold"), "\n", "\n".join([one.data.description, *lines])))
    for command in one.command_lines:
        CONSOLE.print(Text(f"  {command}"))


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
    """Compare the runs of each part, and all results with the published figures; write report.md and results.csv."""
    figures = published.read_published_figures(chosen.folder / "published.csv")
    tables, written = [], [f"# {chosen.name}\n\n{chosen.question}\n\n{chosen.source}\n"]
    for one in plans:
        CONSOLE.print(Text(f"\n{one.part.question}\n{one.data.description}", style="bold"))
        written.append(
            "\n".join([f"## {one.part.question}\n\n{one.data.description}\n\n```sh", *one.command_lines, "```\n"])
        )
        with TemporaryDirectory() as folder_of_part:
            csv, markdown = Path(folder_of_part) / "part.csv", Path(folder_of_part) / "part.md"
            try:
                compare(sweeps[one.part.name], metric=one.part.metric, csv=csv, markdown=markdown, console=CONSOLE)
            except UserError as error:  # no run has finished
                CONSOLE.print(Text(str(error), style="yellow"))
                written.append(f"{error}\n")
                continue
            tables.append(published.read_our_figures(csv))
            written.append(markdown.read_text(encoding="utf-8"))
    results = pl.concat(tables, how="diagonal_relaxed") if tables else pl.DataFrame(schema={"model": pl.String})
    lines = published.compare_figures(figures, results)
    own = all(one.data.is_own for one in plans)
    title = "Published results and ours" if own else "Published results, and ours on other data"
    if lines:
        CONSOLE.print(published.figures_table(lines, title=f"\n{title}"))
        written.append(published.figures_markdown(lines, title=title))
    results.write_csv(ensure_folder(folder / "results.csv"))
    ensure_folder(folder / "report.md").write_text("\n".join(written), encoding="utf-8")
    CONSOLE.print(Text(f"Written to {folder}: report.md, results.csv"))


def outputs_folder(overrides: Sequence[str]) -> Path:
    """Return `paths.outputs`, as the overrides set it."""
    given = [override.partition("=")[2] for override in overrides if override.startswith("paths.outputs=")]
    return Path(given[-1] if given else "outputs")
