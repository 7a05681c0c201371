"""Little runs, and an executor that trains nothing: what the tests of the engine share."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.directory import Epoch, RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.failure import Failure
from bnnlab.sweep.engine import Engine, Outcome, Policy
from bnnlab.sweep.events import Event
from bnnlab.sweep.executor import Exit, Job
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.local import PRELOAD, LocalExecutor
from bnnlab.sweep.plan import PlannedRun

EPOCHS = 3


def little_config(seed: int = 0, *, epochs: int = EPOCHS, lr: float = 0.01, **more: Any) -> RunConfig:
    """A network of four binary layers on 32 images: a seventh of a second on an idle core."""
    network = {
        "name": "binary_densenet_flex",
        "blocks": [1, 1, 1, 1],
        "reduction": [1, 1, 1],
        "growth_rate": 8,
        "init_features": 16,
    }
    return RunConfig.model_validate(
        {
            "model": network,
            "data": {"name": "synthetic", "train": 32, "validation": 16, "test": 16},
            "training": {
                "epochs": epochs,
                "batch_size": 16,
                "optimizer": {"name": "adam", "lr": lr},
                "schedule": {"name": "cosine"},
            },
            "seed": seed,
            **more,
        }
    )


def little_runs(count: int, *, epochs: int = EPOCHS) -> list[PlannedRun]:
    """Runs that differ in their seed."""
    return [PlannedRun(little_config(seed, epochs=epochs), {"what": "little"}) for seed in range(count)]


class Listener:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def names(self, key: str | None = None) -> list[str]:
        """The kinds of events, of one run or of all."""
        return [type(event).__name__ for event in self.events if key in (None, event.run.run_key)]


def local_executor(slots: int = 2) -> LocalExecutor:
    """Real processes, with `faults` where a run directory asks for one."""
    # The forkserver of Python 3.11 to 3.12 knows nothing of this process's sys.path.
    folders = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folder for folder in folders if folder))
    return LocalExecutor(slots, preload=(*PRELOAD, "faults"))


def sweep(root: Path, runs: Iterable[PlannedRun], *, slots: int = 2, **policy: Any) -> tuple[Outcome, Listener]:
    """Sweep with real processes."""
    listener = Listener()
    executor = local_executor(slots)
    try:
        return Engine(Ledger(root), executor, Execution(), [listener], quick(**policy)).run(list(runs)), listener
    finally:
        executor.close()


def quick(**policy: Any) -> Policy:
    return Policy(**{"backoff_s": 0.0, **policy})


# -- an executor that trains nothing ---------------------------------------------------------------

Act = Callable[[RunDirectory], Exit | None]
"""What a job does to its run directory when it is first polled, and how it ends; None: it goes on for ever."""


def finish(directory: RunDirectory) -> Exit:
    """What a worker does that trains without trouble, in short."""
    epochs = directory.config().training.epochs
    for index in range(len(directory.epochs()), epochs):
        directory.add_epoch(Epoch(index, time.time(), 0.1, {"val/loss": 1.0, "val/top1": 0.5}))
    directory.set_result({"test/top1": 0.5}, {"finished": time.time(), "started": time.time()})
    return Exit(0)


def die(directory: RunDirectory) -> Exit:
    return Exit(-9)


def hang(directory: RunDirectory) -> None:
    return None


def fail(kind: str, cause: str = "it broke", *, final: bool = True) -> Act:
    """What a worker does that writes down why it failed."""

    def act(directory: RunDirectory) -> Exit:
        directory.set_failure(Failure(kind, cause, final=final))
        return Exit(1)

    return act


@dataclass
class FakeJob:
    directory: RunDirectory
    act: Act
    started: bool = True
    exit: Exit | None = None
    acted: bool = False

    def poll(self) -> Exit | None:
        if not self.acted:
            self.acted = True
            self.exit = self.act(self.directory)
        return self.exit

    def cancel(self) -> None:
        self.exit = self.exit or Exit(-9)


class FakeExecutor:
    """Plays a script: what each run's jobs do, one after another; a run without a script finishes."""

    def __init__(self, scripts: dict[str, list[Act]] | None = None, slots: int = 2, *, lowest: int = 1) -> None:
        self.scripts = {key: iter(acts) for key, acts in (scripts or {}).items()}
        self.slots = slots
        self.lowest = lowest
        self.submitted: list[str] = []

    def submit(self, path: Path, execution: Execution) -> FakeJob:
        self.submitted.append(path.name)
        directory = RunDirectory(path)
        directory.failure_file.unlink(missing_ok=True)
        act = next(itertools.chain(self.scripts.get(path.name, iter(())), [finish]))
        return FakeJob(directory, act)

    def wait(self, timeout_s: float) -> None:
        time.sleep(0.001)

    def lower(self, job: Job) -> str:
        if self.slots <= self.lowest:
            return ""
        self.slots -= 1
        return f"{self.slots} side by side"

    def close(self) -> None:
        pass


def play(
    root: Path,
    runs: Iterable[PlannedRun],
    scripts: dict[str, list[Act]] | None = None,
    *,
    slots: int = 2,
    **policy: Any,
) -> tuple[Outcome, Listener, FakeExecutor]:
    """Sweep without training anything."""
    listener, executor = Listener(), FakeExecutor(scripts, slots)
    outcome = Engine(Ledger(root), executor, Execution(), [listener], quick(**policy)).run(list(runs))
    return outcome, listener, executor
