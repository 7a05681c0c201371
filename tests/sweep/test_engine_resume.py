"""A run that was interrupted, at whatever moment, ends as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import faults
import pytest
import torch
from little import EPOCHS, little_config, sweep

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.recorder import load_tensors
from bnnlab.sweep.plan import PlannedRun

CONFIGS = {
    "holdout": little_config(3),
    "paper": little_config(3, evaluation="paper"),
    "sgd": little_config(
        3,
        training={
            "epochs": EPOCHS,
            "batch_size": 12,
            "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True},
            "schedule": {"name": "step", "milestones": [1, 2], "warmup_epochs": 1},
        },
    ),
    "bop": little_config(
        3,
        training={
            "epochs": EPOCHS,
            "batch_size": 16,
            "optimizer": {"name": "bop", "lr": 0.1, "rest": {"name": "radam", "lr": 0.01}},
            "schedule": {"name": "polynomial"},
        },
    ),
}


def what_counts(directory: RunDirectory) -> dict[str, Any]:
    """Everything of a finished run but when and how often it was trained."""
    result = directory.result()
    assert result is not None
    return {
        "metrics": result["metrics"],
        "weights": result["provenance"]["weights_sha256"],
        "best": result["provenance"]["best_epoch"],
        "code": result["provenance"]["code"],
        "epochs": [(epoch.index, dict(epoch.metrics)) for epoch in directory.epochs()],
    }


def undisturbed(root: Path, run: PlannedRun) -> dict[str, Any]:
    outcome, _ = sweep(root, [run])
    assert outcome.trained == [run.run_key]
    return what_counts(RunDirectory(root / run.run_key))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_a_run_killed_in_any_epoch_ends_with_the_same_weights_and_metrics(
    tmp_path: Path, name: str, epoch: int
) -> None:
    run = PlannedRun(CONFIGS[name], {})
    expected = undisturbed(tmp_path / "undisturbed", run)
    directory = RunDirectory(tmp_path / "runs" / run.run_key)
    faults.ask_for(directory.path, "kill", epoch=epoch, step=1)

    outcome, listener = sweep(tmp_path / "runs", [run])

    assert outcome.trained == [run.run_key]
    assert directory.attempts() == 2
    assert what_counts(directory) == expected
    # The epochs before the kill were not trained again, and none was told twice.
    assert listener.names() == [
        "RunStarted", *["EpochFinished"] * epoch, "RunDied", "RunStarted", *["EpochFinished"] * (EPOCHS - epoch),
        "RunFinished",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_run_killed_before_any_of_its_writes_ends_with_the_same_weights_and_metrics(tmp_path: Path) -> None:
    run = PlannedRun(CONFIGS["holdout"], {})
    clean = tmp_path / "undisturbed"
    faults.ask_for(clean / run.run_key, "count_writes")
    expected = undisturbed(clean, run)
    writes = int((clean / f"{run.run_key}.writes").read_text())
    assert writes > 6 * EPOCHS

    for write in range(1, writes + 1):
        root = tmp_path / f"killed-before-{write}"
        directory = RunDirectory(root / run.run_key)
        faults.ask_for(directory.path, "kill", at_write=write)

        sweep(root, [run])

        assert what_counts(directory) == expected, f"killed before change {write} of {writes}"
        left = {path.name for path in directory.path.iterdir()} - {"fault.json"}
        assert left == {
            "config.json", "attempts.jsonl", "metrics.jsonl", "weights.pt", "result.json", "lock", "log.txt"
        }, f"killed before change {write} of {writes}"  # fmt: skip


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another run's", "best weights gone"])
def test_a_checkpoint_that_is_not_whole_is_not_believed(tmp_path: Path, damage: str) -> None:
    run = PlannedRun(CONFIGS["holdout"], {})
    expected = undisturbed(tmp_path / "undisturbed", run)
    directory = RunDirectory(tmp_path / "runs" / run.run_key)
    faults.ask_for(directory.path, "kill", epoch=2)
    sweep(tmp_path / "runs", [run], retries=0)
    content = directory.checkpoint_file.read_bytes()
    match damage:
        case "cut":
            directory.checkpoint_file.write_bytes(content[: len(content) // 2])
        case "flipped":  # one bit of a weight, which PyTorch itself would load without a word
            place = content.index(b"data/1") + 200
            directory.checkpoint_file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        case "empty":
            directory.checkpoint_file.write_bytes(b"")
        case "another run's":
            directory.checkpoint_file.write_bytes(_checkpoint_of_another(tmp_path / "another"))
        case _:
            for path in directory.best_files():
                path.unlink()

    outcome, _ = sweep(tmp_path / "runs", [run], retry_failed=True)

    assert outcome.trained == [run.run_key]
    assert what_counts(directory) == expected
    assert "last.ckpt cannot be used" in directory.log_file.read_text()


def test_a_checkpoint_of_an_earlier_version_is_gone_on_from(tmp_path: Path) -> None:
    """It has its epochs as a list, and not as text."""
    run = PlannedRun(CONFIGS["holdout"], {})
    expected = undisturbed(tmp_path / "undisturbed", run)
    directory = RunDirectory(tmp_path / "runs" / run.run_key)
    faults.ask_for(directory.path, "kill", epoch=2)
    sweep(tmp_path / "runs", [run], retries=0)
    checkpoint = load_tensors(directory.checkpoint_file)
    (state,) = (state for state in checkpoint["callbacks"].values() if "epochs" in state)
    state["epochs"] = json.loads(state["epochs"])
    torch.save(checkpoint, directory.checkpoint_file)

    sweep(tmp_path / "runs", [run], retry_failed=True)

    assert what_counts(directory) == expected
    assert "cannot be used" not in directory.log_file.read_text()


def _checkpoint_of_another(root: Path) -> bytes:
    other = PlannedRun(little_config(4), {})
    faults.ask_for(root / other.run_key, "kill", epoch=2)
    sweep(root, [other], retries=0)
    return RunDirectory(root / other.run_key).checkpoint_file.read_bytes()


def test_learning_rates_are_those_of_each_epochs_first_step(tmp_path: Path) -> None:
    run = PlannedRun(CONFIGS["sgd"], {})
    undisturbed(tmp_path, run)

    epochs = RunDirectory(tmp_path / run.run_key).epochs()

    # lr 0.1, 3 steps an epoch: a warm-up over the first epoch, a tenth from each of the epochs 1 and 2 on.
    assert [epoch.metrics["lr"] for epoch in epochs] == pytest.approx([0.1 / 3, 0.01, 0.001])
