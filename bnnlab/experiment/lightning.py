"""The Lightning side of a run: the training step, what is measured, and what is written after each epoch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnnlab.data.dataset import Dataset
from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.directory import Epoch, RunDirectory
from bnnlab.experiment.optim import build_optimizer, learning_rate_factor
from bnnlab.nn.latent import clip_latent_weights_
from bnnlab.nn.progress import set_progress
from bnnlab.nn.telemetry import Telemetry

Batch = tuple[Tensor, Tensor]


class Diverged(Exception):
    """The loss is NaN or infinite: nothing that follows would mean anything."""


class Tally:
    """Sums over the batches of one pass, kept as tensors so that no step waits for the device."""

    def __init__(self) -> None:
        self.images = 0
        self.loss: Tensor | float = 0.0
        self.top1: Tensor | int = 0
        self.top5: Tensor | int = 0

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Count one batch. Shape: logits (N, classes), labels (N,); loss is the batch's mean."""
        with torch.no_grad():
            self.images += len(labels)
            self.loss = self.loss + loss.detach() * len(labels)
            self.top1 = self.top1 + (logits.argmax(1) == labels).sum()
            if logits.shape[1] > 5:
                best = logits.topk(5, dim=1).indices
                self.top5 = self.top5 + (best == labels[:, None]).any(1).sum()
            else:
                self.top5 = self.top5 + len(labels)

    def means(self, prefix: str, *, top5: bool) -> dict[str, float]:
        """Loss and accuracies as fractions, under `prefix`. Raises Diverged where the loss is not finite."""
        means = {f"{prefix}/loss": float(self.loss) / self.images, f"{prefix}/top1": int(self.top1) / self.images}
        if top5:
            means[f"{prefix}/top5"] = int(self.top5) / self.images
        loss = means[f"{prefix}/loss"]
        if not abs(loss) < float("inf"):
            raise Diverged(f"the {prefix} loss is {loss}")
        return means


class Training(pl.LightningModule):
    """One network under one training configuration."""

    def __init__(self, config: RunConfig, network: nn.Module, steps_per_epoch: int) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.steps_per_epoch = steps_per_epoch
        self.telemetry: Telemetry | None = None
        self.tallies = {"train": Tally(), "val": Tally(), "test": Tally()}

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.config.training.optimizer, self.network)
        factor = learning_rate_factor(
            self.config.training.schedule,
            epochs=self.config.training.epochs,
            steps_per_epoch=self.steps_per_epoch,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        loss = self._measure("train", batch)
        # On a CPU the check is free; on a GPU it would wait for the device, and the end of the epoch is soon enough.
        if loss.device.type == "cpu" and not loss.isfinite():
            raise Diverged(
                f"the training loss is {loss.item()} in epoch {self.current_epoch + 1}, step {batch_index + 1}"
            )
        return loss

    def on_train_epoch_start(self) -> None:
        set_progress(self.network, self.current_epoch / self.config.training.epochs)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.config.model.binarization.weight_clip is not None:
            clip_latent_weights_(self.network)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        if batch_index == 0 and self.telemetry is not None:
            with self.telemetry.watch:  # a pass that is made anyway
                self._measure("val", batch)
        else:
            self._measure("val", batch)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        self._measure("test", batch)

    def _measure(self, split: str, batch: Batch) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels)
        self.tallies[split].add(logits, labels, loss)
        return loss

    def take(self, split: str, *, top5: bool = True) -> dict[str, float]:
        """The means of the pass that ended, which are then forgotten."""
        tally, self.tallies[split] = self.tallies[split], Tally()
        return tally.means(split, top5=top5)


class Batches(pl.LightningDataModule):
    """A data set's batches as Lightning asks for them: anew each epoch, a pure function of seed and epoch."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        self.dataset = dataset

    def train_dataloader(self) -> Iterable[Batch]:
        assert self.trainer is not None
        return self.dataset.train_batches(self.trainer.current_epoch)

    def val_dataloader(self) -> Iterable[Batch]:
        return self.dataset.val_batches()

    def test_dataloader(self) -> Iterable[Batch]:
        return self.dataset.test_batches()


class Recorder(pl.callbacks.Checkpoint):
    """Writes each finished epoch into the run directory: metrics first, then the checkpoint.

    That order makes the checkpoint the authority: a process killed between the two finds metrics of an epoch
    that it trains again, to the same numbers. The checkpoint carries all metrics so far for that purpose.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.epochs: tuple[Epoch, ...] = ()
        self.best: int | None = None
        """Index of the epoch with the highest validation accuracy; of equals the first."""
        self._started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()
        assert isinstance(pl_module, Training)
        if pl_module.telemetry is None:  # not before: only now a resumed run has its weights back
            pl_module.telemetry = Telemetry(pl_module.network)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Training)
        metrics = pl_module.take("train", top5=False) | pl_module.take("val")
        metrics["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        if pl_module.telemetry is not None:
            metrics |= pl_module.telemetry.measure()
        seconds = time.monotonic() - self._started
        epoch = Epoch(trainer.current_epoch, time.time(), seconds, metrics)
        self.epochs = (*self.epochs, epoch)
        if self.best is None or metrics["val/top1"] > self.epochs[self.best].metrics["val/top1"]:
            self.best = epoch.index
            save_tensors(pl_module.network.state_dict(), self.directory.best_file)
        self.directory.add_epoch(epoch)
        temporary = self.directory.checkpoint_file.with_name(".last.ckpt.new")
        trainer.save_checkpoint(temporary)
        temporary.replace(self.directory.checkpoint_file)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "epochs": [{**vars(e), "metrics": dict(e.metrics)} for e in self.epochs]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]
        self.epochs = tuple(Epoch(**fields) for fields in state_dict["epochs"])
        self.directory.set_epochs(self.epochs)


def save_tensors(state: Mapping[str, Tensor], path: Any) -> None:
    """Save a state dict in one step."""
    temporary = path.with_name(f".{path.name}.new")
    torch.save(dict(state), temporary)
    temporary.replace(path)
