"""Where a result comes from: code, versions, device, memory."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

PACKAGES = (
    *("anirec", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy", "numba", "scipy", "polars"),
    *("scikit-learn", "scikit-surprise", "transformers", "timm", "wandb"),
)


def code() -> dict[str, Any] | None:
    """Commit of the checkout that anirec runs from, and whether it has uncommitted changes; None if installed."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    try:
        # A virtual environment inside somebody's repository is not a checkout of anirec.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def device() -> dict[str, Any]:
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "processor": platform.machine(),
        "cores": psutil.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
    }


class Memory:
    """Peak resident memory of this process since the object was made, in MiB."""

    def __init__(self) -> None:
        self.can_reset = True
        try:
            # Linux forgets the old peak on request, so that one run of a multirun does not inherit another's.
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            self.can_reset = False

    def peak_mb(self) -> float:
        if self.can_reset:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return round(int(line.split()[1]) / 1024, 1)
        return round(psutil.Process().memory_info().rss / 2**20, 1)
