"""The W&B login of this machine; imports wandb, but neither torch nor Lightning."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

OFFLINE = "or log to this disk with logger.wandb.offline=true"


def check_login(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if a run is to be logged online and there are no credentials; they are not verified."""
    import wandb

    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else W&B sends error reports, even offline
    if settings["offline"] or wandb.setup().settings.mode != "online":  # WANDB_MODE, or `wandb offline`
        return
    if not wandb.login(prompt=False):
        yield f"offline=false: there is no W&B login on this machine. Log in with `wandb login`, {OFFLINE}"
