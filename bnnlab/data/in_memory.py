"""A data set that lies in memory: batches are gathered by tensor operations, without a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bnnlab.data.augmentation import Augmentation, Unchanged, with_margin
from bnnlab.data.batching import Shard, evaluation_bounds, training_bounds
from bnnlab.data.config import ImageShape
from bnnlab.data.normalization import Normalizer
from bnnlab.data.randomness import generator
from bnnlab.data.splits import LabelledImages, Splits

CHUNK_BYTES = 16 * 2**20
"""Batches are made several at a time, up to this size as float32: a whole epoch of digits at once, where a
call of its own for each batch would cost as much as the batch's images."""


class InMemoryDataset:
    """See `bnnlab.data.dataset.Dataset`. On a GPU the whole set lies there."""

    def __init__(
        self,
        splits: Splits,
        *,
        num_classes: int,
        augmentation: Augmentation,
        normalizer: Normalizer,
        batch_size: int,
        seed: int,
        device: str = "cpu",
        shard: Shard = Shard(),  # noqa: B008
    ) -> None:
        self.num_classes = num_classes
        self.image = ImageShape(*splits.train.pixels.shape[1:])
        self._augmentation, self._normalizer = augmentation, normalizer
        self._batch_size, self._seed, self._shard = batch_size, seed, shard
        self._train = _Resident(splits.train, device, augmentation)
        self._validation = _Resident(splits.validation, device, Unchanged())
        same = splits.test is splits.validation
        self._test = self._validation if same else _Resident(splits.test, device, Unchanged())

    def train_batches(self, epoch: int) -> InMemoryBatches:
        """Each training image once. Order and augmentation are a pure function of (seed, epoch)."""
        count, shard = len(self._train), self._shard
        order = torch.randperm(count, generator=generator(self._seed, epoch, "order"))
        uniform = torch.rand(
            count, self._augmentation.draws, generator=generator(self._seed, epoch, "augmentation")
        )
        bounds = training_bounds(count, self._batch_size, shard.world)
        shares = [torch.arange(start + shard.rank, stop, shard.world) for start, stop in bounds]
        return InMemoryBatches(
            self._train,
            self._augmentation,
            self._normalizer,
            [order[s] for s in shares],
            [uniform[s] for s in shares],
        )

    def val_batches(self) -> InMemoryBatches:
        """Each validation image once, in a fixed order, as it is; the test images under `evaluation:
        paper`."""
        return self._evaluation_batches(self._validation)

    def test_batches(self) -> InMemoryBatches:
        """Each test image once, in a fixed order, as it is."""
        return self._evaluation_batches(self._test)

    def _evaluation_batches(self, images: _Resident) -> InMemoryBatches:
        mine = torch.arange(self._shard.rank, len(images), self._shard.world)
        share = max(1, self._batch_size // self._shard.world)
        indices = [mine[start:stop] for start, stop in evaluation_bounds(len(mine), share)]
        nothing = [torch.empty(len(i), 0) for i in indices]
        return InMemoryBatches(images, Unchanged(), self._normalizer, indices, nothing)


class _Resident:
    """One split, padded as its augmentation wants it, on its device."""

    def __init__(self, images: LabelledImages, device: str, augmentation: Augmentation) -> None:
        self.pixels = with_margin(torch.from_numpy(images.pixels), augmentation).to(device)
        self.labels = torch.from_numpy(images.labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)


class InMemoryBatches:
    """The batches of one pass; each iteration starts anew and gives the same batches."""

    def __init__(
        self,
        images: _Resident,
        augmentation: Augmentation,
        normalizer: Normalizer,
        indices: list[Tensor],
        uniform: list[Tensor],
    ) -> None:
        self._images, self._augmentation, self._normalizer = images, augmentation, normalizer
        self._indices, self._uniform = indices, uniform

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self._indices:
            return
        image_bytes = 4 * self._images.pixels[0].numel()
        per_chunk = max(1, CHUNK_BYTES // (image_bytes * len(self._indices[0])))
        device = self._images.pixels.device
        for first in range(0, len(self), per_chunk):
            indices = self._indices[first : first + per_chunk]
            chosen = torch.cat(indices).to(device, non_blocking=True)
            uniform = torch.cat(self._uniform[first : first + per_chunk]).to(device, non_blocking=True)
            images = self._normalizer(self._augmentation.augment(self._images.pixels, chosen, uniform))
            labels = self._images.labels[chosen]
            sizes = [len(i) for i in indices]
            yield from zip(torch.split(images, sizes), torch.split(labels, sizes), strict=True)
