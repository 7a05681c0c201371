"""BinaryResNetE (Bethge et al. 2019, arXiv:1906.08637): every binary convolution has a shortcut of its own.

Free of torch: the variants' signatures are the options of a configuration. `network` has the layers.
"""

# No `from __future__ import annotations` here: the catalogue reads these annotations.
from typing import TYPE_CHECKING, Literal

from bnnlab.models.options import Downsampling, Image, Stem, Width, concrete_stem
from bnnlab.nn.binarization import Binarization

if TYPE_CHECKING:
    from bnnlab.models.resnet_e.network import ResNetE

Variant = Literal["e1", "e2"]
"""Order of layers in a block: e1 sign, convolution, BatchNorm; e2 BatchNorm, sign, convolution."""


def resnet_e18(
    *,
    image: Image,
    num_classes: int,
    variant: Variant = "e1",
    stem: Stem = "auto",
    downsampling: Downsampling = "fp",
    width: Width = 64,
    binarization: Binarization = Binarization(),  # noqa: B008 - a frozen value
) -> "ResNetE":
    """BinaryResNetE18: 16 binary 3x3 convolutions; e1 for ImageNet has 11,689,646 parameters in 4.00 MiB."""
    from bnnlab.models.resnet_e.network import ResNetE

    return ResNetE(
        convolutions=(4, 4, 4, 4),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant=variant,
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=binarization,
    )


def resnet_e34(
    *,
    image: Image,
    num_classes: int,
    variant: Variant = "e1",
    stem: Stem = "auto",
    downsampling: Downsampling = "fp",
    width: Width = 64,
    binarization: Binarization = Binarization(),  # noqa: B008 - a frozen value
) -> "ResNetE":
    """BinaryResNetE34: 32 binary 3x3 convolutions; e1 for ImageNet has 21,797,806 parameters in 5.23 MiB."""
    from bnnlab.models.resnet_e.network import ResNetE

    return ResNetE(
        convolutions=(6, 8, 12, 6),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant=variant,
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=binarization,
    )
