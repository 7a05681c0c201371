"""Faults inside workers. The forkserver imports this after `bnnlab.experiment.run`; a run directory that holds
`fault.json` gets what that asks for, every other run is left alone.

    {"do": "kill", "epoch": 1, "step": 0, "times": 1}    at a training step: see `AT_STEP`
    {"do": "kill", "at_write": 7, "times": 1}            before the 7th change to a file of the run directory
    {"do": "count_writes"}                               write the number of such changes to `writes.txt`
    {"do": "look_around"}                                write the environment beside the run directory, `.seen`
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import bnnlab.experiment.run as run
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.failure import Failure
from bnnlab.experiment.holder import Process
from bnnlab.experiment.lightning import Training

_train = run.train


def ask_for(directory: Path, do: str, *, times: int = 1, **details: Any) -> None:
    """Have the next `times` attempts of a run meet a fault."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "fault.json").write_text(json.dumps({"do": do, "times": times, **details}))


def train(path: Path, execution: Execution, coordinator: Process | None = None) -> Failure | None:
    fault = _take(path / "fault.json")
    if fault is None:
        return _train(path, execution, coordinator)
    if fault["do"] == "count_writes" or "at_write" in fault:
        writes = _watch_writes(path, fault.get("at_write"))
        try:
            return _train(path, execution, coordinator)
        finally:
            count = writes[0]
            path.with_suffix(".writes").write_text(str(count))
    if fault["do"] == "look_around":
        path.with_suffix(".seen").write_text(
            json.dumps({**os.environ, "cuda_is_initialized": torch.cuda.is_initialized()})
        )
        return _train(path, execution, coordinator)
    _at_step(fault)
    return _train(path, execution, coordinator)


run.train = train


def _take(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    fault: dict[str, Any] = json.loads(path.read_text())
    if fault["times"] <= 0:
        return None
    path.write_text(json.dumps({**fault, "times": fault["times"] - 1}))
    return fault


def _watch_writes(folder: Path, kill_at: int | None) -> list[int]:
    count = [0]
    inside = str(folder)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            changes = isinstance(path, str | os.PathLike) and bool(flags & (os.O_WRONLY | os.O_RDWR))
        elif event in ("os.rename", "os.remove"):
            path, changes = args[0], True
        else:
            return
        if changes and str(path).startswith(inside):
            count[0] += 1
            if count[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return count


def _at_step(fault: dict[str, Any]) -> None:
    original = Training.training_step

    def training_step(self: Training, batch: Any, batch_index: int) -> torch.Tensor:
        if self.current_epoch == fault.get("epoch", 0) and batch_index == fault.get("step", 0):
            AT_STEP[fault["do"]](self)
        return original(self, batch, batch_index)

    Training.training_step = training_step


def _nan(training: Training) -> None:
    with torch.no_grad():
        next(training.network.parameters()).fill_(float("nan"))


def _raise(training: Training) -> None:
    raise KeyError("no such layer")


def _exit(training: Training) -> None:
    os._exit(7)


def _quit_quietly(training: Training) -> None:
    os._exit(0)


def _kill(training: Training) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _terminate(training: Training) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(training: Training) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _sleep(training: Training) -> None:
    time.sleep(3600)


def _want_memory(training: Training) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**26, resource.RLIM_INFINITY))
    torch.ones(2**28)


def _cuda_memory(training: Training) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def _turn_clock_back(training: Training) -> None:
    now = time.time
    time.time = lambda: now() - 86_400


AT_STEP: dict[str, Callable[[Training], None]] = {
    "nan": _nan,
    "raise": _raise,
    "exit": _exit,
    "quit": _quit_quietly,
    "kill": _kill,
    "terminate": _terminate,
    "stop": _stop,
    "sleep": _sleep,
    "memory": _want_memory,
    "cuda_memory": _cuda_memory,
    "clock": _turn_clock_back,
}
