"""Augmentation of images in memory, as tensor operations on many images at once.

What is random about an image is a row of uniform numbers, drawn for a whole epoch from one generator. The
images of an epoch are then the same however they are cut into batches, and on whichever device they are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Augmentation(Protocol):
    """A way to vary images that never moves a label."""

    @property
    def draws(self) -> int:
        """Uniform numbers needed for each image."""

    @property
    def margin(self) -> int:
        """Pixels of black that `augment` expects around each stored image."""

    def augment(self, stored: Tensor, chosen: Tensor, uniform: Tensor) -> Tensor:
        """Images `chosen` of the set, varied.

        Shape: stored (N, C, H + 2 margin, W + 2 margin) uint8; chosen (n,) int64; uniform (n, draws) in [0,
        1); the result is (n, C, H, W) uint8 or float32, with values in [0, 255].
        """


def with_margin(pixels: Tensor, augmentation: Augmentation) -> Tensor:
    """The set as `augment` wants it stored: padded once, and not again for every batch."""
    return functional.pad(pixels, [augmentation.margin] * 4) if augmentation.margin else pixels


@dataclass(frozen=True)
class Unchanged:
    """The images as they are."""

    draws = 0
    margin = 0

    def augment(self, stored: Tensor, chosen: Tensor, uniform: Tensor) -> Tensor:
        return stored.index_select(0, chosen)


@dataclass(frozen=True)
class Crop:
    """Moved by up to `padding` pixels along each axis with black coming in, and mirrored every other time if
    asked.

    With padding 4 and mirror it is the augmentation of the authors' newest CIFAR-10 code (BMXNet-v2-examples,
    datasets/cifar10.py).
    """

    padding: int
    mirror: bool = False

    @property
    def margin(self) -> int:
        return self.padding

    @property
    def draws(self) -> int:
        return 3 if self.mirror else 2

    def augment(self, stored: Tensor, chosen: Tensor, uniform: Tensor) -> Tensor:
        height, width = (side - 2 * self.padding for side in stored.shape[-2:])
        top, left = (uniform[:, :2] * (2 * self.padding + 1)).long().unbind(1)
        rows = top[:, None] + torch.arange(height, device=stored.device)
        columns = torch.arange(width, device=stored.device).expand(len(chosen), width)
        if self.mirror:
            columns = torch.where(uniform[:, 2:] < 0.5, columns, width - 1 - columns)
        return _gather(stored, chosen, rows, columns + left[:, None])


def _gather(stored: Tensor, chosen: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """stored[chosen[i], :, rows[i]][:, columns[i]] for each i, in one pass over the memory.

    Shape: rows (n, H), columns (n, W).
    """
    channels = torch.arange(stored.shape[1], device=stored.device)
    return stored[
        chosen[:, None, None, None],
        channels[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]
