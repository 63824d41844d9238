"""Print the best settings of a search as overrides, also of a search that was cut; nothing if no trial finished."""

import sys
from pathlib import Path

import optuna

database = Path(sys.argv[1]) / "study.db"
if database.exists():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{database}")
    if any(trial.state.name == "COMPLETE" for trial in study.trials):
        print(*(f"{key}={value}" for key, value in study.best_params.items()))
