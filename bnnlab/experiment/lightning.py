"""The Lightning side of a run: the training step and what is measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn import functional as F

from bnnlab.data.batching import Shard
from bnnlab.data.dataset import Dataset
from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.failure import Diverged
from bnnlab.experiment.optim import build_optimizer, learning_rate_factor
from bnnlab.experiment.ranks import over_ranks
from bnnlab.nn.latent import clip_latent_weights_
from bnnlab.nn.progress import set_progress
from bnnlab.nn.telemetry import Telemetry

Batch = tuple[Tensor, Tensor]


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

    def over_ranks(self, shard: Shard, device: torch.device) -> Tally:
        """The sums of all processes; every rank must ask."""
        whole = Tally()
        mine = [float(sum_) for sum_ in (self.images, self.loss, self.top1, self.top5)]
        images, whole.loss, top1, top5 = over_ranks(mine, shard, device)
        whole.images, whole.top1, whole.top5 = int(images), int(top1), int(top5)
        return whole

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
    """One network under one training configuration, in one of the processes that train it together."""

    def __init__(
        self,
        config: RunConfig,
        network: nn.Module,
        steps_per_epoch: int,
        shard: Shard = Shard(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.config = config
        self.shard = shard
        self.network = network
        # Of a method, so that Lightning does not take it for one more module with the same weights.
        self._compute = (compiled(network) if config.training.compile else network).__call__
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
        return loss if self.shard.world == 1 else loss * self._weight(len(batch[1]))

    def _weight(self, images: int) -> Tensor:
        """What makes the mean over ranks, which is how gradients are joined, the mean over the images of the step."""
        everywhere = torch.tensor(float(images), device=self.device)
        dist.all_reduce(everywhere)
        return images * self.shard.world / everywhere

    def on_train_epoch_start(self) -> None:
        set_progress(self.network, self.current_epoch / self.config.training.epochs)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.config.model.binarization.weight_clip is not None:
            clip_latent_weights_(self.network)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        if batch_index == 0 and self.telemetry is not None:
            with self.telemetry.watch:  # a pass that is made anyway
                self._measure("val", batch, self.network)  # what is compiled has no layers to be watched
        else:
            self._measure("val", batch)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        self._measure("test", batch)

    def _measure(self, split: str, batch: Batch, network: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        images, labels = batch
        if self.config.training.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        logits = (network or self._compute)(images)
        loss = F.cross_entropy(logits, labels)
        self.tallies[split].add(logits, labels, loss)
        return loss

    def take(self, split: str, *, top5: bool = True) -> dict[str, float]:
        """The means of the pass that ended, over all ranks; they are then forgotten."""
        tally, self.tallies[split] = self.tallies[split], Tally()
        return tally.over_ranks(self.shard, self.trainer.strategy.root_device).means(split, top5=top5)


def compiled(network: nn.Module) -> nn.Module:
    """The network as torch.compile makes it, as one graph, when it is called for the first time.

    Falling back to eager layers would be another computation, so it is an error. Not dynamic: a kernel for any batch
    size, made when the last batch of an epoch is smaller, would from then on serve the others too, and an interrupted
    run would have another one than an undisturbed run.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch 2.13 uses what it has deprecated itself
        return torch.compile(network, fullgraph=True, dynamic=False)  # type: ignore[return-value]


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


class Place(LightningEnvironment):
    """Tells Lightning which of the processes of a run it is in, and that they are there already.

    Also for one process: without it Lightning meets Slurm's variables with ranks and a requeue of its own, and that is
    the engine's business.
    """

    def __init__(self, shard: Shard) -> None:
        super().__init__()
        self.shard = shard

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self.shard.rank
