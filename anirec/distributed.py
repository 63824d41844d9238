"""Processes of a distributed run. The first starts the others with the folder of the run, not with its own command.

Lightning's launcher repeats the command in each process. That of a sweep would start the sweep again.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from anirec.lightning import SubprocessLauncher
from anirec.notices import FOLDER_VARIABLE

PLACE = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")  # of a process among all


class RunLauncher(SubprocessLauncher):
    """Starts the other processes of a run on this machine; see `anirec.run.join_run`."""

    def _call_children_scripts(self) -> None:
        self._check_can_spawn_children()
        environment = self.cluster_environment
        os.environ |= {
            "MASTER_ADDR": environment.main_address,
            "MASTER_PORT": str(environment.main_port),
            "NODE_RANK": str(environment.node_rank()),
            "LOCAL_RANK": str(environment.local_rank()),
            "WORLD_SIZE": str(self.num_processes * self.num_nodes),
        }
        command = [sys.executable, "-m", "anirec.run", os.environ[FOLDER_VARIABLE]]
        modules = os.pathsep.join(map(os.path.abspath, sys.path))  # with the folder of a user's own classes
        for rank in range(1, self.num_processes):
            variables = os.environ | {"LOCAL_RANK": str(rank), "PYTHONPATH": modules}
            self.procs.append(subprocess.Popen(command, env=variables))  # noqa: S603


@contextmanager
def process_group() -> Iterator[None]:
    """Leave the group of processes at the end of the block, so that the next run of this process can have its own."""
    before = {name: os.environ.get(name) for name in PLACE}
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def gather_rows(column: Tensor, world_size: int) -> Tensor:
    """Concatenate the columns of all processes, whose lengths may differ."""
    parts: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(parts, column.cpu())
    return torch.cat(parts).to(column.device)
