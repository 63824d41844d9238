"""Status line on the terminal for long-running work."""

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.status import Status

DELAY = 2.0  # seconds before the line appears


class StatusLine:
    """Context manager that displays the current step and the elapsed seconds, after `DELAY` seconds.

    It displays nothing if stderr is not a terminal.

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
        while not self.finished.wait(DELAY if time.monotonic() - self.start < DELAY else 1.0):
            if self.status:
                self.status.update(f"{self.what}: {self.current} ({time.monotonic() - self.start:.0f} s)")
                self.status.start()

    def __enter__(self) -> "StatusLine":
        if self.status:
            self.clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finished.set()
        if self.status:
            self.clock.join()
            self.status.stop()
