"""What the trainer sees of a data set: batches of an epoch, and nothing of where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from torch import Tensor

from bnnlab.data.config import ImageShape


class Batches(Protocol):
    """The batches of one pass; each iteration starts anew and gives the same batches."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (n, C, H, W) float32, normalised; labels (n,) int64."""


Damaged = Mapping[str, Mapping[str, str]]
"""Images that could not be decoded, by split ("train", "validation", "test"): where each lies, and why."""


class Dataset(Protocol):
    """A data set, loaded."""

    @property
    def num_classes(self) -> int: ...

    @property
    def image(self) -> ImageShape: ...

    @property
    def damaged(self) -> Damaged:
        """Images that could not be decoded so far."""

    def note_damaged(self, found: Damaged) -> None:
        """Count also what another process, or this run at an earlier time, could not decode.

        Raises: DataDamaged where that is more than the configuration allows.
        """

    def train_batches(self, epoch: int) -> Batches:
        """Each training image once. Order and augmentation are a pure function of (seed, epoch)."""

    def val_batches(self) -> Batches:
        """Each validation image once, in a fixed order, as it is; the test images under `evaluation:
        paper`."""

    def test_batches(self) -> Batches:
        """Each test image once, in a fixed order, as it is."""
