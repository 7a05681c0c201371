"""Decoded images in files that all processes of a machine share.

A cache is a folder named after the data set and the checksum of its source; it is built under another name
and renamed when it is whole, so a build that is killed leaves nothing that would be trusted, and of two
processes that build at once the second finds that the first was faster.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bnnlab.data.places import cache_folder
from bnnlab.data.splits import LabelledImages, TrainTest, in_canonical_order

LAYOUT = "v1"
"""Changed with what a cache holds, so that an older one is not read as a newer one."""
ABANDONED_SECONDS = 24 * 3600
Arrays = Mapping[str, npt.NDArray[np.generic]]

log = logging.getLogger(__name__)


def cached_images(name: str, files: Sequence[Path], read: Callable[[], TrainTest]) -> TrainTest:
    """What `read` gives, in canonical order; decoded once and mapped into memory from then on."""

    def build() -> Arrays:
        published = read()
        train, test = in_canonical_order(published.train), in_canonical_order(published.test)
        return {
            "train_pixels": train.pixels,
            "train_labels": train.labels,
            "test_pixels": test.pixels,
            "test_labels": test.labels,
        }

    arrays = cached_arrays(name, checksum(files), build)
    return TrainTest(
        LabelledImages(arrays["train_pixels"], arrays["train_labels"]),  # type: ignore[arg-type]
        LabelledImages(arrays["test_pixels"], arrays["test_labels"]),  # type: ignore[arg-type]
    )


def cached_arrays(name: str, digest: str, build: Callable[[], Arrays]) -> Arrays:
    """The arrays that `build` gives for a source with this checksum.

    They are mapped copy-on-write: processes share the pages, and none can change the file. Where the cache
    cannot be written the arrays are built each time, and a warning says so.
    """
    place = cache_folder() / "datasets" / f"{name}-{LAYOUT}-{digest[:16]}"
    if (found := _open(place)) is not None:
        return found
    arrays = build()
    try:
        _publish(arrays, place)
    except OSError as error:
        log.warning("%s cannot be written (%s): %s is decoded anew by each process", place, error, name)
        return arrays
    opened = _open(place)
    return arrays if opened is None else opened


def _open(place: Path) -> Arrays | None:
    """The arrays of a whole cache, or None."""
    try:
        names = json.loads((place / "whole.json").read_text())
        # Raises ValueError where a file is shorter than its header says.
        return {name: np.load(place / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in names}
    except (OSError, ValueError):
        return None


def _publish(arrays: Arrays, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    _sweep(place.parent)
    building = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        for name, array in arrays.items():
            with (building / f"{name}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())  # or a power cut could leave the name without the data
        (building / "whole.json").write_text(json.dumps(list(arrays)))
        building.chmod(0o755)
        if place.exists() and _open(place) is None:
            # Damaged after it was built. Moved away in one step, as another process may be doing the same.
            aside = tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent)
            place.rename(Path(aside) / "damaged")
            shutil.rmtree(aside, ignore_errors=True)
        building.rename(place)
    except OSError:
        if _open(place) is None:
            raise
        # Another process was faster; what it built is what we built.
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what killed builds left."""
    for left in folder.glob(".*"):
        try:
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue


def checksum(files: Sequence[Path]) -> str:
    """SHA-256 of the names and contents of these files, in hexadecimal.

    A file is read once; from then on its checksum is remembered with its size and time of change.
    """
    whole = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.name):
        whole.update(f"{path.name}\0{file_checksum(path)}\n".encode())
    return whole.hexdigest()


def listing_checksum(files: Sequence[Path]) -> str:
    """SHA-256 of the paths, sizes and times of change, for files too large to be read for a checksum."""
    listing = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def file_checksum(path: Path) -> str:
    """SHA-256 of the content of one file, remembered."""
    stat = path.stat()
    identity = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}"
    note = cache_folder() / "checksums" / hashlib.sha256(identity.encode()).hexdigest()[:32]
    try:
        remembered = note.read_text()
        if len(remembered) == 64:
            return remembered
    except OSError:
        pass
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        write_atomically(note, digest.encode())
    except OSError:
        log.debug("%s cannot be written; %s is read again next time", note, path)
    return digest


def write_atomically(path: Path, content: bytes) -> None:
    """The file has the whole content or is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
