"""A line on the terminal for work that takes long; silent while it is quick, and where nobody watches."""

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.status import Status

PATIENCE = 2.0  # seconds before anything is shown


class StatusLine:
    """Shows the current step and the seconds so far, once they are more than `PATIENCE`.

    with StatusLine("mal_2016") as waiting:
        waiting.step("reading rating.csv")
    """

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        self.what, self.start = what, time.monotonic()
        self.status = Status(what, console=console) if console.is_terminal else None
        self.over = threading.Event()
        self.clock = threading.Thread(target=self.show, daemon=True)
        self.doing = ""

    def step(self, doing: str) -> None:
        self.doing = doing

    def show(self) -> None:
        while not self.over.wait(PATIENCE if time.monotonic() - self.start < PATIENCE else 1.0):
            if self.status:
                self.status.update(f"{self.what}: {self.doing} ({time.monotonic() - self.start:.0f} s)")
                self.status.start()

    def __enter__(self) -> "StatusLine":
        if self.status:
            self.clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.over.set()
        if self.status:
            self.clock.join()
            self.status.stop()
