"""Which part of a photograph enters the network: the geometry of the ImageNet augmentation levels. Free of
torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from bnnlab.data.config import PhotoAugmentation
from bnnlab.data.decoding import Box

AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
ATTEMPTS = 10


def centre(width: int, height: int, *, size: int, resize: int) -> Box:
    """What the shorter side resized to `resize` and the central `size` x `size` pixels show."""
    side = _side(width, height, size, resize)
    return _square((width - side) // 2, (height - side) // 2, side)


def random_crop(width: int, height: int, random: Random, *, size: int, resize: int) -> Box:
    """As `centre`, anywhere in the image."""
    side = _side(width, height, size, resize)
    return _square(random.randint(0, width - side), random.randint(0, height - side), side)


def random_part(width: int, height: int, random: Random) -> Box:
    """A part of 8 to 100 % of the area with an aspect ratio of 3/4 to 4/3, uniform in its logarithm.

    After ten parts that do not fit, the largest central part with an allowed aspect ratio.
    Source: Szegedy et al. 2015 (arXiv:1409.4842), section 6; as in MXNet's and torchvision's RandomResizedCrop.
    """
    for _ in range(ATTEMPTS):
        area = random.uniform(*AREA) * width * height
        aspect = math.exp(random.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return Box(left, top, left + w, top + h)
    w, h = min(width, max(1, round(height * ASPECT[1]))), min(height, max(1, round(width / ASPECT[0])))
    left, top = (width - w) // 2, (height - h) // 2
    return Box(left, top, left + w, top + h)


def _side(width: int, height: int, size: int, resize: int) -> int:
    return max(1, round(min(width, height) * size / resize))


def _square(left: int, top: int, side: int) -> Box:
    return Box(left, top, left + side, top + side)


def training_part(level: PhotoAugmentation, random: Random, *, size: int, resize: int) -> Callable[[int, int], Box]:
    """How this level picks the part of one image."""
    match level:
        case "none":
            return lambda width, height: centre(width, height, size=size, resize=resize)
        case "low":
            return lambda width, height: random_crop(width, height, random, size=size, resize=resize)
        case "medium" | "high":
            return lambda width, height: random_part(width, height, random)


def mirrors(level: PhotoAugmentation) -> bool:
    """Whether every other image is mirrored."""
    return level != "none"
