"""Make the ledger match a plan. To resume is the same act as to start."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType

from bnnlab.experiment.directory import RunDirectory, RunIsTaken, WrongDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.failure import Failure, classify
from bnnlab.experiment.record import RunState
from bnnlab.sweep.backlog import Backlog
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
from bnnlab.sweep.executor import TAKEN, Executor, Exit, Job, SubmissionFailed
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun, starting_runs
from bnnlab.sweep.policy import Policy, StopRule
from bnnlab.sweep.source import RunSource
from bnnlab.sweep.watch import Watch

__all__ = ["Engine", "Outcome", "Policy"]

READ_EVERY_S = 0.25
"""How often the metrics of a running run are read; a job that ends is noticed at once."""
ORPHAN_SILENCE_S = 5.0
"""A worker ends within this time of its coordinator. One that has not, and shows no sign of life, is stopped."""
FAREWELL_S = 10.0
"""How long killed workers may take to be gone."""


@dataclass
class Outcome:
    """What a sweep came to, by run key."""

    reused: list[str] = field(default_factory=list)
    """Finished before, or by another sweep meanwhile."""
    trained: list[str] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)
    interrupted: bool = False
    """By Ctrl-C or SIGTERM."""
    stopped: str = ""
    """Why the sweep ended itself before its time; "" where it did not."""


@dataclass
class _Active:
    run: PlannedRun
    directory: RunDirectory
    job: Job
    epochs: int
    """How many were told."""
    failure_before: Failure | None
    watch: Watch
    hung: str = ""
    withdrawn: str = ""
    """Why it need not go on; "" while it does."""
    metrics_stamp: tuple[int, int] = (0, 0)
    read_at: float = 0.0


class Engine:
    """Trains what is not finished, and tells its observers about it.

    Several engines, in one process after another or side by side, may work on one ledger: the lock of a run
    directory decides who trains, and the others wait for the result.
    """

    def __init__(
        self, ledger: Ledger, executor: Executor, execution: Execution, observers: Sequence[Observer], policy: Policy
    ) -> None:
        self.ledger = ledger
        self.executor = executor
        self.execution = execution
        self.observers = observers
        self.policy = policy
        self.outcome = Outcome()
        self._backlog = Backlog()
        self._active: list[_Active] = []
        self._elsewhere: dict[str, tuple[PlannedRun, Watch]] = {}
        self._failures_before: dict[str, Failure | None] = {}
        self._attempts_in_a_row: dict[str, int] = {}
        self._stop_rule = StopRule(policy.stop_after)
        self._looked_elsewhere = 0.0
        self._stop = False

    def run(self, runs: Sequence[PlannedRun], source: RunSource | None = None) -> Outcome:
        """Train the runs that are not finished, and first those that they start from; then what `source` gives out.

        Returns when all are finished or failed and the source is done, when the policy ends the sweep, or on Ctrl-C.
        The executor stays open.
        """
        if source is not None:
            self.observers = (source, *self.observers)
        with self._stoppable():
            try:
                self._sort((*starting_runs(runs), *runs))
                while (self._has_work or (source is not None and not source.is_done)) and not self._stop:
                    if source is not None:
                        self._ask(source)
                    self._fill()
                    self.executor.wait(READ_EVERY_S)
                    self._look()
                    if source is not None:
                        self._drop(source.withdrawn())
                    if self.outcome.stopped:
                        break
            finally:
                self._wind_down()
        return self.outcome

    # -- what is to be done ------------------------------------------------------------------------

    def _sort(self, runs: Sequence[PlannedRun]) -> None:
        finished: set[str] = set()
        planned = {run.run_key: run for run in runs}
        standings = self.ledger.standings(planned)
        for run in planned.values():
            state = standings[run.run_key].state
            if state is RunState.FINISHED:
                finished.add(run.run_key)
                self.outcome.reused.append(run.run_key)
                self._tell(RunReused(run))
                self._backlog.released(run.run_key)  # those that stand before it in the plan wait for it
                continue
            failure = self.ledger.directory(run.run_key).failure() if state is RunState.FAILED else None
            start = run.starts_from
            if failure is not None and not self.policy.retry_failed:
                self._give_up(run, failure, earlier=True)
            elif start is not None and start.run_key in self.outcome.failed:
                self._give_up(run, _failed_start(start.run_key, self.outcome.failed[start.run_key]), earlier=True)
            elif start is not None and start.run_key not in finished:
                self._failures_before[run.run_key] = failure
                self._backlog.add_behind(run, start.run_key)
            else:
                self._failures_before[run.run_key] = failure
                self._backlog.add(run)

    @property
    def _has_work(self) -> bool:
        return bool(self._backlog or self._active or self._elsewhere)

    def _ask(self, source: RunSource) -> None:
        while not self._stop and len(self._backlog) + len(self._active) < self.executor.slots:
            run = source.next_run()
            if run is None:
                return
            self._sort((*starting_runs((run,)), run))

    def _drop(self, withdrawn: Mapping[str, str]) -> None:
        """End runs that need not go on; one that trains is judged when its process is gone."""
        if not withdrawn:
            return
        self._backlog.drop(withdrawn.keys())
        for key in withdrawn.keys() & self._elsewhere.keys():
            del self._elsewhere[key]
        for active in self._active:
            if active.run.run_key in withdrawn:
                active.withdrawn = withdrawn[active.run.run_key]
                active.job.cancel()

    def _fill(self) -> None:
        while len(self._active) < self.executor.slots:
            run = self._backlog.take()
            if run is None:
                return
            self._start(run)

    def _start(self, run: PlannedRun) -> None:
        """Hand a run to the executor, unless another sweep has dealt with it in the meantime."""
        directory = self.ledger.directory(run.run_key)
        state = directory.state()
        failure = directory.failure()
        if state is RunState.FINISHED:
            self._finished(run, elsewhere=True)
        elif state is RunState.RUNNING:
            self._wait_for(run)
        elif state is RunState.FAILED and failure is not None and failure != self._failures_before.get(run.run_key):
            self._give_up(run, failure)
        else:
            try:
                directory.create(run.config)
                job = self.executor.submit(directory.path, self._execution_of(run))
            except (OSError, WrongDirectory, SubmissionFailed) as error:
                kind, cause = classify(error)
                if isinstance(error, SubmissionFailed):
                    kind, cause = "died", str(error)
                self._attempt_failed(run, Failure(kind, cause, attempts=directory.attempts()))
                return
            epochs = len(directory.epochs())
            self._active.append(_Active(run, directory, job, epochs, failure, Watch(directory)))
            self._tell(RunStarted(run, epochs))

    def _execution_of(self, run: PlannedRun) -> Execution:
        root = getattr(run.config.data, "root", None)
        return self.execution if root is None else self.execution.model_copy(update={"data_root": root})

    # -- what has happened -------------------------------------------------------------------------

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
            elif not active.hung:
                self._check_progress(active)
        if self._elsewhere and now - self._looked_elsewhere >= READ_EVERY_S:
            self._looked_elsewhere = now
            for run, watch in list(self._elsewhere.values()):
                self._look_elsewhere(run, watch)

    def _read_epochs(self, active: _Active) -> None:
        try:
            status = active.directory.metrics_file.stat()
        except OSError:
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp == active.metrics_stamp:
            return
        active.metrics_stamp = stamp
        epochs = active.directory.epochs()
        for epoch in epochs[active.epochs :]:
            self._attempts_in_a_row.pop(active.run.run_key, None)
            self._tell(EpochFinished(active.run, epoch))
        active.epochs = max(active.epochs, len(epochs))

    def _check_progress(self, active: _Active) -> None:
        if not active.job.started:
            active.watch.not_started()
            return
        active.watch.look()
        complaint = active.watch.complaint(self.policy.hang_timeout_s)
        if complaint is not None:
            active.hung = complaint
            active.job.cancel()

    def _judge(self, active: _Active, exit_: Exit) -> None:
        """Decide what has become of a job that ended: by its directory first, by its exit only after that."""
        run, directory = active.run, active.directory
        state = directory.state()
        if state is RunState.FINISHED:
            if exit_.code not in (0, TAKEN):
                directory.tidy()  # it was killed while it did so itself
            self._finished(run, elsewhere=exit_.code == TAKEN)
        elif active.withdrawn:
            directory.set_pruned(active.withdrawn)
            self._tell(RunPruned(run, active.withdrawn))
        elif state is RunState.RUNNING or exit_.code == TAKEN:
            self._wait_for(run)
        else:
            self._attempt_failed(run, self._explain(active, exit_), active.job)

    def _explain(self, active: _Active, exit_: Exit) -> Failure:
        found = active.directory.failure()
        if found is not None and found != active.failure_before:
            return found
        kind, cause = ("hang", active.hung) if active.hung else (exit_.kind, f"its process {exit_}")
        return Failure(kind, cause, active.directory.log_tail(), active.directory.attempts())

    def _attempt_failed(self, run: PlannedRun, failure: Failure, job: Job | None = None) -> None:
        """Try a run again after a failure that may pass, or give it up."""
        in_a_row = self._attempts_in_a_row.get(run.run_key, 0) + 1
        fewer = self.executor.lower(job) if job is not None and failure.kind == "out_of_memory" else ""
        if fewer:
            self._try_again(run, f"{failure.cause}; from now on {fewer}", self.policy.pause_s(1))
        elif failure.may_pass and in_a_row <= self.policy.retries:
            self._attempts_in_a_row[run.run_key] = in_a_row
            self._try_again(run, failure.cause, self.policy.pause_s(in_a_row))
        else:
            if in_a_row > 1:
                failure = replace(failure, cause=f"{failure.cause}; {in_a_row} attempts in a row failed")
            self._record_failure(run, replace(failure, final=True))

    def _try_again(self, run: PlannedRun, reason: str, pause_s: float) -> None:
        self._tell(RunDied(run, reason, pause_s))
        self._backlog.add_after(run, pause_s)

    def _record_failure(self, run: PlannedRun, failure: Failure) -> None:
        directory = self.ledger.directory(run.run_key)
        try:
            with directory.locked():
                if directory.result() is None:
                    directory.set_failure(failure)
        except RunIsTaken:
            self._wait_for(run)
            return
        except OSError:
            pass  # nothing can be written there, which may be the very cause; the outcome and MLflow still say it
        self._give_up(run, failure)
        reason = self._stop_rule.failed(failure)
        if self.policy.fail_fast:
            reason = "a run failed, and --fail-fast was asked for"
        self.outcome.stopped = self.outcome.stopped or reason

    def _look_elsewhere(self, run: PlannedRun, watch: Watch) -> None:
        directory = watch.directory
        state = directory.state()
        if state is RunState.RUNNING:
            watch.look()
            holder = directory.holder() if watch.silent_s >= ORPHAN_SILENCE_S else None
            if holder is not None and holder.is_orphan:
                holder.process.kill()
            return
        del self._elsewhere[run.run_key]
        failure = directory.failure()
        if state is RunState.FINISHED:
            self._finished(run, elsewhere=True)
        elif state is RunState.FAILED and failure is not None and failure != self._failures_before.get(run.run_key):
            self._give_up(run, failure)
        else:
            self._backlog.add_after(run, 0)

    # -- verdicts ----------------------------------------------------------------------------------

    def _finished(self, run: PlannedRun, *, elsewhere: bool) -> None:
        (self.outcome.reused if elsewhere else self.outcome.trained).append(run.run_key)
        self._attempts_in_a_row.pop(run.run_key, None)
        self._stop_rule.finished()
        self._backlog.released(run.run_key)
        self._tell(RunFinished(run))

    def _give_up(self, run: PlannedRun, failure: Failure, *, earlier: bool = False) -> None:
        """A run has failed, and with it every run that starts from it."""
        self.outcome.failed[run.run_key] = failure
        self._tell(RunFailed(run, failure, earlier))
        for follower in self._backlog.taken_behind(run.run_key):
            self._give_up(follower, _failed_start(run.run_key, failure), earlier=earlier)

    def _wait_for(self, run: PlannedRun) -> None:
        self._elsewhere[run.run_key] = run, Watch(self.ledger.directory(run.run_key))
        self._tell(RunElsewhere(run))

    # -- the end -----------------------------------------------------------------------------------

    def _wind_down(self) -> None:
        """End what still runs. Nothing is lost: the checkpoint of its last epoch is there."""
        self.outcome.interrupted = self._stop
        for active in self._active:
            active.job.cancel()
        deadline = time.monotonic() + FAREWELL_S
        while any(active.job.poll() is None for active in self._active) and time.monotonic() < deadline:
            self.executor.wait(0.05)
        for active in self._active:
            self._read_epochs(active)
            if active.directory.state() is RunState.FINISHED:
                self._finished(active.run, elsewhere=False)
            else:
                self._tell(RunInterrupted(active.run))
        self._active.clear()

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and a closed terminal end the sweep in good order; the second of them ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True

        # SIGHUP is ignored under nohup, and stays so.
        signals = [s for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) != signal.SIG_IGN]
        before = {number: signal.signal(number, stop) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _tell(self, event: Event) -> None:
        for observer in self.observers:
            observer.tell(event)


def _failed_start(key: str, failure: Failure) -> Failure:
    return Failure("start", f"run {key}, which it starts from, failed: {failure.cause}")
