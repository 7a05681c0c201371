"""Train the run of a run directory, or go on with it: the one function that a worker calls."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from bnnlab.data.config import image_shape, num_classes
from bnnlab.data.dataset import Dataset
from bnnlab.data.loading import load
from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.costs import costs_of
from bnnlab.experiment.directory import Failure, RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.fingerprint import environment
from bnnlab.experiment.lightning import Batches, Diverged, Recorder, Training, save_tensors
from bnnlab.models.config import build
from bnnlab.nn.counts import count


def train(path: Path, execution: Execution) -> None:
    """Train the run whose configuration lies in `path` until its result does.

    Goes on after the last epoch whose checkpoint can be read. A failure is written to the directory and not
    raised. Raises RunIsTaken where another process trains this run.
    """
    directory = RunDirectory(path)
    with directory.locked():
        if directory.result() is not None:
            return
        try:
            directory.failure_file.unlink(missing_ok=True)
            directory.pruned_file.unlink(missing_ok=True)
            directory.add_attempt({"started": time.time(), "pid": os.getpid(), **environment()})
            _train(directory, directory.config(), execution)
        except Exception as error:
            traceback.print_exc()
            failure = explain_failure(error, directory)
            directory.set_failure(failure)


def _train(directory: RunDirectory, config: RunConfig, execution: Execution) -> None:
    started = time.time()
    torch.set_num_threads(execution.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    accelerator, device = _device(execution.device)
    dataset = load(
        config.data,
        evaluation=config.evaluation,
        batch_size=config.training.batch_size,
        seed=config.seed,
        device=device,
        root=execution.data_root,
        workers=execution.loader_workers,
    )
    torch.manual_seed(config.seed)
    network = build(config.model, image=image_shape(config.data), num_classes=num_classes(config.data))
    if config.training.init_from is not None:
        start_from(network, directory.path.parent / config.training.init_from.run_key / directory.weights_file.name)
    module = Training(config, network, steps_per_epoch=len(dataset.train_batches(0)))
    recorder = Recorder(directory)
    trainer = _trainer(config, accelerator, device, recorder, directory.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and loggers that a run does not use
        checkpoint = _readable_checkpoint(directory)
        if checkpoint is None:
            directory.set_epochs(())
        trainer.fit(module, datamodule=Batches(dataset), ckpt_path=checkpoint, weights_only=True)
        metrics = _final_metrics(config, trainer, module, dataset, recorder, directory)
    metrics |= costs_of(count(network, image_shape(config.data)))
    save_tensors(network.state_dict(), directory.weights_file)
    provenance: dict[str, Any] = {
        **environment(),
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
        module.network.load_state_dict(torch.load(directory.best_file, weights_only=True, map_location=module.device))
        trainer.test(module, dataloaders=dataset.test_batches(), verbose=False)
        best = module.take("test")
        module.network.load_state_dict(last)
    return metrics | {"test/top1_best": best["test/top1"], "test/top5_best": best["test/top5"]}


def start_from(network: nn.Module, weights: Path) -> None:
    """Load the final weights of another run.

    Parameters and statistics are matched by name; a network may have some of its own (a learned scale), but each
    layer that carries weights in both must have the same shape. Raises ValueError where they do not fit.
    """
    try:
        theirs = torch.load(weights, weights_only=True, map_location="cpu")
    except Exception as error:
        raise ValueError(f"the weights to start from cannot be read: {weights.parent.name}: {error}") from None
    mine = network.state_dict()
    odd = [name for name in theirs if name in mine and theirs[name].shape != mine[name].shape]
    foreign = [name for name in theirs if name not in mine]
    bare = [name for name in mine if name.endswith(".weight") and name not in theirs]
    if odd or foreign or bare:
        names = ", ".join(sorted({*odd, *foreign, *bare})[:3])
        raise ValueError(f"training.init_from is another network than this one; these do not fit: {names}")
    network.load_state_dict(theirs, strict=False)


def _trainer(config: RunConfig, accelerator: str, device: str, recorder: Recorder, folder: Path) -> pl.Trainer:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    index = int(device.partition(":")[2] or 0)
    return pl.Trainer(
        max_epochs=config.training.epochs,
        precision=config.training.precision,
        accelerator=accelerator,
        devices=1 if accelerator == "cpu" else [index],
        callbacks=[recorder],
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


def _readable_checkpoint(directory: RunDirectory) -> Path | None:
    """The checkpoint, if there is one that can be read whole; what cannot be read is put aside."""
    path = directory.checkpoint_file
    if not path.exists():
        return None
    try:
        torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        sys.stderr.write(f"{path.name} cannot be read ({error}); training starts again from the first epoch\n")
        path.replace(path.with_name("unreadable.ckpt"))
        return None
    return path


def explain_failure(error: Exception, directory: RunDirectory) -> Failure:
    """A failure in a sentence, with its kind."""
    text = str(error).strip() or type(error).__name__
    match error:
        case Diverged():
            kind = "diverged"
        case MemoryError() | torch.OutOfMemoryError():
            kind, text = "out_of_memory", f"out of memory: {text}"
        case OSError(errno=errno.ENOSPC):
            kind, text = "disk_full", f"the disk is full: {text}"
        case RuntimeError() if "can't allocate memory" in text:
            kind, text = "out_of_memory", f"out of memory: {text}"
        case _:
            kind, text = "exception", f"{type(error).__name__}: {text}"
    return Failure(kind, text.splitlines()[0], directory.log_tail(), directory.attempts())


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
