"""What a worker process does: it trains one run and speaks to nobody but its run directory."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from bnnlab.experiment.execution import Execution
from bnnlab.experiment.failure import EXIT_CODES, classify
from bnnlab.experiment.holder import Process
from bnnlab.sweep.executor import TAKEN


def work(path: str, execution: str, coordinator: Process, lifeline: Connection, variables: Mapping[str, str]) -> None:
    """Train the run in `path`; end when the other end of `lifeline` is closed, as it is when the coordinator ends.

    `variables` are set in the environment first: CUDA, which torch has not touched yet, reads there what it may use.
    """
    os.environ.update(variables)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_coordinator, args=(lifeline,), daemon=True).start()
    code = train_in(Path(path), Execution.model_validate_json(execution), coordinator)
    os._exit(code)  # at once: the interpreter's own way out of a process with torch in it takes a while


def train_on_node(path: str, execution: str) -> int:
    """Train the run in `path` as a job of a cluster; gives the exit code.

    A signal that announces the end of the job means nothing here, because each epoch leaves a checkpoint; that which
    ends it does so at once, and not as an exception in the middle of training that would look like the run's fault.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger("submitit").setLevel(logging.ERROR)  # the log is the run's
    return train_in(Path(path), Execution.model_validate_json(execution))


def train_in(directory: Path, execution: Execution, coordinator: Process | None = None) -> int:
    """Train the run in `directory`, with what is printed going to its log. Gives the exit code."""
    with contextlib.suppress(OSError):  # a full disk or a directory that cannot be written: training will say so
        log = os.open(directory / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
    from bnnlab.experiment.directory import RunIsTaken
    from bnnlab.experiment.run import train

    try:
        failure = train(directory, execution, coordinator)
        code = EXIT_CODES.get(failure.kind, 1) if failure is not None else 0
    except RunIsTaken:
        code = TAKEN
    except Exception as error:
        kind, cause = classify(error)
        code = EXIT_CODES[kind]
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{cause}\n")
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _end_with_coordinator(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)
