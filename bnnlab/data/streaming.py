"""A data set that is too large for memory: images are decoded when they are needed, in worker processes.

A worker is asked for whole batches, by number of image. What it makes of an image depends on the seed, the
epoch and the image alone, so batches are the same for any number of workers, and a run that stops begins its
next epoch as if it had not.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from bnnlab.data.augmentation import Augmentation
from bnnlab.data.batching import Shard, evaluation_bounds, training_bounds
from bnnlab.data.config import Folder, ImageNet, ImageShape, image_shape, num_classes
from bnnlab.data.dataset import Damaged
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
    """One batch that a worker is asked for, of one of its sets. `epoch` is None for an evaluation."""

    which: int
    epoch: int | None
    chosen: Indices


class Response(NamedTuple):
    """Shape: pixels (n, C, H, W) uint8, labels (n,) int64.

    `kept`: which of the images that were asked for these are; `damaged`: where those lie that are not, and why.
    """

    pixels: Tensor
    labels: Tensor
    kept: list[int]
    damaged: dict[str, str]


class Decoder(TorchDataset[Response]):
    """What runs in a worker."""

    def __init__(self, config: ImageNet | Folder, sets: Sequence[EncodedImages], seed: int) -> None:
        self.config, self.sets, self.seed = config, sets, seed

    def __getitem__(self, request: Request) -> Response:
        images = self.sets[request.which]
        shape = image_shape(self.config)
        pixels = np.empty((len(request.chosen), *shape), dtype=np.uint8)
        damaged: dict[int, tuple[str, str]] = {}
        for place, index in enumerate(request.chosen.tolist()):
            try:
                pixels[place] = self._decoded(images.read(index), index, request.epoch)
            except (DecodingError, DataDamaged, OSError) as error:
                damaged[place] = (images.where(index), str(error))
        whole = [place for place in range(len(request.chosen)) if place not in damaged]
        kept = whole
        if damaged and request.epoch is not None and whole:
            # A batch keeps its size, which other processes count on: another of its images takes the place.
            kept = [place if place not in damaged else whole[place % len(whole)] for place in range(len(pixels))]
        if damaged:
            pixels = pixels[kept]
        labels = images.labels[request.chosen[kept]]
        return Response(
            torch.from_numpy(pixels),
            torch.from_numpy(labels),
            kept,
            dict(damaged.values()),
        )

    def _decoded(self, encoded: bytes, index: int, epoch: int | None) -> npt.NDArray[np.uint8]:
        config = self.config
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


class Workers:
    """Processes that decode batches. They live as long as the data set, and serve one pass at a time."""

    def __init__(self, decoder: Decoder, count: int, pinned: bool) -> None:
        self._asked = _Asked()
        self._pass = 0
        context = start = None
        if count:
            # Not fork: a process that trains has threads and often a CUDA context, which do not survive it.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["torch", __name__])  # 1.3 s once, and not for each worker
            lifeline, self._held = context.Pipe(duplex=False)
            start = partial(_watch_over, lifeline)
        self._loader = DataLoader(
            decoder,
            batch_size=None,  # a request is a whole batch
            sampler=self._asked,
            num_workers=count,
            persistent_workers=count > 0,
            multiprocessing_context=context,
            worker_init_fn=start,
            pin_memory=pinned,
        )

    def responses(self, requests: Sequence[Request]) -> Iterator[Response]:
        """The batches that are asked for, in this order."""
        self._asked.requests, self._pass = requests, self._pass + 1
        this = self._pass
        for response in self._loader:
            yield response
            if self._pass != this:
                raise RuntimeError("another pass over these images began before this one had ended")


def _watch_over(lifeline: Connection, worker: int) -> None:
    """In a worker: end with the process that trains, however that ends.

    A DataLoader's worker looks whether its parent lives, which here is the forkserver; and that one lives while it has
    workers.
    """

    def end_with_it() -> None:
        with suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()


class _Asked(Sampler[Request]):
    """The requests of the pass that comes next.

    It knows nothing of its `Workers`: in a cycle of references their queues could be closed before they are
    told to stop, and each would then be waited for.
    """

    def __init__(self) -> None:
        self.requests: Sequence[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)


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
        self.damaged: dict[str, dict[str, str]] = {}
        """Images that could not be decoded so far, by split: where each lies, and why."""
        self._config, self._splits, self._seed, self._shard = config, splits, seed, shard
        self._colour, self._normalizer = colour, Normalizer(config)
        self._batch_size, self._device = batch_size, torch.device(device)
        self._sets = (splits.train.images, splits.validation.images, splits.test.images)
        decoder = Decoder(config, self._sets, seed)
        pinned = self._device.type == "cuda"
        # Two pools, so that a validation in the middle of an epoch does not end it.
        self._training_workers = Workers(decoder, workers, pinned)
        self._evaluation_workers = Workers(decoder, workers, pinned)

    def train_batches(self, epoch: int) -> StreamedBatches:
        """Each training image once. Order and augmentation are a pure function of (seed, epoch)."""
        part, shard = self._splits.train, self._shard
        order = shuffled(part, generator(self._seed, epoch, "order"))
        uniform = torch.rand(len(part), self._colour.draws, generator=generator(self._seed, epoch, "colour"))
        bounds = training_bounds(len(part), self._batch_size, shard.world)
        mine = [slice(start + shard.rank, stop, shard.world) for start, stop in bounds]
        requests = [Request(0, epoch, order[m]) for m in mine]
        return StreamedBatches(self, "train", self._training_workers, requests, [uniform[m] for m in mine])

    def val_batches(self) -> StreamedBatches:
        """Each validation image once, in a fixed order; test images under `evaluation: paper`."""
        return self._evaluation_batches("validation", self._splits.validation)

    def test_batches(self) -> StreamedBatches:
        """Each test image once, in a fixed order."""
        return self._evaluation_batches("test", self._splits.test)

    def _evaluation_batches(self, split: str, part: Subset[EncodedImages]) -> StreamedBatches:
        mine = part.chosen[self._shard.rank :: self._shard.world]
        share = max(1, self._batch_size // self._shard.world)
        which = next(i for i, images in enumerate(self._sets) if images is part.images)
        bounds = evaluation_bounds(len(mine), share)
        requests = [Request(which, None, mine[start:stop]) for start, stop in bounds]
        return StreamedBatches(self, split, self._evaluation_workers, requests)

    def _to_network(self, response: Response, uniform: Tensor | None) -> tuple[Tensor, Tensor]:
        pixels = response.pixels.to(self._device, non_blocking=True)
        if uniform is not None and self._colour.draws:
            pixels = self._colour(pixels, uniform[response.kept].to(self._device, non_blocking=True))
        return self._normalizer(pixels), response.labels.to(self._device, non_blocking=True)

    def note_damaged(self, found: Damaged) -> None:
        """See `bnnlab.data.dataset.Dataset`."""
        for split, images in found.items():
            if images:
                self._note(split, images)

    def _note(self, split: str, images: Mapping[str, str]) -> None:
        known = self.damaged.setdefault(split, {})
        for where, why in images.items():
            if where not in known and sum(map(len, self.damaged.values())) < REPORTED:
                log.warning("%s: %s. It is left out", where, why)
            known[where] = why
        part: Subset[EncodedImages] = getattr(self._splits, split)
        allowed = self._config.max_damaged * len(part)
        if len(known) > allowed:
            shown = "".join(f"\n  {where}: {why}" for where, why in list(known.items())[:REPORTED])
            raise DataDamaged(
                f"{len(known)} of {len(part)} images cannot be decoded;"
                f" data.max_damaged {self._config.max_damaged:g} allows {int(allowed)}:{shown}"
            )


class StreamedBatches:
    """The batches of one pass; each iteration starts anew and gives the same batches."""

    def __init__(
        self,
        dataset: StreamedDataset,
        split: str,
        workers: Workers,
        requests: list[Request],
        uniform: Sequence[Tensor | None] = (),
    ) -> None:
        self._dataset, self._split, self._workers = dataset, split, workers
        self._requests, self._uniform = requests, uniform or [None] * len(requests)

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        responses = self._workers.responses(self._requests)
        for request, uniform, response in zip(self._requests, self._uniform, responses, strict=True):
            if response.damaged:
                self._dataset.note_damaged({self._split: response.damaged})
            if len(response.labels):
                yield self._dataset._to_network(response, uniform)
            elif request.epoch is not None:
                raise DataDamaged(f"no image of a batch can be decoded: {', '.join(response.damaged)}")


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
