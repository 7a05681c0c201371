"""What the engine asks of the place where runs are trained."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bnnlab.experiment.execution import Execution

TAKEN = 75
"""Exit code of a worker that finds its run being trained by another process."""


@dataclass(frozen=True)
class Exit:
    """How a job ended. A hint only: whether its run is finished, the run directory says."""

    code: int | None
    """Exit code; negative: the signal that killed it; None: unknown."""

    def __str__(self) -> str:
        if self.code is None:
            return "ended for an unknown reason"
        if self.code < 0:
            try:
                name = signal.Signals(-self.code).name
            except ValueError:
                name = f"signal {-self.code}"
            hint = " (was the machine out of memory?)" if name == "SIGKILL" else ""
            return f"was killed by {name}{hint}"
        return f"ended with exit code {self.code}"


class Job(Protocol):
    """A run that was handed over."""

    def poll(self) -> Exit | None:
        """How it ended; None while it runs."""

    def cancel(self) -> None:
        """End it at once; harmless where it has ended."""


class Executor(Protocol):
    """Trains runs, each in its run directory."""

    @property
    def slots(self) -> int:
        """How many jobs it takes at once."""

    def submit(self, path: Path, execution: Execution) -> Job: ...

    def close(self) -> None:
        """Let go of everything it holds."""
