"""One run in several processes: the same images, the same weights in all of them, the same result as in one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.run import train

pytestmark = pytest.mark.slow  # each run starts processes that import torch


def config(**changes: Any) -> RunConfig:
    """A run of a second. 45 images in batches of 16: the last batch is odd, so that ranks have unequal shares."""
    training: dict[str, Any] = {
        "epochs": 3, "batch_size": 16, "optimizer": {"name": "adam", "lr": 1e-3}, "schedule": {"name": "cosine"},
    }  # fmt: skip
    fields: dict[str, Any] = {
        "model": {"name": "resnet_e18", "width": 16},
        "data": {"name": "synthetic", "train": 45, "validation": 15, "test": 13, "classes": 6},
        "seed": 0,
    }
    return RunConfig.model_validate(fields | changes | {"training": training | changes.pop("training", {})})


def run(root: Path, config: RunConfig, devices: int, **execution: Any) -> RunDirectory:
    directory = RunDirectory(root / str(devices) / config.run_key)
    directory.create(config)
    train(directory.path, Execution(device="cpu", devices=devices, **execution))
    return directory


def result(directory: RunDirectory) -> dict[str, Any]:
    found = directory.result()
    assert found is not None, directory.failure()
    return found


FULL = {"name": "resnet_e18", "width": 16, "precision": "full"}


@pytest.mark.parametrize("devices", [2, 3])
def test_a_full_precision_run_ends_with_the_weights_and_metrics_of_a_run_in_one_process(
    tmp_path: Path, devices: int
) -> None:
    # Without signs a difference in the last bit stays one, so that anything that the ranks do wrong shows. SGD, because
    # Adam divides gradients by their size, and what is zero but for rounding then counts as much as the rest.
    changed = config(model=FULL, training={"optimizer": {"name": "sgd", "lr": 0.01}})
    alone, together = run(tmp_path, changed, 1), run(tmp_path, changed, devices)
    for mine, theirs in zip(together.epochs(), alone.epochs(), strict=True):
        assert mine.metrics == pytest.approx(theirs.metrics, rel=1e-3, abs=1e-6)
    assert result(together)["metrics"] == pytest.approx(result(alone)["metrics"], rel=1e-3)
    assert result(together)["provenance"]["devices"] == devices
    weights, expected = (torch.load(d.weights_file, weights_only=True) for d in (together, alone))
    assert weights.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(weights[name], expected[name], rtol=1e-3, atol=1e-5, msg=name)


def test_a_binary_run_starts_as_in_one_process(tmp_path: Path) -> None:
    # A rate this small flips no sign, and what is left to differ are sums over the images.
    still = config(training={"epochs": 1, "optimizer": {"name": "sgd", "lr": 1e-30, "momentum": 0.0}})
    alone, together = (run(tmp_path, still, devices).epochs()[0].metrics for devices in (1, 2))
    assert together["train/loss"] == pytest.approx(alone["train/loss"], rel=0.02)
    assert together["flip_ratio"] == alone["flip_ratio"] == 0


@pytest.mark.parametrize("devices", [2, 3])
def test_a_run_whose_first_process_is_killed_goes_on_to_the_same_weights(tmp_path: Path, devices: int) -> None:
    undisturbed = run(tmp_path / "undisturbed", config(), devices)
    directory = RunDirectory(tmp_path / str(devices) / config().run_key)
    directory.create(config())
    worker = multiprocessing.get_context("forkserver").Process(target=train_and_be_killed, args=(directory, devices))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    assert 1 <= len(directory.epochs()) < 3
    again = run(tmp_path, config(), devices)
    assert result(again)["provenance"]["attempts"] == 2
    assert result(again)["provenance"]["weights_sha256"] == result(undisturbed)["provenance"]["weights_sha256"]
    assert [e.metrics for e in again.epochs()] == [e.metrics for e in undisturbed.epochs()]


def train_and_be_killed(directory: RunDirectory, devices: int) -> None:
    """Runs in a process of its own."""

    def kill() -> None:
        while not directory.epochs():
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    train(directory.path, Execution(device="cpu", devices=devices))


def test_a_run_fails_where_one_of_its_processes_is_killed_and_can_be_tried_again(tmp_path: Path) -> None:
    def kill() -> None:
        while not directory.epochs():
            time.sleep(0.002)
        others.extend(multiprocessing.active_children())
        others[0].kill()

    others: list[Any] = []
    directory = RunDirectory(tmp_path / "2" / config().run_key)
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    failure = run(tmp_path, config(), 2).failure()
    killer.join()
    assert failure is not None
    assert (failure.kind, failure.cause) == ("died", "the process of rank 1 was killed by SIGKILL")
    assert failure.may_pass
    assert len(others) == 1
    assert not multiprocessing.active_children()
    assert result(run(tmp_path, config(), 2))["provenance"]["attempts"] == 2


def test_damaged_images_are_counted_over_all_ranks_and_too_many_of_them_fail_the_run(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for label in range(2):
        (root / f"class{label}").mkdir(parents=True)
        for number in range(20):
            colour = (120 * label, 6 * number, 40)
            Image.new("RGB", (10, 10), colour).save(root / f"class{label}" / f"{number}.png")
    for path in [*sorted(root.glob("*/1*.png"))[:8]]:
        path.write_bytes(path.read_bytes()[:50])
    data = {"name": "folder", "root": str(root), "image_size": 8, "resize": 8, "augmentation": "low"}

    tolerant = config(data={**data, "max_damaged": 0.5}, training={"epochs": 1})
    provenance = result(run(tmp_path, tolerant, 2, data_root=root))["provenance"]
    assert provenance["damaged_images"] == 8
    assert len(provenance["damaged"]) == 8

    strict = config(data={**data, "max_damaged": 0.05}, training={"epochs": 1})
    failure = run(tmp_path, strict, 2, data_root=root).failure()
    assert failure is not None
    assert failure.kind == "data"
    assert "images cannot be decoded; data.max_damaged 0.05 allows 1:" in failure.cause
    assert failure.detail.splitlines()[0] == failure.cause
    assert str(root) in failure.detail.splitlines()[1]


def test_a_batch_that_is_too_small_for_all_ranks_is_refused(tmp_path: Path) -> None:
    failure = run(tmp_path, config(training={"batch_size": 3}), 2).failure()
    assert failure is not None
    assert failure.cause.startswith("ValueError: a batch of 3 images over 2 process(es) leaves one with fewer")


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_several_devices_are_never_one(device: str) -> None:
    with pytest.raises(ValueError, match=f"2 devices cannot all be {device}; say cuda or cpu"):
        Execution(device=device, devices=2)
