"""Trees with one folder of images for each class. Free of torch."""

from __future__ import annotations

import contextlib
import hashlib
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnnlab.data.cache import write_atomically
from bnnlab.data.config import Folder
from bnnlab.data.encoded import IMAGE_SUFFIXES, EncodedImages, FileImages, PackedStrings
from bnnlab.data.errors import DataDamaged, DataMissing
from bnnlab.data.places import cache_folder
from bnnlab.data.splits import Indices, Splits, Subset, take_by_name, whole

TRAIN = ("train", "training")
VALIDATION = ("val", "valid", "validation")
TEST = ("test", "testing")


@dataclass(frozen=True)
class Description:
    """What decides a result about a folder of the user's own."""

    fingerprint: str
    classes: int
    images: int


def describe(root: Path) -> Description:
    """Raises: DataMissing where there is no such folder, DataDamaged where it is not a tree of class
    folders."""
    parts = _parts(root)
    names = class_names(parts["train"])
    found = {part: list(_images(folder, names)) for part, folder in parts.items()}
    for label in sorted(set(range(len(names))) - {label for label, _ in found["train"]}):
        raise DataDamaged(f"{parts['train'] / names[label]}: no image ({', '.join(IMAGE_SUFFIXES)}) of this class")
    paths = [path for images in found.values() for _, path in images]
    return Description(_fingerprint(root, paths), len(names), len(paths))


def require_described(config: Folder, root: Path | None) -> Path:
    """The folder, which must be there and hold what the configuration was made for."""
    if root is None:
        raise DataMissing("the data set 'folder' needs data.root: where its class folders lie on this machine")
    root = root.expanduser()
    found = describe(root)
    if found.fingerprint != config.fingerprint or found.classes != config.classes:
        raise DataDamaged(
            f"{root}: {found.images} images of {found.classes} classes, fingerprint {found.fingerprint};"
            f" the configuration was made for {config.classes} classes, fingerprint {config.fingerprint}."
            " Point data.root at that folder, or leave out data.fingerprint and data.classes to use this one"
        )
    return root


def read_folder(config: Folder, root: Path | None) -> Splits[EncodedImages]:
    """The splits of a folder, which must be the one that the configuration was made for."""
    root = require_described(config, root)
    parts = _parts(root)
    names = class_names(parts["train"])
    images = {part: read_class_folders(folder, names) for part, folder in parts.items()}
    if "test" in images:
        test, rest = whole(images["test"]), whole(images["train"])
    else:
        test, rest = _held_out(images["train"], config.test_share)
    if "validation" in images:
        return Splits(rest, whole(images["validation"]), test)
    kept = images["train"]
    validation, train = _held_out(kept, config.validation_share, rest.chosen)
    return Splits(train, validation, test)


def read_class_folders(folder: Path, names: list[str]) -> EncodedImages:
    """All images below the folders of these classes, ordered by class and path."""
    found = list(_images(folder, names))
    relative = [path.relative_to(folder).as_posix() for _, path in found]
    labels = np.array([label for label, _ in found], dtype=np.int64)
    canonical = PackedStrings.pack(unicodedata.normalize("NFC", path) for path in relative)
    return FileImages(folder, PackedStrings.pack(relative), labels, canonical)


def class_names(folder: Path) -> list[str]:
    """The classes in alphabetical order, their names in Unicode's composed form.

    Raises: DataDamaged where there are fewer than two.
    """
    names = sorted(
        unicodedata.normalize("NFC", entry.name)
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    )
    if len(names) < 2:
        raise DataDamaged(
            f"{folder}: has {len(names)} folders of images, and a data set needs one for each of two or more"
            " classes: CLASS/image.jpg, or train/CLASS/image.jpg beside val/ or test/"
        )
    return names


def _parts(root: Path) -> dict[str, Path]:
    """The folders of the parts that the tree has; only `train` where it is not divided.

    A tree with one other part has a test set: what is called val is what ImageNet tests on.
    """
    if not root.is_dir():
        raise DataMissing(f"{root}: there is no such folder")
    below = {entry.name: entry for entry in root.iterdir() if entry.is_dir()}
    train, validation, test = (
        next((below[name] for name in names if name in below), None) for names in (TRAIN, VALIDATION, TEST)
    )
    if train is None or (validation is None and test is None):
        return {"train": root}
    if validation is not None and test is not None:
        return {"train": train, "validation": validation, "test": test}
    return {"train": train, "test": test or validation or train}


def _images(folder: Path, names: list[str]) -> Iterator[tuple[int, Path]]:
    """(label, path) ordered by class and path. Raises: DataDamaged for a class that is unknown."""
    labels = {name: label for label, name in enumerate(names)}
    seen: dict[int, list[Path]] = {label: [] for label in labels.values()}
    for entry in list(folder.iterdir()):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        name = unicodedata.normalize("NFC", entry.name)
        if name not in labels:
            raise DataDamaged(f"{entry}: the training images have no class of this name")
        seen[labels[name]] += [
            Path(below) / file
            for below, _, files in os.walk(entry)
            for file in files
            if not file.startswith(".") and file.lower().endswith(IMAGE_SUFFIXES)
        ]
    for label, paths in seen.items():
        keyed = sorted((unicodedata.normalize("NFC", str(path)), path) for path in paths)
        yield from ((label, path) for _, path in keyed)


def _held_out(
    images: EncodedImages, share: float, among: Indices | None = None
) -> tuple[Subset[EncodedImages], Subset[EncodedImages]]:
    """At least one image of each class, and about this share; and the others."""
    chosen = np.arange(len(images.labels), dtype=np.int64) if among is None else among
    labels = images.labels[chosen]
    counts = np.maximum(1, np.rint(np.bincount(labels) * share)).astype(np.int64)
    taken, others = take_by_name(labels, [images.names[int(i)] for i in chosen], counts)
    return Subset(images, chosen[taken]), Subset(images, chosen[others])


def _fingerprint(root: Path, paths: list[Path]) -> str:
    """Sixteen digits of the SHA-256 of all names and contents.

    Contents are read once; from then on the result is remembered with all sizes and times of change.
    """
    relative = [unicodedata.normalize("NFC", path.relative_to(root).as_posix()) for path in paths]
    listing = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape"))
    for path in paths:
        stat = path.stat()
        listing.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    note = cache_folder() / "fingerprints" / listing.hexdigest()[:32]
    try:
        if len(remembered := note.read_text()) == 16:
            return remembered
    except OSError:
        pass
    content = hashlib.sha256()
    for name, path in sorted(zip(relative, paths, strict=True)):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        content.update(f"{name}\0{digest}\n".encode("utf-8", "surrogateescape"))
    fingerprint = content.hexdigest()[:16]
    with contextlib.suppress(OSError):  # it is then computed again next time
        write_atomically(note, fingerprint.encode())
    return fingerprint
