"""BinaryResNetE (Bethge et al. 2019, arXiv:1906.08637): every binary convolution has a shortcut of its own.

Free of torch: the variants' signatures are the options of a configuration. `network` has the layers.
"""

# No `from __future__ import annotations` here: the catalogue reads these annotations.
from typing import TYPE_CHECKING, Literal

from bnnlab.models.options import (
    Downsampling,
    Image,
    Precision,
    Stem,
    Width,
    concrete_stem,
    when_binary,
)
from bnnlab.nn.binarization import AUTHORS, Binarization

if TYPE_CHECKING:
    from torch import nn

Variant = Literal["e1", "e2"]
"""Order of layers in a block: e1 sign, convolution, BatchNorm; e2 BatchNorm, sign, convolution."""

Slices = Literal[1, 2, 4, 8]
"""In how many blocks a block is split, each of which reads all channels and adds to its share of them."""


def resnet_e18(
    *,
    image: Image,
    num_classes: int,
    variant: Variant = "e1",
    stem: Stem = "auto",
    downsampling: Downsampling = "fp",
    width: Width = 64,
    slices: Slices = 1,
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """BinaryResNetE18: 16 binary 3x3 convolutions; e1 for ImageNet has 11,689,646 parameters in 4.00 MiB."""
    from bnnlab.models.resnet_e.network import resnet_e

    return resnet_e(
        convolutions=(4, 4, 4, 4),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant=variant,
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        slices=slices,
        binarization=when_binary(precision, binarization),
    )


def resnet_e34(
    *,
    image: Image,
    num_classes: int,
    variant: Variant = "e1",
    stem: Stem = "auto",
    downsampling: Downsampling = "fp",
    width: Width = 64,
    slices: Slices = 1,
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """BinaryResNetE34: 32 binary 3x3 convolutions; e1 for ImageNet has 21,797,806 parameters in 5.23 MiB."""
    from bnnlab.models.resnet_e.network import resnet_e

    return resnet_e(
        convolutions=(6, 8, 12, 6),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant=variant,
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        slices=slices,
        binarization=when_binary(precision, binarization),
    )
