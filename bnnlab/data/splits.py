"""Sets of labelled images, in an order and with splits that depend on their content alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledImages:
    """Images and what they show.

    Shape: pixels (N, C, H, W) uint8; labels (N,) int64.
    """

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: npt.NDArray[np.intp]) -> LabelledImages:
        return LabelledImages(self.pixels[chosen], self.labels[chosen])


def in_canonical_order(images: LabelledImages) -> LabelledImages:
    """The same images in the order of the digests of their content.

    Public copies of one data set list its images in different orders. In this order they are equal, so a run
    is the same whichever copy it was trained on, and a slice of it is a random sample.
    """
    digests = [
        hashlib.sha256(label.tobytes() + image.tobytes()).digest()
        for label, image in zip(images.labels.astype("<i8"), images.pixels, strict=True)
    ]
    return images[np.array(sorted(range(len(images)), key=digests.__getitem__), dtype=np.intp)]


def take_per_class(images: LabelledImages, count: int) -> tuple[LabelledImages, LabelledImages]:
    """The first `count` images of each class, and the others. Both keep their order.

    Raises: ValueError where a class would be left with none.
    """
    taken = np.zeros(len(images), dtype=bool)
    for label in np.unique(images.labels):
        members = np.flatnonzero(images.labels == label)
        if count >= len(members):
            raise ValueError(
                f"class {label} has {len(members)} images:"
                f" {count} of each class cannot be held out of training"
            )
        taken[members[:count]] = True
    return images[np.flatnonzero(taken)], images[np.flatnonzero(~taken)]


@dataclass(frozen=True)
class Splits:
    """A data set's three parts."""

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages


def concatenate(first: LabelledImages, second: LabelledImages) -> LabelledImages:
    """All images of both."""
    return LabelledImages(
        np.concatenate([first.pixels, second.pixels]), np.concatenate([first.labels, second.labels])
    )
