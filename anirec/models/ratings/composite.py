"""Base class of rating models that consist of other rating models, named in YAML under `models`."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from annotated_types import MinLen
from torch import nn

from anirec.models.base import ManualOptimization, RatingModel


class Composite(ManualOptimization, RatingModel):
    """Base class of models of models: their checkpoints, findings and facts are in its own.

    Args:
        models: Models by name.
    """

    def __init__(self, *, models: Annotated[Mapping[str, RatingModel], MinLen(1)], **settings: Any) -> None:
        super().__init__(**settings)
        self.models = nn.ModuleDict(models)
        self.uses_order = any(model.uses_order for model in models.values())

    def parts(self) -> Iterator[Any]:
        return iter(self.models.values())

    def named_parts(self) -> Iterator[tuple[str, Any]]:
        return iter(self.models.items())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["parts"] = {name: {} for name in self.models}
        for name, part in self.named_parts():
            part.on_save_checkpoint(checkpoint["parts"][name])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["state_dict"]
        for name, part in self.named_parts():
            prefix = f"models.{name}."
            own = {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
            of_part = checkpoint.get("parts", {}).get(name, {})  # a checkpoint of before has none
            part.on_load_checkpoint({**checkpoint, **of_part, "state_dict": own})
        super().on_load_checkpoint(checkpoint)

    @property
    def findings(self) -> list[str]:
        return [sentence for part in self.parts() for sentence in part.findings]

    def provenance(self) -> dict[str, Any]:
        models = {name: part.provenance() for name, part in self.named_parts()}
        return {"models": models} if any(models.values()) else {}
