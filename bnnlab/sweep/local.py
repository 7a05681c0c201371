"""Runs on this machine: one process a run, forked from a server that has torch and Lightning loaded."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from bnnlab.experiment.execution import Execution, cores
from bnnlab.experiment.holder import this_process
from bnnlab.sweep.executor import Exit, Job, SubmissionFailed
from bnnlab.sweep.seats import CPU, Seat, Seats

PRELOAD = ("bnnlab.experiment.run",)
"""Four seconds of imports, once instead of in each run."""
SERVER_DIED = 255
"""What multiprocessing says of every process when the forkserver itself has ended: it does not know."""
MEMORY_EVENTS = Path("/sys/fs/cgroup/memory.events")


class LocalExecutor:
    """A process a run, `slots` at a time. They end with the coordinator, however that ends.

    With `gpus`, names that CUDA_VISIBLE_DEVICES takes, each run is given one of them, up to `runs_per_gpu` the same
    one, and sees no other. `preload` are modules that the server imports before it forks the first worker.
    """

    def __init__(
        self,
        slots: int | None = None,
        *,
        gpus: Sequence[str] = (),
        runs_per_gpu: int = 1,
        preload: Sequence[str] = PRELOAD,
    ) -> None:
        self._most = slots or (len(gpus) * runs_per_gpu if gpus else cores())
        self._seats = Seats(gpus, min(runs_per_gpu, self._most)) if gpus else Seats([CPU], self._most)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._lifeline, self._held = self._context.Pipe(duplex=False)
        self._jobs: list[LocalJob] = []

    @property
    def slots(self) -> int:
        return min(self._most, self._seats.count)

    def submit(self, path: Path, execution: Execution) -> LocalJob:
        from bnnlab.sweep.worker import work

        self._forget_ended()
        seat = self._seats.take()
        variables: dict[str, str] = {}
        execution = execution.model_copy(update={"side_by_side": min(execution.side_by_side, self.slots)})
        if seat.device != CPU:
            variables["CUDA_VISIBLE_DEVICES"] = seat.device
            if execution.device.startswith("cuda"):
                execution = execution.model_copy(update={"device": "cuda"})  # the one that it sees is its first
        arguments = (str(path), execution.model_dump_json(), this_process(), self._lifeline, variables)
        process = self._context.Process(target=work, args=arguments, daemon=False)
        try:
            with _nameless_main(), _deaf_to_interrupts():
                process.start()
        except (OSError, EOFError) as error:
            self._seats.leave(seat)
            raise SubmissionFailed(f"no process could be started: {error or type(error).__name__}") from error
        job = LocalJob(process, seat)
        self._jobs.append(job)
        return job

    def wait(self, timeout_s: float) -> None:
        if self._forget_ended():
            return
        sentinels = [job.process.sentinel for job in self._jobs if not job.is_orphan]
        if sentinels:
            wait_for_any(sentinels, timeout_s)
        else:
            time.sleep(min(timeout_s, 0.05))

    def lower(self, job: Job) -> str:
        return self._seats.lower(job.seat) if isinstance(job, LocalJob) else ""

    def close(self) -> None:
        self._held.close()
        self._lifeline.close()

    def _forget_ended(self) -> bool:
        """Free the seats of jobs that have ended; gives whether there were any."""
        ended = [job for job in self._jobs if job.poll() is not None]
        for job in ended:
            self._jobs.remove(job)
            self._seats.leave(job.seat)
        return bool(ended)


class LocalJob:
    """One worker process."""

    started = True

    def __init__(self, process: ForkServerProcess, seat: Seat) -> None:
        self.process = process
        self.seat = seat
        self.is_orphan = False
        """Whether the forkserver ended before this process did."""
        self._kills_before = _memory_kills()
        self._exit: Exit | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid

    def poll(self) -> Exit | None:
        if self._exit is None and not self.process.is_alive():
            code = self.process.exitcode
            if code == SERVER_DIED:
                self.is_orphan = self._lives()
                if self.is_orphan:
                    return None
                code = None
            killed = code == -signal.SIGKILL and _memory_kills() > self._kills_before
            self._exit = Exit(code, out_of_memory=killed)
        return self._exit

    def cancel(self) -> None:
        # Nothing is lost by SIGKILL: files are replaced in one step, and the last epoch's checkpoint is there.
        with contextlib.suppress(ProcessLookupError, ValueError):
            if self.is_orphan and self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)
            else:
                self.process.kill()

    def _lives(self) -> bool:
        if self.pid is None:
            return False
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        stat = Path(f"/proc/{self.pid}/stat")
        return not stat.exists() or stat.read_bytes().rpartition(b") ")[2][:1] != b"Z"


def _memory_kills() -> int:
    """How many processes of this control group the kernel has ended for want of memory."""
    try:
        words = MEMORY_EVENTS.read_text().split()
        return int(words[words.index("oom_kill") + 1])
    except (OSError, ValueError, IndexError):
        return 0


@contextlib.contextmanager
def _nameless_main() -> Iterator[None]:
    # multiprocessing would run the command line's module again in every worker; a worker needs nothing of it.
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Have the server and its workers born with SIGINT blocked: Ctrl-C reaches the whole group of a terminal, and
    it is for the coordinator to decide what it means, also in the seconds that the server spends importing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # by itself it would unblock SIGINT again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
