"""The sweeper of `search=NAME`. It lies here because Hydra accepts plugins from the package `hydra_plugins` only.

Light: every command that uses Hydra imports all of its plugins.
"""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SearchSweeper(Sweeper):
    """Run the trials of a search by the configured launcher.

    Args:
        params: The search space: a range of values, in Hydra's syntax, for each key.
    """

    def __init__(self, params: DictConfig | None) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.parts: dict[str, Any] = {"hydra_context": hydra_context, "task_function": task_function, "config": config}

    def sweep(self, arguments: list[str]) -> None:
        from anirec.sweeps.search import search

        search(self.parts["config"], launcher=lambda: Plugins.instance().instantiate_launcher(**self.parts))
