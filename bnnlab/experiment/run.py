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
from pytorch_lightning.strategies import DDPStrategy
from torch import nn

from bnnlab.data.batching import Shard
from bnnlab.data.config import image_shape, num_classes
from bnnlab.data.dataset import Dataset
from bnnlab.data.errors import DataError
from bnnlab.data.loading import load
from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.costs import costs_of
from bnnlab.experiment.directory import RunDirectory, RunIsTaken
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.failure import EXIT_CODES, Failure, RankFailed, classify, detail_of
from bnnlab.experiment.fingerprint import environment
from bnnlab.experiment.heartbeat import Heartbeat
from bnnlab.experiment.holder import Process, this_process
from bnnlab.experiment.lightning import Batches, Place, Training
from bnnlab.experiment.ranks import of_all_ranks, ranks
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
from bnnlab.nn.global_batchnorm import with_global_batchnorm

ENVIRONMENT = environment()
"""Of the code and libraries that this process has loaded; read once, where a preloaded server is the parent."""
DAMAGED_SHOWN = 10
"""Damaged images that a result names; it has the number of all."""


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
    """Train in this process, and in as many more as `execution` asks for, of which this one is rank 0."""

    def end(failure: RankFailed) -> None:
        directory.set_failure(explain_failure(failure, directory))
        os._exit(EXIT_CODES[failure.kind])

    checkpoint = readable_checkpoint(directory, keep_best=_keeps_best(config))
    if checkpoint is None:
        directory.set_epochs(())
    accelerator, _ = _device(execution, 0)
    backend = "nccl" if accelerator == "gpu" else "gloo"
    if execution.devices > 1:
        heartbeat.doing = f"starting {execution.devices} processes"
    with ranks(execution.devices, backend, _train_share, (directory.path, execution, checkpoint), end) as shard:
        _train_share(shard, directory.path, execution, checkpoint, heartbeat)


def _train_share(
    shard: Shard, path: Path, execution: Execution, checkpoint: Path | None, heartbeat: Heartbeat | None = None
) -> None:
    """What each of the processes of a run does; rank 0 also writes the result."""
    started = time.time()
    directory = RunDirectory(path)
    config = directory.config()
    heartbeat = heartbeat or Heartbeat(directory.heartbeat_file)  # one that never beats: rank 0 does, for all
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
    torch.set_num_threads(execution.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    accelerator, device = _device(execution, shard.rank)
    heartbeat.doing = "loading the data"
    dataset = _load(config, execution, device, shard)
    heartbeat.doing = "building the network"
    torch.manual_seed(config.seed)
    network = build(config.model, image=image_shape(config.data), num_classes=num_classes(config.data))
    if config.training.init_from is not None:
        start_from(network, directory.path.parent / config.training.init_from.run_key / directory.weights_file.name)
    counts = count(network, image_shape(config.data))
    if shard.world > 1:
        if config.training.compile:
            raise ValueError("training.compile needs one device: BatchNorm over several cannot be compiled")
        with_global_batchnorm(network)
    if config.training.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = Training(config, network, len(dataset.train_batches(0)), shard)
    recorder = Recorder(directory, dataset, keep_best=_keeps_best(config), shard=shard)
    trainer = _trainer(config, accelerator, device, [recorder, Pulse(heartbeat)], shard, directory.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and loggers that a run does not use
        trainer.fit(module, datamodule=Batches(dataset), ckpt_path=checkpoint, weights_only=True)
        if len(recorder.epochs) != config.training.epochs:
            raise RuntimeError(f"training ended after {len(recorder.epochs)} of {config.training.epochs} epochs")
        heartbeat.doing = "testing"
        metrics = _final_metrics(config, trainer, module, dataset, recorder, directory)
        recorder.gather_damaged()
    weights = of_all_ranks(weights_digest(network), shard)
    if len(set(weights)) > 1:
        raise RuntimeError(f"the processes of this run ended with different weights: {', '.join(weights)}")
    if shard.rank > 0:
        return
    save_tensors(network.state_dict(), directory.weights_file, durable=True)
    provenance: dict[str, Any] = {
        **ENVIRONMENT,
        "code": "+".join(recorder.codes),
        "device": device.partition(":")[0] if shard.world > 1 else device,
        "devices": shard.world,
        "threads": execution.threads,
        "study": execution.study,
        "plan": execution.plan,
        "started": started,
        "finished": time.time(),
        "training_seconds": sum(epoch.seconds for epoch in recorder.epochs),
        "attempts": directory.attempts(),
        "best_epoch": recorder.best,
        "evaluation": config.evaluation,
        "weights_sha256": weights[0],
        **_left_out(dataset),
    }
    directory.set_result(metrics | costs_of(counts), provenance)


def _keeps_best(config: RunConfig) -> bool:
    """Whether the weights of the best epoch are tested at the end."""
    return config.evaluation != "paper"


def _load(config: RunConfig, execution: Execution, device: str, shard: Shard) -> Dataset:
    """The data set. Raises DataError where it is missing or damaged."""
    try:
        return load(
            config.data,
            evaluation=config.evaluation,
            batch_size=config.training.batch_size,
            seed=config.seed,
            device=device,
            root=execution.data_root,
            workers=execution.decoding_processes,
            shard=shard,
        )
    except OSError as error:
        if classify(error)[0] in ("out_of_memory", "disk_full"):
            raise
        raise DataError(str(error)) from error


def _left_out(dataset: Dataset) -> dict[str, Any]:
    """Images that no pass could decode: how many of them, and the first few with the reason."""
    found = [f"{where}: {why}" for images in dataset.damaged.values() for where, why in images.items()]
    return {"damaged_images": len(found), **({"damaged": found[:DAMAGED_SHOWN]} if found else {})}


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
    config: RunConfig, accelerator: str, device: str, callbacks: list[pl.Callback], shard: Shard, folder: Path
) -> pl.Trainer:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    index = int(device.partition(":")[2] or 0)
    together = DDPStrategy(
        # GlobalBatchNorm2d keeps the buffers equal. A broadcast would wait for ranks with fewer batches to validate on.
        broadcast_buffers=False,
        # DDP would regroup gradients after its first step. From three ranks on that changes the order of their sums,
        # and a run that is taken up again, whose first step is another one, would end with other weights.
        find_unused_parameters=shard.world > 2,
    )
    return pl.Trainer(
        max_epochs=config.training.epochs,
        precision=config.training.precision,
        accelerator=accelerator,
        strategy="auto" if shard.world == 1 else together,
        devices=shard.world if shard.world > 1 or accelerator == "cpu" else [index],
        callbacks=callbacks,
        plugins=[Place(shard)],
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder),
    )


def _device(execution: Execution, rank: int) -> tuple[str, str]:
    """Lightning's name of the accelerator, and PyTorch's of the device."""
    wanted = execution.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and execution.devices > 1:
        if execution.devices > torch.cuda.device_count():
            raise ValueError(f"{execution.devices} devices were asked for; there are {torch.cuda.device_count()}")
        wanted = f"cuda:{rank}"
    accelerator = {"cuda": "gpu"}.get(wanted.partition(":")[0], wanted)
    return accelerator, wanted


def explain_failure(error: Exception, directory: RunDirectory) -> Failure:
    """A failure in a sentence, with its kind. Final unless trying again may help, which the engine decides."""
    kind, cause = classify(error)
    failure = Failure(kind, cause, directory.log_tail(), directory.attempts(), detail=detail_of(error))
    return replace(failure, final=not failure.may_pass)


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
