"""Train the run of a run directory, or go on with it: the one function that a worker calls."""

from __future__ import annotations

import hashlib
import logging
import os
import time
import traceback
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from torch import nn

from bnnlab.data.config import image_shape, num_classes
from bnnlab.data.dataset import Dataset
from bnnlab.data.errors import DataError
from bnnlab.data.loading import load
from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.costs import costs_of
from bnnlab.experiment.directory import RunDirectory, RunIsTaken
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.failure import BadData, Failure, classify
from bnnlab.experiment.fingerprint import environment
from bnnlab.experiment.heartbeat import Heartbeat
from bnnlab.experiment.holder import Process, this_process
from bnnlab.experiment.lightning import Batches, Training
from bnnlab.experiment.recorder import (
    Pulse,
    Recorder,
    load_network,
    readable_checkpoint,
    save_tensors,
)
from bnnlab.models.config import build
from bnnlab.models.transfer import load_weights
from bnnlab.nn.counts import count

ENVIRONMENT = environment()
"""Of the code and libraries that this process has loaded; read once, where a preloaded server is the parent."""


def train(path: Path, execution: Execution, coordinator: Process | None = None) -> Failure | None:
    """Train the run whose configuration lies in `path` until its result does.

    Goes on after the last epoch whose checkpoint can be read. Gives None when the run is finished, else why it is
    not, which is also written to the directory. Raises RunIsTaken where another process trains this run or has
    finished it, and OSError where the directory cannot be written. `coordinator` is noted as the process on this host
    for which this one works.
    """
    directory = RunDirectory(path)
    with directory.locked():
        if directory.result() is not None:
            directory.tidy()
            raise RunIsTaken(directory.run_key)
        directory.failure_file.unlink(missing_ok=True)
        directory.pruned_file.unlink(missing_ok=True)
        directory.sweep_temporaries()
        directory.reserve_room()
        who = {"process": this_process().as_json(), "coordinator": coordinator and coordinator.as_json()}
        directory.add_attempt({"started": time.time(), "epochs": len(directory.epochs()), **who, **ENVIRONMENT})
        try:
            with Heartbeat(directory.heartbeat_file) as heartbeat:
                _train(directory, directory.config(), execution, heartbeat)
        except Exception as error:
            traceback.print_exc()
            failure = explain_failure(error, directory)
            directory.set_failure(failure)
            return failure
    return None


def _train(directory: RunDirectory, config: RunConfig, execution: Execution, heartbeat: Heartbeat) -> None:
    started = time.time()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
    torch.set_num_threads(execution.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    accelerator, device = _device(execution.device)
    heartbeat.doing = "loading the data"
    dataset = _load(config, execution, device)
    heartbeat.doing = "building the network"
    torch.manual_seed(config.seed)
    network = build(config.model, image=image_shape(config.data), num_classes=num_classes(config.data))
    if config.training.init_from is not None:
        start_from(network, directory.path.parent / config.training.init_from.run_key / directory.weights_file.name)
    module = Training(config, network, steps_per_epoch=len(dataset.train_batches(0)))
    keep_best = config.evaluation != "paper"
    recorder = Recorder(directory, keep_best=keep_best)
    trainer = _trainer(config, accelerator, device, [recorder, Pulse(heartbeat)], directory.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and loggers that a run does not use
        checkpoint = readable_checkpoint(directory, keep_best=keep_best)
        if checkpoint is None:
            directory.set_epochs(())
        trainer.fit(module, datamodule=Batches(dataset), ckpt_path=checkpoint, weights_only=True)
        if len(recorder.epochs) != config.training.epochs:
            raise RuntimeError(f"training ended after {len(recorder.epochs)} of {config.training.epochs} epochs")
        heartbeat.doing = "testing"
        metrics = _final_metrics(config, trainer, module, dataset, recorder, directory)
    metrics |= costs_of(count(network, image_shape(config.data)))
    save_tensors(network.state_dict(), directory.weights_file, durable=True)
    provenance: dict[str, Any] = {
        **ENVIRONMENT,
        "code": "+".join(recorder.codes),
        "device": device,
        "threads": execution.threads,
        "study": execution.study,
        "plan": execution.plan,
        "started": started,
        "finished": time.time(),
        "training_seconds": sum(epoch.seconds for epoch in recorder.epochs),
        "attempts": directory.attempts(),
        "best_epoch": recorder.best,
        "evaluation": config.evaluation,
        "weights_sha256": weights_digest(network),
    }
    directory.set_result(metrics, provenance)


def _load(config: RunConfig, execution: Execution, device: str) -> Dataset:
    """The data set. Raises BadData where it is missing or damaged."""
    try:
        return load(
            config.data,
            evaluation=config.evaluation,
            batch_size=config.training.batch_size,
            seed=config.seed,
            device=device,
            root=execution.data_root,
            workers=execution.loader_workers,
        )
    except (DataError, OSError) as error:
        if classify(error)[0] in ("out_of_memory", "disk_full"):
            raise
        raise BadData(str(error)) from error


def _final_metrics(
    config: RunConfig,
    trainer: pl.Trainer,
    module: Training,
    dataset: Dataset,
    recorder: Recorder,
    directory: RunDirectory,
) -> dict[str, float]:
    """Test accuracies: of the last epoch, and of the best one.

    holdout: the best epoch is the one with the best validation accuracy, and its weights are tested.
    paper: the validation set is the test set, so that both can be read off the epochs; the best top-1 and the best
    top-5 are then each the maximum over epochs, as the authors report them.
    """
    if config.evaluation == "paper":
        epochs = [epoch.metrics for epoch in recorder.epochs]
        metrics = {f"test/{name}": epochs[-1][f"val/{name}"] for name in ("loss", "top1", "top5")}
        for name in ("top1", "top5"):
            metrics[f"test/{name}_best"] = max(epoch[f"val/{name}"] for epoch in epochs)
        return metrics
    trainer.test(module, dataloaders=dataset.test_batches(), verbose=False)
    metrics = module.take("test")
    if recorder.best == config.training.epochs - 1:
        best = metrics
    else:
        last = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
        assert recorder.best is not None
        load_network(module.network, directory.best_file(recorder.best))
        trainer.test(module, dataloaders=dataset.test_batches(), verbose=False)
        best = module.take("test")
        module.network.load_state_dict(last)
    return metrics | {"test/top1_best": best["test/top1"], "test/top5_best": best["test/top5"]}


def start_from(network: nn.Module, weights: Path) -> None:
    """Load the final weights of another run, which may binarize otherwise. Raises ValueError where they do not fit."""
    try:
        state = torch.load(weights, weights_only=True, map_location="cpu")
    except Exception as error:
        raise ValueError(f"the weights to start from cannot be read: {weights.parent.name}: {error}") from None
    load_weights(network, state)


def _trainer(
    config: RunConfig, accelerator: str, device: str, callbacks: list[pl.Callback], folder: Path
) -> pl.Trainer:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    index = int(device.partition(":")[2] or 0)
    return pl.Trainer(
        max_epochs=config.training.epochs,
        precision=config.training.precision,
        accelerator=accelerator,
        devices=1 if accelerator == "cpu" else [index],
        callbacks=callbacks,
        # Without it Lightning meets Slurm's variables with a requeue of its own; that is the engine's business.
        plugins=[LightningEnvironment()],
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder),
    )


def _device(wanted: str) -> tuple[str, str]:
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    accelerator = {"cuda": "gpu"}.get(wanted.partition(":")[0], wanted)
    return accelerator, wanted


def explain_failure(error: Exception, directory: RunDirectory) -> Failure:
    """A failure in a sentence, with its kind. Final unless trying again may help, which the engine decides."""
    kind, cause = classify(error)
    failure = Failure(kind, cause, directory.log_tail(), directory.attempts())
    return replace(failure, final=not failure.may_pass)


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
