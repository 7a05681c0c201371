"""Sets of labelled images, in an order and with splits that depend on their content alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from bnnlab.data.errors import DataError

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledImages:
    """Images and what they show.

    Shape: pixels (N, C, H, W) uint8; labels (N,) int64.
    """

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


class Labelled(Protocol):
    """A set of images, in memory or encoded."""

    @property
    def labels(self) -> Labels: ...


Images = TypeVar("Images", bound=Labelled)


@dataclass(frozen=True)
class Subset(Generic[Images]):
    """Some of the images of a set, without a copy of them."""

    images: Images
    chosen: Indices

    def __len__(self) -> int:
        return len(self.chosen)


@dataclass(frozen=True)
class Splits(Generic[Images]):
    """A data set's three parts. `train` and `validation` may be parts of the same images."""

    train: Subset[Images]
    validation: Subset[Images]
    test: Subset[Images]

    def as_in_the_paper(self) -> Splits[Images]:
        """The authors' protocol: train on all images but the test images, and validate on those."""
        if self.validation.images is not self.train.images:
            return Splits(self.train, self.test, self.test)
        everything = np.concatenate([self.train.chosen, self.validation.chosen])
        return Splits(Subset(self.train.images, everything), self.test, self.test)


@dataclass(frozen=True)
class TrainTest:
    """A data set as it is published: in two parts."""

    train: LabelledImages
    test: LabelledImages

    def with_validation(self, per_class: int) -> Splits[LabelledImages]:
        """`per_class` training images of each class held out for validation."""
        validation, train = take_per_class(self.train.labels, per_class)
        return Splits(Subset(self.train, train), Subset(self.train, validation), whole(self.test))


def whole(images: Images) -> Subset[Images]:
    """All images of a set."""
    return Subset(images, np.arange(len(images.labels), dtype=np.int64))


def in_canonical_order(images: LabelledImages) -> LabelledImages:
    """The same images in the order of the digests of their content.

    Public copies of one data set list its images in different orders. In this order they are equal, so a run
    is the same whichever copy it was trained on, and a slice of it is a random sample.
    """
    digests = [
        hashlib.sha256(label.tobytes() + image.tobytes()).digest()
        for label, image in zip(images.labels.astype("<i8"), images.pixels, strict=True)
    ]
    order = np.array(sorted(range(len(images)), key=digests.__getitem__), dtype=np.int64)
    return LabelledImages(images.pixels[order], images.labels[order])


def take_per_class(labels: Labels, count: int | Indices) -> tuple[Indices, Indices]:
    """Where the first `count` images of each class are, and where the others are, both ascending.

    `count` is one number, or one for each class.
    Raises: DataError where a class would be left with none.
    """
    sizes = np.bincount(labels)
    counts = np.broadcast_to(count, sizes.shape)
    for label in np.flatnonzero((sizes > 0) & (sizes <= counts)):
        raise DataError(
            f"class {label} has {sizes[label]} images: {counts[label]} of them cannot be held out of training"
        )
    place_in_class = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    taken = np.zeros(len(labels), dtype=bool)
    taken[np.argsort(labels, kind="stable")] = place_in_class < np.repeat(counts, sizes)
    return np.flatnonzero(taken), np.flatnonzero(~taken)


def take_by_name(labels: Labels, names: Sequence[str], count: int | Indices) -> tuple[Indices, Indices]:
    """As `take_per_class`, first in the order of the digests of the images' names.

    A copy of a data set in another format has the same names, so it holds out the same images.
    """
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    order = np.array(sorted(range(len(names)), key=digests.__getitem__), dtype=np.int64)
    taken, others = take_per_class(labels[order], count)
    return np.sort(order[taken]), np.sort(order[others])
