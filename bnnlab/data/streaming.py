"""A data set that is too large for memory: images are decoded when they are needed, in worker processes.

A worker is asked for whole batches, by number of image. What it makes of an image depends on the seed, the
epoch and the image alone, so batches are the same for any number of workers, and a run that stops begins its
next epoch as if it had not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from bnnlab.data.augmentation import Augmentation
from bnnlab.data.batching import Shard, evaluation_bounds, training_bounds
from bnnlab.data.config import Folder, ImageNet, ImageShape, image_shape, num_classes
from bnnlab.data.decoding import DecodingError, decode_part
from bnnlab.data.encoded import EncodedImages
from bnnlab.data.errors import DataDamaged
from bnnlab.data.normalization import Normalizer
from bnnlab.data.photos import centre, mirrors, training_part
from bnnlab.data.randomness import generator, stable_seed
from bnnlab.data.splits import Indices, Splits, Subset

WINDOW = 2048
"""Images that are shuffled together where they can only be read in blocks."""
REPORTED = 10
"""Damaged images that are logged one by one."""

log = logging.getLogger(__name__)


class Request(NamedTuple):
    """One batch that a worker is asked for. `epoch` is None for an evaluation."""

    epoch: int | None
    chosen: Indices
    uniform: Tensor


class Response(NamedTuple):
    """Shape: pixels (n, C, H, W) uint8, labels (n,) int64; damaged: where, and why."""

    pixels: Tensor
    labels: Tensor
    uniform: Tensor
    damaged: dict[str, str]


class Decoder(TorchDataset[Response]):
    """What runs in a worker."""

    def __init__(self, config: ImageNet | Folder, images: EncodedImages, seed: int) -> None:
        self.config, self.images, self.seed = config, images, seed

    def __getitem__(self, request: Request) -> Response:
        shape = image_shape(self.config)
        pixels = np.empty((len(request.chosen), *shape), dtype=np.uint8)
        damaged: dict[int, tuple[str, str]] = {}
        for place, index in enumerate(request.chosen.tolist()):
            try:
                pixels[place] = self._image(index, request.epoch)
            except (DecodingError, OSError) as error:
                damaged[place] = (self.images.where(index), str(error))
        whole = [place for place in range(len(request.chosen)) if place not in damaged]
        kept = whole
        if damaged and request.epoch is not None and whole:
            # A batch keeps its size, which other processes count on: another of its images takes the place.
            kept = [
                place if place not in damaged else whole[place % len(whole)] for place in range(len(pixels))
            ]
        if damaged:
            pixels = pixels[kept]
        labels = self.images.labels[request.chosen[kept]]
        return Response(
            torch.from_numpy(pixels),
            torch.from_numpy(labels),
            request.uniform[kept] if damaged else request.uniform,
            dict(damaged.values()),
        )

    def _image(self, index: int, epoch: int | None) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        config, encoded = self.config, self.images.read(index)
        if epoch is None:
            return decode_part(
                encoded,
                image_shape(config).channels,
                lambda width, height: centre(width, height, size=config.image_size, resize=config.resize),
                config.image_size,
            )
        random = Random(stable_seed(self.seed, epoch, "part", index))
        mirror = mirrors(config.augmentation) and random.random() < 0.5
        part = training_part(config.augmentation, random, size=config.image_size, resize=config.resize)
        image = decode_part(encoded, image_shape(config).channels, part, config.image_size)
        return image[:, :, ::-1] if mirror else image


class _Requests(Sampler[Request]):
    """The requests of the pass that comes next; a DataLoader keeps its workers from pass to pass."""

    def __init__(self) -> None:
        self.requests: Callable[[], Iterator[Request]] = lambda: iter(())

    def __iter__(self) -> Iterator[Request]:
        return self.requests()


@dataclass
class _Part:
    """One part of the data set and the workers that decode it."""

    images: Subset[EncodedImages]
    requests: _Requests
    loader: DataLoader[Response]


class StreamedDataset:
    """See `bnnlab.data.dataset.Dataset`."""

    def __init__(
        self,
        config: ImageNet | Folder,
        splits: Splits[EncodedImages],
        *,
        colour: Augmentation,
        batch_size: int,
        seed: int,
        device: str = "cpu",
        workers: int = 0,
        shard: Shard = Shard(),  # noqa: B008
    ) -> None:
        self.num_classes = num_classes(config)
        self.image: ImageShape = image_shape(config)
        self.damaged: dict[str, str] = {}
        """Images that could not be decoded so far: where each lies, and why."""
        self._config, self._seed, self._shard = config, seed, shard
        self._colour, self._normalizer = colour, Normalizer(config)
        self._batch_size, self._device = batch_size, torch.device(device)
        self._workers = workers
        paper = splits.validation is splits.test
        self._train = self._part(splits.train)
        self._test = self._part(splits.test)
        self._validation = self._test if paper else self._part(splits.validation)

    def _part(self, images: Subset[EncodedImages]) -> _Part:
        requests = _Requests()
        loader = DataLoader(
            Decoder(self._config, images.images, self._seed),
            batch_size=None,  # a request is a whole batch
            sampler=requests,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            # Not fork: a process that trains has threads and often a CUDA context, which do not survive it.
            multiprocessing_context="forkserver" if self._workers else None,
            pin_memory=self._device.type == "cuda",
        )
        return _Part(images, requests, loader)

    def train_batches(self, epoch: int) -> StreamedBatches:
        """Each training image once. Order and augmentation are a pure function of (seed, epoch)."""
        count, shard = len(self._train.images), self._shard
        order = shuffled(self._train.images, generator(self._seed, epoch, "order"))
        uniform = torch.rand(count, self._colour.draws, generator=generator(self._seed, epoch, "colour"))
        bounds = training_bounds(count, self._batch_size, shard.world)
        mine = [slice(start + shard.rank, stop, shard.world) for start, stop in bounds]
        return StreamedBatches(self, self._train, epoch, [order[m] for m in mine], [uniform[m] for m in mine])

    def val_batches(self) -> StreamedBatches:
        """Each validation image once, in a fixed order; test images under `evaluation: paper`."""
        return self._evaluation_batches(self._validation)

    def test_batches(self) -> StreamedBatches:
        """Each test image once, in a fixed order."""
        return self._evaluation_batches(self._test)

    def _evaluation_batches(self, part: _Part) -> StreamedBatches:
        mine = part.images.chosen[self._shard.rank :: self._shard.world]
        share = max(1, self._batch_size // self._shard.world)
        chosen = [mine[start:stop] for start, stop in evaluation_bounds(len(mine), share)]
        return StreamedBatches(self, part, None, chosen, [torch.empty(len(c), 0) for c in chosen])

    def _to_network(self, response: Response, augmented: bool) -> tuple[Tensor, Tensor]:
        pixels = response.pixels.to(self._device, non_blocking=True)
        if augmented and self._colour.draws:
            pixels = self._colour(pixels, response.uniform.to(self._device, non_blocking=True))
        return self._normalizer(pixels), response.labels.to(self._device, non_blocking=True)

    def _report(self, damaged: dict[str, str], part: _Part) -> None:
        """Raises: DataDamaged where more images of a part are damaged than the configuration allows."""
        for where, why in damaged.items():
            if where not in self.damaged and len(self.damaged) < REPORTED:
                log.warning("%s: %s. It is left out", where, why)
        self.damaged.update(damaged)
        allowed = self._config.max_damaged * len(part.images)
        if len(self.damaged) > allowed:
            shown = "".join(f"\n  {where}: {why}" for where, why in list(self.damaged.items())[:REPORTED])
            raise DataDamaged(
                f"{len(self.damaged)} of {len(part.images)} images cannot be decoded;"
                f" data.max_damaged {self._config.max_damaged:g} allows {int(allowed)}:{shown}"
            )


class StreamedBatches:
    """The batches of one pass; each iteration starts anew and gives the same batches."""

    def __init__(
        self,
        dataset: StreamedDataset,
        part: _Part,
        epoch: int | None,
        chosen: list[Indices],
        uniform: list[Tensor],
    ) -> None:
        self._dataset, self._part, self._epoch = dataset, part, epoch
        self._chosen, self._uniform = chosen, uniform

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self._part.requests.requests = self._requests
        for response in self._part.loader:
            if response.damaged:
                self._dataset._report(response.damaged, self._part)
            if not len(response.labels) and self._epoch is not None:
                raise DataDamaged(f"no image of a batch can be decoded: {', '.join(response.damaged)}")
            if len(response.labels):
                yield self._dataset._to_network(response, augmented=self._epoch is not None)

    def _requests(self) -> Iterator[Request]:
        for chosen, uniform in zip(self._chosen, self._uniform, strict=True):
            yield Request(self._epoch, chosen, uniform)


def shuffled(part: Subset[EncodedImages], random: torch.Generator) -> Indices:
    """The images of a part in random order.

    Where images can only be read in blocks, blocks are shuffled, then the images of each run of blocks with
    at least `WINDOW` of them: a batch then needs a few blocks, and not one for each of its images.
    """
    if part.images.blocks is None:
        order: Indices = part.chosen[torch.randperm(len(part), generator=random).numpy()]
        return order
    blocks = part.images.blocks[part.chosen]
    turn = torch.randperm(int(blocks.max()) + 1, generator=random).numpy()
    by_block = part.chosen[np.argsort(turn[blocks], kind="stable")]
    _, sizes = np.unique(turn[blocks], return_counts=True)
    windows: list[Indices] = []
    start = stop = 0
    for size in sizes:
        stop += int(size)
        if stop - start >= WINDOW or stop == len(by_block):
            places = torch.randperm(stop - start, generator=random).numpy()
            windows.append(by_block[start:stop][places])
            start = stop
    return np.concatenate(windows)
