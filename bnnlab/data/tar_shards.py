"""Images in tar shards of the WebDataset form: KEY.jpg beside KEY.cls, which holds the class number.

Source: https://github.com/webdataset/webdataset, "The WebDataset Format". A key is a path up to the first dot
of its last part. Free of torch.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np

from bnnlab.data.cache import Arrays, cached_arrays, listing_checksum
from bnnlab.data.encoded import IMAGE_SUFFIXES, PackedStrings
from bnnlab.data.errors import DataDamaged
from bnnlab.data.splits import Indices, Labels

END_OF_ARCHIVE = 1024  # bytes: two empty blocks


class TarImages:
    """Images read from where they lie in their shards, after one pass over the headers."""

    blocks = None

    def __init__(self, shards: list[Path]) -> None:
        self._shards = shards
        arrays = cached_arrays("tar-index", listing_checksum(shards), lambda: _index(shards))
        self._shard: Indices = arrays["shard"]  # type: ignore[assignment]
        self._offset: Indices = arrays["offset"]  # type: ignore[assignment]
        self._size: Indices = arrays["size"]  # type: ignore[assignment]
        self.labels: Labels = arrays["labels"]  # type: ignore[assignment]
        self.names = PackedStrings(arrays["names"], arrays["ends"])  # type: ignore[arg-type]

    def read(self, index: int) -> bytes:
        handle = os.open(self._shards[self._shard[index]], os.O_RDONLY)
        try:
            return os.pread(handle, int(self._size[index]), int(self._offset[index]))
        finally:
            os.close(handle)

    def where(self, index: int) -> str:
        return f"{self._shards[self._shard[index]]}: {self.names[index]}"


def _index(shards: list[Path]) -> Arrays:
    """Where each image lies, ordered by class and key."""
    images: list[tuple[int, str, int, int, int]] = []
    for number, path in enumerate(shards):
        images += [(label, key, number, offset, size) for label, key, offset, size in _members(path)]
    images.sort()
    names = PackedStrings.pack(image[1] for image in images)
    columns = np.array([[label, *place] for label, _, *place in images], dtype=np.int64).reshape(-1, 4)
    return {
        "labels": columns[:, 0].copy(),
        "shard": columns[:, 1].copy(),
        "offset": columns[:, 2].copy(),
        "size": columns[:, 3].copy(),
        "names": names.text,
        "ends": names.ends,
    }


def _members(path: Path) -> list[tuple[int, str, int, int]]:
    """(label, key, offset, size) of each image of a shard."""
    places: dict[str, tuple[int, int]] = {}
    labels: dict[str, int] = {}
    try:
        _require_end(path)
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, _, last = member.name.rpartition("/")
                stem, _, extension = last.partition(".")
                key = f"{folder}/{stem}".lstrip("/")
                if f".{extension.lower()}".endswith(IMAGE_SUFFIXES):
                    if key in places:
                        raise DataDamaged(f"{path}: two images are called {key}")
                    places[key] = member.offset_data, member.size
                elif extension in ("cls", "cls.txt"):
                    content = tar.extractfile(member)
                    labels[key] = _label(content.read() if content else b"", f"{path}: {member.name}")
                elif extension == "tar":
                    raise DataDamaged(
                        f"{path}: holds {member.name} and not images. This is an archive of image-net.org:"
                        " unpack it, and each archive in it, into one folder a class"
                    )
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataDamaged(f"{path}: cut short or not a tar archive ({error}). Fetch it again") from error
    for key in places.keys() ^ labels.keys():
        lacking = "class number (.cls)" if key in places else "image"
        raise DataDamaged(f"{path}: {key} has no {lacking}")
    return [(labels[key], key, offset, size) for key, (offset, size) in places.items()]


def _require_end(path: Path) -> None:
    """tarfile reads an archive that was cut between two members without a word; only the end shows it is
    whole."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() >= END_OF_ARCHIVE:
            file.seek(-END_OF_ARCHIVE, os.SEEK_END)
            if not file.read().strip(b"\0"):
                return
    raise tarfile.ReadError("its end is missing")


def _label(content: bytes, where: str) -> int:
    try:
        return int(content)
    except ValueError:
        raise DataDamaged(f"{where}: holds {content[:20]!r} where a class number is expected") from None
