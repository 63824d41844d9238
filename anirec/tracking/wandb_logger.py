"""Weights & Biases logger: one W&B run per run, with the content of the run folder. Imported only for logger=wandb."""

import os
from pathlib import Path
from typing import Any, Literal

import wandb

from anirec.atomic import write_text
from anirec.errors import UserError
from anirec.lightning import WandbLogger, rank_zero_experiment, rank_zero_only
from anirec.settings import Configurable, Count, NonNegative, Positive
from anirec.tracking import wandb_results as results
from anirec.tracking.folders import status_of
from anirec.tracking.wandb_login import OFFLINE

EXIT_CODES = {"finished": 0, "pruned": 0, "interrupted": 130}  # all other states: 1


class RunWandbLogger(WandbLogger, Configurable):
    """Log a run to W&B: config, provenance and metrics per epoch; at its end, the results of the run folder.

    A resumed run continues the same W&B run. In a W&B sweep, the agent sets the run and the project.

    Args:
        folder: Run folder; W&B's own files are written to `wandb/` in it.
        metrics: Metrics whose best validation value is added to the summary.
        log_predictions: Maximum number of predictions in a table, a sample if there are more; 0: no table.
        log_model: Checkpoint to store as an artifact.
        init_timeout: Maximum time to wait for the server at the start, in seconds.
        finish_timeout: Maximum time to wait for uploads at the end, in seconds; `wandb sync` sends the rest.

    Raises:
        UserError: The run is online and there is no login, the key is wrong, or the server does not respond.
    """

    constraints = "anirec.tracking.wandb_login:check_login"

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
        verify_login(offline=offline)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = self.start()
        return self._experiment

    def start(self) -> Any:
        """Start the W&B run, or resume it."""
        # Do not upload code or its uncommitted changes.
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
            raise UserError(f"W&B could not start the run: {error}\nTry again, {OFFLINE}") from None
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
        """Log commit, versions and device; at the end of the run also fingerprints of data and split."""
        run.config.update({"provenance": results.read_provenance(self.folder)}, allow_val_change=True)

    @rank_zero_only
    def end(self) -> None:
        """Log the results, and end the W&B run with the state of the run."""
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
        """Log summary, figures, predictions and checkpoint of the run folder."""
        self.log_provenance(run)
        run.summary.update(results.run_summary(self.folder))
        figures = results.figure_images(self.folder) if self.figures else {}
        run.log({**figures, **results.prediction_table(self.folder, self.log_predictions)})
        if self.log_model:
            artifact = results.model_artifact(self.folder, self.log_model, name=f"model-{run.id}")
            run.log_artifact(artifact, aliases=results.checkpoint_aliases(self.folder, self.log_model))


@rank_zero_only
def verify_login(*, offline: bool) -> None:
    """Check the login with the server now, rather than fail after the training.

    Raises:
        UserError: The key is wrong, or the server does not respond.
    """
    if offline or wandb.setup().settings.mode != "online":  # WANDB_MODE, or `wandb offline`
        return
    try:
        wandb.login(prompt=False, verify=True)
    except wandb.Error as error:
        raise UserError(f"W&B login failed: {error}\nLog in with `wandb login`, {OFFLINE}") from None
