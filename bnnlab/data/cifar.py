"""CIFAR-10 and CIFAR-100: 32x32 colour images, in the binary, the python or the parquet version.

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"; the formats of the first two
versions are described at https://www.cs.toronto.edu/~kriz/cifar.html, the third is that of the repositories
uoft-cs/cifar10 and uoft-cs/cifar100 of the Hugging Face hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnnlab.data import parquet
from bnnlab.data.array_pickle import load_arrays
from bnnlab.data.errors import DataDamaged
from bnnlab.data.source import Source, archive, members, named_files, parquet_files
from bnnlab.data.splits import LabelledImages, TrainTest

IMAGE = (3, 32, 32)
IMAGE_BYTES = 3 * 32 * 32


@dataclass(frozen=True)
class Variant:
    """What differs between the two data sets."""

    title: str
    classes: int
    train_files: tuple[str, ...]
    test_file: str
    archive: str
    python_labels: str
    parquet_label: str
    binary_label_bytes: int
    """CIFAR-100 has the coarse label first, then the fine one, which is the class."""


VARIANTS = {
    "cifar10": Variant(
        "CIFAR-10",
        10,
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        "cifar-10",
        "labels",
        "label",
        1,
    ),
    "cifar100": Variant("CIFAR-100", 100, ("train",), "test", "cifar-100", "fine_labels", "fine_label", 2),
}


def find(variant: Variant, folder: Path) -> Source | None:
    """A copy in this folder, in whichever version; a complete one before one that lacks files."""
    names = [*variant.train_files, variant.test_file]
    candidates = (
        named_files(folder, "binary", [f"{name}.bin" for name in names]),
        named_files(folder, "python", names),
        archive(folder, "binary", f"{variant.archive}-binary.tar.gz"),
        archive(folder, "python", f"{variant.archive}-python.tar.gz"),
        parquet_files(folder, {"train": "train-", "test": "test-"}),
    )
    found = [source for source in candidates if source is not None]
    return next((source for source in found if not source.missing), found[0] if found else None)


def read(variant: Variant, source: Source) -> TrainTest:
    """Raises: DataDamaged that names the file."""
    source.require_complete()
    if source.format == "parquet":
        train, test = (
            _read_parquet(variant, [path for path in source.files if path.name.startswith(split)])
            for split in ("train-", "test-")
        )
        return TrainTest(train, test)
    suffix, parse = (".bin", _parse_binary) if source.format == "binary" else ("", _parse_python)
    names = [f"{name}{suffix}" for name in (*variant.train_files, variant.test_file)]
    content = members(source, names)
    parts = [parse(variant, content[name], f"{source.location}: {name}") for name in names]
    for part, name in zip(parts, names, strict=True):
        _check_labels(variant, part.labels, f"{source.location}: {name}")
    pixels = np.concatenate([part.pixels for part in parts[:-1]])
    return TrainTest(LabelledImages(pixels, np.concatenate([part.labels for part in parts[:-1]])), parts[-1])


def _parse_binary(variant: Variant, raw: bytes, where: str) -> LabelledImages:
    record = variant.binary_label_bytes + IMAGE_BYTES
    if not raw or len(raw) % record:
        raise DataDamaged(
            f"{where}: {len(raw)} bytes are not a whole number of records; one of {variant.title} has"
            f" {record} bytes. Fetch it again"
        )
    records = np.frombuffer(raw, np.uint8).reshape(-1, record)
    pixels = records[:, variant.binary_label_bytes :].reshape(-1, *IMAGE)
    return LabelledImages(pixels, records[:, variant.binary_label_bytes - 1].astype(np.int64))


def _parse_python(variant: Variant, raw: bytes, where: str) -> LabelledImages:
    content = load_arrays(raw, where)
    pixels = content.get("data")
    labels = content.get(variant.python_labels)
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise DataDamaged(
            f"{where}: holds {', '.join(sorted(content)) or 'nothing'}, where the python version of"
            f" {variant.title} has an array 'data' and a list '{variant.python_labels}'"
        )
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), IMAGE_BYTES):
        raise DataDamaged(
            f"{where}: 'data' is {pixels.dtype} {pixels.shape}, for {len(labels)} labels it must be uint8"
            f" ({len(labels)}, {IMAGE_BYTES})"
        )
    return LabelledImages(pixels.reshape(-1, *IMAGE), _integers(labels, where))


def _integers(labels: list[Any], where: str) -> npt.NDArray[np.int64]:
    if not all(isinstance(label, int) for label in labels):
        raise DataDamaged(f"{where}: its labels are not whole numbers")
    return np.array(labels, dtype=np.int64)


def _read_parquet(variant: Variant, paths: list[Path]) -> LabelledImages:
    pixels, labels = [], []
    for path in paths:
        encoded, label = parquet.read_images(path, ("img", "image"), variant.parquet_label)
        _check_labels(variant, label, str(path))
        labels.append(label)
        pixels += [parquet.decode_small(image, IMAGE, f"{path}: row {row}") for row, image in enumerate(encoded)]
    return LabelledImages(np.stack(pixels), np.concatenate(labels))


def _check_labels(variant: Variant, labels: npt.NDArray[np.int64], where: str) -> None:
    wrong = (labels < 0) | (labels >= variant.classes)
    if wrong.any():
        place = int(wrong.argmax())
        raise DataDamaged(
            f"{where}: label {labels[place]} at image {place}; {variant.title} has 0 to {variant.classes - 1}"
        )
