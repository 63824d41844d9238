"""Weights & Biases: one W&B run a run, which shows what the run folder holds. Imported for logger=wandb alone."""

import os
from pathlib import Path
from typing import Any, Literal

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from anirec.atomic import write_text
from anirec.errors import UserError
from anirec.settings import Configurable, Count, NonNegative, Positive
from anirec.tracking import wandb_results as results
from anirec.tracking.folders import status_of

EXIT_CODES = {"finished": 0, "pruned": 0, "interrupted": 130}  # any other way to end: 1
OFFLINE = "or keep the run on this disk: logger.wandb.offline=true"


class RunWandbLogger(WandbLogger, Configurable):
    """A run in W&B: its config and provenance, curves over epochs, and at its end all that the run folder holds.

    A resumed run goes on in the same W&B run. In a sweep of W&B's own the agent says which run and project it is.

    Args:
        folder: The run folder; W&B's own files go to `wandb/` in it.
        metrics: Names whose best validation value the summary shows.
        log_predictions: Rows of predictions to show as a table, a sample if there are more; 0: no table.
        log_model: Which checkpoint to keep as an artifact.
        init_timeout: How long to wait for the server at the start, in seconds.
        finish_timeout: How long to wait for uploads at the end, in seconds; `wandb sync` sends what is left.

    Raises:
        UserError: Online, and nobody is logged in, the key is wrong, or the server does not answer.
    """

    def __init__(
        self,
        *,
        folder: str,
        metrics: list[str],
        offline: bool,
        project: str,
        entity: str | None,
        name: str,
        group: str | None,
        job_type: str,
        tags: list[str],
        figures: bool,
        log_predictions: Count,
        log_model: Literal[False, "best", "last"],
        init_timeout: Positive,
        finish_timeout: NonNegative,
    ) -> None:
        self.folder, self.metrics, self.figures = Path(folder), metrics, figures
        self.log_predictions = log_predictions
        self.log_model = log_model
        self.init_timeout, self.finish_timeout = init_timeout, finish_timeout
        self.id_file = self.folder / "wandb" / "id.txt"
        choices = results.read_json(self.folder / "provenance.json").get("choices", {})
        chosen = [choices[group] for group in ("dataset", "model", "split") if group in choices]
        is_agents = "WANDB_SWEEP_ID" in os.environ
        super().__init__(
            name=name,
            save_dir=folder,
            project=project,
            id=self.id_file.read_text() if self.id_file.exists() and not is_agents else None,
            entity=entity,
            group=group,
            job_type=job_type,
            tags=list(dict.fromkeys([*tags, *chosen])),
            mode="offline" if offline else None,
        )
        if is_agents:
            self._wandb_init |= {"project": None, "entity": None, "id": None}
        require_login(offline=offline)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = self.begin()
        return self._experiment

    def begin(self) -> Any:
        # Neither code nor its uncommitted changes leave this machine.
        settings = wandb.Settings(
            init_timeout=self.init_timeout,
            finish_timeout=self.finish_timeout,
            save_code=False,
            disable_code=True,
            disable_job_creation=True,
        )
        arguments = {key: value for key, value in self._wandb_init.items() if key != "anonymous"}
        try:
            run = wandb.init(**arguments, settings=settings, reinit="finish_previous")
        except wandb.Error as error:
            raise UserError(f"W&B would not begin the run: {error}\nTry again, {OFFLINE}") from None
        write_text(self.id_file, run.id)
        run.define_metric("epoch")
        run.define_metric("*", step_metric="epoch")
        for name in self.metrics:
            run.define_metric(f"val/{name}", step_metric="epoch", summary=results.best_key(name))
        return run

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        super().log_hyperparams(params)
        self.log_provenance(self.experiment)

    def log_provenance(self, run: Any) -> None:
        """Where the run comes from: commit, versions, device; at its end also fingerprints of data and split."""
        run.config.update({"provenance": results.read_provenance(self.folder)}, allow_val_change=True)

    @rank_zero_only
    def end(self) -> None:
        """Show the results, and tell W&B how the run ended."""
        run: Any = self._experiment
        self._experiment = None
        if run is None:
            return
        state = status_of(self.folder)["state"]
        try:
            if state == "finished":
                self.log_results(run)
            if state == "pruned":
                run.tags = (*run.tags, "pruned")
        finally:
            run.finish(exit_code=EXIT_CODES.get(state, 1))

    def log_results(self, run: Any) -> None:
        self.log_provenance(run)
        run.summary.update(results.run_summary(self.folder))
        shown = results.figure_images(self.folder) if self.figures else {}
        run.log({**shown, **results.prediction_table(self.folder, self.log_predictions)})
        if self.log_model:
            artifact = results.model_artifact(self.folder, self.log_model, name=f"model-{run.id}")
            run.log_artifact(artifact, aliases=results.checkpoint_aliases(self.folder, self.log_model))


@rank_zero_only
def require_login(*, offline: bool) -> None:
    """Ask the server now, within seconds, rather than a terminal where nobody sits, or after an hour of training."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else W&B calls home, even when offline
    if offline or wandb.setup().settings.mode != "online":  # WANDB_MODE, or `wandb offline`
        return
    try:
        logged_in = wandb.login(prompt=False, verify=True)
    except wandb.Error as error:
        raise UserError(f"W&B: {error}\nLog in by `wandb login`, {OFFLINE}") from None
    if not logged_in:
        raise UserError(f"W&B knows no login on this machine. Log in by `wandb login`, {OFFLINE}")
