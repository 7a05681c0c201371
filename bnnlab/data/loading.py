"""From a `DataConfig` to batches."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bnnlab.data.augmentation import Augmentation, Crop, Unchanged
from bnnlab.data.batching import Shard
from bnnlab.data.config import DataConfig, Digits, Synthetic, num_classes
from bnnlab.data.dataset import Dataset
from bnnlab.data.digits import digits
from bnnlab.data.in_memory import InMemoryDataset
from bnnlab.data.normalization import Normalizer
from bnnlab.data.splits import Splits, concatenate
from bnnlab.data.synthetic import synthetic

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Unchanged(),
    "shift1": Crop(padding=1),
    "shift2": Crop(padding=2),
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
    validates on the test set. `batch_size` is that of a step over all processes; `workers` are the processes
    that decode images that do not lie in memory, and change no batch.
    """
    splits = _splits(config)
    if evaluation == "paper":
        splits = Splits(concatenate(splits.train, splits.validation), splits.test, splits.test)
    return InMemoryDataset(
        splits,
        num_classes=num_classes(config),
        augmentation=AUGMENTATIONS[config.augmentation],
        normalizer=Normalizer(config, splits.train.pixels.shape[1]),
        batch_size=batch_size,
        seed=seed,
        device=device,
        shard=shard,
    )


def _splits(config: DataConfig) -> Splits:
    match config:
        case Digits():
            return digits()
        case Synthetic():
            return synthetic(config)
