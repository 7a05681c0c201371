"""Encoded images (JPEG, PNG, WebP, GIF, ...) to pixels, with Pillow."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

ORIENTATION = 0x0112  # the EXIF tag
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
ENOUGH = 2.0
"""A JPEG may be decoded at a half, a quarter or an eighth of its size as long as the pixels left are this
many times those wanted along each axis. Pillow's documentation of `reducing_gap` calls 2 close to
indistinguishable."""


class DecodingError(Exception):
    """An image cannot be decoded; the message says why."""


class Box(NamedTuple):
    """A part of an image, in pixels; fractions are allowed."""

    left: float
    top: float
    right: float
    bottom: float


def decode(encoded: bytes, channels: int) -> npt.NDArray[np.uint8]:
    """The image as it is meant to be seen: turned as its EXIF orientation says, transparent parts on white,
    the first frame of an animation, 16-bit grey scaled to 8 bits.

    Shape: (C, H, W), RGB for 3 channels and grey for 1.
    Raises: DecodingError, also where the data is cut short.
    """
    with _telling_what_is_wrong():
        return to_array(_load(_open(encoded), channels))


def decode_part(
    encoded: bytes, channels: int, choose: Callable[[int, int], Box], size: int
) -> npt.NDArray[np.uint8]:
    """The part of an image that `choose(width, height)` picks, resized to `size` x `size` (bilinear,
    antialiased).

    Shape: (C, size, size).
    Raises: DecodingError.
    """
    with _telling_what_is_wrong():
        image = _open(encoded)
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        box = choose(width, height)
        share = ENOUGH * size / min(box.right - box.left, box.bottom - box.top)
        if share <= 0.5:
            image.draft(None, (math.ceil(image.width * share), math.ceil(image.height * share)))
        image = _load(image, channels)
        x, y = image.width / width, image.height / height
        part = (box.left * x, box.top * y, box.right * x, box.bottom * y)
        return to_array(image.resize((size, size), Image.Resampling.BILINEAR, box=part))


def to_array(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Shape: (C, H, W)."""
    array = np.asarray(image)
    return array[np.newaxis] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _open(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded))


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(ORIENTATION, 1))


def _load(image: Image.Image, channels: int) -> Image.Image:
    image.load()
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BIT:
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    mode = "RGB" if channels == 3 else "L"
    return image if image.mode == mode else image.convert(mode)


@contextmanager
def _telling_what_is_wrong() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, which has no effect on pixels
            yield
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise SyntaxError, struct.error, IndexError and more
        raise DecodingError(f"not a whole image ({error or type(error).__name__})") from error
