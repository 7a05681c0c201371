"""A user who sweeps plan after plan into a tracking server; the test starts sixteen of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from little_sweeps import new_project, saved_plan, sweep

# isort: split
from little import finish

from bnnlab.experiment.directory import Epoch, RunDirectory
from bnnlab.sweep.executor import Exit

EPOCH_S = 0.05


def write(root: Path, study: str, uri: str, seconds: float) -> None:
    """Sweep until the time is over, always to the end of a plan. Raises AssertionError where a run got lost."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    project = new_project(root, study, epochs=5)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        number += 1
        plan = saved_plan(project, f"training.optimizer.lr={number / 1000}")
        outcome, _ = sweep(project, plan, {run.run_key: [_train_slowly] for run in plan.runs}, live=True)
        assert len(outcome.trained) == 4


def _train_slowly(directory: RunDirectory) -> Exit:
    """Epochs that come one by one, so that MLflow hears of a run in the middle of it."""
    for index in range(directory.config().training.epochs):
        time.sleep(EPOCH_S)
        metrics = {"val/loss": 1 / (index + 1), "val/top1": index / 10, "train/loss": 2.0, "lr": 0.01}
        directory.add_epoch(Epoch(index, time.time(), EPOCH_S, metrics))
    return finish(directory)
