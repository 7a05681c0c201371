"""A search that is killed again and again ends as if it had never been."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import signal
import sys
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_training import FakeExecutor, run_search, spec_text
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.record import RunState
from bnnlab.sweep import engine
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.reading import read_spec
from bnnlab.sweep.search.journal import coordinating, search_folder
from bnnlab.sweep.search.results import search_results
from bnnlab.sweep.search.spec import Search

SEARCH = """\
  space:
    training.optimizer.lr: {float: [1e-4, 1], log: true}
    training.optimizer.eps: {float: [1e-9, 1e-3], log: true}
    training.batch_size: {int: [8, 64], step: 8}
  objectives: {val/top1: maximize}
  budget: {trials: TRIALS}
  enqueue: {first: {lr: 0.01}, second: {lr: 0.1, eps: 1e-8, batch_size: 64}}
"""


def accuracy(config: RunConfig, epoch: int) -> float:
    optimizer = config.training.optimizer
    distance = (math.log10(optimizer.lr) + 2) ** 2 + (math.log10(optimizer.eps) + 6) ** 2  # type: ignore[union-attr]
    return (1 - 0.5**epoch) / (1 + distance + abs(config.training.batch_size - 32) / 64)


def read(folder: Path, trials: int, seeds: str = "[0]") -> tuple[Search, Ledger]:
    (folder / "spec.yaml").write_text(spec_text(SEARCH.replace("TRIALS", str(trials)), seeds=seeds, epochs=2))
    search = read_spec(folder / "spec.yaml")
    assert isinstance(search, Search)
    return search, Ledger(folder / "runs")


class Killer:
    """Counts what this process changes in a folder, and kills it right before one of the changes.

    The clock has no part in it: a kill falls into the same step of a search on a fast machine and on a slow one.
    """

    def __init__(self, folder: str, at: float) -> None:
        self.folder, self.at, self.changes = folder, at, 0
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            changes = isinstance(path, str | os.PathLike) and bool(flags & (os.O_WRONLY | os.O_RDWR))
        elif event in ("os.rename", "os.remove", "os.symlink", "os.link", "os.mkdir"):
            path, changes = args[1] if event in ("os.symlink", "os.link") else args[0], True
        else:
            return
        if changes and str(path).startswith(self.folder):
            self.changes += 1
            if self.changes == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


def session(folder: str, trials: int, seeds: str, slots: int, kill_at: float, changes: Connection) -> None:
    """What a process does until it is killed; tells how many changes it made where it is not."""
    engine.READ_EVERY_S = 0.0
    search, ledger = read(Path(folder), trials, seeds)
    killer = Killer(str(ledger.root), kill_at)
    run_search(search, ledger, FakeExecutor(accuracy, slots))
    changes.send(killer.changes)


def completed(search: Search, ledger: Ledger) -> int:
    return search_results(search, ledger).counts().get("completed", 0)


def check(search: Search, ledger: Ledger, trials: int) -> None:
    """Exactly the budget is completed, nothing is lost, doubled or left over, as plain Optuna sees it."""
    journal = search_folder(ledger, search) / "journal.log"
    study = optuna.load_study(study_name=search.title, storage=JournalStorage(JournalFileBackend(str(journal))))
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.COMPLETE) == trials
    assert states.count(TrialState.RUNNING) == states.count(TrialState.WAITING) == states.count(TrialState.FAIL) == 0
    assert [trial.number for trial in study.trials] == list(range(len(study.trials)))
    completed = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    keys = [key for trial in completed for key in trial.user_attrs["runs"]]
    assert len(set(keys)) == len(keys) == trials * len(search.seeds)
    assert {trial.user_attrs.get("enqueued") for trial in study.trials} == {None, "first", "second"}
    assert sum("enqueued" in trial.user_attrs for trial in study.trials) == 2
    assert sorted(keys) == ledger.run_keys()  # and no run was trained for nobody
    for trial in completed:
        directories = [ledger.directory(key) for key in trial.user_attrs["runs"]]
        assert all(directory.state() is RunState.FINISHED for directory in directories)
        last = [directory.epochs()[-1].metrics["val/top1"] for directory in directories]
        assert trial.value == pytest.approx(sum(last) / len(last), abs=1e-15)
    for line in journal.read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize(
    ("kills", "slots", "seeds"),
    [
        pytest.param(10, 3, "[0, 1]", id="10 kills"),
        pytest.param(50, 1, "[0]", id="50 kills, one worker", marks=pytest.mark.slow),
        pytest.param(50, 4, "[0, 1]", id="50 kills, four workers", marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_moment_the_same_command_goes_on(tmp_path: Path, kills: int, slots: int, seeds: str) -> None:
    trials, chance = 40, random.Random(kills + slots)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_search_kills"])

    def run(name: str, kill_at: float) -> tuple[int | None, int]:
        (tmp_path / name).mkdir(exist_ok=True)
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=session, args=(str(tmp_path / name), trials, seeds, slots, kill_at, send))
        process.start()
        process.join()
        return process.exitcode, receive.recv() if process.exitcode == 0 else 0

    code, changes = run("quiet", math.inf)
    assert code == 0
    search, ledger = read(tmp_path / "quiet", trials, seeds)
    check(search, ledger, trials)

    (tmp_path / "killed").mkdir()
    search, ledger = read(tmp_path / "killed", trials, seeds)
    journal = search_folder(ledger, search) / "journal.log"
    sizes = [0]
    for _ in range(kills):
        # On average 0.8 of its share of the changes is done before each kill, so that the last one falls before the end.
        code, _ = run("killed", chance.randint(1, round(1.6 * changes / kills)))
        assert code == -signal.SIGKILL
        sizes.append(journal.stat().st_size if journal.exists() else 0)
    assert sum(after > before for before, after in pairwise(sizes)) > 0.8 * kills
    before = completed(search, ledger)
    assert trials / 4 < before < trials  # the kills fell all over the search, and none of them after its end
    coordinator, _ = run_search(search, ledger, FakeExecutor(accuracy, slots))
    assert coordinator.ended == "40 of 40 trials are completed"
    check(search, ledger, trials)


def test_a_line_that_was_cut_short_is_taken_off_before_the_next_is_written(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, 5)
    run_search(search, ledger, FakeExecutor(accuracy))
    journal = search_folder(ledger, search) / "journal.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker_id":"half a li')
    (journal.parent / "journal.log.lock").symlink_to(journal)  # and whoever wrote it held Optuna's lock
    search, _ = read(tmp_path, 8)
    run_search(search, ledger, FakeExecutor(accuracy))
    check(search, ledger, 8)
    assert (journal.parent / "journal.log.cut").read_bytes() == b'{"op_code":4,"worker_id":"half a li'


def test_only_one_process_at_a_time_coordinates_a_search(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, 5)
    folder = search_folder(ledger, search)
    with coordinating(folder), pytest.raises(Exception, match="another process coordinates this search") as error:
        run_search(search, ledger, FakeExecutor(accuracy))
    assert type(error.value).__name__ == "SearchIsTaken"


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, 5)
    run_search(search, ledger, FakeExecutor(accuracy))
    larger, _ = read(tmp_path, 9)
    executor = FakeExecutor(accuracy)
    run_search(larger, ledger, executor)
    assert search.search_id == larger.search_id
    assert len(executor.trained) == 4
    check(larger, ledger, 9)
