"""From a `DataConfig` to batches."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from bnnlab.data import cifar, fashion_mnist, imagenet
from bnnlab.data.augmentation import Affine, Augmentation, Chain, Crop
from bnnlab.data.batching import Shard
from bnnlab.data.cache import cached_images
from bnnlab.data.catalogue import CATALOGUE, locate
from bnnlab.data.class_folders import read_folder
from bnnlab.data.colour import BrightnessContrastSaturation, HueSaturationLightness, PCANoise
from bnnlab.data.config import (
    CIFAR10,
    CIFAR100,
    DataConfig,
    Digits,
    FashionMNIST,
    Folder,
    ImageNet,
    Synthetic,
    num_classes,
)
from bnnlab.data.dataset import Dataset
from bnnlab.data.digits import digits
from bnnlab.data.encoded import EncodedImages
from bnnlab.data.errors import DataDamaged
from bnnlab.data.in_memory import InMemoryDataset
from bnnlab.data.normalization import Normalizer
from bnnlab.data.source import Source
from bnnlab.data.splits import LabelledImages, Splits, TrainTest
from bnnlab.data.streaming import StreamedDataset
from bnnlab.data.synthetic import synthetic

MIRROR = Crop(padding=0, mirror=True)
HLS = HueSaturationLightness(hue=36, saturation=50, lightness=50)
AFFINE = Affine(degrees=10, shear=0.1, aspect=0.25)

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Chain(),
    "shift1": Crop(padding=1),
    "shift2": Crop(padding=2),
    "shift2_mirror": Crop(padding=2, mirror=True),
    "pad4_mirror": Crop(padding=4, mirror=True),
    "level1": MIRROR,
    "level2": Chain((HLS, MIRROR)),
    "level3": Chain((AFFINE, HLS, MIRROR)),
}
COLOURS: dict[str, Augmentation] = {
    "none": Chain(),
    "low": Chain(),
    "medium": Chain(),
    "high": Chain((BrightnessContrastSaturation(0.4), PCANoise(0.1))),
}


def load(
    config: DataConfig,
    *,
    evaluation: Literal["holdout", "paper"],
    batch_size: int,
    seed: int,
    device: str = "cpu",
    root: Path | None = None,
    workers: int = 0,
    shard: Shard = Shard(),  # noqa: B008
) -> Dataset:
    """The data set, ready to be trained on.

    `evaluation` says what the validation batches are. holdout: images held out of the training set, and the
    test set is left for the end. paper: the authors' protocol, which trains on every training image and
    validates on the test set. `batch_size` is that of a step over all processes. `root` is where the files
    lie, in place of `config.root`; `workers` are the processes that decode images that do not lie in memory,
    and change no batch.

    Raises: DataMissing that says where the files were looked for and how to get them; DataDamaged that names
    a file.
    """
    if isinstance(config, ImageNet | Folder):
        encoded = _encoded(config, root or config.root)
        return StreamedDataset(
            config,
            encoded.as_in_the_paper() if evaluation == "paper" else encoded,
            colour=COLOURS[config.augmentation],
            batch_size=batch_size,
            seed=seed,
            device=device,
            workers=workers,
            shard=shard,
        )
    splits = _in_memory(config, root)
    return InMemoryDataset(
        splits.as_in_the_paper() if evaluation == "paper" else splits,
        num_classes=num_classes(config),
        augmentation=AUGMENTATIONS[config.augmentation],
        normalizer=Normalizer(config),
        batch_size=batch_size,
        seed=seed,
        device=device,
        shard=shard,
    )


def _in_memory(
    config: Digits | Synthetic | FashionMNIST | CIFAR10 | CIFAR100, root: Path | None
) -> Splits[LabelledImages]:
    match config:
        case Digits():
            return digits()
        case Synthetic():
            return synthetic(config)
        case FashionMNIST() | CIFAR10() | CIFAR100():
            source = locate(config.name, root or config.root)
            published = cached_images(config.name, source.files, partial(_read, config, source))
            return published.with_validation(config.validation_per_class)


def _read(config: FashionMNIST | CIFAR10 | CIFAR100, source: Source) -> TrainTest:
    if isinstance(config, FashionMNIST):
        published = fashion_mnist.read(source)
    else:
        published = cifar.read(cifar.VARIANTS[config.name], source)
    require_size(config.name, source, len(published.train), len(published.test))
    return published


def _encoded(config: ImageNet | Folder, root: Path | None) -> Splits[EncodedImages]:
    if isinstance(config, Folder):
        return read_folder(config, root)
    source = locate(config.name, root)
    splits = imagenet.read(source, config.validation_per_class)
    require_size(config.name, source, len(splits.train) + len(splits.validation), len(splits.test))
    return splits


def require_size(name: str, source: Source, train: int, test: int) -> None:
    """A copy that lacks images, or has others, would give results that are not the data set's.

    Raises: DataDamaged.
    """
    entry = CATALOGUE[name]
    if (train, test) != (entry.train, entry.test):
        raise DataDamaged(
            f"{source.location}: {train:,} training and {test:,} test images; {entry.title} has"
            f" {entry.train:,} and {entry.test:,}. Fetch it again"
        )
