"""Bi-Real Net (Liu et al. 2018, arXiv:1808.00278): the first with a shortcut for each binary convolution.

Free of torch: the variants' signatures are the options of a configuration. `network` has the layers.
"""

# No `from __future__ import annotations` here: the catalogue reads these annotations.
from typing import TYPE_CHECKING, Literal

from bnnlab.models.options import Downsampling, Image, Precision, Stem, Width, concrete_stem, when_binary
from bnnlab.nn.binarization import Binarization

if TYPE_CHECKING:
    from torch import nn

Variant = Literal["larq", "bmxnet"]
"""larq as published; bmxnet the port of BMXNet-v2 ("binet"), which has a BatchNorm of the image, ReLU after
the stem and before the pool, and no BatchNorm in the shortcut (whose convolution the authors have binary)."""

PUBLISHED = Binarization(
    estimator="polynomial",
    weight_estimator="magnitude_aware",
    weight_window=1.0,
    weight_clip=1.0,
    padding_value=0,
    output="signed",
)
"""How Bi-Real Net binarizes. Source: larq_zoo/literature/birealnet.py."""


def bireal_net18(
    *,
    image: Image,
    num_classes: int,
    variant: Variant = "larq",
    stem: Stem = "auto",
    downsampling: Downsampling = "fp",
    width: Width = 64,
    precision: Precision = "binary",
    binarization: Binarization = PUBLISHED,
) -> "nn.Module":
    """Bi-Real Net 18: 16 binary 3x3 convolutions; for ImageNet 11,689,512 parameters in 4.00 MiB."""
    from bnnlab.models.bireal_net.network import bireal_net

    return bireal_net(
        convolutions=(4, 4, 4, 4),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant=variant,
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=when_binary(precision, binarization),
    )


def bireal_net34(
    *,
    image: Image,
    num_classes: int,
    variant: Variant = "larq",
    stem: Stem = "auto",
    downsampling: Downsampling = "fp",
    width: Width = 64,
    precision: Precision = "binary",
    binarization: Binarization = PUBLISHED,
) -> "nn.Module":
    """Bi-Real Net 34: 32 binary 3x3 convolutions."""
    from bnnlab.models.bireal_net.network import bireal_net

    return bireal_net(
        convolutions=(6, 8, 12, 6),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant=variant,
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=when_binary(precision, binarization),
    )
