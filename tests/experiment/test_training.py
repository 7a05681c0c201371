"""One run from its configuration to its result, in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.record import RunState
from bnnlab.experiment.run import train


def config(**changes: Any) -> RunConfig:
    """A run of a second; `changes` replace whole sections or single training fields."""
    training: dict[str, Any] = {
        "epochs": 2, "batch_size": 16, "optimizer": {"name": "adam"}, "schedule": {"name": "cosine"},
    }  # fmt: skip
    training |= changes.pop("training", {})
    fields: dict[str, Any] = {
        "model": {"name": "resnet_e18", "width": 16},
        "data": {"name": "synthetic", "train": 48, "validation": 16, "test": 16, "classes": 6},
        "seed": 0,
    }
    return RunConfig.model_validate(fields | changes | {"training": training})


def run(root: Path, config: RunConfig) -> RunDirectory:
    directory = RunDirectory(root / config.run_key)
    directory.create(config)
    train(directory.path, Execution())
    return directory


def result(root: Path, config: RunConfig) -> dict[str, Any]:
    directory = run(root, config)
    found = directory.result()
    assert found is not None, directory.failure()
    return found


def test_a_run_ends_with_weights_metrics_and_where_they_are_from(tmp_path: Path) -> None:
    directory = run(tmp_path, config())
    record = directory.record()
    assert record.state is RunState.FINISHED
    assert record.metrics is not None
    assert len(record.epochs) == 2
    assert {"train/loss", "train/top1", "val/loss", "val/top1", "val/top5", "lr", "flip_ratio"} <= record.epochs[
        0
    ].keys()
    assert {"test/top1", "test/top5", "test/top1_best", "test/top5_best", "model/size_mib"} <= record.metrics.keys()
    assert record.provenance is not None
    assert {"code", "torch", "host", "device", "threads", "weights_sha256", "evaluation"} <= record.provenance.keys()
    state = torch.load(directory.weights_file, weights_only=True)
    assert state
    assert not directory.checkpoint_file.exists()


def test_the_same_configuration_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first = result(tmp_path / "a", config())
    again = result(tmp_path / "b", config())
    other = result(tmp_path / "a", config(seed=1))
    assert first["provenance"]["weights_sha256"] == again["provenance"]["weights_sha256"]
    assert first["metrics"] == again["metrics"]
    assert first["provenance"]["weights_sha256"] != other["provenance"]["weights_sha256"]


def test_the_papers_protocol_reports_the_best_epoch_on_the_test_set(tmp_path: Path) -> None:
    directory = run(tmp_path, config(evaluation="paper", training={"epochs": 4}))
    record = directory.record()
    assert record.metrics is not None
    tops = [epoch["val/top1"] for epoch in record.epochs]
    assert record.metrics["test/top1"] == tops[-1]
    assert record.metrics["test/top1_best"] == max(tops)


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"optimizer": {"name": "bop", "lr": 0.1}}},
        {"training": {"optimizer": {"name": "radam"}}},
        {"training": {"optimizer": {"name": "sgd"}, "schedule": {"name": "polynomial"}}},
        {"training": {"precision": "bf16-mixed"}},
        {"training": {"channels_last": True}},
        {"model": {"name": "resnet_e18", "width": 16, "precision": "full"}},
        {"model": {"name": "resnet_e18", "width": 16, "binarization": {"estimator": "error_decay", "weight_clip": 1.0}}},
        {"model": {"name": "resnet_e18", "width": 16, "binarization": {"scaling": "learned"}}},
        {"model": {"name": "binary_densenet28", "growth_rate": 8, "init_features": 16}},
    ],
    ids=lambda changes: json.dumps(changes),
)  # fmt: skip
def test_every_kind_of_training_ends_in_a_result(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert result(tmp_path, config(**changes))["metrics"]["test/top1"] >= 0


def test_clipped_latent_weights_stay_within_their_limit(tmp_path: Path) -> None:
    small = {"name": "resnet_e18", "width": 16, "binarization": {"weight_clip": 0.05}}
    directory = run(tmp_path, config(model=small))
    state = torch.load(directory.weights_file, weights_only=True)
    binary = [tensor for name, tensor in state.items() if name.endswith("conv.weight") and "stages" in name]
    assert binary
    assert max(float(tensor.abs().max()) for tensor in binary) <= 0.05 + 1e-7


def test_a_run_starts_from_the_final_weights_of_another(tmp_path: Path) -> None:
    twin = config(model={"name": "resnet_e18", "width": 16, "precision": "full"})
    weights = torch.load(run(tmp_path, twin).weights_file, weights_only=True)
    # A learning rate this small leaves the weights where they started.
    still = {"epochs": 1, "optimizer": {"name": "sgd", "lr": 1e-30, "momentum": 0.0}, "init_from": twin.model_dump()}
    started = config(training=still)
    state = torch.load(run(tmp_path, started).weights_file, weights_only=True)
    for name in (name for name in weights if name.endswith(".weight")):
        assert torch.equal(state[name], weights[name]), name


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = config(model={"name": "resnet_e18", "width": 32})
    run(tmp_path, other)
    directory = run(tmp_path, config(training={"init_from": other.model_dump()}))
    failure = directory.failure()
    assert failure is not None
    assert "the weights are of a network with other layers" in failure.cause


def test_a_diverging_run_says_when(tmp_path: Path) -> None:
    directory = run(tmp_path, config(training={"optimizer": {"name": "sgd", "lr": 1e30}}))
    failure = directory.failure()
    assert failure is not None
    assert failure.kind == "diverged"
    assert failure.cause.startswith("the training loss is nan in epoch 1, step ")
    assert directory.state() is RunState.FAILED
    assert directory.result() is None


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler: g++")


@pytest.mark.parametrize(
    "option", ["channels_last", pytest.param("compile", marks=[pytest.mark.slow, needs_compiler])]  # half a minute
)  # fmt: skip
def test_a_layout_or_a_compiler_changes_the_key_and_no_more_than_rounding(tmp_path: Path, option: str) -> None:
    training: dict[str, Any] = {"epochs": 2, "batch_size": 20, "optimizer": {"name": "sgd", "lr": 1e-4}}
    full = {"name": "resnet_e18", "width": 16, "precision": "full"}  # without signs rounding stays rounding
    plain, other = (config(model=full, training=training | more) for more in ({}, {option: True}))
    assert plain.run_key != other.run_key
    assert option not in plain.model_dump()["training"]
    assert RunConfig.model_validate(other.model_dump(mode="json")) == other
    expected, found = run(tmp_path, plain), run(tmp_path, other)
    assert found.result() is not None, found.failure()
    for mine, theirs in zip(found.epochs(), expected.epochs(), strict=True):
        assert mine.metrics == pytest.approx(theirs.metrics, rel=1e-3, abs=1e-6)
    weights, others = (torch.load(d.weights_file, weights_only=True) for d in (expected, found))
    assert weights.keys() == others.keys()
    for name in weights:
        torch.testing.assert_close(others[name], weights[name], rtol=1e-3, atol=1e-5, msg=name)


@needs_compiler
@pytest.mark.slow
def test_a_compiled_binary_network_starts_as_the_plain_one(tmp_path: Path) -> None:
    still = {"epochs": 1, "optimizer": {"name": "sgd", "lr": 1e-30, "momentum": 0.0}}
    plain = run(tmp_path, config(training=still))
    counters.clear()
    compiled = run(tmp_path, config(training=still | {"compile": True}))
    # One graph for each of: training batch, validation batch, test batch.
    assert counters["stats"]["unique_graphs"] in (2, 3)
    assert compiled.result() is not None, compiled.failure()
    (mine,), (theirs,) = compiled.epochs(), plain.epochs()
    assert mine.metrics["train/loss"] == pytest.approx(theirs.metrics["train/loss"], rel=0.02)
    assert mine.metrics.keys() == theirs.metrics.keys(), "telemetry looks into layers, compiled or not"
