"""What happens during a sweep, told to whoever watches: the terminal, MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bnnlab.experiment.directory import Epoch
from bnnlab.experiment.failure import Failure
from bnnlab.sweep.plan import PlannedRun


@dataclass(frozen=True)
class RunReused:
    """The ledger has this run already."""

    run: PlannedRun


@dataclass(frozen=True)
class RunStarted:
    """The run was handed to the executor; `epoch` epochs were done before."""

    run: PlannedRun
    epoch: int


@dataclass(frozen=True)
class EpochFinished:
    run: PlannedRun
    epoch: Epoch


@dataclass(frozen=True)
class RunFinished:
    """The run is finished, by this sweep or, where it was told to be elsewhere, by another one."""

    run: PlannedRun


@dataclass(frozen=True)
class RunFailed:
    """The run has failed; `earlier` says whether that was in an earlier sweep, and it was not tried again."""

    run: PlannedRun
    failure: Failure
    earlier: bool = False


@dataclass(frozen=True)
class RunDied:
    """An attempt failed for a reason that may pass; the run is taken up again where it stood, after a pause."""

    run: PlannedRun
    reason: str
    pause_s: float = 0.0


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
