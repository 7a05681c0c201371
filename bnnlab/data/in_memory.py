"""A data set that lies in memory: batches are gathered by tensor operations, without a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bnnlab.data.augmentation import Augmentation, Chain
from bnnlab.data.batching import Shard, evaluation_bounds, training_bounds
from bnnlab.data.config import ImageShape
from bnnlab.data.dataset import Damaged
from bnnlab.data.normalization import Normalizer
from bnnlab.data.randomness import generator
from bnnlab.data.splits import LabelledImages, Splits, Subset

CHUNK_BYTES = 4 * 2**20
"""Batches are made several at a time, up to this size as float32: digits would otherwise spend as long on
calls as on images. It fits a cache of the second or third level."""


class InMemoryDataset:
    """See `bnnlab.data.dataset.Dataset`. On a GPU the whole set lies there."""

    def __init__(
        self,
        splits: Splits[LabelledImages],
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
        self.image = ImageShape(*splits.train.images.pixels.shape[1:])
        self.damaged: Damaged = {}
        self._augmentation, self._normalizer = augmentation, normalizer
        self._batch_size, self._seed, self._shard = batch_size, seed, shard
        training = _Resident(splits.train.images, device)
        testing = _Resident(splits.test.images, device)
        self._train, self._test = (training, splits.train), (testing, splits.test)
        paper = splits.validation.images is splits.test.images
        self._validation = (testing if paper else training, splits.validation)

    def note_damaged(self, found: Damaged) -> None:
        """Never anything: images in memory were all decoded."""

    def train_batches(self, epoch: int) -> InMemoryBatches:
        """Each training image once. Order and augmentation are a pure function of (seed, epoch)."""
        images, part = self._train
        order = torch.randperm(len(part), generator=generator(self._seed, epoch, "order"))
        uniform = torch.rand(
            len(part), self._augmentation.draws, generator=generator(self._seed, epoch, "augmentation")
        )
        chosen = torch.from_numpy(part.chosen)[order]
        bounds = training_bounds(len(part), self._batch_size, self._shard.world)
        mine = [slice(start + self._shard.rank, stop, self._shard.world) for start, stop in bounds]
        return InMemoryBatches(
            images,
            self._augmentation,
            self._normalizer,
            [chosen[m] for m in mine],
            [uniform[m] for m in mine],
        )

    def val_batches(self) -> InMemoryBatches:
        """Each validation image once, in a fixed order, as it is; test images under `evaluation: paper`."""
        return self._evaluation_batches(*self._validation)

    def test_batches(self) -> InMemoryBatches:
        """Each test image once, in a fixed order, as it is."""
        return self._evaluation_batches(*self._test)

    def _evaluation_batches(self, images: _Resident, part: Subset[LabelledImages]) -> InMemoryBatches:
        mine = torch.from_numpy(part.chosen)[self._shard.rank :: self._shard.world]
        share = max(1, self._batch_size // self._shard.world)
        chosen = [mine[start:stop] for start, stop in evaluation_bounds(len(mine), share)]
        return InMemoryBatches(images, Chain(), self._normalizer, chosen, [torch.empty(len(c), 0) for c in chosen])


class _Resident:
    """Images on their device. On a CPU they stay where they are, say in a file that processes share."""

    def __init__(self, images: LabelledImages, device: str) -> None:
        self.pixels = torch.from_numpy(images.pixels).to(device)
        self.labels = torch.from_numpy(images.labels).to(device)


class InMemoryBatches:
    """The batches of one pass; each iteration starts anew and gives the same batches."""

    def __init__(
        self,
        images: _Resident,
        augmentation: Augmentation,
        normalizer: Normalizer,
        chosen: list[Tensor],
        uniform: list[Tensor],
    ) -> None:
        self._images, self._augmentation, self._normalizer = images, augmentation, normalizer
        self._chosen, self._uniform = chosen, uniform

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self._chosen:
            return
        pixels, labels = self._images.pixels, self._images.labels
        batch_bytes = 4 * pixels[0].numel() * len(self._chosen[0])
        step = max(1, CHUNK_BYTES // batch_bytes)
        for first in range(0, len(self), step):
            sizes = [len(c) for c in self._chosen[first : first + step]]
            chosen = torch.cat(self._chosen[first : first + step]).to(pixels.device, non_blocking=True)
            uniform = torch.cat(self._uniform[first : first + step]).to(pixels.device, non_blocking=True)
            images = self._normalizer(self._augmentation(pixels.index_select(0, chosen), uniform))
            yield from zip(torch.split(images, sizes), torch.split(labels.index_select(0, chosen), sizes), strict=True)
