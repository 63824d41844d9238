"""Checkpoints of runs: which one is read, and the checks of what it holds before a model uses it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anirec.errors import UserError


class DamagedTensorError(ValueError):
    """A tensor of a checkpoint is not one that the model can have saved."""


def best_or_last(run: Path) -> Path | None:
    """Return the best checkpoint of a run, or the last one if there is no best; None if the run kept none."""
    paths = [run / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    return next((path for path in paths if path.exists()), None)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint; its tensors are read from the file when they are used.

    Raises:
        UserError: The file is no checkpoint.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if not isinstance(content.get("state_dict"), dict):
            raise TypeError("expected a state_dict")
    except Exception:  # torch raises many kinds of errors for damaged files
        raise not_loaded(path) from None
    return content


def restore(model: Any, path: Path) -> None:
    """Load a checkpoint into an untrained model, and check its tensors, as compiled code trusts them.

    Shapes are checked by `Model.on_load_checkpoint`. Here, numbers must be finite, except in the buffers that a
    module names in `may_be_nan`, and the method `check_tensors` of a module must accept its indices.

    Raises:
        UserError: The file is damaged, or of another model or version.
    """
    checkpoint = read_checkpoint(path)
    try:
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"], assign=True)
        for name, module in model.named_modules():
            check_numbers(name, module)
            if hasattr(module, "check_tensors"):
                module.check_tensors(getattr(model, "n_items", 0))
    except UserError:
        raise
    except DamagedTensorError as error:
        raise not_loaded(path, f"{error}; ") from None
    except Exception:
        raise not_loaded(path) from None


def not_loaded(path: Path, problem: str = "") -> UserError:
    return UserError(
        f"{path}: not loaded: {problem}the file is damaged, or of another model or another version of anirec. Run the "
        "experiment again."
    )


def check_shape(name: str, saved: Tensor, allocated: Tensor | None) -> None:
    """Raise an error unless a saved tensor has the shape that the model allocates; a length of 0 allows any."""
    if allocated is None:
        raise DamagedTensorError(f"the model has no {name}")
    shapes = tuple(saved.shape), tuple(allocated.shape)
    if len(shapes[0]) != len(shapes[1]) or any(own not in (n, 0) for n, own in zip(*shapes, strict=True)):
        raise DamagedTensorError(f"{name} has the shape {shapes[0]}, expected {shapes[1]}")


def check_numbers(prefix: str, module: nn.Module) -> None:
    """Raise an error if a parameter or buffer of the module itself is not finite."""
    for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        if tensor.is_floating_point() and tensor.numel():
            may_be_nan = name in getattr(module, "may_be_nan", ())
            is_finite = not tensor.isinf().any() if may_be_nan else torch.stack(tensor.aminmax()).isfinite().all()
            if not is_finite:
                raise DamagedTensorError(f"{f'{prefix}.{name}'.lstrip('.')} holds numbers that are not finite")


def check_indices(name: str, index: Tensor, n: int) -> None:
    """Raise an error unless all indices are whole numbers from 0 to n - 1."""
    if index.numel() and (index.is_floating_point() or index.min() < 0 or index.max() >= n):
        raise DamagedTensorError(f"{name} holds an index that is not one of 0 to {n - 1}")


def check_rows(name: str, bounds: Tensor, *columns: Tensor) -> None:
    """Raise an error unless the bounds divide the columns, which are equally long, into rows."""
    lengths = {len(column) for column in columns}
    if (
        bounds.is_floating_point()
        or not len(bounds)
        or bounds[0] != 0
        or (bounds.diff() < 0).any()
        or {int(bounds[-1])} != lengths
    ):
        raise DamagedTensorError(f"{name} does not divide {', '.join(map(str, sorted(lengths)))} entries into rows")
