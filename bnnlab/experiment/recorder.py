"""What a run writes after each epoch, and how it goes on from there."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from bnnlab.data.batching import Shard
from bnnlab.data.dataset import Dataset
from bnnlab.data.randomness import stable_seed
from bnnlab.experiment.directory import Epoch, RunDirectory
from bnnlab.experiment.files import replace_file
from bnnlab.experiment.fingerprint import code_fingerprint
from bnnlab.experiment.heartbeat import Heartbeat
from bnnlab.experiment.lightning import Training
from bnnlab.experiment.ranks import of_all_ranks
from bnnlab.nn.telemetry import Telemetry

CODE = code_fingerprint()
"""Of the code that is loaded, not of what the files say once somebody has edited them in the middle of a sweep."""


class Recorder(pl.callbacks.Checkpoint):
    """Writes each finished epoch into the run directory: best weights, then the checkpoint, then the metrics.

    The checkpoint is the authority: it carries all epochs so far and names the best one, whose weights are there
    before it and go only after it. A process killed between any two of these files goes on from a state that was
    whole, and what was already told of an epoch is never taken back.

    Of the processes that train a run together each has a recorder, which knows the same; that of rank 0 writes.
    """

    def __init__(
        self,
        directory: RunDirectory,
        dataset: Dataset,
        *,
        keep_best: bool,
        shard: Shard = Shard(),  # noqa: B008
    ) -> None:
        self.directory = directory
        self.dataset = dataset
        self.shard = shard
        self.keep_best = keep_best
        """Whether the weights of the best epoch are needed at the end."""
        self.epochs: tuple[Epoch, ...] = ()
        self.best: int | None = None
        """Index of the epoch with the highest validation accuracy; of equals the first."""
        self.codes: tuple[str, ...] = (CODE,)
        """Fingerprints of all code that has trained this run, oldest first."""
        self._began = 0.0
        self._lr = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Training)
        self._began = time.monotonic()
        # Whatever draws from PyTorch's own generators draws the same in this epoch, taken up again or not.
        torch.manual_seed(stable_seed(pl_module.config.seed, trainer.current_epoch, "training"))
        # Of the first step: after the last one the schedule has already moved on to the next epoch.
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])
        if pl_module.telemetry is None:  # not before: only now a resumed run has its weights back
            pl_module.telemetry = Telemetry(pl_module.network)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Training)
        metrics = pl_module.take("train", top5=False) | pl_module.take("val")
        self.gather_damaged()
        metrics["lr"] = self._lr
        if pl_module.telemetry is not None:
            metrics |= pl_module.telemetry.measure()
        epoch = Epoch(trainer.current_epoch, time.time(), time.monotonic() - self._began, metrics)
        self.epochs = (*self.epochs, epoch)
        if self.best is None or metrics["val/top1"] > self.epochs[self.best].metrics["val/top1"]:
            self.best = epoch.index
            if self.keep_best and self._writes:
                save_tensors(pl_module.network.state_dict(), self.directory.best_file(epoch.index))
        temporary = self.directory.path / f".{self.directory.checkpoint_file.name}.new"
        try:
            trainer.save_checkpoint(temporary)  # every rank has a part in this, and rank 0 writes
            if self._writes:
                temporary.replace(self.directory.checkpoint_file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if self._writes:
            self._forget_other_bests()
            self.directory.add_epoch(epoch)

    @property
    def _writes(self) -> bool:
        return self.shard.rank == 0

    def gather_damaged(self) -> None:
        """Count the images that any rank could not decode. Raises DataDamaged where they are too many."""
        for found in of_all_ranks(dict(self.dataset.damaged), self.shard):
            self.dataset.note_damaged(found)

    def state_dict(self) -> dict[str, Any]:
        return {
            "run_key": self.directory.run_key,
            "best": self.best,
            "codes": list(self.codes),
            "damaged": {split: dict(images) for split, images in self.dataset.damaged.items()},
            # As text: pickle would visit each of its thousands of numbers, in each epoch again.
            "epochs": json.dumps([epoch.as_json() for epoch in self.epochs]),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]
        self.codes = tuple(dict.fromkeys([*state_dict["codes"], CODE]))
        self.epochs = _epochs_of(state_dict)
        self.dataset.note_damaged(state_dict["damaged"])
        if self._writes:
            self._forget_other_bests()
            self.directory.set_epochs(self.epochs)

    def _forget_other_bests(self) -> None:
        for path in self.directory.best_files():
            if self.best is None or path != self.directory.best_file(self.best):
                path.unlink(missing_ok=True)


class Pulse(pl.Callback):
    """Tells the heartbeat that the run gets on."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self.heartbeat = heartbeat

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.heartbeat.doing = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"

    def on_train_batch_end(self, *_: Any) -> None:
        self.heartbeat.steps += 1

    def on_validation_batch_end(self, *_: Any) -> None:
        self.heartbeat.steps += 1

    def on_test_batch_end(self, *_: Any) -> None:
        self.heartbeat.steps += 1


def readable_checkpoint(directory: RunDirectory, *, keep_best: bool) -> Path | None:
    """The checkpoint, if all that is needed to go on from it can be read whole; what cannot is put aside."""
    path = directory.checkpoint_file
    if not path.exists():
        return None
    try:
        state = _recorded(load_tensors(path), directory.run_key)
        if keep_best:
            load_tensors(directory.best_file(state["best"]))
    except Exception as error:
        sys.stderr.write(f"{path.name} cannot be used ({error}); training starts again from the first epoch\n")
        path.replace(path.with_name("unreadable.ckpt"))
        return None
    return path


def _recorded(checkpoint: Mapping[str, Any], run_key: str) -> Mapping[str, Any]:
    """The recorder's part of a checkpoint. Raises ValueError where it is not of this run."""
    states = [state for state in checkpoint["callbacks"].values() if state.get("run_key") == run_key]
    if len(states) != 1 or len(_epochs_of(states[0])) != checkpoint["epoch"] + 1:
        raise ValueError("it is not a checkpoint of this run")
    return states[0]  # type: ignore[no-any-return]


def _epochs_of(state: Mapping[str, Any]) -> tuple[Epoch, ...]:
    epochs = state["epochs"]
    if isinstance(epochs, str):  # earlier checkpoints have the list itself
        epochs = json.loads(epochs)
    return tuple(Epoch.from_json(fields) for fields in epochs)


def save_tensors(state: Mapping[str, Tensor], path: Path, *, durable: bool = False) -> None:
    """Save a state dict in one step."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    replace_file(path, buffer.getbuffer(), durable=durable)


def load_tensors(path: Path) -> Any:
    """What was saved, on the CPU. Raises ValueError where a byte of it has changed: PyTorch itself looks at no CRC."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{path.name} is damaged at {damaged}")
    return torch.load(path, weights_only=True, map_location="cpu")


def load_network(network: nn.Module, path: Path) -> None:
    """Give a network the weights that `save_tensors` saved of it."""
    network.load_state_dict(load_tensors(path))
