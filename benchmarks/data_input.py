"""How fast images come in, against what limits them and against the training that they feed.

    python benchmarks/data_input.py [--repeats 7] [--only memory|steps|photos] [--workers 2]

memory: images/s of each data set that lies in memory, against a loop that only reads the same stored bytes and writes
the same float32 values (one core). steps: the share of a training step that goes into its input, for the shipped
profiles. photos: images/s decoded, cut out, resized and normalised for ImageNet, against only decoding the same JPEGs
on as many processes, with Pillow and with the decoder that the pipeline has. The colours of level high are computed
where the network trains; here that is one of the same cores.

Each pair is taken in turn within one repeat, and ratios are taken pair by pair: median, and the range over the repeats.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from bnnlab.data.config import DataConfig, ImageNet, image_shape, num_classes
from bnnlab.data.dataset import Dataset
from bnnlab.data.encoded import FileImages, PackedStrings
from bnnlab.data.in_memory import InMemoryDataset
from bnnlab.data.loading import AUGMENTATIONS, COLOURS
from bnnlab.data.normalization import Normalizer
from bnnlab.data.splits import LabelledImages, Splits, Subset, whole
from bnnlab.data.streaming import StreamedDataset

BATCH = 128
PHOTOS = 1536  # an epoch: so many that the ends of it, where not every worker has something to do, do not show
FILES = 384
PHOTO_SIZE = (500, 375)  # the most frequent size in ImageNet; its files have 110 kB on average


def config(name: str, **fields: object) -> DataConfig:
    from pydantic import TypeAdapter

    return TypeAdapter(DataConfig).validate_python({"name": name, **fields})


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(values: list[float], form: str = "{:.3f}") -> str:
    middle, low, high = (form.format(f(values)) for f in (statistics.median, min, max))
    return f"{middle} [{low}, {high}]"


def one_epoch(dataset: Dataset, epoch: int) -> int:
    return sum(len(labels) for _, labels in dataset.train_batches(epoch))


# Data sets that lie in memory


def in_memory(data: DataConfig) -> InMemoryDataset:
    """The data set with random pixels, so that no file is needed: 60,000 images, or as many as digits has."""
    count = 1257 if data.name == "digits" else 60_000
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, *image_shape(data)), dtype=np.uint8)
    images = LabelledImages(pixels, random.integers(0, num_classes(data), count))
    part = whole(images)
    return InMemoryDataset(
        Splits(part, part, part),
        num_classes=num_classes(data),
        augmentation=AUGMENTATIONS[data.augmentation],
        normalizer=Normalizer(data),
        batch_size=BATCH,
        seed=0,
    )


def only_move(data: DataConfig, count: int) -> Callable[[], None]:
    """Read as many bytes and write as many floats, batch by batch."""
    stored = torch.randint(0, 256, (count, *image_shape(data)), dtype=torch.uint8)
    batch = torch.empty(BATCH, *image_shape(data))

    def move() -> None:
        for chunk in torch.split(stored, BATCH):
            batch[: len(chunk)].copy_(chunk)

    return move


def memory(repeats: int) -> None:
    print(f"{'in memory, one core':32s}{'images/s':>34s}{'share of moving the bytes':>34s}")
    sets = [("digits", level) for level in ("none", "shift1")]
    sets += [("fashion_mnist", level) for level in ("none", "shift2_mirror")]
    sets += [("cifar10", level) for level in ("none", "pad4_mirror", "level1", "level2", "level3")]
    for name, level in sets:
        data = config(name, augmentation=level)
        dataset = in_memory(data)
        count = one_epoch(dataset, 0)
        move = only_move(data, count)
        move()
        rates, ratios = [], []
        for epoch in range(repeats):
            ours, limit = seconds(partial(one_epoch, dataset, epoch)), seconds(move)
            rates.append(count / ours)
            ratios.append(limit / ours)
        print(f"{name + ' ' + level:32s}{spread(rates, '{:,.0f}'):>34s}{spread(ratios):>34s}")


# The share of a training step


def steps(repeats: int) -> None:
    from bnnlab.models.config import build
    from bnnlab.sweep.plan import read_plan

    spec = Path(__file__).parents[1] / "studies" / "scaling_ablation.yaml"
    print(f"\n{'scaling_ablation, one thread':32s}{'ms a step':>34s}{'share that is input':>34s}")
    for profile in ("digits", "fashion_mnist", "cifar10"):
        run = read_plan(spec, profile=profile).runs[0].config
        dataset = in_memory(run.data)
        torch.manual_seed(0)
        network = build(run.model, image=image_shape(run.data), num_classes=num_classes(run.data)).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        count = 1 if profile == "cifar10" else 10
        batches = [batch for batch, _ in zip(dataset.train_batches(0), range(count), strict=False)]
        size = min(run.training.batch_size, BATCH)

        def train() -> None:
            for images, labels in batches:  # noqa: B023
                optimizer.zero_grad()  # noqa: B023
                F.cross_entropy(network(images[:size]), labels[:size]).backward()  # noqa: B023
                optimizer.step()  # noqa: B023

        train()
        one_epoch(dataset, 0)
        times, shares = [], []
        for epoch in range(repeats):
            step = seconds(train) / count
            batches_an_epoch = len(dataset.train_batches(0))
            per_batch = seconds(partial(one_epoch, dataset, epoch)) / batches_an_epoch * size / BATCH
            times.append(step * 1e3)
            shares.append(per_batch / (per_batch + step) * 100)
        title = f"{run.data.name} {run.data.augmentation}"
        print(f"{title:32s}{spread(times, '{:.2f}'):>34s}{spread(shares, '{:.2f} %'):>34s}")


# Photographs


def photo(seed: int) -> bytes:
    """A JPEG with the size and about the entropy of one of ImageNet: noise whose amplitude falls with its frequency."""
    random = np.random.default_rng(seed)
    pixels = np.full((PHOTO_SIZE[1], PHOTO_SIZE[0], 3), 128.0)
    for side, amplitude in ((6, 60), (20, 30), (80, 18), (240, 20)):
        noise = random.standard_normal((side * 3 // 4, side, 3)).astype(np.float32)
        layers = [Image.fromarray(noise[:, :, c]).resize(PHOTO_SIZE, Image.Resampling.BICUBIC) for c in range(3)]
        pixels += amplitude * np.stack([np.asarray(layer) for layer in layers], -1)
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=94)
    return file.getvalue()


def write_photos(folder: Path) -> FileImages:
    names = [f"{i % FILES:05d}.jpg" for i in range(PHOTOS)]
    for i, name in enumerate(names[:FILES]):
        (folder / name).write_bytes(photo(i % 48))
    packed = PackedStrings.pack(names)
    return FileImages(folder, packed, np.arange(PHOTOS, dtype=np.int64) % 1000, packed)


def only_decode(paths: list[Path]) -> int:
    for path in paths:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
    return len(paths)


def only_decode_fast(paths: list[Path]) -> int:
    """The very call that the pipeline makes for such an image."""
    import simplejpeg

    for path in paths:
        simplejpeg.decode_jpeg(path.read_bytes())
    return len(paths)


def photos(repeats: int, workers: int) -> None:
    limits = {"Pillow": only_decode}
    try:
        import simplejpeg

        decoder = f"simplejpeg {simplejpeg.__version__}"
        limits["simplejpeg"] = only_decode_fast
    except ImportError:
        decoder = "simplejpeg is not installed"
    print(
        f"\n{'500x375 JPEGs, ' + decoder:34s}{'images/s':>22s}"
        + "".join(f"{f'of {name} alone':>24s}" for name in limits)
    )
    with tempfile.TemporaryDirectory() as folder:
        images = write_photos(Path(folder))
        paths = [Path(images.where(i)) for i in range(PHOTOS)]
        print(f"mean size {sum(p.stat().st_size for p in paths) / PHOTOS / 1e3:.0f} kB")
        part: Subset[FileImages] = whole(images)
        context = multiprocessing.get_context("forkserver")
        with context.Pool(workers) as pool:
            cuts = [paths[i::workers] for i in range(workers)]
            for level in ("none", "medium", "high"):
                for count in (0, workers):
                    dataset = StreamedDataset(
                        ImageNet(name="imagenet", augmentation=level),  # type: ignore[arg-type]
                        Splits(part, part, part),  # type: ignore[arg-type]
                        colour=COLOURS[level],
                        batch_size=32,
                        seed=0,
                        workers=count,
                    )
                    one_epoch(dataset, 0)
                    rates: list[float] = []
                    ratios: dict[str, list[float]] = {name: [] for name in limits}
                    for epoch in range(repeats):
                        ours = seconds(partial(one_epoch, dataset, epoch))
                        rates.append(PHOTOS / ours)
                        for name, work in limits.items():
                            limit = partial(pool.map, work, cuts) if count else partial(work, paths)
                            ratios[name].append(seconds(limit) / ours)
                    how = f"{level}, {count} workers" if count else f"{level}, in the process itself"
                    shares = "".join(f"{spread(values):>24s}" for values in ratios.values())
                    print(f"{how:34s}{spread(rates, '{:,.0f}'):>22s}{shares}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=["memory", "steps", "photos"])
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.only in (None, "memory"):
        memory(chosen.repeats)
    if chosen.only in (None, "steps"):
        steps(chosen.repeats)
    if chosen.only in (None, "photos"):
        photos(chosen.repeats, chosen.workers)
