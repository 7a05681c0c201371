"""Encoded images (JPEG, PNG, WebP, GIF, ...) to pixels.

Pillow reads them all. Where simplejpeg is installed it decodes the plain JPEGs, to the same pixels by the same library
(libjpeg-turbo) but without Pillow's detour over four bytes a pixel.
"""

from __future__ import annotations

import importlib
import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch.nn import functional as F

ORIENTATION = 0x0112  # the EXIF tag
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
ENOUGH = 2.0
"""A JPEG may be decoded at a half, a quarter or an eighth of its size as long as the pixels left are this many times
those wanted along each axis. Pillow's documentation of `reducing_gap` calls 2 close to indistinguishable."""

Pixels = npt.NDArray[np.uint8]


class DecodingError(Exception):
    """An image cannot be decoded; the message says why."""


class Box(NamedTuple):
    """A part of an image, in pixels."""

    left: int
    top: int
    right: int
    bottom: int


def decode(encoded: bytes, channels: int) -> Pixels:
    """The image as it is meant to be seen: turned as its EXIF orientation says, transparent parts on white, the first
    frame of an animation, 16-bit grey scaled to 8 bits.

    Shape: (C, H, W), RGB for 3 channels and grey for 1.
    Raises: DecodingError, also where the data is cut short.
    """
    with _telling_what_is_wrong():
        return np.ascontiguousarray(_pixels(encoded, _open(encoded), channels).transpose(2, 0, 1))


def decode_part(encoded: bytes, channels: int, choose: Callable[[int, int], Box], size: int) -> Pixels:
    """The part of an image that `choose(width, height)` picks, resized to `size` x `size` (bilinear, antialiased).

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
        pixels = _pixels(encoded, image, channels, whole_size=share > 0.5)
        scale = pixels.shape[1] / width  # below 1 after a draft
        left, top, right, bottom = (round(edge * scale) for edge in box)
        part = torch.from_numpy(pixels[top:bottom, left:right]).permute(2, 0, 1)[None]
        # On bytes with the channels last this is three times as fast as Pillow's resize, and differs by rounding.
        resized = F.interpolate(part, (size, size), mode="bilinear", antialias=True)
        return resized[0].numpy()  # the channels are still last in memory


def _open(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded))


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(ORIENTATION, 1))


def _pixels(encoded: bytes, image: Image.Image, channels: int, *, whole_size: bool = True) -> Pixels:
    """Shape: (H, W, C), writable."""
    plain = image.format == "JPEG" and image.mode == "RGB" and channels == 3 and _orientation(image) == 1
    if plain and whole_size and (fast := _simplejpeg()) is not None:
        # It refuses more than Pillow does, which has the last word.
        with suppress(ValueError):
            return fast.decode_jpeg(encoded)  # type: ignore[no-any-return]
    image.load()
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BIT:
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    mode = "RGB" if channels == 3 else "L"
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return pixels[:, :, np.newaxis] if channels == 1 else pixels


@cache
def _simplejpeg() -> Any:
    """The module, or None where it is not installed."""
    with suppress(ImportError):
        return importlib.import_module("simplejpeg")
    return None


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
