"""Data-parallel training, for models without a gradient too."""

from pytorch_lightning.strategies import DDPStrategy


class DataParallel(DDPStrategy):
    """Lightning's DDP, which refuses a model that has no parameter to learn: such a model sums its own statistics."""

    def configure_ddp(self) -> None:
        model = self.lightning_module
        if model is not None and any(parameter.requires_grad for parameter in model.parameters()):
            super().configure_ddp()
