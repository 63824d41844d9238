"""Results of a finished run for Weights & Biases: summary, figures, table of predictions, checkpoint."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import wandb

from anirec.metrics.names import has_direction, lower_is_better
from anirec.tracking.loggers import figures_of

COSTS = ("fit_seconds", "wall_seconds", "peak_memory_mb")


def run_summary(folder: Path) -> dict[str, Any]:
    """Return all metrics and costs for the summary.

    A metric that was computed after every epoch has two values: the best one as `min` or `max`, and that of the kept
    checkpoint as `final`.
    """
    metrics, provenance = read_json(folder / "metrics.json"), read_json(folder / "provenance.json")
    history = pl.read_csv(folder / "history.csv", glob=False) if (folder / "history.csv").exists() else pl.DataFrame()
    found: dict[str, Any] = {name: provenance[name] for name in COSTS if name in provenance}
    for name, value in metrics.items():
        best = best_key(name)
        of_epochs = getattr(history[name], best)() if best and name in history.columns else None
        found[name] = value if of_epochs is None else {best: of_epochs, "final": value}
    return found


def best_key(name: str) -> str | None:
    """Return W&B's name of the best value, `min` or `max`; None for a metric without a better direction."""
    return ("min" if lower_is_better(name) else "max") if has_direction(name) else None


def figure_images(folder: Path) -> dict[str, wandb.Image]:
    return {f"figures/{name}": wandb.Image(str(path)) for name, path in figures_of(folder).items()}


def prediction_table(folder: Path, n_shown: int) -> dict[str, Any]:
    """Return a table of at most `n_shown` predictions (a fixed sample), and their numbers; empty if there are none."""
    path = folder / "predictions.parquet"
    if not n_shown or not path.exists():
        return {}
    rows = pl.read_parquet(path, glob=False)
    n_rows = len(rows)
    if n_rows > n_shown:
        rows = rows.with_row_index("row").sample(n_shown, seed=0).sort("row").drop("row")
    return {
        "predictions": wandb.Table(dataframe=add_titles(rows, folder).to_pandas()),
        "predictions_shown": len(rows),
        "predictions_of": n_rows,
    }


def add_titles(rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Add the titles of the run's items, unless the rows have titles or their ids are not those of items."""
    path = folder / "items.parquet"
    if "title" in rows.columns or "item_id" not in rows.columns or not path.exists():
        return rows
    titles = pl.read_parquet(path, columns=["item_id", "title"], glob=False)
    return rows.join(titles, on="item_id", how="left", maintain_order="left")


def checkpoint_path(folder: Path, which: str) -> Path:
    """Return the path of the checkpoint `best` or `last`; without an objective, that of the last one."""
    path = folder / "checkpoints" / f"{which}.ckpt"
    return path if path.exists() else path.with_name("last.ckpt")


def model_artifact(folder: Path, which: str, *, name: str) -> wandb.Artifact:
    """Return a checkpoint as an artifact, with its provenance and metrics. The file is not copied."""
    provenance, metrics = read_provenance(folder), read_json(folder / "metrics.json")
    facts = {key: provenance.get(key) for key in ("dataset", "model", "seed", "objective", "identity", "git")}
    facts["fingerprints"] = {part: provenance.get(part, {}).get("fingerprint") for part in ("data", "split")}
    facts["metrics"] = {key: value for key, value in metrics.items() if key.count("/") == 1}  # without segments
    artifact = wandb.Artifact(name, type="model", metadata=facts)
    artifact.add_file(str(checkpoint_path(folder, which)), policy="immutable", skip_cache=True)
    return artifact


def checkpoint_aliases(folder: Path, which: str) -> list[str]:
    """Return the aliases of a checkpoint: best, last, or both."""
    kept = checkpoint_path(folder, which)
    both = {name: folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")}
    return [name for name, path in both.items() if path.exists() and path.samefile(kept)]


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return the provenance without the settings, which W&B stores as the config of the run."""
    found = read_json(folder / "provenance.json")
    identity = {key: value for key, value in found.get("identity", {}).items() if key != "settings"}
    return {**found, "identity": identity}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of the run folder; empty if it does not exist yet."""
    return json.loads(path.read_text()) if path.exists() else {}
