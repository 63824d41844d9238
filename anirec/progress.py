"""Lines about long-running work: a status line with the current step, and one line per training epoch."""

import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType

from rich.status import Status

from anirec.printable import Console

DELAY = 2.0  # seconds before the line appears
PAUSE = 10.0  # seconds between two lines where there is no terminal
MINUTE = 60.0


class StatusLine:
    """Context manager that displays the current step and the elapsed seconds, after `DELAY` seconds.

    Where stderr is not a terminal, it prints a line if the step has changed, at most one in `PAUSE` seconds.

        with StatusLine("mal_2016") as status:
            status.step("reading rating.csv")
    """

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        self.what, self.start = what, time.monotonic()
        self.status = Status(what, console=console) if console.is_terminal else None
        self.finished = threading.Event()
        self.clock = threading.Thread(target=self.update, daemon=True)
        self.current = ""

    def step(self, description: str) -> None:
        """Set the description of the current step."""
        self.current = description

    def update(self) -> None:
        printed, printed_at = "", 0.0
        while not self.finished.wait(DELAY if time.monotonic() - self.start < DELAY else 1.0):
            step, now = f"{self.what}: {self.current}".removesuffix(": "), time.monotonic()
            line = f"{step} ({now - self.start:.0f} s)"
            if self.status:
                self.status.update(line)
                self.status.start()
            elif step != printed and now - printed_at >= PAUSE:
                print(line, file=sys.stderr, flush=True)
                printed, printed_at = step, now

    def __enter__(self) -> "StatusLine":
        self.clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finished.set()
        self.clock.join()
        if self.status:
            self.status.stop()


def epoch_line(epoch: int, n_epochs: int | None, seconds: float, metrics: Mapping[str, float], left: float) -> str:
    """Return the line of an epoch.

    Args:
        epoch: Number of the epoch, from 1.
        n_epochs: Number of epochs of the training; None if unknown.
        seconds: Seconds of this epoch so far.
        metrics: Validation metrics after the epoch; empty while it runs.
        left: Estimated seconds until the end of the training; less than a minute is not mentioned.

    >>> epoch_line(3, 20, 1.2, {"val/rmse": 1.143}, left=170)
    'epoch 3/20, 1.2 s, val/rmse 1.1430, about 3 min left'
    >>> epoch_line(1, None, 0.04, {}, left=0)
    'epoch 1, 0.0 s'
    """
    parts = [f"epoch {epoch}/{n_epochs}" if n_epochs else f"epoch {epoch}", f"{seconds:.1f} s"]
    parts += [f"{name} {value:.4f}" for name, value in metrics.items()]
    return ", ".join([*parts, f"about {duration(left)} left"] if left >= MINUTE else parts)


def duration(seconds: float) -> str:
    """Return a rough duration.

    >>> [duration(seconds) for seconds in (8, 170, 5400, 90000)]
    ['8 s', '3 min', '1.5 h', '25 h']
    """
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 60 * MINUTE else f"{seconds / 3600:.2g} h"
