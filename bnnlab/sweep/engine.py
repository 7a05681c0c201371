"""Make the ledger match a plan. To resume is the same act as to start."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from bnnlab.experiment.directory import Epoch, Failure, RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.record import RunState
from bnnlab.sweep.events import (
    EpochFinished,
    Event,
    Observer,
    RunDied,
    RunElsewhere,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPruned,
    RunReused,
    RunStarted,
)
from bnnlab.sweep.executor import TAKEN, Executor, Exit, Job
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun, starting_runs
from bnnlab.sweep.source import RunSource

TICK_S = 0.05
"""How often the engine looks; on average a free slot waits half of it."""
READ_EVERY_S = 0.25
"""How often the metrics of a running run are read."""


@dataclass(frozen=True)
class Policy:
    """What a sweep does about runs that failed or are finished."""

    retry_failed: bool = False
    fail_fast: bool = False
    deaths: int = 3
    """A run whose process dies this many times without finishing an epoch in between has failed."""


@dataclass
class Outcome:
    """What a sweep came to, by run key."""

    reused: list[str] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)
    interrupted: bool = False


@dataclass
class _Active:
    run: PlannedRun
    directory: RunDirectory
    job: Job
    epochs_seen: int
    read_at: float = 0.0
    withdrawn: str = ""
    """Why it need not go on; "" while it does."""


class Engine:
    """Trains what a plan lacks, and tells its observers about it."""

    def __init__(
        self, ledger: Ledger, executor: Executor, execution: Execution, observers: Sequence[Observer], policy: Policy
    ) -> None:
        self.ledger = ledger
        self.executor = executor
        self.execution = execution
        self.observers = observers
        self.policy = policy
        self.outcome = Outcome()
        self._queue: deque[PlannedRun] = deque()
        self._active: list[_Active] = []
        self._elsewhere: dict[str, PlannedRun] = {}
        self._deaths: dict[str, int] = {}
        self._failures_here = 0
        self._stop = False

    def run(self, runs: Sequence[PlannedRun], source: RunSource | None = None) -> Outcome:
        """Train the runs that are not finished, then those that `source` gives out.

        Returns when all are finished or failed and the source is done, or on Ctrl-C.
        """
        if source is not None:
            self.observers = (source, *self.observers)
        self._sort(runs)
        with self._stoppable():
            try:
                while not self._stop and (
                    self._queue or self._active or self._elsewhere or (source is not None and not source.is_done)
                ):
                    if source is not None:
                        self._ask(source)
                    self._fill()
                    self._look()
                    if source is not None:
                        self._drop(source.withdrawn())
                    if self.policy.fail_fast and self._failures_here:
                        break
                    time.sleep(TICK_S)
            finally:
                self._wind_down()
        return self.outcome

    # -- the three acts of a tick ------------------------------------------------------------------

    def _sort(self, runs: Sequence[PlannedRun]) -> None:
        for run in runs:
            directory = self.ledger.directory(run.run_key)
            state = directory.state()
            if state is RunState.FINISHED:
                self.outcome.reused.append(run.run_key)
                self._tell(RunReused(run))
            elif state is RunState.FAILED and not self.policy.retry_failed:
                failure = directory.failure() or Failure("exception", "unknown")
                self.outcome.failed[run.run_key] = failure
                self._tell(RunFailed(run, failure, earlier=True))
            elif state is RunState.RUNNING:
                self._wait_for(run)
            else:
                self._queue.append(run)

    def _ask(self, source: RunSource) -> None:
        while not self._stop and len(self._queue) + len(self._active) < self.executor.slots:
            run = source.next_run()
            if run is None:
                return
            self._sort((*starting_runs((run,)), run))

    def _drop(self, withdrawn: Mapping[str, str]) -> None:
        """End runs that need not go on."""
        if not withdrawn:
            return
        self._queue = deque(run for run in self._queue if run.run_key not in withdrawn)
        for key in withdrawn.keys() & self._elsewhere.keys():
            del self._elsewhere[key]
        for active in self._active:
            if active.run.run_key in withdrawn:
                active.withdrawn = withdrawn[active.run.run_key]
                active.job.cancel()

    def _fill(self) -> None:
        while len(self._active) < self.executor.slots:
            run = self._next()
            if run is None:
                return
            directory = self.ledger.directory(run.run_key)
            directory.create(run.config)
            done = len(directory.epochs())
            job = self.executor.submit(directory.path, self._execution_of(run))
            self._active.append(_Active(run, directory, job, done))
            self._tell(RunStarted(run, done))

    def _next(self) -> PlannedRun | None:
        """The first run in the queue that can start; one whose start has failed fails with it."""
        for run in list(self._queue):
            start = run.starts_from
            if start is None or self.ledger.state(start.run_key) is RunState.FINISHED:
                self._queue.remove(run)
                return run
            if start.run_key in self.outcome.failed:
                self._queue.remove(run)
                cause = f"run {start.run_key}, which it starts from, failed: {self.outcome.failed[start.run_key].cause}"
                self.outcome.failed[run.run_key] = Failure("start", cause)
                self._tell(RunFailed(run, self.outcome.failed[run.run_key], earlier=True))
        return None

    def _execution_of(self, run: PlannedRun) -> Execution:
        root = getattr(run.config.data, "root", None)
        return self.execution if root is None else self.execution.model_copy(update={"data_root": root})

    def _look(self) -> None:
        now = time.monotonic()
        for active in list(self._active):
            exit_ = active.job.poll()
            if exit_ is not None or now - active.read_at >= READ_EVERY_S:
                active.read_at = now
                self._read_epochs(active)
            if exit_ is not None:
                self._active.remove(active)
                self._judge(active, exit_)
        for run in list(self._elsewhere.values()):
            state = self.ledger.state(run.run_key)
            if state is RunState.FINISHED:
                del self._elsewhere[run.run_key]
                self.outcome.reused.append(run.run_key)
                self._tell(RunFinished(run))
            elif state is not RunState.RUNNING:
                del self._elsewhere[run.run_key]
                self._queue.append(run)

    def _read_epochs(self, active: _Active) -> None:
        epochs: tuple[Epoch, ...] = active.directory.epochs()
        for epoch in epochs[active.epochs_seen :]:
            self._deaths.pop(active.run.run_key, None)
            self._tell(EpochFinished(active.run, epoch))
        active.epochs_seen = max(active.epochs_seen, len(epochs))

    def _judge(self, active: _Active, exit_: Exit) -> None:
        run, directory = active.run, active.directory
        state = directory.state()
        if state is RunState.FINISHED:
            self.outcome.trained.append(run.run_key)
            self._tell(RunFinished(run))
        elif active.withdrawn:
            directory.set_pruned(active.withdrawn)
            self._tell(RunPruned(run, active.withdrawn))
        elif state is RunState.FAILED:
            self._fail(run, directory.failure() or Failure("exception", "unknown"))
        elif state is RunState.RUNNING or exit_.code == TAKEN:
            self._wait_for(run)
        else:
            self._died(active, exit_)

    def _died(self, active: _Active, exit_: Exit) -> None:
        key = active.run.run_key
        self._deaths[key] = self._deaths.get(key, 0) + 1
        if self._deaths[key] < self.policy.deaths:
            self._tell(RunDied(active.run, f"its process {exit_}"))
            self._queue.appendleft(active.run)
            return
        cause = f"its process {exit_}, {self._deaths[key]} times in a row"
        failure = Failure("died", cause, active.directory.log_tail(), active.directory.attempts())
        active.directory.set_failure(failure)
        self._fail(active.run, failure)

    def _fail(self, run: PlannedRun, failure: Failure) -> None:
        self.outcome.failed[run.run_key] = failure
        self._failures_here += 1
        self._tell(RunFailed(run, failure))

    def _wait_for(self, run: PlannedRun) -> None:
        self._elsewhere[run.run_key] = run
        self._tell(RunElsewhere(run))

    # -- the end -----------------------------------------------------------------------------------

    def _wind_down(self) -> None:
        for active in self._active:
            active.job.cancel()
        for active in self._active:
            self._read_epochs(active)
            if active.directory.state() is RunState.FINISHED:
                self.outcome.trained.append(active.run.run_key)
                self._tell(RunFinished(active.run))
            else:
                self._tell(RunInterrupted(active.run))
        self.outcome.interrupted = self._stop
        self._active.clear()
        self.executor.close()

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the sweep between two ticks; a second one ends it where it stands."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _tell(self, event: Event) -> None:
        for observer in self.observers:
            observer.tell(event)
