"""Training that takes no time: an executor that writes run directories from a formula."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.costs import predicted_costs
from bnnlab.experiment.directory import Epoch, Failure, RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.sweep.engine import Engine, Outcome, Policy
from bnnlab.sweep.executor import Exit, Job
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.search.coordinator import Coordinator
from bnnlab.sweep.search.journal import coordinating, search_folder
from bnnlab.sweep.search.spec import Search

Formula = Callable[[RunConfig, int], float]
"""Validation accuracy of a configuration after so many epochs. Raises Failed."""


class Failed(Exception):
    """kind, cause"""


class FakeJob:
    """Trains one epoch each time that it is looked at."""

    started = True

    def __init__(self, path: Path, formula: Formula, with_costs: bool) -> None:
        self.directory = RunDirectory(path)
        self.formula = formula
        self.with_costs = with_costs
        self.exit: Exit | None = None

    def poll(self) -> Exit | None:
        if self.exit is None:
            self._work()
        return self.exit

    def cancel(self) -> None:
        self.exit = self.exit or Exit(-9)

    def _work(self) -> None:
        config, done = self.directory.config(), len(self.directory.epochs())
        self.directory.pruned_file.unlink(missing_ok=True)
        try:
            if done < config.training.epochs:
                accuracy = self.formula(config, done + 1)
                metrics = {"val/top1": accuracy, "val/loss": 1 - accuracy}
                self.directory.add_epoch(Epoch(done, time.time(), 0.0, metrics))
        except Failed as error:
            self.directory.set_failure(Failure(*error.args))
            self.exit = Exit(1)
            return
        if done + 1 >= config.training.epochs:
            accuracy = self.directory.epochs()[-1].metrics["val/top1"]
            costs = predicted_costs(config) if self.with_costs else {}
            now = time.time()
            self.directory.set_result(
                {"test/top1": accuracy, "test/top1_best": accuracy, **costs}, {"started": now, "finished": now}
            )
            self.exit = Exit(0)


class FakeExecutor:
    """Counts what it is asked to train."""

    def __init__(self, formula: Formula, slots: int = 1, *, with_costs: bool = False) -> None:
        self.formula = formula
        self.slots = slots
        self.with_costs = with_costs
        self.trained: list[str] = []
        self.in_flight: list[tuple[int, int]] = []
        """Each time that the engine waits: jobs handed over so far, and those that are running."""
        self.jobs: list[FakeJob] = []

    def submit(self, path: Path, execution: Execution) -> FakeJob:
        self.trained.append(path.name)
        job = FakeJob(path, self.formula, self.with_costs)
        self.jobs = [job for job in self.jobs if job.exit is None] + [job]
        return job

    def wait(self, timeout_s: float) -> None:
        self.in_flight.append((len(self.trained), sum(job.exit is None for job in self.jobs)))

    def lower(self, job: Job) -> str:
        return ""

    def close(self) -> None:
        pass


def run_search(
    search: Search, ledger: Ledger, executor: FakeExecutor, *, policy: Policy | None = None
) -> tuple[Coordinator, Outcome]:
    """One session of a search."""
    with coordinating(search_folder(ledger, search)):
        policy = policy or Policy()
        coordinator = Coordinator(search, ledger, retry_failed=policy.retry_failed)
        engine = Engine(ledger, executor, Execution(), [], policy)
        outcome = engine.run((), coordinator)
        coordinator.close()
    return coordinator, outcome


SPEC = """\
name: analytic
base:
  model: {name: resnet_e18, width: 16}
  data: {name: digits}
  training: {epochs: 1, batch_size: 64, optimizer: {name: adam}, schedule: {name: cosine}}
"""


def spec_text(search: str, *, seeds: str = "[0]", epochs: int = 1) -> str:
    """A spec with this `search:`, written as its indented body."""
    return SPEC.replace("epochs: 1", f"epochs: {epochs}") + f"seeds: {seeds}\nsearch:\n{search}"
