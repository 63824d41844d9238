"""Estimate of the time that the rest of a sweep or search will take."""

import time
from pathlib import Path

from anirec.tracking.folders import number_in, read_status

LONG = 60  # seconds; a shorter rest is not worth a line


class Estimate:
    """Estimate of the time that is left, from the time of the jobs that have ended.

    Jobs that had finished before this sweep began and were skipped took no time.

    Args:
        folder: Folder of the sweep, with links to the runs of its jobs.
        n_jobs: Number of jobs in all.
        at_once: Number of jobs at the same time; the first estimate is made after as many.
        word: What a job is called.
    """

    def __init__(self, folder: Path, n_jobs: int, *, at_once: int = 1, word: str = "jobs") -> None:
        self.folder, self.n_jobs, self.at_once, self.word = folder, n_jobs, at_once, word
        self.n_ended = self.n_run = 0
        self.started = time.time()

    def count(self, number: int) -> str:
        """Count a job that has ended, and return a sentence about the rest; empty if it takes less than a minute."""
        self.n_ended += 1
        self.n_run += number_in(read_status(self.folder / f"{number:04d}"), "heartbeat") >= self.started
        if self.n_run < self.at_once:
            return ""
        seconds = (time.time() - self.started) / self.n_run * (self.n_jobs - self.n_ended)
        if seconds < LONG:
            return ""
        return f"{self.n_ended} of {self.n_jobs} {self.word}, about {format_minutes(seconds)} left"


def format_minutes(seconds: float) -> str:
    """Return a duration in minutes, or in hours and minutes.

    >>> format_minutes(349), format_minutes(7860)
    ('6 min', '2 h 11 min')
    """
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
