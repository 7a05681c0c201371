"""Sets of images that stay encoded in their files, and are decoded when they are needed. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, overload

import numpy as np
import numpy.typing as npt

from bnnlab.data.splits import Indices, Labels

IMAGE_SUFFIXES = (*(".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"),)


class EncodedImages(Protocol):
    """Images of one or more files, with random access."""

    @property
    def labels(self) -> Labels: ...

    @property
    def names(self) -> Sequence[str]:
        """What an image is called in every format of the data set."""

    @property
    def blocks(self) -> Indices | None:
        """For each image, which block must be read to get it; None where an image can be read alone."""

    def read(self, index: int) -> bytes:
        """The encoded image. Raises: OSError, DataDamaged."""

    def where(self, index: int) -> str:
        """Where the image lies, for a person."""


class PackedStrings(Sequence[str]):
    """Strings in two arrays. A million file names take their own length, and go to worker processes at
    once."""

    def __init__(self, text: npt.NDArray[np.uint8], ends: Indices) -> None:
        self.text, self.ends = text, ends

    @classmethod
    def pack(cls, strings: Iterable[str]) -> PackedStrings:
        """The same strings."""
        encoded = [string.encode("utf-8", "surrogateescape") for string in strings]
        ends = np.cumsum([len(e) for e in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> PackedStrings: ...
    def __getitem__(self, index: int | slice) -> str | PackedStrings:
        if isinstance(index, slice):
            return PackedStrings.pack(self[i] for i in range(*index.indices(len(self))))
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = self.ends[index - 1] if index else 0
        return self.text[start : self.ends[index]].tobytes().decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))


class FileImages:
    """One image a file."""

    blocks = None

    def __init__(self, folder: Path, paths: PackedStrings, labels: Labels, names: PackedStrings) -> None:
        self.folder, self.paths, self.labels, self.names = folder, paths, labels, names

    def read(self, index: int) -> bytes:
        return (self.folder / self.paths[index]).read_bytes()

    def where(self, index: int) -> str:
        return str(self.folder / self.paths[index])
