"""What happens during a sweep, told to whoever watches: the terminal, MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bnnlab.experiment.directory import Epoch, Failure
from bnnlab.sweep.plan import PlannedRun


@dataclass(frozen=True)
class RunReused:
    """The ledger has this run already."""

    run: PlannedRun


@dataclass(frozen=True)
class RunStarted:
    """A process has taken the run up; `epoch` epochs were done before."""

    run: PlannedRun
    epoch: int


@dataclass(frozen=True)
class EpochFinished:
    run: PlannedRun
    epoch: Epoch


@dataclass(frozen=True)
class RunFinished:
    run: PlannedRun


@dataclass(frozen=True)
class RunFailed:
    """The run has failed; `again` says whether in this sweep or, not tried again, in an earlier one."""

    run: PlannedRun
    failure: Failure
    earlier: bool = False


@dataclass(frozen=True)
class RunDied:
    """The run's process ended without a word; it is taken up again where it stood."""

    run: PlannedRun
    reason: str


@dataclass(frozen=True)
class RunElsewhere:
    """Another sweep is training this run; its result is waited for."""

    run: PlannedRun


@dataclass(frozen=True)
class RunPruned:
    """The run need not go on; its checkpoint is kept, and whoever asks for the run again continues it."""

    run: PlannedRun
    reason: str


@dataclass(frozen=True)
class RunInterrupted:
    """The sweep ends before the run does; it goes on with the next sweep."""

    run: PlannedRun


Event = (
    RunReused
    | RunStarted
    | EpochFinished
    | RunFinished
    | RunFailed
    | RunDied
    | RunElsewhere
    | RunPruned
    | RunInterrupted
)


class Observer(Protocol):
    """Someone who is told. Must return soon and never raise: a sweep does not wait for its watchers."""

    def tell(self, event: Event) -> None: ...
