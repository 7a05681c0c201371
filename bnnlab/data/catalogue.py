"""Which data sets there are, where a copy of each may lie, and how to get one. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bnnlab.data import cifar, fashion_mnist, imagenet
from bnnlab.data.class_folders import require_described
from bnnlab.data.config import DataConfig, Digits, Folder, Synthetic
from bnnlab.data.errors import DataMissing
from bnnlab.data.places import VARIABLE, data_folders
from bnnlab.data.source import Source


@dataclass(frozen=True)
class Entry:
    """One data set that lies in files."""

    title: str
    find: Callable[[Path], Source | None]
    """The copy in exactly this folder, if there is one."""
    folders: tuple[str, ...]
    """What a folder with a copy may be called, below one that holds data sets; * stands for anything."""
    train: int
    test: int
    """Numbers of images of the published set."""
    how_to_get: tuple[str, ...]


CATALOGUE: dict[str, Entry] = {
    "fashion_mnist": Entry(
        "Fashion-MNIST",
        fashion_mnist.find,
        ("fashion_mnist", "fashion-mnist", "FashionMNIST", "FashionMNIST/raw", "fashion_mnist/raw"),
        60_000,
        10_000,
        ("bnnlab data fetch fashion_mnist", "apt-get install dataset-fashion-mnist   # Debian, Ubuntu"),
    ),
    "cifar10": Entry(
        "CIFAR-10",
        partial(cifar.find, cifar.VARIANTS["cifar10"]),
        (
            "cifar10",
            "cifar-10",
            "CIFAR10",
            "*/cifar-10-batches-bin",
            "cifar-10-batches-bin",
            "*/cifar-10-batches-py",
            "cifar-10-batches-py",
            "cifar10/plain_text",
            "datasets--uoft-cs--cifar10/snapshots/*/plain_text",
        ),
        50_000,
        10_000,
        (
            "bnnlab data fetch cifar10",
            "hf download uoft-cs/cifar10 --repo-type dataset --local-dir data/cifar10   # parquet",
        ),
    ),
    "cifar100": Entry(
        "CIFAR-100",
        partial(cifar.find, cifar.VARIANTS["cifar100"]),
        (
            "cifar100",
            "cifar-100",
            "CIFAR100",
            "*/cifar-100-binary",
            "cifar-100-binary",
            "*/cifar-100-python",
            "cifar-100-python",
            "cifar100/cifar100",
            "datasets--uoft-cs--cifar100/snapshots/*/cifar100",
        ),
        50_000,
        10_000,
        (
            "bnnlab data fetch cifar100",
            "hf download uoft-cs/cifar100 --repo-type dataset --local-dir data/cifar100   # parquet",
        ),
    ),
    "imagenet": Entry(
        "ImageNet (ILSVRC 2012)",
        imagenet.find,
        (
            "imagenet",
            "ImageNet",
            "imagenet-1k",
            "ILSVRC2012",
            "ILSVRC/Data/CLS-LOC",
            "imagenet*/ILSVRC/Data/CLS-LOC",
            "imagenet/data",
            "imagenet-1k/data",
            "datasets--ILSVRC--imagenet-1k/snapshots/*/data",
        ),
        1_281_167,
        50_000,
        (
            "https://huggingface.co/datasets/ILSVRC/imagenet-1k   # accept the terms there first",
            "hf download ILSVRC/imagenet-1k --repo-type dataset --local-dir data/imagenet   # 150 GB",
            "https://image-net.org/download-images   # or unpacked: data/imagenet/{train,val}/n01440764/",
        ),
    ),
}
NOT_IN_FILES = {"digits": "in the package scikit-learn", "synthetic": "made when it is used"}
FOLDER_NOTE = "data: {name: folder, root: PATH}   # PATH/CLASS/*.jpg or PATH/{train,val,test}/CLASS/*.jpg"


@dataclass(frozen=True)
class Availability:
    """What `bnnlab data` says of one data set."""

    name: str
    present: bool
    location: str | None
    looked_in: list[str]
    how_to_get: list[str]


def availability(root: Path | None = None) -> list[Availability]:
    """Every data set: whether a whole copy is on this machine, and how to get one."""
    found = [Availability(name, True, where, [], []) for name, where in NOT_IN_FILES.items()]
    looked_in = [str(folder) for folder in data_folders(root)]
    for name, entry in CATALOGUE.items():
        source = _first(_copies(entry, root))
        present = source is not None and not source.missing
        location = f"{source.location} ({source.format})" if present and source is not None else None
        found.append(Availability(name, present, location, looked_in, list(entry.how_to_get)))
    return [*found, Availability("folder", False, None, [], [FOLDER_NOTE])]


def locate(name: str, root: Path | None = None) -> Source:
    """The copy of this data set that is used: the first whole one.

    Raises: DataMissing that says where it was looked for and how to get it; DataDamaged where there is only a
    copy that lacks files.
    """
    entry = CATALOGUE[name]
    source = _first(_copies(entry, root))
    if source is None:
        folders = data_folders(root)
        raise DataMissing(
            f"{entry.title} was not found. Looked in, and in folders like {entry.folders[0]} below:\n"
            + "".join(f"  {folder}{'' if folder.is_dir() else ' (not there)'}\n" for folder in folders)
            + "To get it:\n"
            + "".join(f"  {way}\n" for way in entry.how_to_get)
            + f"To use a copy that lies elsewhere: set data.root or the environment variable {VARIABLE}."
        )
    source.require_complete()
    return source


def require_present(config: DataConfig, root: Path | None = None) -> None:
    """Tell before a run starts that it would not find its data. `root` is in place of `config.root`.

    Names are looked at and nothing is decoded; a folder of the user's own is compared with its fingerprint.
    Raises: DataMissing, DataDamaged.
    """
    if isinstance(config, Folder):
        require_described(config, root or config.root)
    elif not isinstance(config, Digits | Synthetic):
        locate(config.name, root or config.root)


def _first(sources: Iterator[Source]) -> Source | None:
    """The first whole copy, or the first of those that lack files."""
    partial_copy = None
    for source in sources:
        if not source.missing:
            return source
        partial_copy = partial_copy or source
    return partial_copy


def _copies(entry: Entry, root: Path | None) -> Iterator[Source]:
    for folder in data_folders(root):
        try:
            candidates = [folder, *(found for below in entry.folders for found in sorted(folder.glob(below)))]
            for candidate in candidates:
                source = entry.find(candidate) if candidate.is_dir() else None
                if source is None:
                    continue
                if source.format == "parquet" and candidate is folder and root is None:
                    continue  # train-00000-of-00001.parquet says nothing of what is in it; its folder must
                yield source
        except PermissionError:
            continue
