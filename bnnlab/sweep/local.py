"""Runs on this machine: one process a run, forked from a server that has torch and Lightning loaded."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from bnnlab.experiment.execution import Execution
from bnnlab.sweep.executor import TAKEN, Exit

PRELOAD = ["bnnlab.experiment.run"]
"""Four seconds of imports, once instead of in each run."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalExecutor:
    """A process a run, `slots` at a time. They die with the coordinator, however that ends."""

    def __init__(self, slots: int | None = None) -> None:
        self.slots = slots or cores()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self._lifeline, self._held = self._context.Pipe(duplex=False)

    def submit(self, path: Path, execution: Execution) -> LocalJob:
        process = self._context.Process(
            target=work, args=(str(path), execution.model_dump_json(), self._lifeline), daemon=False
        )
        with _nameless_main():
            process.start()
        return LocalJob(process)

    def close(self) -> None:
        self._held.close()
        self._lifeline.close()


class LocalJob:
    """One worker process."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def poll(self) -> Exit | None:
        if self._process.is_alive():
            return None
        return Exit(self._process.exitcode)

    def cancel(self) -> None:
        # Nothing is lost by SIGKILL: files are replaced in one step, and the last epoch's checkpoint is there.
        with contextlib.suppress(ProcessLookupError, ValueError):
            self._process.kill()
        self._process.join(timeout=10)


def work(path: str, execution: str, lifeline: Connection) -> None:
    """What a worker process does: trains one run and speaks to nobody but its run directory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_coordinator, args=(lifeline,), daemon=True).start()
    directory = Path(path)
    with contextlib.suppress(OSError):  # a full disk or a directory that cannot be written: train() will say so
        log = os.open(directory / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
    from bnnlab.experiment.directory import RunIsTaken
    from bnnlab.experiment.run import train

    code = 0
    try:
        train(directory, Execution.model_validate_json(execution))
    except RunIsTaken:
        code = TAKEN
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: the interpreter's own way out of a process with torch in it takes a while


def _die_with_coordinator(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)


@contextlib.contextmanager
def _nameless_main() -> Iterator[None]:
    # multiprocessing would run the command line's module again in every worker; a worker needs nothing of it.
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
