"""ImageNet (ILSVRC 2012) in the shapes in which it is usually kept. Free of torch.

Source: Russakovsky et al. 2015 (arXiv:1409.0575). Classes are numbered in the alphabetical order of their
WordNet ids, in all three shapes.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bnnlab.data.class_folders import class_names, read_class_folders
from bnnlab.data.encoded import EncodedImages
from bnnlab.data.errors import DataDamaged
from bnnlab.data.parquet_images import ParquetImages
from bnnlab.data.source import Source, parquet_files
from bnnlab.data.splits import Splits, Subset, take_by_name, whole
from bnnlab.data.tar_shards import TarImages

CLASSES = 1000
WORDNET_ID = re.compile(r"n\d{8}")
SHARDS = (re.compile(r"train.*\.tar$"), re.compile(r"val.*\.tar$"))
"""Of training and of validation images, in their names or in that of their folder."""


def find(folder: Path) -> Source | None:
    """A copy in this folder: train/ and val/ with class folders; shards *train*.tar and *val*.tar, here or in
    train/ and val/; or parquet files train-* and validation-*. A whole copy before one that lacks files."""
    candidates = (
        _find_tree(folder),
        _find_shards(folder),
        parquet_files(folder, {"train": "train-", "validation": "validation-"}),
    )
    found = [source for source in candidates if source is not None]
    return next((source for source in found if not source.missing), found[0] if found else None)


def _find_tree(folder: Path) -> Source | None:
    train, test = folder / "train", folder / "val"
    if not train.is_dir() or not any(WORDNET_ID.fullmatch(entry.name) for entry in train.iterdir()):
        return None
    divided = test.is_dir() and any(WORDNET_ID.fullmatch(entry.name) for entry in test.iterdir())
    missing = () if divided else ("val/n01440764 and the other class folders of the validation images",)
    return Source("class folders", folder, (train, test), missing)


def _find_shards(folder: Path) -> Source | None:
    paths = sorted([*folder.glob("*.tar"), *folder.glob("train/*.tar"), *folder.glob("val*/*.tar")])
    train, test = ([path for path in paths if pattern.search(_in_folder(path))] for pattern in SHARDS)
    if not train and not test:
        return None
    missing = [name for name, found in (("*train*.tar", train), ("*val*.tar", test)) if not found]
    return Source("tar shards", folder, (*train, *test), tuple(missing))


def _in_folder(path: Path) -> str:
    return f"{path.parent.name}/{path.name}" if path.parent.name in ("train", "val", "validation") else path.name


def read(source: Source, validation_per_class: int) -> Splits[EncodedImages]:
    """Raises: DataDamaged that names the file."""
    source.require_complete()
    train, test = _read_parts(source)
    for images in (train, test):
        _check_labels(images)
    names = [identity(name) for name in train.names]
    validation, rest = take_by_name(train.labels, names, validation_per_class)
    return Splits(Subset(train, rest), Subset(train, validation), whole(test))


def _read_parts(source: Source) -> tuple[EncodedImages, EncodedImages]:
    if source.format == "class folders":
        names = class_names(source.files[0])
        if len(names) != CLASSES:
            raise DataDamaged(f"{source.files[0]}: {len(names)} class folders; ImageNet has {CLASSES}")
        train, test = (read_class_folders(folder, names) for folder in source.files)
        return train, test
    if source.format == "tar shards":
        train_files, test_files = (
            [path for path in source.files if pattern.search(_in_folder(path))] for pattern in SHARDS
        )
        return TarImages(train_files), TarImages(test_files)
    by_split: dict[bool, list[Path]] = {True: [], False: []}
    for path in source.files:
        by_split[path.name.startswith("train-")].append(path)
    return ParquetImages(by_split[True]), ParquetImages(by_split[False])


def identity(name: str) -> str:
    """What an image is called in all shapes: n01440764_10026, ILSVRC2012_val_00000293.

    The tree has n01440764/n01440764_10026.JPEG, the hub's parquet files n01440764_10026_n01440764.JPEG.
    """
    stem = name.rpartition("/")[2].partition(".")[0]
    return re.sub(r"(?<=\d)_n\d{8}$", "", stem)


def _check_labels(images: EncodedImages) -> None:
    wrong = np.flatnonzero((images.labels < 0) | (images.labels >= CLASSES))
    if len(wrong):
        place = int(wrong[0])
        raise DataDamaged(f"{images.where(place)}: label {images.labels[place]}; ImageNet has 0 to {CLASSES - 1}")
