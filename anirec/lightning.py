"""Lightning, imported without three packages that it hardly uses; they take three times as long as torch and Lightning.

- All of torchmetrics (with torchvision and transformers): Lightning needs two base classes.
- matplotlib, for `torchmetrics.Metric.plot`.
- torch's compiler: Lightning needs a class for `isinstance`, and a decorator.

Each is imported as usual when something uses it. All modules of anirec import Lightning from here.
"""

import importlib.util
import logging
import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

PROBED = frozenset({"__path__", "__file__", "__wrapped__"})  # names that importing and inspecting look for


class WhenCompiled(type):
    """Metaclass of a class whose instances are those of `torch._dynamo.OptimizedModule`, once that is imported."""

    def __instancecheck__(cls, instance: Any) -> bool:
        compiler = sys.modules.get("torch._dynamo")
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class OptimizedModule(metaclass=WhenCompiled):
    """A module compiled by `torch.compile`."""


def disable(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
    """Mark a function as one that torch's compiler does not enter, as `torch._dynamo.disable` does."""
    function._torchdynamo_disable = True  # type: ignore[attr-defined]
    return function


def add_stand_in(spec: ModuleSpec, **names: Any) -> ModuleType:
    """Add a module that has only these names, and is executed when another name is used."""
    module = importlib.util.module_from_spec(spec)

    lock, is_executing = threading.RLock(), False

    def execute(name: str) -> Any:
        nonlocal is_executing
        with lock:  # other threads wait
            if is_executing or name in PROBED:
                raise AttributeError(f"module {spec.name!r} has no attribute {name!r}")
            if vars(module).get("__getattr__") is execute:
                is_executing = True
                try:
                    spec.loader.exec_module(module)  # type: ignore[union-attr]
                finally:
                    is_executing = False
                    vars(module).pop("__getattr__", None)
        return getattr(module, name)

    vars(module).update(names, __getattr__=execute)
    sys.modules[spec.name] = module
    return module


def import_parts_of_torchmetrics() -> None:
    """Import the base classes of torchmetrics."""
    package_spec = importlib.util.find_spec("torchmetrics")
    path = Path(package_spec.origin).parent / "utilities" / "plot.py"  # type: ignore[union-attr, arg-type]
    plots_spec = importlib.util.spec_from_file_location("torchmetrics.utilities.plot", path)

    def plot(*args: Any, **settings: Any) -> Any:
        if plots.plot_single_or_multi_val is plot:
            del plots.plot_single_or_multi_val  # its next use executes the module
        return plots.plot_single_or_multi_val(*args, **settings)

    names = {"__version__": version("torchmetrics"), "_logger": logging.getLogger("torchmetrics")}
    package = add_stand_in(package_spec, **names)  # type: ignore[arg-type]
    plots = add_stand_in(plots_spec, _AX_TYPE=Any, _PLOT_OUT_TYPE=Any, plot_single_or_multi_val=plot)  # type: ignore[arg-type]
    import torchmetrics.utilities  # noqa: F401 - first: it and `torchmetrics.metric` import each other
    from torchmetrics.collections import MetricCollection
    from torchmetrics.metric import Metric

    vars(package).update(Metric=Metric, MetricCollection=MetricCollection)


def import_lightning() -> None:
    """Import Lightning without the three packages. With versions that do not allow it, leave it to a usual import."""
    import torch  # noqa: F401 - before its compiler is replaced

    if {"pytorch_lightning", "torchmetrics", "torch._dynamo"} & set(sys.modules):
        return
    compiler = sys.modules["torch._dynamo"] = ModuleType("torch._dynamo")
    vars(compiler).update(OptimizedModule=OptimizedModule, disable=disable)
    try:
        import_parts_of_torchmetrics()
        import pytorch_lightning  # noqa: F401
    except Exception as error:
        logging.getLogger("anirec").debug("Lightning and all of torchmetrics are imported: %s", error)
        for name in list(sys.modules):
            if name.partition(".")[0] in ("pytorch_lightning", "lightning_fabric", "torchmetrics"):
                del sys.modules[name]
    finally:
        del sys.modules["torch._dynamo"]


import_lightning()

from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer, seed_everything  # noqa: E402
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint, ProgressBar  # noqa: E402
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger  # noqa: E402
from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment  # noqa: E402
from pytorch_lightning.plugins.io import TorchCheckpointIO  # noqa: E402
from pytorch_lightning.strategies import DDPStrategy  # noqa: E402
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher as SubprocessLauncher  # noqa: E402
from pytorch_lightning.trainer.states import TrainerFn  # noqa: E402
from pytorch_lightning.utilities import rank_zero_only  # noqa: E402

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "DDPStrategy",
    "EarlyStopping",
    "LightningDataModule",
    "LightningModule",
    "Logger",
    "ModelCheckpoint",
    "ProgressBar",
    "SubprocessLauncher",
    "TensorBoardLogger",
    "TorchCheckpointIO",
    "Trainer",
    "TrainerFn",
    "WandbLogger",
    "rank_zero_experiment",
    "rank_zero_only",
    "seed_everything",
]
