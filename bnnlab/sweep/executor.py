"""What the engine asks of the place where runs are trained."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bnnlab.experiment.execution import Execution
from bnnlab.experiment.failure import EXIT_CODES

TAKEN = 75
"""Exit code of a worker that finds its run being trained, or finished, by another process."""
LAST_WORDS = {
    "disk_full": "found the disk full",
    "unwritable": "found its run directory not writable",
    "out_of_memory": "ran out of memory",
}
"""What an exit code of a worker says, by kind of failure, where its run directory says nothing."""


@dataclass(frozen=True)
class Exit:
    """How a job ended. A hint only: whether its run is finished, the run directory says."""

    code: int | None
    """Exit code; negative: the signal that killed it; None: unknown."""
    out_of_memory: bool = False
    """Whether the system says that it ended the job for want of memory."""
    lost: str = ""
    """What became of the place where it ran, where that is known: "node n12 is gone"."""

    @property
    def kind(self) -> str:
        """The kind of failure that this would be, if the run directory has nothing to say."""
        if self.out_of_memory:
            return "out_of_memory"
        return next((kind for kind, code in EXIT_CODES.items() if code == self.code), "died")

    def __str__(self) -> str:
        if self.lost:
            return f"was lost: {self.lost}"
        if self.out_of_memory:
            return "was killed because the machine, or its share of it, was out of memory"
        if self.code is None:
            return "ended for an unknown reason"
        if self.code < 0:
            try:
                name = signal.Signals(-self.code).name
            except ValueError:
                name = f"signal {-self.code}"
            return f"was killed by {name}"
        if self.kind != "died":
            return f"{LAST_WORDS.get(self.kind, 'failed')} and could not write down more (exit code {self.code})"
        return f"ended with exit code {self.code}"


class Job(Protocol):
    """A run that was handed over."""

    @property
    def started(self) -> bool:
        """Whether it has left every queue, so that its silence means something."""

    def poll(self) -> Exit | None:
        """How it ended; None while it has not."""

    def cancel(self) -> None:
        """Have it ended at once, without waiting for that; harmless where it has ended."""


class Executor(Protocol):
    """Trains runs, each in its run directory."""

    @property
    def slots(self) -> int:
        """How many jobs it takes at once; may change while it works."""

    def submit(self, path: Path, execution: Execution) -> Job:
        """Hand over the run of a directory. Raises SubmissionFailed."""

    def wait(self, timeout_s: float) -> None:
        """Return when a job has ended, after `timeout_s` at the latest."""

    def lower(self, job: Job) -> str:
        """After `job` ran out of memory: put fewer jobs side by side from now on where it ran.

        Says how many ("3 side by side"); "" where nothing ran beside it, so that less company would not help.
        """

    def close(self) -> None:
        """Let go of everything it holds; jobs that still run are ended."""


class SubmissionFailed(Exception):
    """A job could not be handed over; the message says why."""


class NoExecutor(Exception):
    """What was asked for cannot be had here, and nothing was started; the message says what to do about it."""
