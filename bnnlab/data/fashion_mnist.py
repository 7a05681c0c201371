"""Fashion-MNIST: 28x28 grey images of clothes, in IDX files.

Source: Xiao, Rasul & Vollgraf 2017 (arXiv:1708.07747). IDX: http://yann.lecun.com/exdb/mnist/ (archived), two
zero bytes, a type (8 is uint8), the number of dimensions, each as a big-endian 32-bit size, then the data.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bnnlab.data.errors import DataDamaged
from bnnlab.data.source import Source, named_files
from bnnlab.data.splits import LabelledImages, TrainTest

PARTS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CLASSES = 10
SIDE = 28


def find(folder: Path) -> Source | None:
    """The four files in this folder, each plain or gzipped."""
    names = [name for part in PARTS.values() for name in part]
    as_present = [name if (folder / name).is_file() else f"{name}.gz" for name in names]
    return named_files(folder, "IDX", as_present)


def read(source: Source) -> TrainTest:
    """Raises: DataDamaged that names the file."""
    source.require_complete()
    by_name = {path.name.removesuffix(".gz"): path for path in source.files}
    train, test = (_labelled(by_name[images], by_name[labels]) for images, labels in PARTS.values())
    return TrainTest(train, test)


def _labelled(images_path: Path, labels_path: Path) -> LabelledImages:
    images, labels = read_idx(images_path, dimensions=3), read_idx(labels_path, dimensions=1)
    if images.shape[1:] != (SIDE, SIDE):
        raise DataDamaged(
            f"{images_path}: images of {images.shape[2]}x{images.shape[1]} pixels; Fashion-MNIST has 28x28"
        )
    if len(images) != len(labels):
        raise DataDamaged(f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path.name}")
    if len(labels) and labels.max() >= CLASSES:
        place = int((labels >= CLASSES).argmax())
        raise DataDamaged(f"{labels_path}: label {labels[place]} at place {place}; Fashion-MNIST has 0 to 9")
    return LabelledImages(images[:, np.newaxis], labels.astype(np.int64))


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """An IDX file of bytes, plain or gzipped.

    Raises: DataDamaged where it is something else, or shorter or longer than it says.
    """
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            message = f"{path}: the gzip data is cut short or damaged ({error}). Fetch it again"
            raise DataDamaged(message) from error
    header = 4 + 4 * dimensions
    if len(raw) < header or raw[:4] != bytes([0, 0, 8, dimensions]):
        raise DataDamaged(
            f"{path}: begins with {raw[:4].hex(' ') or 'nothing'}, where an IDX file of"
            f" {dimensions}-dimensional bytes begins with 00 00 08 0{dimensions}"
        )
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", dimensions, offset=4))
    if len(raw) - header != math.prod(shape):
        raise DataDamaged(
            f"{path}: {len(raw) - header} bytes of data where its header announces"
            f" {'x'.join(map(str, shape))} = {math.prod(shape)}. Fetch it again"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
