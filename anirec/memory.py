"""Memory that this process can still allocate, in bytes, and sizes as text."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

CONTROL_GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")  # lines such as "0::/user.slice/app" or, of version 1, "4:memory:/docker/1f3"
# Files of versions 2 and 1 of Linux control groups: limit, use, and the part of the use that the kernel can reclaim.
FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def available_memory(device: "torch.device | None" = None) -> int:
    """Return the free memory of a graphics card, or else of the machine and of the control groups of this process.

    Slurm, Docker and Kubernetes limit the memory of a process by a control group; a process that exceeds it is killed.

    Args:
        device: The device that would allocate; None for main memory.
    """
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return min([psutil.virtual_memory().available, *free_in_control_groups()])


def free_in_control_groups() -> Iterator[int]:
    """Return the free memory of each control group of this process that has a limit."""
    if not MEMBERSHIP.exists():
        return
    for line in MEMBERSHIP.read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in {"", "memory"} & set(controllers.split(",")):
            root = CONTROL_GROUPS / controller
            for folder in [root / group.strip("/"), *(root / group.strip("/")).parents]:
                if folder.is_relative_to(root):
                    yield from free_in(folder, *FILES[controller])


def free_in(folder: Path, limit: str, used: str, reclaimable: str) -> Iterator[int]:
    """Return the free memory of a control group, unless it has no limit or does not exist in this container."""
    try:
        of_group, in_use = (folder / limit).read_text().strip(), int((folder / used).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return
    if of_group != "max":
        yield max(0, int(of_group) - in_use + int(statistics.get(reclaimable, 0)))


def format_size(n_bytes: float) -> str:
    """Return a size in memory or on a disk as text.

    >>> [format_size(n) for n in (40e9, 1.26e8, 1_234_567, 34_567, 812)]
    ['40.0 GB', '126 MB', '1.2 MB', '35 kB', '812 bytes']
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            number = n_bytes / size
            return f"{number:.1f} {unit}" if number < 10 or unit == "GB" else f"{number:.0f} {unit}"
    return f"{n_bytes:.0f} bytes"
