"""Ending a training at an epoch that was chosen before."""

from pytorch_lightning import Callback, LightningModule, Trainer

from anirec.settings import Configurable, PositiveInt


class Until(Callback, Configurable):
    """Stop after so many epochs. Schedules still stretch over trainer.max_epochs, as when the epoch was chosen.

    Args:
        epochs: How many; >= 1.
    """

    def __init__(self, *, epochs: PositiveInt) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.epochs:
            trainer.should_stop = True
